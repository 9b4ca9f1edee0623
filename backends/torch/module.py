"""A network as a ``torch.nn.Module``: weights and chosen neuron parameters can be learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from spikesim.backends.torch.linear import LinearMap, SparseMap, linear_map
from spikesim.backends.torch.ops import DTYPES, step_constants
from spikesim.backends.torch.scan import Scan
from spikesim.backends.torch.unroll import Cell, add, advance, components
from spikesim.backends.torch.wire import Sums, Wire
from spikesim.drive import DriveState, source_values
from spikesim.equations.scan_source import Surrogate
from spikesim.errors import InvalidValueError, UnknownNameError, UnsupportedError
from spikesim.graph import Edge, Graph, Node
from spikesim.learning import plastic_problems
from spikesim.lowering import is_graded_input
from spikesim.stimulus import Input


class SpikingModule(nn.Module):  # type: ignore[misc]
    """A network whose outputs can be differentiated for weights, parameters and inputs.

    Parameters
    ----------
    graph
        The lowered network.
    surrogate, settings, detach_reset
        Derivative of the spike: a name in :data:`spikesim.equations.surrogates.SURROGATES`, its settings, and whether
        gradients are kept from flowing through the reset.
    weights
        Projections to learn; all by default.
    params
        Neuron parameters to learn, by population: ``{"hidden": ["tau_m", "v_th"]}``. One number stays one number,
        an array learns one value per neuron. A learned parameter is held relative to the size of its initial value,
        so that one step of an optimiser means the same for a time constant in seconds and for a threshold.
    dtype, device
        Of weights, states and sums.
    fused
        Use the printed kernels on the CPU.

    Notes
    -----
    Populations that do not lie on a cycle are computed for all steps at once: one product, then one scan over time.
    Those on a cycle are computed together, step by step.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        surrogate: str = "arctan",
        settings: Mapping[str, float] | None = None,
        detach_reset: bool = False,
        weights: Sequence[str] | None = None,
        params: Mapping[str, Sequence[str]] | None = None,
        dtype: str = "float32",
        device: str = "cpu",
        fused: bool = True,
    ) -> None:
        super().__init__()
        if dtype not in DTYPES:
            raise UnknownNameError("dtype", dtype, list(DTYPES))
        if problems := plastic_problems(graph, "training by gradients"):
            raise UnsupportedError(problems, f"network {graph.name!r} cannot be trained:")
        self.graph, self.dtype, self.device = graph, DTYPES[dtype], torch.device(device)
        chosen = Surrogate(surrogate, tuple(sorted((settings or {}).items())), detach_reset)
        chosen.function()  # an unknown name is reported here
        self.scans = {n.name: Scan(n.model, chosen, fused) for n in graph.nodes}
        self.maps = nn.ModuleList(self._map(e, weights is None or e.name in weights) for e in graph.edges)
        for name in weights or ():
            if name not in [e.name for e in graph.edges]:
                raise UnknownNameError("projection", name, [e.name for e in graph.edges])
        self.learned = nn.ParameterDict()
        self.scales: dict[str, float] = {}
        for population, names in (params or {}).items():
            self._learn(population, names)
        self.parts = components(graph)

    # ------------------------------------------------------------------------------------------------ preparation
    def _shape(self, name: str) -> tuple[int, ...]:
        source = self.graph.source(name)
        return source.shape if source is not None else self.graph.node(name).shape

    def _map(self, edge: Edge, learn: bool) -> LinearMap:
        found = None
        if np.ndim(edge.delays) == 0:
            found = linear_map(edge.rule, self._shape(edge.pre), learn, self.dtype, self.device)
        found = SparseMap(edge, learn, self.dtype, self.device) if found is None else found
        found.spikes = edge.pre in self.scans  # a user may feed values into an input declared for spikes
        return found

    def _learn(self, population: str, names: Sequence[str]) -> None:
        nodes = {n.name: n for n in self.graph.nodes}
        if population not in nodes:
            raise UnknownNameError("population", population, list(nodes))
        for name in names:
            if name not in nodes[population].params:
                raise UnknownNameError(f"parameter of population {population!r}:", name, list(nodes[population].params))
            initial = np.asarray(nodes[population].params[name], np.float64)
            scale = float(np.abs(initial).max()) or 1.0
            key = f"{population}/{name}"
            self.scales[key] = scale
            self.learned[key] = nn.Parameter(torch.tensor(initial / scale, dtype=self.dtype, device=self.device))

    # ------------------------------------------------------------------------------------------------ values
    def parameter(self, population: str, name: str) -> Any:
        """Return the present value of a parameter in SI units: a tensor if it is learned, else a float or array."""
        key = f"{population}/{name}"
        if key in self.learned:
            return self.learned[key].double() * self.scales[key]
        return self.graph.node(population).params[name]

    def learned_weights(self) -> dict[str, Any]:
        """Return the learned weights by projection: a connection rule, or float64 with one weight per synapse."""
        found: dict[str, Any] = {}
        for edge, linear in zip(self.graph.edges, self.maps, strict=True):
            if linear.learn:
                rule = linear.rule()
                found[edge.name] = linear.values.detach().cpu().double().numpy() if rule is None else rule
        return found

    def learned_params(self) -> dict[str, dict[str, Any]]:
        """Return the learned parameters by population, as floats or float64 arrays in SI units."""
        found: dict[str, dict[str, Any]] = {}
        for key in self.learned:
            population, name = key.split("/")
            found.setdefault(population, {})[name] = self.parameter(population, name).detach().cpu().numpy()[()]
        return found

    def constrain_(self) -> None:
        """Bring learned parameters back into the range that their model allows; call it after an optimiser's step."""
        with torch.no_grad():
            for key, tensor in self.learned.items():
                population, name = key.split("/")
                param = self.graph.node(population).model.params[name]
                scale = self.scales[key]
                margin = 1e-3 if param.open_low else 0.0  # of the initial value
                tensor.clamp_(param.low / scale + margin, param.high / scale)

    def constants(self, node: Node) -> dict[str, torch.Tensor]:
        """Return the step constants of a population as float64 tensors, differentiable for learned parameters."""
        if not any(key.startswith(f"{node.name}/") for key in self.learned):
            return {n: torch.as_tensor(np.asarray(c), device=self.device) for n, c in node.constants.items()}
        params = {name: self.parameter(node.name, name) for name in node.params}
        return step_constants(node.model, params, self.graph.dt, self.device)

    # ------------------------------------------------------------------------------------------------ running
    def forward(
        self,
        inputs: Mapping[str, torch.Tensor] | torch.Tensor,
        record: Sequence[str] = (),
        samples: int = 1,
        steps: int = 0,
    ) -> dict[str, torch.Tensor]:
        """Run the network from its initial state.

        Parameters
        ----------
        inputs
            Data of each :class:`~spikesim.stimulus.Input`, ``[steps, samples, *shape]``; a tensor alone if there is
            one input. A tensor expanded over time (stride 0) is projected once.
        record
            States to return, as ``"population/state"``.
        samples, steps
            How many, where the network has no input.

        Returns
        -------
        dict
            Spikes by population and states by ``"population/state"``, each ``[steps, samples, n]``.
        """
        given = self._inputs(inputs)
        for value in given.values():
            steps, samples = value.shape[:2]
        if steps < 1:
            raise InvalidValueError("how long? the network has no input; pass steps")
        emitted = self._sources(given, steps, samples)
        drives = self.drives(steps, samples)
        self._check(record)
        states: dict[str, torch.Tensor] = {}
        wires = self.wires()
        for part in self.parts:
            cells = [self.cell(node, drives.get(node.name, {}), record) for node in part]
            emitted |= advance(cells, wires, emitted, states, (steps, samples))
        return {n.name: emitted[n.name] for n in self.graph.nodes} | states

    def wires(self) -> list[Wire]:
        """Return the projections with their maps."""
        return [Wire(e, m) for e, m in zip(self.graph.edges, self.maps, strict=True)]

    def emitted(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return what every source emits along with the inputs, ``[steps, samples, n]``."""
        given = self._inputs(inputs)
        steps, samples = next(iter(given.values())).shape[:2]
        return self._sources(given, steps, samples)

    def cell(self, node: Node, drives: Sums, record: Sequence[str] = ()) -> Cell:
        """Return a population as it is needed in one pass."""
        constants = {name: c.to(self.dtype) for name, c in self.constants(node).items()}
        init = {n: torch.as_tensor(v, device=self.device).to(self.dtype) for n, v in node.init.items()}
        wanted = [n for n in node.model.states if f"{node.name}/{n}" in record]
        return Cell(node, self.scans[node.name], constants, init, drives, wanted)

    def _inputs(self, inputs: Mapping[str, torch.Tensor] | torch.Tensor) -> dict[str, torch.Tensor]:
        known = {s.name: s for s in self.graph.sources if isinstance(s, Input)}
        if not isinstance(inputs, Mapping):
            if len(known) != 1:
                raise InvalidValueError(f"the network has {len(known)} inputs; pass a dict with a tensor for each")
            inputs = {next(iter(known)): inputs}
        for name in inputs:
            if name not in known:
                raise UnknownNameError("input", name, list(known))
        problems = [f"input {name!r} has no data" for name in known if name not in inputs]
        given = {}
        for name, value in inputs.items():
            if value.ndim < 3 or int(np.prod(value.shape[2:])) != known[name].n:
                shape = ", ".join(map(str, known[name].shape))
                problems.append(f"input {name!r} needs the shape [steps, samples, {shape}], found {list(value.shape)}")
            else:
                given[name] = value.to(self.device, self.dtype).flatten(2)
        if len({v.shape[:2] for v in given.values()}) > 1:
            problems.append("all inputs must have the same number of steps and samples")
        if problems:
            raise InvalidValueError("\n".join(problems))
        return given

    def _sources(self, given: dict[str, torch.Tensor], steps: int, samples: int) -> dict[str, torch.Tensor]:
        values = dict(given)
        for source in self.graph.sources:
            if source.name not in values:
                array = source_values(self.graph, source, 0, steps, samples, None)
                values[source.name] = torch.as_tensor(array, device=self.device).to(self.dtype)
            elif is_graded_input(source) and self.dtype == torch.float64 and not values[source.name].requires_grad:
                # as in a run: on the grid on which sums are exact
                values[source.name] = _snap(values[source.name])
        return values

    def drives(self, steps: int, samples: int) -> dict[str, Sums]:
        """Sum the drives of each port, ``[steps, samples or 1, n]``."""
        sums: dict[str, Sums] = {}
        for drive in self.graph.drives:
            array = DriveState(self.graph, drive, samples).values(0, steps)
            array = np.broadcast_to(array, (steps, *array.shape[1:])).copy()
            add(sums.setdefault(drive.target, {}), str(drive.port), torch.as_tensor(array, device=self.device))
        return sums

    def _check(self, record: Sequence[str]) -> None:
        known = [f"{n.name}/{s}" for n in self.graph.nodes for s in n.model.states]
        for name in record:
            if name not in known:
                raise UnknownNameError("state", name, known)


def _snap(values: torch.Tensor) -> torch.Tensor:
    grid = 2.0**-16
    if values.stride(0) == 0:
        return (torch.round(values[:1] / grid) * grid).expand(values.shape)
    return torch.round(values / grid) * grid
