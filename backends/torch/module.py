"""A network as a ``torch.nn.Module``: weights and chosen neuron parameters can be learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from spikesim.backends.torch.delays import DelayedMap, delayed
from spikesim.backends.torch.events import Seen
from spikesim.backends.torch.linear import DenseMap, DiagonalMap, LinearMap, SparseMap, linear_map
from spikesim.backends.torch.neurons import Touching, touching
from spikesim.backends.torch.norm import Dropout, Norm
from spikesim.backends.torch.ops import DTYPES, step_constants
from spikesim.backends.torch.scan import Scan
from spikesim.backends.torch.sharing import clamp_, named, shared, spread
from spikesim.backends.torch.unroll import Cell, add, advance, components
from spikesim.backends.torch.wire import Sums, Wire
from spikesim.connect import OneToOne
from spikesim.drive import DriveState, source_values
from spikesim.equations.scan_source import Surrogate
from spikesim.errors import InvalidValueError, UnknownNameError, UnsupportedError
from spikesim.graph import Edge, Graph, Node
from spikesim.learning import plastic_problems
from spikesim.lowering import is_graded_input
from spikesim.norm import BatchNorm, channels_of
from spikesim.stimulus import Input
from spikesim.synapses import Constant


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
        Projections to learn, with their batch norms; by default all but identities (``OneToOne`` with the weight 1).
    params
        Neuron parameters to learn, by population: ``{"hidden": ["tau_m", "v_th"]}``. One number stays one number,
        an array learns one value per neuron; ``{"hidden": {"bias": "channel"}}`` chooses among ``"shared"``,
        ``"channel"`` and ``"neuron"``. A learned parameter is held relative to the size of its initial value,
        so that one step of an optimiser means the same for a time constant in seconds and for a threshold.
    delays, delay_per
        Projections whose delays are learned, with the longest delay in seconds; one ``"synapse"`` or ``"source"`` each
        (:mod:`spikesim.backends.torch.delays`).
    seed
        Of dropout.
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
        params: Mapping[str, Sequence[str] | Mapping[str, str]] | None = None,
        delays: Mapping[str, float] | None = None,
        delay_per: str = "synapse",
        seed: int = 0,
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
        self.parts = components(graph)
        self._check_names(weights or (), delays or {}, delay_per)
        self.longest = {name: round(longest / graph.dt) for name, longest in (delays or {}).items()}
        self.maps = nn.ModuleList(self._map(e, _learns(e, weights), delay_per) for e in graph.edges)
        # by number: a name may hold what the name of a module must not
        self.norms, self.dropouts = nn.ModuleDict(), nn.ModuleDict()
        for k, (edge, linear) in enumerate(zip(graph.edges, self.maps, strict=True)):
            if edge.norm is not None:
                channels = int(channels_of(edge.rule) or 0)
                self.norms[str(k)] = Norm(edge.norm, channels, linear.learn, self.dtype, self.device)
            if edge.dropout:
                self.dropouts[str(k)] = Dropout(edge.dropout, seed, edge.name)
        self.learned = nn.ParameterDict()
        self.scales: dict[str, float] = {}
        for population, names in (params or {}).items():
            self._learn(population, named(names))

    # ------------------------------------------------------------------------------------------------ preparation
    def _check_names(self, weights: Sequence[str], delays: Mapping[str, float], delay_per: str) -> None:
        known = [e.name for e in self.graph.edges]
        for name in (*weights, *delays):
            if name not in known:
                raise UnknownNameError("projection", name, known)
        if delay_per not in ("synapse", "source"):
            raise UnknownNameError("delay_per", delay_per, ["synapse", "source"])
        group = {node.name: k for k, part in enumerate(self.parts) for node in part}
        inside = [e for e in self.graph.edges if e.pre in group and group[e.pre] == group[e.post]]
        problems = [
            f"projection {e.name!r} lies on a loop, which is computed step by step; {what} needs all steps at once"
            for e in inside
            for what, wanted in (("batch norm", e.norm is not None), ("learning its delays", e.name in delays))
            if wanted
        ]
        if problems:
            raise UnsupportedError(problems, f"network {self.graph.name!r} cannot be trained:")

    def _shape(self, name: str) -> tuple[int, ...]:
        source = self.graph.source(name)
        return source.shape if source is not None else self.graph.node(name).shape

    def _map(self, edge: Edge, learn: bool, delay_per: str) -> LinearMap:
        found: LinearMap | None = None
        if np.ndim(edge.delays) == 0 or edge.name in self.longest:
            found = linear_map(edge.rule, self._shape(edge.pre), learn, self.dtype, self.device)
            if isinstance(edge.rule, OneToOne):
                found = DiagonalMap(edge, learn, self.dtype, self.device)
        if edge.name in self.longest:
            undelayed = replace(edge, delay=Constant(0.0))
            found = SparseMap(undelayed, learn, self.dtype, self.device) if found is None else found
            found = delayed(edge, found, self.longest[edge.name], delay_per, self.dtype, self.device)
        found = SparseMap(edge, learn, self.dtype, self.device) if found is None else found
        found.spikes = edge.pre in self.scans  # a user may feed values into an input declared for spikes
        return found

    def _learn(self, population: str, names: Mapping[str, str | None]) -> None:
        nodes = {n.name: n for n in self.graph.nodes}
        if population not in nodes:
            raise UnknownNameError("population", population, list(nodes))
        node = nodes[population]
        for name, per in names.items():
            if name not in node.params:
                raise UnknownNameError(f"parameter of population {population!r}:", name, list(node.params))
            subject = f"parameter {name!r} of population {population!r}"
            initial = shared(subject, node.params[name], node.shape, per)
            scale = float(np.abs(initial).max()) or 1.0
            key = f"{population}/{name}"
            self.scales[key] = scale
            self.learned[key] = nn.Parameter(torch.tensor(initial / scale, dtype=self.dtype, device=self.device))

    # ------------------------------------------------------------------------------------------------ values
    def parameter(self, population: str, name: str) -> Any:
        """Return the present value of a parameter in SI units: a tensor if it is learned, else a float or array."""
        key = f"{population}/{name}"
        if key in self.learned:
            return spread(self.learned[key].double() * self.scales[key], self.graph.node(population).n)
        return self.graph.node(population).params[name]

    def learned_weights(self) -> dict[str, Any]:
        """Return the learned weights by projection: a connection rule, or float64 with one weight per synapse."""
        found: dict[str, Any] = {}
        for edge, linear in zip(self.graph.edges, self.maps, strict=True):
            if linear.learn:
                plain = linear.linear if isinstance(linear, DelayedMap) else linear
                rule = plain.rule()
                found[edge.name] = plain.values.detach().cpu().double().numpy() if rule is None else rule
        return found

    def products(self) -> dict[str, Seen]:
        """Tell how each projection with a matrix was multiplied in the last pass, densely or from event to event.

        Returns
        -------
        dict
            By projection: density of what came in, the density below which events are faster (measured on this
            machine), and which way was taken.
        """
        matrices = {e.name: m for e, m in zip(self.graph.edges, self.maps, strict=True)}
        return {name: m.seen for name, m in matrices.items() if isinstance(m, DenseMap | SparseMap)}

    def learned_params(self) -> dict[str, dict[str, Any]]:
        """Return the learned parameters by population, as floats or float64 arrays in SI units."""
        found: dict[str, dict[str, Any]] = {}
        for key in self.learned:
            population, name = key.split("/")
            found.setdefault(population, {})[name] = self.parameter(population, name).detach().cpu().numpy()[()]
        return found

    def learned_norms(self) -> dict[str, BatchNorm]:
        """Return the batch norms by projection, with present values and running statistics."""
        return {self.graph.edges[int(k)].name: norm.value() for k, norm in self.norms.items() if norm.learn}

    def learned_delays(self) -> dict[str, Any]:
        """Return the learned delays by projection: whole steps, int64, one per synapse by source, then target."""
        found = {}
        for edge, linear in zip(self.graph.edges, self.maps, strict=True):
            if isinstance(linear, DelayedMap):
                steps = linear.steps()
                found[edge.name] = steps.ravel() if steps.ndim == 2 else np.repeat(steps, np.diff(edge.indptr))
        return found

    def named(self) -> dict[str, nn.Parameter]:
        """Return everything that is learned by name, as it is held.

        Weights have the name of their projection (of a chain with several matrices with `/` and their number): dense
        ones by source, ``[n_pre, n_post]``, convolutions as in torch, sparse ones ``[synapses]``. Behind that name and
        `/` come ``norm/scale``, ``norm/shift`` and ``delay``; neuron parameters are ``"population/parameter"``.
        """
        found: dict[str, nn.Parameter] = {}
        for k, (edge, linear) in enumerate(zip(self.graph.edges, self.maps, strict=True)):
            weights = [p for name, p in linear.named_parameters() if not name.endswith("delay")]
            several = len(weights) > 1
            found |= {f"{edge.name}/{j}" if several else edge.name: p for j, p in enumerate(weights)}
            found |= {f"{edge.name}/delay": p for name, p in linear.named_parameters() if name.endswith("delay")}
            if str(k) in self.norms:
                found |= {f"{edge.name}/norm/{name}": p for name, p in self.norms[str(k)].named_parameters()}
        return found | dict(self.learned.items())

    def decayed(self) -> list[nn.Parameter]:
        """Return what weight decay is meant for: weights, not norms, delays or neuron parameters."""
        return [p for name, p in self.maps.named_parameters() if not name.endswith("delay")]

    def matrices(self) -> dict[str, nn.Parameter]:
        """Return the learned weights as they are held, by projection; ``name/k`` for those of a chain."""
        found: dict[str, nn.Parameter] = {}
        for edge, linear in zip(self.graph.edges, self.maps, strict=True):
            weights = [p for name, p in linear.named_parameters() if not name.endswith("delay")]
            found |= {f"{edge.name}/{k}" if len(weights) > 1 else edge.name: p for k, p in enumerate(weights)}
        return found

    def touching(self, population: str, chosen: torch.Tensor) -> Touching:
        """Return which learned weights lead to and from chosen neurons, bool ``[n]``, of a population."""
        return touching(self, population, chosen)

    def constrain_(self) -> None:
        """Bring learned parameters back into the range that they may have; call it after an optimiser's step."""
        for key, tensor in self.learned.items():
            population, name = key.split("/")
            clamp_(tensor, self.graph.node(population).model.params[name], self.scales[key])
        for linear in self.maps:
            if isinstance(linear, DelayedMap):
                linear.constrain_()

    def anneal_(self, done: float) -> None:
        """Say what share of training is done, 0 to 1: learned delays become sharper."""
        for linear in self.maps:
            if isinstance(linear, DelayedMap):
                linear.anneal_(done)

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
        wires = self.wires(samples)
        for part in self.parts:
            cells = [self.cell(node, drives.get(node.name, {}), record) for node in part]
            emitted |= advance(cells, wires, emitted, states, (steps, samples))
        return {n.name: emitted[n.name] for n in self.graph.nodes} | states

    def wires(self, samples: int | None = None) -> list[Wire]:
        """Return the projections with all that they do in a pass; without dropout if no number of samples is given."""
        return [self._wire(k, samples) for k in range(len(self.graph.edges))]

    def _wire(self, k: int, samples: int | None) -> Wire:
        edge, linear, key = self.graph.edges[k], self.maps[k], str(k)
        norm = self.norms[key] if key in self.norms else None
        if samples is None or not self.training or key not in self.dropouts:
            return Wire(edge, linear, norm)
        dropout = self.dropouts[key]
        return Wire(edge, linear, norm, dropout.mask(samples, edge.n_pre, self.dtype, self.device), dropout.gain)

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
                one = value[:1] if value.stride(0) == 0 else value  # what is the same at every step stays one row
                given[name] = one.to(self.device, self.dtype).flatten(2).expand(len(value), -1, -1)
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


def _learns(edge: Edge, weights: Sequence[str] | None) -> bool:
    """Tell whether a projection's weights are learned; an identity is a wire and not a weight unless it is named."""
    if weights is not None:
        return edge.name in weights
    return not (isinstance(edge.rule, OneToOne) and edge.constant_weight == 1.0)


def _snap(values: torch.Tensor) -> torch.Tensor:
    grid = 2.0**-16
    if values.stride(0) == 0:
        return (torch.round(values[:1] / grid) * grid).expand(values.shape)
    return torch.round(values / grid) * grid
