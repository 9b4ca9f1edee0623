"""The parent's side: start the child, wait no longer than allowed, leave no orphan."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.backends.lava.job import Job, read_outcome, write_job
from spikesim.errors import BackendError
from spikesim.fixedpoint import IntCounts, IntNetwork, IntProjection, IntRun, IntSample, IntState
from spikesim.fixedpoint.program import Engine
from spikesim.optional import available

WEIGHT_RANGE = (-256, 254)  # a mixed 8-bit matrix
TAIL = 2000  # characters of the child's output that an error shows


def availability() -> tuple[bool, str, str]:
    """Tell whether lava-nc is installed (without importing it), why not, and what to do."""
    found = available("lava")
    if sys.platform == "win32":
        return False, "Lava's processes are started by fork, which Windows does not have", "use Linux"
    return found.ok, "" if found.ok else "lava-nc", "" if found.ok else "spikesim install lava"


def check(network: IntNetwork) -> list[str]:
    """Return what Lava's processes cannot hold beyond the chip's ranges, one sentence each."""
    found = []
    for p in network.populations:
        for name in ("du", "dv", "vth", "quantum"):
            if np.ndim(getattr(p, name)) and len(np.unique(getattr(p, name))) > 1:
                found.append(f"population {p.name!r}: Lava has one {name} per population; split it into populations")
        if p.reset_interval:
            found.append(f"population {p.name!r}: a periodic reset is not handed to Lava yet; leave it out")
    for q in network.projections:
        found += _pair_problems(q, network.size(q.post))
    return found


def _pair_problems(projection: IntProjection, n_post: int) -> list[str]:
    """Lava's matrices have one synapse per pair: several of them must be one synapse with the summed weight."""
    pairs = projection.sources.astype(np.int64) * n_post + projection.indices
    unique, place = np.unique(pairs, return_inverse=True)
    if len(unique) == len(pairs):
        return []
    who = f"projection {projection.name!r} has several synapses between one pair of neurons"
    sums = np.bincount(place, weights=projection.effective_weights)
    if sums.min() < WEIGHT_RANGE[0] or sums.max() > WEIGHT_RANGE[1]:
        return [f"{who}, and Lava's one synapse cannot hold their sum {sums.max():g}; connect without multapses"]
    delays = np.broadcast_to(projection.delay, pairs.shape)
    if len(np.unique(pairs * 64 + delays)) > len(unique):
        return [f"{who} with different delays, and Lava has one synapse per pair; connect without multapses"]
    return []


def engine(timeout: float) -> Any:
    """Return a maker of engines that run a network in Lava, with a limit in seconds."""

    def make(network: IntNetwork) -> Engine:
        def run(columns: int, samples: list[IntSample], wanted: list[str], state: IntState | None) -> IntRun:
            return run_in_lava(network, columns, samples, states_of=wanted, timeout=timeout)

        return run

    return make


def run_in_lava(
    network: IntNetwork,
    columns: int,
    samples: list[IntSample],
    *,
    states_of: Sequence[str] = (),
    timeout: float = 600.0,
) -> IntRun:
    """Run an integer network in Lava's fixed-point simulation, one sample after another, in a child process.

    Parameters
    ----------
    network
        The network.
    columns
        Length of a sample.
    samples
        Spikes of the inputs.
    states_of
        Populations whose ``u`` and ``v`` are recorded.
    timeout
        Seconds after which the child and all its processes are ended.

    Raises
    ------
    BackendError
        If the child fails or takes too long; the error shows the end of its output.
    """
    with tempfile.TemporaryDirectory(prefix="spikesim-lava-") as folder:
        job, result = Path(folder, "job.h5"), Path(folder, "result.h5")
        write_job(job, Job(network, columns, samples, list(states_of)))
        _run_child([sys.executable, "-m", "spikesim.backends.lava.worker", str(job), str(result)], timeout)
        if not result.exists():
            raise BackendError("Lava ended without a result")
        return _as_run(network, columns, read_outcome(result))


def _run_child(command: list[str], timeout: float) -> None:
    """Run a command in a process group of its own, and end the whole group if it fails or is late."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            env=environment,
        )  # fmt: skip
        try:
            code = child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise BackendError(
                f"Lava did not finish within {timeout:g} s and was ended; its output ends:\n{_tail(output)}"
            ) from None
        finally:
            _end_group(child)
        if code != 0:
            raise BackendError(f"Lava failed with exit code {code}; its output ends:\n{_tail(output)}")


def _end_group(child: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)  # the group that this child was started with, and nothing else
    except ProcessLookupError:
        pass
    child.wait()


def _tail(output: Any) -> str:
    output.seek(0)
    return str(output.read().decode("utf-8", "replace")[-TAIL:])


def _as_run(network: IntNetwork, columns: int, outcomes: list[dict[str, NDArray[Any]]]) -> IntRun:
    spikes = {}
    for population in network.populations:
        rows = [np.insert(o[f"spikes/{population.name}"], 0, k, axis=1) for k, o in enumerate(outcomes)]
        spikes[population.name] = np.concatenate(rows).astype(np.int32)

    def states(variable: str) -> dict[str, NDArray[np.int32]]:
        names = [key.split("/", 1)[1] for key in outcomes[0] if key.startswith(f"{variable}/")]
        return {name: np.stack([o[f"{variable}/{name}"] for o in outcomes]) for name in names}

    return IntRun(
        steps=columns,
        first_column=0,
        samples=len(outcomes),
        spikes=spikes,
        u=states("u"),
        v=states("v"),
        columns=np.arange(columns),
        counts=IntCounts({}, {}),
    )
