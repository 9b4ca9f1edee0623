"""A folder that runs a network with Lava alone, and what a network needs before it can become Lava processes.

Lava was archived in May 2026; its last release, lava-nc 0.10.0, is the target. The processes themselves are made by the
backend ``lava``, which is reached through the registry and need not be installed for writing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spikesim.connect import Conv2d
from spikesim.convert.report import ExportReport, ImportReport, Verification
from spikesim.convert.soft_reset import with_reset
from spikesim.convert.verify import DENSITY, STEPS, compare_spikes, random_inputs
from spikesim.drive import source_values
from spikesim.engine import backend, run
from spikesim.errors import BackendError, FileAccessError, MissingFileError, UnknownNameError, UnsupportedError
from spikesim.fixedpoint.lower import MODEL, Lowered, lower_to_integers
from spikesim.graph import Graph
from spikesim.inputs import input_arrays, total_steps
from spikesim.learning import plastic_problems
from spikesim.lowering import is_graded_input, lower
from spikesim.network import Network
from spikesim.recording import Recording

SoftReset: TypeAlias = Literal["custom_process", "hard", "self_inhibition"]
SOFT_RESETS = ("custom_process", "hard", "self_inhibition")
IO = ("ringbuffer", "injector")
FOLDER = "spikesim lava folder"
DESCRIPTION = "network.json"


@dataclass(frozen=True, eq=False)
class Prepared:
    """A network that Lava can hold.

    Parameters
    ----------
    network
        In fixed point, with resets that Lava has.
    graph, lowered
        The same, lowered: the integer network, and how many columns late each population is.
    images
        For projections that are convolutions: the rule, and the shape (channels, height, width) that it comes from.
    report
        What became of each part.
    """

    network: Network
    graph: Graph
    lowered: Lowered
    images: dict[str, tuple[Conv2d, tuple[int, ...]]]
    report: ExportReport


def prepare(
    network: Any,
    on_soft_reset: SoftReset | None = None,
    *,
    quantise: bool = False,
    inputs: Mapping[str, Any] | None = None,
    steps: int = STEPS,
) -> Prepared:
    """Bring a network into a form that Lava's processes can express; parameters as for :func:`write_lava`.

    Raises
    ------
    UnsupportedError
        If that cannot be done; all reasons are listed.
    """
    original: Network = getattr(network, "network", network)
    report = ExportReport("lava")
    if quantise and any(p.model.name != MODEL for p in original.populations):
        from spikesim.quantise import quantise as to_integers

        original = to_integers(original).network
        report.notes.append("brought to fixed point; `spikesim quantise` reports the rounding")
    _refuse_float(original)
    changed = with_reset(original, on_soft_reset, SOFT_RESETS, "Lava", "on_soft_reset", report)
    if on_soft_reset == "custom_process":
        report.warnings += _custom_processes(changed)
    graph = lower(changed)
    _refuse(graph)
    if changed is not original:
        report.verification = compare_spikes(original, changed, inputs, steps)
    return Prepared(changed, graph, lower_to_integers(graph), _images(changed), report)


def _refuse_float(network: Network) -> None:
    found = [
        f"population {p.name!r}: neuron {p.model.name!r} is not in fixed point; bring the network there with "
        "spikesim.quantise, or say quantise=True (--quantise)"
        for p in network.populations
        if p.model.name != MODEL
    ]
    if found:
        raise UnsupportedError(found, f"network {network.name!r} cannot become Lava processes:")


def _refuse(graph: Graph) -> None:
    found = [
        f"input {s.name!r} is graded, and what is written takes spikes; encode the values (spikesim.encode)"
        for s in graph.sources
        if is_graded_input(s)
    ]
    found += plastic_problems(graph, "what is written for Lava")
    found = found or backend("lava").check(graph)
    if found:
        raise UnsupportedError(found, f"network {graph.name!r} cannot become Lava processes:")


def _custom_processes(network: Network) -> list[str]:
    from spikesim.convert.soft_reset import is_soft

    names = ", ".join(repr(p.name) for p in network.populations if is_soft(p))
    text = f"{names}: SoftLIF is a process of ours, for Lava's simulation only; a chip would need microcode for it"
    return [text] if names else []


def _images(network: Network) -> dict[str, tuple[Conv2d, tuple[int, ...]]]:
    found = {}
    for p in network.projections:
        pre: Any = network[p.pre]
        if isinstance(p.rule, Conv2d) and len(pre.shape) == 3:
            found[p.name] = (p.rule, tuple(pre.shape))
    return found


def write_lava(
    network: Any,
    path: str | Path,
    *,
    on_soft_reset: SoftReset | None = None,
    quantise: bool = False,
    inputs: Mapping[str, Any] | None = None,
    steps: int | None = None,
    outputs: Sequence[str] | None = None,
    io: Literal["ringbuffer", "injector"] = "ringbuffer",
) -> ExportReport:
    """Write a network as a folder that runs with Lava alone: ``python run.py --check``.

    Parameters
    ----------
    network
        A network in fixed point (``loihi_lif`` neurons), or what :func:`spikesim.quantise.quantise` returned.
    path
        The folder: a new one, an empty one, or one that was written before.
    on_soft_reset
        Lava's neurons reset to 0. None refuses a soft reset. ``"custom_process"`` brings a process of our own, which
        runs in Lava's simulation and on no chip; ``"hard"`` resets to 0 instead; ``"self_inhibition"`` keeps the
        membrane in the current, with an inhibitory loop (:mod:`spikesim.convert.soft_reset`). What that changes is
        measured in spikes.
    quantise
        Bring a float network to fixed point first.
    inputs
        Data for the inputs, as for :func:`spikesim.run`; random spikes if left out. They go into the folder together
        with the spikes that the emulator has for them.
    steps
        Length of the run; that of the inputs by default, or 200.
    outputs
        Populations whose spikes are recorded and compared; all by default.
    io
        How spikes enter and leave Lava: all at once, from and to ring buffers, or step by step while it runs, through
        an injector and an extractor, as in a closed loop.

    Returns
    -------
    ExportReport

    Raises
    ------
    UnsupportedError
        If Lava cannot express the network; all reasons are listed.
    FileAccessError
        If something else is in the way.
    """
    if io not in IO:
        raise UnknownNameError("io", io, list(IO))
    folder = _target(Path(path))
    length = steps or (None if inputs else STEPS)
    prepared = prepare(network, on_soft_reset, quantise=quantise, inputs=inputs, steps=length or STEPS)
    chosen = _outputs(prepared.network, outputs)
    given = random_inputs(prepared.network, length or STEPS, density=DENSITY) if inputs is None else inputs
    rasters, expected = _expected(prepared, given, length)
    engine: Any = backend("lava")
    described = {"samples": expected.samples, "steps": expected.steps, "outputs": chosen, "io": io}
    events = {name: _rows(expected, name) for name in chosen}
    engine.write_folder(folder, prepared, inputs=rasters, expected=events, **described)
    quiet = [name for name in chosen if not len(events[name])]
    prepared.report.warnings += [
        f"population {name!r} never fires on this input, so the folder's check says nothing about it; give inputs "
        "that make it fire"
        for name in quiet
    ]
    return prepared.report


def _outputs(network: Network, outputs: Sequence[str] | None) -> list[str]:
    known = [p.name for p in network.populations]
    for name in outputs or ():
        if name not in known:
            raise UnknownNameError("population", name, known)
    return known if outputs is None else [name for name in known if name in outputs]


def _expected(
    prepared: Prepared, given: Mapping[str, Any], steps: int | None
) -> tuple[dict[str, NDArray[np.uint8]], Recording]:
    """Return what the sources emit, ``[steps, samples, n]``, and what the emulator makes of it."""
    graph = prepared.graph
    data, samples, length = input_arrays(graph, given)
    total = total_steps(graph, None, steps, length)
    rasters = {
        s.name: source_values(graph, s, 0, total, samples, data[s.name][:total] if s.name in data else None)
        for s in graph.sources
    }
    return rasters, run(graph, steps=total, inputs=given, backend="loihi")


def _rows(recording: Recording, population: str) -> NDArray[np.int32]:
    """Return spikes as sorted rows (sample, step, neuron)."""
    spikes = recording[population]
    rows = np.stack([spikes.sample, spikes.step, spikes.neuron], axis=1).astype(np.int32)
    return np.asarray(rows[np.lexsort(rows.T[::-1])])


def _target(path: Path) -> Path:
    folder = Path(os.path.realpath(path))
    if not folder.parent.is_dir():
        raise FileAccessError(f"{str(path)!r} cannot be written: there is no folder {str(folder.parent)!r}; create it")
    if folder.exists() and not (folder.is_dir() and (not any(folder.iterdir()) or _ours(folder))):
        raise FileAccessError(
            f"{str(path)!r} exists and is no folder that was written for Lava, so nothing is written into it; choose "
            "another name, or delete it"
        )
    return folder


def _ours(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / DESCRIPTION).read_text("utf-8")).get("format") == FOLDER)
    except (OSError, ValueError, AttributeError):
        return False


def check_lava(path: str | Path, *, io: str | None = None, timeout: float = 300.0) -> Verification:
    """Run a folder's own check, with this Python.

    Parameters
    ----------
    path
        The folder.
    io
        Instead of what the folder was written with.
    timeout
        Seconds after which Lava is ended.

    Returns
    -------
    Verification
        Spikes expected and found.

    Raises
    ------
    MissingFileError
        If it is no folder that was written for Lava.
    BackendError
        If Lava fails or takes too long; with its output.
    """
    folder = Path(path)
    if not _ours(folder):
        raise MissingFileError(f"{str(path)!r} is no folder that `spikesim export --to lava` wrote")
    options = [] if io is None else ["--io", io]
    command = [sys.executable, str(folder / "run.py"), "--check", "--json", "--timeout", str(timeout), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1) or not done.stdout:
        raise BackendError(f"the folder's check ended with code {done.returncode}:\n{done.stderr.strip()}")
    found = json.loads(done.stdout)
    described = json.loads((folder / DESCRIPTION).read_text("utf-8"))
    differing = {name: n for name, n in found["differing"].items() if n}
    return Verification(
        described["steps"], described["samples"], found["expected"], sum(found["spikes"].values()),
        sum(differing.values()), differing, "the folder's input, in Lava",
    )  # fmt: skip


def read_lava(path: str | Path) -> tuple[Network, ImportReport]:
    """Refuse to read a folder back: it holds processes, and the network is in the file it was written from."""
    raise UnsupportedError(
        [f"{str(path)!r} is a folder for Lava, which is not read back; keep the network's own file (Network.save)"]
    )


__all__ = ["Prepared", "check_lava", "prepare", "read_lava", "write_lava"]
