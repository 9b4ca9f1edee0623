"""Networks as torch modules of snnTorch or norse."""

from __future__ import annotations

import re
from typing import Any, Literal

import numpy as np

from spikesim.connect import Dense, OneToOne
from spikesim.connect.base import Shape
from spikesim.convert.report import ExportReport, Verification
from spikesim.convert.torch_cells import PLANS, Plan
from spikesim.convert.torch_weights import Weights
from spikesim.convert.verify import STEPS, random_inputs
from spikesim.engine import run
from spikesim.errors import UnknownNameError, UnsupportedError
from spikesim.graph import Edge, Graph, Node
from spikesim.learning import plastic_problems
from spikesim.lowering import lower
from spikesim.network import Network
from spikesim.optional import require
from spikesim.stimulus import Drive, Input, Source

OnLossy = Literal["error", "write"]
Precision = Literal["float32", "float64"]
TITLES = {"snntorch": "snnTorch", "norse": "norse"}


def to_snntorch(
    network: Network, *, dtype: Precision = "float32", on_lossy: OnLossy = "error", verify: bool = False
) -> tuple[Any, ExportReport]:
    """Return a network as a torch module of snnTorch's neurons.

    Layers one after the other become a ``torch.nn.Sequential`` that does one step, with hidden states
    (``init_hidden=True``; ``snntorch.utils.reset`` starts anew); a loop of a layer onto itself becomes ``RLeaky`` or
    ``RSynaptic``. Any other wiring becomes a :class:`~spikesim.convert.torch_stepped.Stepped`, whose call returns
    spikes and state.

    Parameters
    ----------
    network
        Its neurons must be leaky or non-leaky membranes, with or without a synaptic current, or have the same step.
    dtype
        Of weights and parameters.
    on_lossy
        What to do with what snnTorch's neurons cannot do (another reset level or quantum, refractory time, ``>=``, an
        initial state, delays that differ by synapse): ``"error"`` refuses, ``"write"`` writes the nearest and reports.
    verify
        Run both on random input and count the spikes that differ.

    Returns
    -------
    module : torch.nn.Module
    report : ExportReport
        Part by part: exact, approximated, impossible.

    Raises
    ------
    UnsupportedError
        If a part has no counterpart at all, or with ``on_lossy="error"`` if anything is lost; all are listed.
    MissingPackageError
        If ``torch`` or ``snntorch`` is not installed.
    """
    return _write(network, "snntorch", dtype, on_lossy, verify)


def to_norse(
    network: Network, *, dtype: Precision = "float32", on_lossy: OnLossy = "error", verify: bool = False
) -> tuple[Any, ExportReport]:
    """Return a network as a torch module of norse's neurons.

    Layers one after the other become a ``norse.torch.SequentialState`` that does one step, any other wiring a
    :class:`~spikesim.convert.torch_stepped.Stepped`; both are called with input and state and return spikes and state.
    Parameters, results and errors as for :func:`to_snntorch`.
    """
    return _write(network, "norse", dtype, on_lossy, verify)


def _write(network: Network, package: str, dtype: str, on_lossy: str, verify: bool) -> tuple[Any, ExportReport]:
    for what, value, known in (("dtype", dtype, ("float32", "float64")), ("on_lossy", on_lossy, ("error", "write"))):
        if value not in known:
            raise UnknownNameError(what, value, list(known))
    require("torch", f"a module of {TITLES[package]}")
    writer = Writer(network, package, dtype)
    module = writer.module()
    if on_lossy == "error":
        writer.report.refuse_losses()
    if verify:
        writer.report.verification = _compare(writer.graph, network, module, dtype)
    return module, writer.report


