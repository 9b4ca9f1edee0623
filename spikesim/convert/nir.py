"""NIR files: written so that any reader accepts them, read from any writer.

NIR says what a neuron does in continuous time. It knows neither a time step nor a soft reset; both stand in
``metadata["spikesim"]``, with everything else that makes the way back exact, and are never needed to read a file.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Literal

import numpy as np

from spikesim.convert.files import target
from spikesim.convert.metadata import KEY
from spikesim.convert.nir_export import OnLossy, export
from spikesim.convert.nir_graph import view
from spikesim.convert.nir_import import Importer
from spikesim.convert.nir_neurons import Clock
from spikesim.convert.nir_repair import clock_for
from spikesim.convert.nir_restore import check_stored_rules, read_frame
from spikesim.convert.report import ExportReport, ImportReport
from spikesim.errors import FileFormatError, InvalidValueError, MissingFileError, UnknownNameError, UnsupportedError
from spikesim.files.envelope import write_atomically
from spikesim.network import Network
from spikesim.optional import require
from spikesim.units import si

Integrator = Literal["euler", "exact"]


def to_nir(
    network: Network, *, on_lossy: OnLossy = "metadata", euler_dt: float | None = None
) -> tuple[Any, ExportReport]:
    """Return a network as a NIR graph.

    Parameters
    ----------
    network
        Its neurons must be leaky or non-leaky integrate-and-fire neurons, leaky integrators, or have the same step.
    on_lossy
        What to do with what NIR cannot say (soft reset, refractory time, ``>=``, a delay for each synapse, drives).
        ``"metadata"``: store it where spikesim finds it again; other readers do not see it, and the report says what
        they see instead. ``"error"``: refuse. ``"hard"``: write the neuron with a hard reset and forget the rest.
    euler_dt
        Write time constants such that an Euler step of this length, in seconds, repeats the network's step. snnTorch
        reads every file with 1e-4. By default a neuron that is integrated exactly keeps its true time constant, and
        the others are written for the network's own step.

    Returns
    -------
    graph : nir.NIRGraph
    report : ExportReport
        Part by part: exact, approximated, impossible.

    Raises
    ------
    UnsupportedError
        If a part has no NIR node at all, or with ``on_lossy="error"`` if anything is lost; all are listed.
    MissingPackageError
        If ``nir`` is not installed.
    """
    if on_lossy not in ("metadata", "error", "hard"):
        raise UnknownNameError("on_lossy", on_lossy, ["metadata", "error", "hard"])
    return export(network, on_lossy, None if euler_dt is None else _step(euler_dt))


def write_nir(network: Network, path: str | Path, **options: Any) -> ExportReport:
    """Write a network to a NIR file; options and errors as for :func:`to_nir`."""
    nir = require("nir", "export to NIR")
    place = target(path, "NIR", "node")
    graph, report = to_nir(network, **options)
    write_atomically(place, lambda file: nir.write(file, graph))
    return report


def from_nir(
    source: Any,
    *,
    dt: float | None = None,
    integrator: Integrator = "euler",
    graded: bool = False,
    repair: bool = True,
    metadata: bool = True,
) -> tuple[Network, ImportReport]:
    """Return the network in a NIR file or graph.

    Parameters
    ----------
    source
        Path of a file, or a ``nir.NIRGraph``.
    dt
        Time step in seconds. NIR does not hold one; only files that spikesim wrote do.
    integrator
        ``"euler"``: a membrane keeps ``1 - dt/tau`` in a step, as nearly all tools do. ``"exact"``: ``exp(-dt/tau)``.
    graded
        Whether the inputs take real values instead of spikes.
    repair
        Recognise and mend the known defects of snnTorch's and norse's files; the report says so.
    metadata
        False leaves out what spikesim stored beside the plain nodes: the network that other tools see.

    Returns
    -------
    network : Network
        Populations have the names of their nodes. Loops get a delay of one step.
    report : ImportReport

    Raises
    ------
    InvalidValueError
        Without a time step.
    UnsupportedError
        If something in the file has no counterpart; all is listed.
    FileFormatError
        If the file is not NIR.
    """
    if integrator not in ("euler", "exact"):
        raise UnknownNameError("integrator", integrator, ["euler", "exact"])
    graph, name = _graph(source)
    graph = graph if metadata else _bare(copy.deepcopy(graph))
    report = ImportReport("NIR")
    frame = read_frame(graph, report.warnings)
    if dt is None and not frame:
        raise InvalidValueError(
            "NIR holds no time step; pass dt= in seconds (snnTorch means 1e-4, norse 1e-3 by default)"
        )
    step = _step(frame["dt"] if dt is None else dt)
    seen = view(graph)
    if frame:
        clock = Clock(frame["written_for_dt"], per_step=False)
        if not np.isclose(step, frame["dt"]):
            report.warnings.append(f"the file was written for a step of {frame['dt']:g} s, it is read with {step:g} s")
    else:
        clock, said = clock_for(seen, step, integrator == "exact", repair)
        report.warnings += said
    importer = Importer(seen, clock, step, graded, frame, report)
    try:
        importer.read()
    except FileFormatError as error:
        seen.problems.append(str(error))
    if not importer.populations and not seen.problems:
        seen.problems.append("there is no neuron in it")
    if seen.problems:
        raise UnsupportedError(list(dict.fromkeys(seen.problems)), f"NIR graph {name!r} cannot be read:")
    network = Network(
        _ordered(importer.populations, frame, "populations"),
        _ordered(importer.projections, frame, "projections"),
        _stimuli(importer, frame),
        _probes(importer, frame),
        step,
        frame.get("seed", 0),
        frame.get("name", name),
    )
    return check_stored_rules(importer, network), report


def _bare(graph: Any) -> Any:
    """Remove spikesim's metadata from a graph and everything in it."""
    graph.metadata = {k: v for k, v in (getattr(graph, "metadata", None) or {}).items() if k != KEY}
    for node in getattr(graph, "nodes", {}).values():
        _bare(node)
    return graph


