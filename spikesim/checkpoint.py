"""Checkpoints: a killed run goes on and ends with the spikes, traces and counts of one that was not.

A checkpoint stands beside the recording and holds the network, the state of the program and how many rows each table
of the recording had. It is written whole or not at all, and the one before stays until then. A run that goes on begins
a new recording with those rows of the old one, so what came after the checkpoint is discarded, and the old recording
stays until the new one has replaced it. At the end of the run its checkpoint is removed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

import spikesim
from spikesim.collect import Mark
from spikesim.engine import Program
from spikesim.errors import FileAccessError, InvalidValueError, MissingFileError, UnsupportedError
from spikesim.files.checkpoint import KIND, Checkpoint, checkpoint_path, load_checkpoint, save_checkpoint
from spikesim.files.envelope import check_target
from spikesim.files.storage import fingerprint
from spikesim.graph import Graph
from spikesim.network import Network
from spikesim.recording import Recording
from spikesim.units import si

DEFAULT_EVERY = 60.0  # seconds, for a run that is to be resumed and does not say
FOREIGN = {"network": "another network", "inputs": "other inputs"}  # there is no shorter way to say how they differ


def identity(
    network: Network | Graph,
    graph: Graph,
    backend: str,
    dtype: str,
    steps: int,
    inputs: Mapping[str, NDArray[Any]],
) -> dict[str, Any]:
    """Return what determines every spike, trace and count of a run.

    Raises
    ------
    UnsupportedError
        For a lowered graph, which no file can hold.
    """
    if isinstance(network, Graph):
        raise UnsupportedError(["checkpoints need a Network, found a lowered Graph; pass the network and a seed"])
    return {
        "network": fingerprint(replace(network, seed=0)),
        "seed": graph.seed,
        "backend": backend,
        "dtype": dtype,
        "steps": steps,
        "inputs": fingerprint(dict(inputs)) if inputs else "",
        "spikesim": spikesim.__version__,
    }


class Checkpoints:
    """The checkpoints of one run.

    Parameters
    ----------
    out
        The recording.
    network
        The network.
    identity
        What must be the same (:func:`identity`).
    every
        Seconds of wall time between checkpoints.
    resume
        Go on from the checkpoint that is there.

    Attributes
    ----------
    mark, seconds
        Where the run begins, and the time that it has taken before.
    finished
        The recording, if the run to be resumed has reached its end already.

    Raises
    ------
    InvalidValueError
        If there is no file to record to, or the checkpoint belongs to another run.
    FileAccessError
        If a file is in the way or missing.
    """

    def __init__(
        self, out: str | Path | None, network: Any, identity: Mapping[str, Any], every: float | None, resume: bool
    ) -> None:
        if out is None:
            raise InvalidValueError(
                "checkpoints need a recording in a file, found a run that is kept in memory; pass out='run.h5'"
            )
        self.out, self.path = Path(out), check_target(checkpoint_path(out), KIND)
        self.identity = dict(identity)
        self.network = replace(network, seed=self.identity["seed"])
        self.finished: Recording | None = None
        self._start = self._found() if resume else None
        self.every = self._interval(every)
        start = self._start
        self.mark = Mark(start.steps, start.rows, start.emitted, start.active) if start else None
        self.seconds = start.seconds if start else 0.0

    def _interval(self, every: float | None) -> float:
        if every is None:
            return self._start.every if self._start else DEFAULT_EVERY
        seconds = si(every, "s", "checkpoint_every")
        if not seconds >= 0:
            raise InvalidValueError(f"checkpoint_every must be at least 0 s, found {seconds}")
        return float(seconds)

    # ------------------------------------------------------------------------------------------------ going on
    def _found(self) -> Checkpoint | None:
        """Return the checkpoint to go on from; None to begin anew, or if the run is finished."""
        recording = Recording.load(self.out) if self.out.exists() else None
        ours = recording is not None and recording.meta.get("run") == self.identity
        if recording is not None and ours and not recording.meta["interrupted"]:
            self.finished = recording
            self.remove()
            return None
        if not self.path.exists():
            if recording is not None and not ours:
                raise FileAccessError(
                    f"{str(self.out)!r} is the recording of another run, and there is no checkpoint "
                    f"{self.path.name!r} to go on from; choose another name, or run without resume to replace it"
                )
            return None
        checkpoint = load_checkpoint(self.path)
        self._check_identity(checkpoint.run)
        if checkpoint.steps and (recording is None or not ours or recording.steps < checkpoint.steps):
            raise FileAccessError(
                f"{str(self.path)!r} continues {str(self.out)!r}, which is "
                f"{'the recording of another run' if recording is not None else 'missing'}; "
                "put the recording back, or delete the checkpoint to begin anew"
            )
        return checkpoint

    def _check_identity(self, found: Mapping[str, Any]) -> None:
        different = [name for name, value in self.identity.items() if found.get(name) != value]
        if different:
            parts = [
                FOREIGN.get(name, f"{name} {found.get(name)!r} in place of {value!r}")
                for name, value in self.identity.items()
                if name in different
            ]
            raise InvalidValueError(
                f"{str(self.path)!r} belongs to a run with {' and '.join(parts)}; "
                "resume with the same, or delete it to begin anew"
            )

    def begin(self, program: Program) -> None:
        """Put a program where the run begins, and see to it that a run killed from now on can be resumed.

        Raises
        ------
        UnsupportedError
            If the engine cannot be continued.
        """
        if not hasattr(program, "snapshot"):  # of a third party, made before there were checkpoints
            raise UnsupportedError([f"backend {self.identity['backend']!r} has no checkpoints; run without them"])
        if self._start is None:
            self.write(program.snapshot(), Mark(0, {}, {}, {}), 0.0)
        elif self._start.steps:
            program.restore(self._start.state)
        for stale in self.path.parent.glob(f".{self.path.name}.*.tmp"):  # of a run killed while it wrote one
            stale.unlink(missing_ok=True)
        self._written = time.monotonic()

    # ------------------------------------------------------------------------------------------------ writing
    def due(self) -> bool:
        """Tell whether it is time for the next checkpoint."""
        return time.monotonic() - self._written >= self.every

    def write(self, state: Mapping[str, NDArray[Any]], mark: Mark, seconds: float) -> None:
        """Write a checkpoint in place of the one before."""
        save_checkpoint(Checkpoint(self.identity, self.network, self.every, seconds, *mark, state), self.path)
        self._written = time.monotonic()

    def remove(self) -> None:
        """Remove the checkpoint of a finished run."""
        self.path.unlink(missing_ok=True)


def interrupted_run(out: str | Path) -> Checkpoint | Recording:
    """Return the checkpoint of a recording, or the recording itself if it is finished.

    Raises
    ------
    MissingFileError
        If there is no checkpoint beside an unfinished recording.
    """
    path = checkpoint_path(out)
    if path.exists():
        return load_checkpoint(path)
    recording = Recording.load(out)
    if recording.meta.get("interrupted", True):
        raise MissingFileError(
            f"{str(out)!r} cannot be resumed: there is no checkpoint {path.name!r}; run it again with checkpoint_every"
        )
    return recording
