"""Network -> NIR graph: plain nodes that any reader accepts, the rest in ``metadata["spikesim"]``."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from spikesim import __version__
from spikesim.convert.loops import feedback
from spikesim.convert.membrane import Membrane, membrane_of
from spikesim.convert.metadata import KEY, pack
from spikesim.convert.nir_layers import IMAGE, describe, is_identity, stages, write_projection
from spikesim.convert.nir_neurons import SILENT, nir_kind, nir_parameters
from spikesim.convert.report import ExportReport
from spikesim.errors import UnsupportedError
from spikesim.graph import Edge, Graph, Node
from spikesim.learning import plastic_problems
from spikesim.lowering import lower
from spikesim.network import Network
from spikesim.optional import require
from spikesim.stimulus import Current, Drive, Input, Source

OnLossy = Literal["metadata", "error", "hard"]
Shape = tuple[int, ...]


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
    entries: dict[str, str] = field(default_factory=dict)
    flat: set[str] = field(default_factory=set)
    bias: dict[str, Any] = field(default_factory=dict)
    steady: dict[str, Any] = field(default_factory=dict)

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

    def entry(self, name: str) -> str:
        """Return the node at which what is sent to a population arrives."""
        return self.entries.get(name, self.names[name])


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
    for name, (membrane, kind) in membranes.items():
        if kind in SILENT and membrane.threshold is not None:
            ex.entries[name] = ex.fresh(f"{name}_membrane")
            ex.names[ex.entries[name]] = ex.entries[name]
    _write_sources(ex)
    steady = _steady(ex, membranes)
    around = feedback([s.name for s in sources(network)], [(e.pre, e.post) for e in graph.edges])
    for edge, turn in zip(graph.edges, around, strict=True):
        write_projection(ex, edge, membranes[edge.post][0], turn)
    _write_drives(ex, steady)
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


def _flat_populations(network: Network) -> set[str]:
    """Return the populations that NIR must see as a vector: those that anything but an image layer leads to."""
    shaped = {p.name: p.shape for p in network.populations} | {s.name: s.shape for s in sources(network)}
    flat: set[str] = set()
    while True:
        more = {
            p.post
            for p in network.projections
            if len(shaped[p.post]) > 1
            and not (all(isinstance(r, IMAGE) for r in stages(p.rule)) and p.pre not in flat)
            and not (is_identity(p) and shaped[p.pre] == shaped[p.post] and p.pre not in flat)
        } - flat
        if not more:
            return flat
        flat |= more


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


def _steady(ex: Exporter, membranes: dict[str, tuple[Membrane, str]]) -> dict[str, str]:
    """Find currents that never change into synaptic currents: a weight layer's bias says the same."""
    found = {}
    for drive in ex.network.stimuli:
        if isinstance(drive, Current) and drive.port is None and drive.times.tolist() == [0.0]:
            if membranes[drive.target][0].keep_u is not None and drive.target not in ex.steady:
                population = ex.network.population(drive.target)
                ex.steady[drive.target] = np.broadcast_to(drive.values.reshape(-1), (population.n,))
                found[drive.name] = drive.target
    return found


def _write_drives(ex: Exporter, steady: dict[str, str]) -> None:
    for drive in ex.network.stimuli:
        if not isinstance(drive, Drive):
            continue
        if steady.get(drive.name) in ex.bias:
            ex.report.add(drive.name, "bias")
            continue
        name = ex.fresh(drive.name)
        shape = ex.network.population(drive.target).shape
        ex.nodes[name] = _input(ex, shape, {"drive": drive.name})
        ex.edges.append((name, ex.entry(drive.target)))
        detail = f"NIR has no {type(drive).__name__}; a reader expects its values as data"
        ex.report.add(drive.name, "Input", "impossible", detail)


def _input(ex: Exporter, shape: Shape, described: dict[str, str]) -> Any:
    return ex.nir.Input(input_type={"input": np.array(shape)}, metadata={KEY: described})


# ------------------------------------------------------------------------------------------------------- populations
def _write_population(ex: Exporter, node: Node, membrane: Membrane, kind: str) -> None:
    population = ex.network.population(node.name)
    own_tau = ex.euler_dt is None and membrane.tau is not None and kind in ("LIF", "LI")
    left = membrane.bias * 0.0 if node.name in ex.bias and membrane.keep_u is None else membrane.bias
    losses = list(membrane.losses)
    if left.any() and kind in ("IF", "I"):
        losses.append("a bias without a weight layer to carry it; a reader has none")
        left = left * 0.0
    values = nir_parameters(membrane, kind, ex.dt, own_tau, left)
    shaped = {k: v.reshape(ex.shape(node.name)) for k, v in values.items()}
    made = getattr(ex.nir, kind)(**shaped)
    if node.name in ex.entries:
        ex.nodes[ex.entries[node.name]] = made
        ex.edges.append((ex.entries[node.name], ex.names[node.name]))
        made, kind = ex.nir.Threshold(np.asarray(membrane.threshold).reshape(ex.shape(node.name))), f"{kind} Threshold"
    options = {k: str(v) for k, v in node.model.options.items()}
    readable = {
        "population": node.name,
        "model": node.model.name,
        "integrator": "exact" if own_tau else "euler",
        **options,
    }
    keep = ex.keep_lossy or not losses
    stored = {"name": node.name, "shape": population.shape, "neuron": population.neuron}
    describe(made, readable, stored if keep else None)
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