class Writer:
    """The module under construction.

    Parameters
    ----------
    network
        What to write.
    package
        ``"snntorch"`` or ``"norse"``.
    dtype
        Of weights and parameters.
    """

    def __init__(self, network: Network, package: str, dtype: str) -> None:
        import torch

        self.network, self.package, self.title = network, package, TITLES[package]
        self.library = require("norse.torch" if package == "norse" else package, f"a module of {self.title}")
        self.torch, self.weights = torch, Weights(torch, dtype)
        self.graph: Graph = lower(network, snap=False)
        self.report = ExportReport(self.title)
        self.nodes: dict[str, Node] = {n.name: n for n in self.graph.nodes}
        self.rules: dict[str, Any] = {e.name: e.rule for e in self.graph.edges}
        self.sources = [s for s in network.stimuli if isinstance(s, Source)]
        self.shapes: dict[str, Shape] = {p.name: p.shape for p in network.populations}
        self.shapes |= {s.name: tuple(s.shape) for s in self.sources}

    # ----------------------------------------------------------------------------------------------------- the whole
    def module(self) -> Any:
        """Return the module; the report is filled."""
        problems = self._edge_problems() + plastic_problems(self.graph, self.title)
        own = self._own_loops()
        plans: dict[str, Plan] = {}
        for node in self.graph.nodes:
            try:
                plans[node.name] = PLANS[self.package](node, node.name in own)
            except UnsupportedError as error:
                problems += error.problems
        if problems:
            raise UnsupportedError(problems, f"network {self.network.name!r} cannot be written for {self.title}:")
        edges = [e for e in self.graph.edges if e.name not in {loop.name for loop in own.values()}]
        layers = self._layers(edges, plans)
        chain = self._chain(edges)
        cells = {name: self._cell(self.nodes[name], plans[name], own.get(name), chain is not None) for name in plans}
        self._say(plans)
        if chain is not None:
            return self._sequential([(layers[e.name], cells[e.post]) for e in chain])
        return self._stepped(edges, layers, cells, plans)

    def _edge_problems(self) -> list[str]:
        found = []
        for edge in self.graph.edges:
            if edge.port != self.nodes[edge.post].model.inputs[0]:
                found.append(f"projection {edge.name!r}: port {edge.port!r}; a module of neurons has one input")
            if np.ndim(edge.delays) and len(np.unique(edge.delays)) > 1:
                found.append(f"projection {edge.name!r}: a delay for each synapse; a torch layer has one for all")
        return found

    def _own_loops(self) -> dict[str, Edge]:
        """Return the loops that snnTorch's recurrent neurons hold: full, of one step, onto the same population."""
        if self.package != "snntorch":
            return {}
        loops = [e for e in self.graph.edges if e.pre == e.post and _delay(e) == 1]
        known = (Dense, OneToOne)
        return {
            e.pre: e
            for e in loops
            if isinstance(self.rules[e.name], known)
            and sum(other.pre == e.pre for other in loops) == 1
            and len(self.shapes[e.pre]) == 1
            and self._recurs(self.nodes[e.pre])
        }

    @staticmethod
    def _recurs(node: Node) -> bool:
        """Tell whether snnTorch's recurrent neuron does the reset; RLeaky's "zero" with a delay loses an input."""
        options = node.model.options
        current = node.model.name in ("synaptic", "cuba_lif") or options.get("current") == "exp"
        return not (current and options.get("reset") == "to" and options.get("timing") != "pause")

    def _chain(self, edges: list[Edge]) -> list[Edge] | None:
        """Return the projections in order if the layers follow one another at once, else None."""
        if len(self.sources) != 1 or len(edges) != len(self.nodes) or any(_delay(e) for e in edges):
            return None
        here = self.sources[0].name
        found: list[Edge] = []
        while following := [e for e in edges if e.pre == here]:
            if len(following) > 1 or len(found) > len(edges):
                return None
            found.append(following[0])
            here = following[0].post
        return found if len(found) == len(edges) else None

    # -------------------------------------------------------------------------------------------------------- layers
    def _layers(self, edges: list[Edge], plans: dict[str, Plan]) -> dict[str, Any]:
        """Return the module of each projection; the first one into a population carries its bias."""
        given: set[str] = set()
        made = {}
        for edge in edges:
            bias = plans[edge.post].bias if edge.post not in given else np.zeros(1)
            given.add(edge.post)
            rule = self.rules[edge.name]
            parts = self.weights.layers(edge, rule, self.shapes[edge.pre], self.shapes[edge.post], bias)
            made[edge.name] = parts[0] if len(parts) == 1 else self.torch.nn.Sequential(*parts)
            delay = _delay(edge)
            detail = f"a delay of {delay} step{'s' if delay > 1 else ''}" if delay else ""
            self.report.add(edge.name, " ".join(type(p).__name__ for p in parts), "exact", detail)
        lonely = [n for n in self.nodes if n not in {e.post for e in edges}]
        if lonely:
            raise UnsupportedError([f"population {n!r}: nothing leads to it" for n in lonely])
        return made

    # --------------------------------------------------------------------------------------------------------- neurons
    def _parameter(self, values: Any, shape: Shape) -> Any:
        """Return a parameter: one number where all neurons share it, else in the shape of the layer."""
        array = np.asarray(values, np.float64).reshape(-1)
        return self.weights.tensor(array[0] if (array == array[0]).all() else array.reshape(shape))

    def _cell(self, node: Node, plan: Plan, loop: Edge | None, hidden: bool) -> Any:
        shape = self.shapes[node.name]
        values = {k: v if isinstance(v, (str, bool)) else self._parameter(v, shape) for k, v in plan.values.items()}
        if self.package == "norse":
            return self._norse_cell(plan, values)
        values |= {"init_hidden": hidden, "output": hidden and plan.silent}
        if (
            self.weights.real is self.torch.float64
        ):  # snnTorch's own spikes are float32, which no layer in float64 takes
            arctan = require("snntorch.surrogate", "a module of snnTorch").atan()
            values["spike_grad"] = lambda x: arctan(x).to(x.dtype)
        if not plan.kind.startswith("R"):
            return getattr(self.library, plan.kind)(**values)
        weights = np.asarray(loop.weights, np.float64) if loop is not None else np.zeros(1)
        rule = self.rules[loop.name] if loop is not None else None
        if not isinstance(rule, Dense):
            weight = self._parameter(weights, shape)
            return getattr(self.library, plan.kind)(V=weight, all_to_all=False, **values)
        cell = getattr(self.library, plan.kind)(linear_features=node.n, **values)
        cell.recurrent = self.weights.linear(rule.weights)
        return cell

    def _norse_cell(self, plan: Plan, values: dict[str, Any]) -> Any:
        from spikesim.convert import torch_stepped

        dt = self.network.dt
        for name in ("tau_mem_inv", "tau_syn_inv"):
            if name in values:
                values[name] = self._rate(values[name], dt)
        if "reset_method" in values:
            methods = require("norse.torch.functional.reset", "a module of norse")
            method = values["reset_method"]
            values["reset_method"] = getattr(torch_stepped, method, None) or getattr(methods, method)
        parameters = getattr(self.library, plan.kind.replace("Cell", "Parameters"))(**values)
        return getattr(self.library, plan.kind)(parameters, dt=dt)

    def _rate(self, lost: Any, dt: float) -> Any:
        """Return the inverse time constant that norse multiplies by dt to get the part lost in a step."""
        rate = lost / dt
        for _ in range(4):
            off = dt * rate - lost
            up = self.torch.nextafter(rate, self.torch.full_like(rate, np.inf))
            down = self.torch.nextafter(rate, self.torch.zeros_like(rate))
            rate = self.torch.where(off < 0, up, self.torch.where(off > 0, down, rate))
        return rate

    # ---------------------------------------------------------------------------------------------------------- wiring
    def _sequential(self, pairs: list[tuple[Any, Any]]) -> Any:
        parts: list[Any] = []
        for layer, cell in pairs:
            parts += list(layer) if isinstance(layer, self.torch.nn.Sequential) else [layer]
            parts.append(cell)
        kind = self.library.SequentialState if self.package == "norse" else self.torch.nn.Sequential
        return kind(*parts)

    def _stepped(self, edges: list[Edge], layers: dict[str, Any], cells: dict[str, Any], plans: Any) -> Any:
        from spikesim.convert.torch_stepped import Stepped, Wire

        names = _names([*self.shapes, *layers])
        sends = {e.pre for e in edges if e.pre != e.post}
        ends = [n for n in self.nodes if n not in sends] or list(self.nodes)
        return Stepped(
            cells={names[n]: c for n, c in cells.items()},
            layers={names[n]: c for n, c in layers.items()},
            wires=[Wire(names[e.name], names[e.pre], names[e.post], _delay(e)) for e in edges],
            order=[names[n.name] for n in self.graph.nodes],
            inputs=[names[s.name] for s in self.sources],
            outputs=[names[n] for n in ends],
            silent=[names[n] for n, plan in plans.items() if plan.silent],
            shapes={names[n]: s for n, s in self.shapes.items()},
        )

    def _say(self, plans: dict[str, Plan]) -> None:
        for name, plan in plans.items():
            status: Any = "impossible" if plan.losses else "approximated" if plan.remarks else "exact"
            self.report.add(name, plan.kind, status, "; ".join([*plan.losses, *plan.remarks]))
        for stimulus in self.network.stimuli:
            kind = type(stimulus).__name__
            if isinstance(stimulus, Drive):
                self.report.add(stimulus.name, "nothing", "impossible", f"a {kind}; torch's neurons have data only")
            elif isinstance(stimulus, Input):
                self.report.add(stimulus.name, "the argument of forward")
            else:
                self.report.add(stimulus.name, "the argument of forward", "approximated", f"give the {kind}'s spikes")


