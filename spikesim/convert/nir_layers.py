"""Projections as NIR's weight layers: Linear, Affine, Conv2d, pools, Flatten, Delay, or a plain edge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spikesim.connect import Chain, Conv2d, Dense, OneToOne, Pool2d, Weighted
from spikesim.convert.membrane import Membrane
from spikesim.convert.metadata import KEY, pack
from spikesim.graph import Edge

if TYPE_CHECKING:
    from spikesim.convert.nir_export import Exporter

Shape = tuple[int, ...]
IMAGE = (Conv2d, Pool2d)
LARGE = 64 * 2**20  # bytes of a weight matrix that deserve a remark


def write_projection(ex: Exporter, edge: Edge, membrane: Membrane, turn: bool) -> None:
    """Write a projection; ``turn`` tells whether it closes a loop, which a reader delays by a step."""
    projection: Any = ex.network[edge.name]
    delays = np.asarray(edge.delays)
    usual = 1 if turn else 0  # a reader's own clock delays a loop by a step
    plain = delays.ndim == 0 and int(delays) == usual
    unnamed = edge.name == f"{edge.pre}->{edge.post}" and ex.shape(edge.pre) == ex.shape(edge.post)
    if is_identity(projection) and plain and unnamed:
        ex.edges.append((ex.names[edge.pre], ex.entry(edge.post)))
        ex.report.add(edge.name, "edge")
        return
    before, after, status, detail = _delays(ex, edge, plain)
    here = ex.names[edge.pre]
    if before is not None:
        here = _put(ex, here, f"{edge.pre}_{edge.post}_delay", before)
    layers, whole = _layers(ex, edge, projection)
    bias = _bias_for(ex, edge, membrane, layers)
    first, made = None, []
    for layer in layers:
        node = _linear_node(ex, layer, bias if layer is layers[-1] else None)
        first = first or node
        kind = type(node).__name__
        here = _put(ex, here, "_".join([edge.pre, edge.post, *([kind] if len(layers) > 1 else [])]), node)
        made.append(kind)
    if after is not None:
        here = _put(ex, here, f"{edge.pre}_{edge.post}_delay", after)
    ex.edges.append((here, ex.entry(edge.post)))
    stored = {"name": edge.name, "delay": projection.delay, "port": projection.port}
    if whole:
        stored |= {"rule": projection.rule, "weight": projection.weight}
    readable = {"projection": edge.name, "delay_steps": delays if delays.size != 1 else int(delays.reshape(-1)[0])}
    describe(first, readable, stored)
    ex.report.add(edge.name, " ".join(made), status, detail)


def _put(ex: Exporter, here: str, wanted: str, node: Any) -> str:
    """Add a node behind another one and return its name."""
    name = ex.fresh(wanted)
    ex.nodes[name] = node
    ex.edges.append((here, name))
    return name


def _delays(ex: Exporter, edge: Edge, plain: bool) -> tuple[Any, Any, Any, str]:
    """Return the Delay nodes before and behind the weights, where a reader would have another delay; the status."""
    if plain or not edge.synapses:
        return None, None, "exact", ""
    each = np.broadcast_to(np.asarray(edge.delays), (edge.synapses,))
    if not each.any():
        detail = "closes a loop without delay of its own; a reader delays it by a step"
        return None, None, "approximated", detail
    known = "a Delay node is legal, but hardly any reader knows it (spyx does)"
    source = np.repeat(np.arange(edge.n_pre), np.diff(edge.indptr))
    for ends, size, first in ((source, edge.n_pre, True), (edge.indices, edge.n_post, False)):
        longest = np.zeros(size, np.int64)
        np.maximum.at(longest, ends, each)
        if (each == longest[ends]).all():
            shape = ex.shape(edge.pre if first else edge.post)
            node = ex.nir.Delay(delay=longest.reshape(shape) * ex.network.dt)
            return (node, None, "exact", known) if first else (None, node, "exact", known)
    return (
        None,
        None,
        "impossible",
        f"a delay for each synapse ({each.min()} .. {each.max()} steps); a reader sees none",
    )


def is_identity(projection: Any) -> bool:
    """Tell whether a projection adds what its source sends, as it is."""
    number = np.ndim(projection.weight) == 0 and not hasattr(projection.weight, "sample")
    return isinstance(projection.rule, OneToOne) and number and projection.weight == 1.0


def stages(rule: Any) -> list[Any]:
    """Return the linear maps of a rule, in the order of the signal."""
    return list(rule.rules) if isinstance(rule, Chain) else [rule]


def _layers(ex: Exporter, edge: Edge, projection: Any) -> tuple[list[Any], bool]:
    """Return rules and "flatten" marks in the order of the signal, and whether the rule must be stored apart."""
    here, target = ex.shape(edge.pre), ex.shape(edge.post)
    parts = stages(projection.rule)
    linear = isinstance(projection.rule, Weighted) and all(isinstance(s, (Dense, *IMAGE)) for s in parts)
    if not linear or (isinstance(parts[0], IMAGE) and len(here) != 3):
        return [*_flattening(here), _as_matrix(ex, edge)], True
    layers: list[Any] = []
    for stage in parts:
        if isinstance(stage, Dense):
            layers += [*_flattening(here), stage]
            here = (stage.weights.shape[0],)
        else:
            layers.append((stage, here))
            here = stage.output_shape(here)
    return [*layers, *(_flattening(here) if len(target) == 1 else [])], False


def _flattening(shape: Shape) -> list[Any]:
    return [("flatten", shape)] if len(shape) > 1 else []


def _as_matrix(ex: Exporter, edge: Edge) -> Dense:
    matrix = np.zeros((edge.n_post, edge.n_pre))
    source = np.repeat(np.arange(edge.n_pre), np.diff(edge.indptr))
    np.add.at(matrix, (edge.indices, source), np.broadcast_to(edge.weights, (edge.synapses,)))
    if matrix.nbytes > LARGE:
        size = f"{matrix.nbytes / 2**20:.0f} MB"
        ex.report.notes.append(
            f"projection {edge.name!r}: {edge.synapses} synapses became a dense matrix of {size}; NIR has no other"
        )
    return Dense(matrix)


def _bias_for(ex: Exporter, edge: Edge, membrane: Membrane, layers: list[Any]) -> Any:
    """Return the bias that this projection can carry for its target; each bias is carried once."""
    carried = membrane.bias if membrane.keep_u is None else ex.steady.get(edge.post)
    if edge.post in ex.bias or carried is None or not carried.any():
        return None
    last = layers[-1]
    if isinstance(last, tuple) and isinstance(last[0], Conv2d):
        by_channel = carried.reshape(last[0].weights.shape[0], -1)
        if (by_channel != by_channel[:, :1]).any():
            return None
        ex.bias[edge.post] = True
        return by_channel[:, 0]
    if not isinstance(last, Dense):
        return None
    ex.bias[edge.post] = True
    return carried


def _linear_node(ex: Exporter, layer: Any, bias: Any) -> Any:
    if isinstance(layer, Dense):
        return ex.nir.Linear(weight=layer.weights) if bias is None else ex.nir.Affine(weight=layer.weights, bias=bias)
    rule, shape = layer
    if isinstance(rule, str):
        return ex.nir.Flatten(input_type={"input": np.array(shape)}, start_dim=0, end_dim=-1)
    if isinstance(rule, Conv2d):
        return ex.nir.Conv2d(
            input_shape=shape[1:], weight=rule.weights, stride=rule.stride, padding=rule.padding, dilation=1, groups=1,
            bias=np.zeros(rule.weights.shape[0]) if bias is None else bias,
        )  # fmt: skip
    pool = ex.nir.AvgPool2d if rule.kind == "average" else ex.nir.SumPool2d
    side, step = np.array([rule.size] * 2), np.array([rule.stride or rule.size] * 2)
    return pool(kernel_size=side, stride=step, padding=np.zeros(2, np.int64))


def describe(node: Any, readable: dict[str, Any], stored: Any) -> None:
    """Write metadata: values that people and other tools can read, and a part of the network as bytes."""
    node.metadata = {KEY: {**readable, **({} if stored is None else {"value": pack(stored)})}}