def _step(dt: Any) -> float:
    value = float(si(dt, "s", "dt"))
    if not (np.isfinite(value) and value > 0):
        raise InvalidValueError(f"dt must be above 0 s, found {value!r}")
    return value


def _graph(source: Any) -> tuple[Any, str]:
    if not isinstance(source, (str, Path)):
        if not hasattr(source, "nodes") or not hasattr(source, "edges"):
            raise InvalidValueError(f"from_nir takes a path or a nir.NIRGraph, found {type(source).__name__}")
        return source, "nir"
    nir = require("nir", "reading NIR")
    path = Path(source)
    if not path.is_file():
        raise MissingFileError(f"there is no file {str(path)!r}")
    try:
        return nir.read(str(path), type_check=False), path.stem
    except Exception as error:  # nir raises whatever the file leads it to
        raise FileFormatError(f"{str(path)!r} is not a NIR file that nir can read: {error}") from None


def _ordered(parts: list[Any], frame: dict[str, Any], kind: str) -> tuple[Any, ...]:
    order = {name: k for k, name in enumerate(frame.get("order", {}).get(kind, []))}
    return tuple(sorted(parts, key=lambda p: order.get(p.name, len(order))))


def _stimuli(importer: Importer, frame: dict[str, Any]) -> tuple[Any, ...]:
    order = {s.name: k for k, s in enumerate(frame.get("stimuli", ()))}
    return tuple(sorted(importer.stimuli, key=lambda s: order.get(s.name, len(order))))


def _probes(importer: Importer, frame: dict[str, Any]) -> tuple[Any, ...]:
    states = {p.name: set(p.model.states) for p in importer.populations}
    return tuple(p for p in frame.get("probes", ()) if set(p.variables) <= states.get(p.target, set()))


__all__ = ["from_nir", "to_nir", "write_nir"]