def _delay(edge: Edge) -> int:
    return int(np.asarray(edge.delays).reshape(-1)[0]) if np.size(edge.delays) else 0


def _names(wanted: list[str]) -> dict[str, str]:
    """Return names that torch takes for modules."""
    found: dict[str, str] = {}
    for name in wanted:
        base = re.sub(r"\W+", "_", name) or "part"
        k, label = 2, base
        while label in found.values():
            label, k = f"{base}_{k}", k + 1
        found[name] = label
    return found


def _compare(graph: Graph, network: Network, module: Any, dtype: str) -> Verification:
    """Run a network and its module on the same random input."""
    from spikesim.convert.reading_torch import rasters

    data = random_inputs(network, STEPS)
    shapes = {s.name: tuple(s.shape) for s in network.stimuli if isinstance(s, Input)}
    ours = run(network, inputs=data, dtype=dtype, backend="torch")
    before = after = differing = 0
    for node, sent in zip(graph.nodes, rasters(module, data, shapes, dtype), strict=True):
        if node.model.spiking:
            mine, theirs = ours[node.name].dense(), sent > 0
            before, after = before + int(mine.sum()), after + int(theirs.sum())
            differing += int((mine != theirs.reshape(mine.shape)).sum())
    return Verification(ours.steps, ours.samples, before, after, differing)


__all__ = ["to_norse", "to_snntorch"]
