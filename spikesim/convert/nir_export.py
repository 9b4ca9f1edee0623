"""Network -> NIR graph: plain nodes that any reader accepts, the rest in ``metadata["spikesim"]``."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from spikesim import __version__
from spikesim.connect import Chain, Conv2d, Dense, OneToOne, Pool2d, Weighted
from spikesim.convert.loops import feedback
from spikesim.convert.membrane import Membrane, membrane_of
from spikesim.convert.metadata import KEY, pack
from spikesim.convert.nir_neurons import nir_kind, nir_parameters
from spikesim.convert.report import ExportReport
from spikesim.errors import UnsupportedError
from spikesim.graph import Edge, Graph, Node
from spikesim.learning import plastic_problems
from spikesim.lowering import lower
from spikesim.network import Network
from spikesim.optional import require
from spikesim.stimulus import Drive, Input, Source

OnLossy = Literal["metadata", "error", "hard"]
Shape = tuple[int, ...]
IMAGE = (Conv2d, Pool2d)
LARGE = 64 * 2**20  # bytes of a weight matrix that deserve a remark


@dataclass
class Exporter:
    """The NIR graph under construction."""

    network: Network
    graph: Graph
    nir: Any
    euler_dt: float | None
    keep_lossy: bool
    report: ExportReport
    nodes: dict[str, Any] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    flat: set[str] = field(default_factory=set)
    bias: dict[str, Any] = field(default_factory=dict)

    @property
    def dt(self) -> float:
        """The step for which the time constants are written."""
        return self.euler_dt or self.network.dt

    def fresh(self, name: str) -> str:
        """Return a node name that torch too accepts as the name of a module, not used yet."""
        base = re.sub(r"\W", "_", name) or "node"
        base = f"n{base}" if base[0].isdigit() else base
        taken, k, found = set(self.nodes) | set(self.names.values()), 2, base
        while found in taken:
            found, k = f"{base}_{k}", k + 1
        return found

    def shape(self, name: str) -> Shape:
        """Return the shape of a population or source in the NIR graph."""
        part: Any = self.network[name]
        return (part.n,) if name in self.flat else tuple(part.shape)


def export(network: Network, on_lossy: OnLossy, euler_dt: float | None) -> tuple[Any, ExportReport]:
    """See :func:`spikesim.convert.nir.to_nir`."""
    nir = require("nir", "export to NIR")
    network = network.folded()
    graph = lower(network, snap=False)
    ex = Exporter(network, graph, nir, euler_dt, on_lossy != "hard", ExportReport("NIR"))
    membranes, problems = _membranes(ex)
    problems += [p for e in graph.edges for p in _edge_problems(ex, e)] + plastic_problems(graph, "NIR")
    if problems:
        raise UnsupportedError(problems, f"network {network.name!r} cannot be written as NIR:")
    ex.flat = _flat_populations(network)
    for name in (*(s.name for s in sources(network)), *(p.name for p in network.populations)):
        ex.names[name] = ex.fresh(name)
    _write_sources(ex)
    around = feedback([s.name for s in sources(network)], [(e.pre, e.post) for e in graph.edges])
    for edge, turn in zip(graph.edges, around, strict=True):
        _write_projection(ex, edge, membranes[edge.post][0], turn)
    for node in graph.nodes:
        _write_population(ex, node, *membranes[node.name])
    _write_outputs(ex)
    if on_lossy == "error":
        ex.report.refuse_losses()
    return _assemble(ex), ex.report


def sources(network: Network) -> list[Source]:
    """Return the stimuli that project."""
    return [s for s in network.stimuli if isinstance(s, Source)]


def _membranes(ex: Exporter) -> tuple[dict[str, tuple[Membrane, str]], list[str]]:
    found, problems = {}, []
    for node in ex.graph.nodes:
        membrane, reasons = membrane_of(node)
        if membrane is None:
            start = f"population {node.name!r}: neuron {node.model.name!r} has no NIR node"
            problems += [f"{start}: {r}" for r in reasons]
            continue
        kind, reasons = nir_kind(membrane)
        problems += [f"population {node.name!r}: {r}" for r in reasons]
        found[node.name] = (membrane, kind)
    return found, problems


def _edge_problems(ex: Exporter, edge: Edge) -> list[str]:
    model = ex.network.population(edge.post).model
    found = []
    if edge.port != model.inputs[0]:
        found.append(f"projection {edge.name!r}: port {edge.port!r}; a NIR node has one input")
    pairs = np.repeat(np.arange(edge.n_pre), np.diff(edge.indptr)) * edge.n_post + edge.indices
    if np.ndim(edge.delays) and len(np.unique(pairs)) < len(pairs):
        found.append(
            f"projection {edge.name!r}: several synapses between the same neurons, each with its own delay; "
            "NIR has one weight per pair"
        )
    return found


def _stages(rule: Any) -> list[Any]:
    return list(rule.rules) if isinstance(rule, Chain) else [rule]


def _flat_populations(network: Network) -> set[str]:
    """Return the populations that NIR must see as a vector: those that anything but an image layer leads to."""
    shaped = {p.name: p.shape for p in network.populations} | {s.name: s.shape for s in sources(network)}
    flat: set[str] = set()
    while True:
        more = {
            p.post
            for p in network.projections
            if len(shaped[p.post]) > 1
            and not (all(isinstance(r, IMAGE) for r in _stages(p.rule)) and p.pre not in flat)
            and not (_is_identity(p) and shaped[p.pre] == shaped[p.post] and p.pre not in flat)
        } - flat
        if not more:
            return flat
        flat |= more


def _is_identity(projection: Any) -> bool:
    number = np.ndim(projection.weight) == 0 and not hasattr(projection.weight, "sample")
    return isinstance(projection.rule, OneToOne) and number and projection.weight == 1.0


# ---------------------------------------------------------------------------------------------------------- stimuli
def _write_sources(ex: Exporter) -> None:
    for source in sources(ex.network):
        name = ex.names[source.name]
        ex.nodes[name] = _input(ex, source.shape, {"name": source.name})
        if isinstance(source, Input):
            ex.report.add(source.name, "Input")
        else:
            kind = type(source).__name__
            ex.report.add(
                source.name, "Input", "approximated", f"NIR has no {kind}; a reader expects its spikes as data"
            )
    for drive in ex.network.stimuli:
        if isinstance(drive, Drive):
            name = ex.fresh(drive.name)
            shape = ex.network.population(drive.target).shape
            ex.nodes[name] = _input(ex, shape, {"drive": drive.name})
            ex.edges.append((name, ex.names[drive.target]))
            detail = f"NIR has no {type(drive).__name__}; a reader expects its values as data"
            ex.report.add(drive.name, "Input", "impossible", detail)


def _input(ex: Exporter, shape: Shape, described: dict[str, str]) -> Any:
    return ex.nir.Input(input_type={"input": np.array(shape)}, metadata={KEY: described})


# ------------------------------------------------------------------------------------------------------- projections
def _write_projection(ex: Exporter, edge: Edge, membrane: Membrane, turn: bool) -> None:
    projection: Any = ex.network[edge.name]
    delays = np.asarray(edge.delays)
    usual = 1 if turn else 0  # a reader's own clock delays a loop by a step
    plain = delays.ndim == 0 and int(delays) == usual
    unnamed = edge.name == f"{edge.pre}->{edge.post}" and ex.shape(edge.pre) == ex.shape(edge.post)
    if _is_identity(projection) and plain and unnamed:
        ex.edges.append((ex.names[edge.pre], ex.names[edge.post]))
        ex.report.add(edge.name, "edge")
        return
    here, status, detail = _delayed(ex, edge, plain)
    layers, whole = _layers(ex, edge, projection)
    bias = _bias_for(ex, edge, membrane, layers)
    first, made = None, []
    for layer in layers:
        node = _linear_node(ex, layer, bias if layer is layers[-1] else None)
        first = first or node
        name = ex.fresh("_".join([edge.pre, edge.post, *([type(node).__name__] if len(layers) > 1 else [])]))
        ex.nodes[name] = node
        ex.edges.append((here, name))
        made.append(type(node).__name__)
        here = name
    ex.edges.append((here, ex.names[edge.post]))
    stored = {"name": edge.name, "delay": projection.delay, "port": projection.port}
    if whole:
        stored |= {"rule": projection.rule, "weight": projection.weight}
    readable = {"projection": edge.name, "delay_steps": delays if delays.size != 1 else int(delays.reshape(-1)[0])}
    _describe(first, readable, stored)
    ex.report.add(edge.name, " ".join(made), status, detail)


def _delayed(ex: Exporter, edge: Edge, plain: bool) -> tuple[str, Any, str]:
    """Write a Delay node where a NIR reader would have another delay; return where to go on."""
    if plain or not edge.synapses:
        return ex.names[edge.pre], "exact", ""
    each = np.broadcast_to(np.asarray(edge.delays), (edge.synapses,))
    source = np.repeat(np.arange(edge.n_pre), np.diff(edge.indptr))
    if not each.any():
        return (
            ex.names[edge.pre],
            "approximated",
            "closes a loop without delay of its own; a reader delays it by a step",
        )
    longest = np.zeros(edge.n_pre, np.int64)
    np.maximum.at(longest, source, each)
    if (each != longest[source]).any():
        low, high = each.min(), each.max()
        detail = f"a delay for each synapse ({low} .. {high} steps); a reader sees none"
        return ex.names[edge.pre], "impossible", detail
    shape = ex.shape(edge.pre)
    name = ex.fresh(f"{edge.pre}_{edge.post}_delay")
    ex.nodes[name] = ex.nir.Delay(delay=longest.reshape(shape) * ex.network.dt)
    ex.edges.append((ex.names[edge.pre], name))
    return name, "exact", "a Delay node is legal, but hardly any reader knows it (spyx does)"


def _layers(ex: Exporter, edge: Edge, projection: Any) -> tuple[list[Any], bool]:
    """Return rules and "flatten" marks in the order of the signal, and whether the rule must be stored apart."""
    here, target = ex.shape(edge.pre), ex.shape(edge.post)
    stages = _stages(projection.rule)
    linear = isinstance(projection.rule, Weighted) and all(isinstance(s, (Dense, *IMAGE)) for s in stages)
    if not linear or (isinstance(stages[0], IMAGE) and len(here) != 3):
        return [*_flattening(here), _as_matrix(ex, edge)], True
    layers: list[Any] = []
    for stage in stages:
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
    if edge.post in ex.bias or not membrane.bias.any() or membrane.keep_u is not None:
        return None
    last = layers[-1]
    if isinstance(last, tuple) and isinstance(last[0], Conv2d):
        by_channel = membrane.bias.reshape(last[0].weights.shape[0], -1)
        if (by_channel != by_channel[:, :1]).any():
            return None
        ex.bias[edge.post] = True
        return by_channel[:, 0]
    if not isinstance(last, Dense):
        return None
    ex.bias[edge.post] = True
    return membrane.bias


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


# ------------------------------------------------------------------------------------------------------- populations
def _write_population(ex: Exporter, node: Node, membrane: Membrane, kind: str) -> None:
    population = ex.network.population(node.name)
    own_tau = ex.euler_dt is None and membrane.tau is not None and kind in ("LIF", "LI")
    left = membrane.bias * 0.0 if node.name in ex.bias else membrane.bias
    losses = list(membrane.losses)
    if left.any() and kind in ("IF", "I"):
        losses.append("a bias without a weight layer to carry it; a reader has none")
        left = left * 0.0
    values = nir_parameters(membrane, kind, ex.dt, own_tau, left)
    shaped = {k: v.reshape(ex.shape(node.name)) for k, v in values.items()}
    made = getattr(ex.nir, kind)(**shaped)
    options = {k: str(v) for k, v in node.model.options.items()}
    readable = {
        "population": node.name,
        "model": node.model.name,
        "integrator": "exact" if own_tau else "euler",
        **options,
    }
    keep = ex.keep_lossy or not losses
    stored = {"name": node.name, "shape": population.shape, "neuron": population.neuron}
    _describe(made, readable, stored if keep else None)
    ex.nodes[ex.names[node.name]] = made
    remarks = list(membrane.remarks)
    if own_tau:
        remarks.append(_euler_remark(membrane, ex.network.dt))
    kept = "kept in metadata" if keep else "dropped"
    detail = "; ".join([*(f"{x} ({kept})" for x in losses), *remarks])
    ex.report.add(node.name, kind, "impossible" if losses else "approximated" if remarks else "exact", detail)


def _euler_remark(membrane: Membrane, dt: float) -> str:
    exact, euler = membrane.keep_v, 1.0 - dt / np.asarray(membrane.tau)
    worst = int(np.argmax(np.abs(euler - exact)))
    return (
        f"integrated exactly (keeps {exact[worst]:.6g} a step); a reader with Euler steps keeps {euler[worst]:.6g}, "
        "unless euler_dt is given"
    )


def _write_outputs(ex: Exporter) -> None:
    sends = {e.pre for e in ex.graph.edges if e.pre != e.post}
    ends = [p for p in ex.network.populations if p.name not in sends] or list(ex.network.populations)
    for population in ends:
        name = ex.fresh("output" if len(ends) == 1 else f"{population.name}_output")
        ex.nodes[name] = ex.nir.Output(output_type={"output": np.array(ex.shape(population.name))})
        ex.edges.append((ex.names[population.name], name))


def _describe(node: Any, readable: dict[str, Any], stored: Any) -> None:
    node.metadata = {KEY: {**readable, **({} if stored is None else {"value": pack(stored)})}}


def _assemble(ex: Exporter) -> Any:
    net = ex.network
    frame = {"name": net.name, "dt": net.dt, "seed": net.seed, "stimuli": net.stimuli, "probes": net.probes}
    frame["order"] = {k: [p.name for p in getattr(net, k)] for k in ("populations", "projections")}
    metadata = {KEY: {"version": __version__, "dt": net.dt, "written_for_dt": ex.dt, "value": pack(frame)}}
    try:
        return ex.nir.NIRGraph(nodes=ex.nodes, edges=ex.edges, metadata=metadata)
    except ValueError as error:
        ex.report.notes.append(
            f"nir's check of shapes does not follow this network ({error}); read with type_check=False"
        )
        return ex.nir.NIRGraph(nodes=ex.nodes, edges=ex.edges, metadata=metadata, type_check=False)
