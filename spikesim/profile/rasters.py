"""Spikes that somebody else recorded, counted like a run of our own.

Given a network and what each of its populations and inputs emitted, the counts follow: which synapses an event
reaches, and which neurons received input. Nothing is simulated, so the neurons need not be ones that spikesim has.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.analyse.replay import wirings
from spikesim.collect import sorted_spikes
from spikesim.connect.base import Shape
from spikesim.counts import count
from spikesim.drive import source_values
from spikesim.errors import FileFormatError, InvalidValueError, MissingFileError, UnknownNameError, UnsupportedError
from spikesim.graph import Graph
from spikesim.lowering import lower
from spikesim.network import Network
from spikesim.recording import Recording
from spikesim.stimulus import Input

AT_ONCE = 1 << 22  # summed inputs that are held at a time


def recording_of_rasters(
    network: Network | Graph, rasters: Mapping[str, Any], origin: str = "given spikes"
) -> Recording:
    """Return a recording made of given spikes.

    Parameters
    ----------
    network
        Who is connected to whom; its neurons do not run.
    rasters
        Population or input to what it emitted: 0 and 1, or the values of a graded input, ``[steps, samples, n]``,
        ``[steps, n]`` for one sample, or with the layer's own shape in place of ``n``. Populations that cannot fire
        and stimuli that are functions of the network's seed may be left out.
    origin
        What made them, for the report.

    Raises
    ------
    InvalidValueError
        A raster is missing, has the wrong shape or holds something else than spikes; all problems are listed.
    UnknownNameError
        There is no population or input of that name.
    UnsupportedError
        The network learns while it runs.

    Examples
    --------
    >>> import numpy as np
    >>> import spikesim as sp
    >>> from spikesim.models.neurons import leaky
    >>> pairs = [sp.Projection("in", "out", weight=0.5)]
    >>> net = sp.Network([sp.Population("out", 2, leaky())], pairs, [sp.Input("in", 3)])
    >>> given = {"in": np.ones((4, 3)), "out": np.eye(4, 2)}
    >>> recording_of_rasters(net, given).counts.synaptic_events
    24
    """
    graph = lower(network) if isinstance(network, Network) else network
    plastic = [e.name for e in graph.edges if e.learning is not None]
    if plastic:
        raise UnsupportedError([f"the weights of {plastic} change while the network runs; profile a run of spikesim"])
    arrays = _checked(graph, rasters)
    steps, samples = next(iter(arrays.values())).shape[:2]
    for source in graph.sources:
        if source.name not in arrays:
            arrays[source.name] = source_values(graph, source, 0, steps, samples, None)
    for node in graph.nodes:
        arrays.setdefault(node.name, np.zeros((steps, samples, node.n), np.uint8))
    emitted = {name: np.count_nonzero(values, axis=0).astype(np.int64) for name, values in arrays.items()}
    counts = count(graph, steps, emitted, _active(graph, arrays, steps, samples))
    spikes = {}
    for node in graph.nodes:
        step, sample, neuron = (x.astype(np.int64) for x in np.nonzero(arrays[node.name]))
        events: list[tuple[NDArray[Any], ...]] = [(sample.astype(np.int32), step, neuron.astype(np.int32))]
        spikes[node.name] = sorted_spikes(events, node.n, steps, samples, graph.dt)
    return Recording(spikes, {}, counts, {"backend": origin, "network": graph.name, "dt": graph.dt})


def _checked(graph: Graph, rasters: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    shapes = {n.name: n.shape for n in graph.nodes} | {s.name: s.shape for s in graph.sources}
    for name in rasters:
        if name not in shapes:
            raise UnknownNameError("population or input", name, list(shapes))
    needed = [n.name for n in graph.nodes if n.model.spiking] + [s.name for s in graph.sources if isinstance(s, Input)]
    problems = [
        f"the spikes of {n!r} are missing; a profile needs those of {needed}" for n in needed if n not in rasters
    ]
    arrays = {}
    for name, given in rasters.items():
        array = _shaped(np.asarray(given), shapes[name])
        if array is None:
            found = list(np.shape(given))
            problems.append(
                f"{name!r} needs the shape [steps, samples, {', '.join(map(str, shapes[name]))}], found {found}"
            )
            continue
        source = graph.source(name)
        if source is not None and isinstance(source, Input) and source.graded:
            arrays[name] = source_values(graph, source, 0, len(array), array.shape[1], array.astype(np.float64))
        elif not np.isin(array, (0, 1)).all():
            problems.append(f"{name!r} must hold spikes, 0 or 1")
        else:
            arrays[name] = array.astype(np.uint8)
    lengths = {a.shape[:2] for a in arrays.values()}
    if len(lengths) > 1:
        problems.append(f"all rasters must have the same number of steps and samples, found {sorted(lengths)}")
    if problems:
        raise InvalidValueError("\n".join(problems))
    if not arrays:
        raise InvalidValueError(f"no spikes are given; a profile needs those of {needed}")
    return arrays


def _shaped(array: NDArray[Any], shape: Shape) -> NDArray[Any] | None:
    """Return ``[steps, samples, n]``, or None if it cannot be."""
    n = int(np.prod(shape))
    if array.ndim in (2, 1 + len(shape)) and array.shape[1:] in ((n,), tuple(shape)):
        array = array[:, None]
    if array.ndim < 3 or array.shape[2:] not in ((n,), tuple(shape)):
        return None
    return array.reshape(*array.shape[:2], n)


def _active(graph: Graph, arrays: Mapping[str, NDArray[Any]], steps: int, samples: int) -> dict[str, NDArray[np.int64]]:
    """Count updates in which the summed synaptic input of a port was not 0, or the neuron fired."""
    active = {n.name: np.count_nonzero(arrays[n.name], axis=(0, 2)).astype(np.int64) for n in graph.nodes}
    ports: dict[tuple[str, str], list[Any]] = {(e.post, e.port): [] for e in graph.edges}
    for wiring in wirings(graph):
        ports[wiring.edge.post, wiring.edge.port].append(wiring)
    for node in graph.nodes:
        mine = [wired for (name, _), wired in ports.items() if name == node.name]
        size = max(1, AT_ONCE // max(1, samples * node.n))
        for first in range(0, steps, size):
            last = min(steps, first + size)
            reached = np.zeros((last - first, samples, node.n), bool)
            for wired in mine:
                reached |= _arrivals(wired, arrays, first, last, reached.shape) != 0
            reached &= arrays[node.name][first:last] == 0  # who fired is counted already
            active[node.name] += np.count_nonzero(reached, axis=(0, 2))
    return active


def _arrivals(wired: Any, arrays: Mapping[str, NDArray[Any]], first: int, last: int, shape: Any) -> NDArray[np.float64]:
    total = np.zeros(shape)
    for wiring in wired:
        values = arrays[wiring.edge.pre]
        for delay, matrix in wiring.parts:
            begin, end = max(0, first - delay), last - delay
            if end > begin:
                rows = values[begin:end].reshape(-1, values.shape[2]).astype(np.float64)
                arrived = (matrix @ rows.T).T.reshape(end - begin, *shape[1:])
                total[shape[0] - (end - begin) :] += arrived
    return total


# -------------------------------------------------------------------------------------------------------------- files
def read_rasters(path: str | Path, dt: float | None = None) -> dict[str, NDArray[Any]]:
    """Read arrays by population or input.

    Parameters
    ----------
    path
        An .npz file with one array per population or input, a .npy file (the only input; its name is ``""``), or a file
        of NIRData, whose spikes and values on a grid become rasters.
    dt
        Time step in seconds, for NIRData that holds events only.

    Raises
    ------
    FileFormatError
        If it is something else.
    MissingFileError
        If it is not there.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"there is no file {str(path)!r}")
    if path.suffix in (".npz", ".npy"):
        try:
            found = np.load(path, allow_pickle=False)
            return {"": found} if path.suffix == ".npy" else {name: found[name] for name in found.files}
        except (OSError, ValueError) as error:
            raise FileFormatError(f"{str(path)!r} holds no arrays of numbers: {error}") from None
    from spikesim.convert import from_nirdata

    recording = from_nirdata(path, dt=dt)
    rasters: dict[str, NDArray[Any]] = {name: s.dense().astype(np.uint8) for name, s in recording.spikes.items()}
    for name, traces in recording.traces.items():
        if name not in rasters and len(traces) == 1:
            rasters[name] = next(iter(traces.values())).values.swapaxes(0, 1)
    return rasters
