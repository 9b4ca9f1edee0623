"""What spikesim stored in a NIR file about itself: used where it still agrees with the plain nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spikesim.connect import Dense
from spikesim.convert import metadata
from spikesim.convert.membrane import Membrane, Vector, membrane_of
from spikesim.errors import FileFormatError, SpikesimError
from spikesim.lowering import lower
from spikesim.network import Network, Population
from spikesim.neuron import Neuron

if TYPE_CHECKING:
    from spikesim.convert.nir_import import Importer

Shape = tuple[int, ...]


def read_frame(graph: Any, warnings: list[str]) -> dict[str, Any]:
    """Return what is stored about the whole network; empty in a foreign file."""
    described = metadata.of(graph)
    if "value" not in described:
        return {}
    try:
        frame = metadata.unpack(described["value"])
    except FileFormatError as error:
        warnings.append(f"{error}; the file was read as a foreign one")
        return {}
    return {**frame, "written_for_dt": float(described.get("written_for_dt", frame["dt"]))}


def restored_neuron(im: Importer, name: str, found: Membrane, bias: Vector) -> tuple[Neuron | None, Shape]:
    """Return the neuron that was stored with a node, unless the node was changed since."""
    described = metadata.of(im.seen.nodes[name])
    if not im.frame or "value" not in described:
        return None, ()
    stored = metadata.unpack(described["value"])
    neuron, shape = stored["neuron"], stored["shape"]
    try:
        single = Network((Population(stored["name"], shape, neuron),), dt=im.frame["dt"], seed=im.frame["seed"])
        expected, _ = membrane_of(lower(single).nodes[0])
    except SpikesimError:
        expected = None
    if expected is None or not _agree(expected, found, bias):
        im.report.warnings.append(
            f"node {name!r} was changed since spikesim wrote it; what was stored with it is ignored"
        )
        return None, ()
    im.shapes[name] = shape
    return neuron, shape


def _agree(stored: Membrane, found: Membrane, bias: Vector) -> bool:
    pairs = [(stored.keep_v, found.keep_v), (stored.keep_u, found.keep_u), (stored.threshold, found.threshold)]
    if not all(_equal(a, b) for a, b in pairs):
        return False
    carried = bias if found.keep_u is None else 0.0
    constant = carried + (1.0 - found.keep_v) * found.rest
    expected = stored.bias + (1.0 - stored.keep_v) * stored.rest
    unsaid = (stored.keep_v >= 1.0).all() and not np.any(constant)  # an IF has no word for a bias
    return bool(unsaid or np.allclose(constant, expected, rtol=1e-6, atol=1e-12))


def _equal(a: Vector | None, b: Vector | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-6))


def check_stored_rules(im: Importer, network: Network) -> Network:
    """Replace connection rules that no longer give the weights in the file."""
    if not im.stored_rules:
        return network
    graph = lower(network, snap=False)
    changed = []
    for edge in graph.edges:
        plain = im.stored_rules.get(edge.name)
        if not isinstance(plain, Dense):
            continue
        matrix = np.zeros((edge.n_post, edge.n_pre))
        source = np.repeat(np.arange(edge.n_pre), np.diff(edge.indptr))
        np.add.at(matrix, (edge.indices, source), np.broadcast_to(edge.weights, (edge.synapses,)))
        if not np.allclose(matrix, plain.weights, rtol=1e-6, atol=1e-12):
            old: Any = network[edge.name]
            delay = old.delay if np.ndim(old.delay) == 0 and not hasattr(old.delay, "sample") else 0.0
            changed.append(type(old)(old.pre, old.post, plain, delay=delay, port=old.port, name=old.name))
            im.report.warnings.append(f"projection {edge.name!r}: its weights were changed since spikesim wrote it")
    return network.swap(*changed) if changed else network
