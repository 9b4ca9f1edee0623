"""A network is a value: it says what there is, never how it is computed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from spikesim.connect import AllToAll, Connection
from spikesim.errors import InvalidValueError, NetworkError, UnknownNameError
from spikesim.fixedpoint.learning import LoihiRule
from spikesim.learning import modulator_problems
from spikesim.neuron import Neuron, NeuronModel
from spikesim.norm import BatchNorm, norm_problems
from spikesim.stimulus import Drive, Source, Stimulus, _shape
from spikesim.synapse import Plasticity, SynapseModel
from spikesim.units import si
from spikesim.value import Value


@dataclass(frozen=True, eq=False)
class Population(Value):
    """Neurons of one model.

    Parameters
    ----------
    name
        Unique in the network.
    shape
        Number of neurons, or their arrangement, e.g. ``(channels, height, width)``.
    neuron
        The model, with values of its parameters (numbers, arrays of ``n`` values, or distributions).
    """

    name: str
    shape: tuple[int, ...]
    neuron: Neuron

    def __init__(self, name: str, shape: int | tuple[int, ...], neuron: Neuron | NeuronModel) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "shape", _shape(name, shape))
        object.__setattr__(self, "neuron", neuron if isinstance(neuron, Neuron) else Neuron(neuron))

    @property
    def n(self) -> int:
        """Number of neurons."""
        return int(np.prod(self.shape))

    @property
    def model(self) -> NeuronModel:
        """The neuron's equations."""
        return self.neuron.model


@dataclass(frozen=True, eq=False)
class Projection(Value):
    """Synapses from one population or source to one port of a population.

    Parameters
    ----------
    pre, post
        Names.
    rule
        Who is connected to whom (:mod:`spikesim.connect`), some rules with their own weights.
    weight
        In the unit of the port: a number, one per synapse (sorted by source, then target), or a distribution.
        None where the rule has weights.
    delay
        Seconds: a number (a whole multiple of ``dt``), one per synapse, or a distribution (rounded to steps).
        0 delivers in the same step, allowed where that makes no loop.
    port
        Input port of ``post``; the model's first one by default.
    name
        Unique in the network; ``"pre->post"`` by default.
    plasticity
        How the synapses change (:mod:`spikesim.models.synapses`); not at all by default. A
        :class:`~spikesim.fixedpoint.learning.LoihiRule` is for networks in fixed point.
    norm
        Batch normalisation of what arrives. Training learns it; everything else sees it folded into weights and the
        target's bias (:meth:`Network.folded`).
    dropout
        Probability that training leaves a source element out, for all steps of a sample.
    """

    pre: str
    post: str
    rule: Connection = field(default_factory=AllToAll)
    weight: Any = None
    delay: Any = 0.0
    port: str | None = None
    name: str = ""
    plasticity: Plasticity | LoihiRule | None = None
    norm: BatchNorm | None = None
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.plasticity, SynapseModel):
            object.__setattr__(self, "plasticity", Plasticity(self.plasticity))
        object.__setattr__(self, "delay", si(self.delay, "s", f"delay of {self.pre}->{self.post}"))
        if not self.name:
            suffix = f":{self.port}" if self.port else ""
            object.__setattr__(self, "name", f"{self.pre}->{self.post}{suffix}")


@dataclass(frozen=True, eq=False)
class Probe(Value):
    """Record state variables of a population (spikes and counts are always recorded).

    Parameters
    ----------
    target
        The population.
    variables
        State names.
    every
        Record each so many steps.
    neurons
        Which neurons; all by default.
    """

    target: str
    variables: tuple[str, ...]
    every: int = 1
    neurons: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        variables = (self.variables,) if isinstance(self.variables, str) else tuple(self.variables)
        object.__setattr__(self, "variables", variables)
        if self.neurons is not None:
            object.__setattr__(self, "neurons", tuple(int(k) for k in self.neurons))
        if self.every < 1:
            raise InvalidValueError(f"probe on {self.target!r}: `every` must be at least 1 step, found {self.every}")


@dataclass(frozen=True, eq=False)
class Network(Value):
    """A spiking network.

    Parameters
    ----------
    populations, projections, stimuli, probes
        The parts; names must be unique.
    dt
        Time step in seconds.
    seed
        Seed of every random choice: connectivity, weights, initial values, noise.
    name
        For people.

    Examples
    --------
    >>> from spikesim import Network, Population, Projection, Poisson, ms
    >>> from spikesim.models.neurons import lif
    >>> net = Network(
    ...     populations=[Population("out", 3, lif(tau_m=10 * ms))],
    ...     stimuli=[Poisson("noise", 3, rate=50.0)],
    ...     projections=[Projection("noise", "out", weight=0.5)],
    ... )
    >>> net["out"].n
    3
    """

    populations: Sequence[Population] = ()
    projections: Sequence[Projection] = ()
    stimuli: Sequence[Stimulus] = ()
    probes: Sequence[Probe] = ()
    dt: float = 1e-3
    seed: int = 0
    name: str = "network"

    def __post_init__(self) -> None:
        for part in ("populations", "projections", "stimuli", "probes"):
            object.__setattr__(self, part, tuple(getattr(self, part)))
        object.__setattr__(self, "dt", si(self.dt, "s", "dt"))
        problems = list(_problems(self))
        if problems:
            raise NetworkError(problems, f"network {self.name!r} has {len(problems)} problems:")

    def __getitem__(self, name: str) -> Population | Projection | Stimulus:
        """Return a part by name."""
        parts = {p.name: p for p in (*self.populations, *self.projections, *self.stimuli)}
        if name not in parts:
            raise UnknownNameError("part of the network:", name, list(parts))
        return parts[name]

    def population(self, name: str) -> Population:
        """Return a population by name."""
        found = {p.name: p for p in self.populations}
        if name not in found:
            raise UnknownNameError("population", name, list(found))
        return found[name]

    def with_(self, **changes: Any) -> Network:
        """Return a copy with some fields changed (``dt``, ``seed``, ``probes``, ...)."""
        return replace(self, **changes)

    def add(self, *parts: Population | Projection | Source | Drive | Probe) -> Network:
        """Return a copy with more parts."""
        lists: dict[str, list[Any]] = {
            "populations": list(self.populations),
            "projections": list(self.projections),
            "stimuli": list(self.stimuli),
            "probes": list(self.probes),
        }
        for part in parts:
            lists[_list_of(part)].append(part)
        changes: dict[str, Any] = {k: tuple(v) for k, v in lists.items()}
        return replace(self, **changes)

    def swap(self, *parts: Population | Projection | Source | Drive) -> Network:
        """Return a copy in which parts of the same name are replaced."""
        new: dict[str, Any] = {p.name: p for p in parts}
        for name in new:
            self[name]
        return replace(
            self,
            populations=tuple(new.get(p.name, p) for p in self.populations),
            projections=tuple(new.get(p.name, p) for p in self.projections),
            stimuli=tuple(new.get(p.name, p) for p in self.stimuli),
        )

    def folded(self) -> Network:
        """Return the network as it is run: batch norms folded into weights and biases, no dropout."""
        from spikesim.fold import fold

        return fold(self)

    def save(self, path: str | Path) -> None:
        """Write the network to an HDF5 file; it comes back exactly, user-written neurons included."""
        from spikesim.files.storage import save_network

        save_network(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Network:
        """Read a network; nothing in the file is executed."""
        from spikesim.files.storage import load_network

        return load_network(path)

    def __str__(self) -> str:
        from spikesim.describe import describe

        return describe(self)

    def _repr_html_(self) -> str:
        from spikesim.describe import describe_html

        return describe_html(self)


def _list_of(part: object) -> str:
    for kind, name in (
        (Population, "populations"),
        (Projection, "projections"),
        (Probe, "probes"),
        ((Source, Drive), "stimuli"),
    ):
        if isinstance(part, kind):
            return name
    raise InvalidValueError(f"a network holds Population, Projection, Probe and stimuli, found {type(part).__name__}")


def _problems(net: Network) -> Iterable[str]:
    """Yield one sentence for everything that does not fit together."""
    if not (np.isfinite(net.dt) and net.dt > 0):
        yield f"dt must be above 0 s, found {net.dt}"
    if not isinstance(net.seed, (int, np.integer)) or not 0 <= net.seed < 2**64:
        yield f"seed must be a whole number from 0 to 2**64 - 1, found {net.seed!r}"
    yield from _name_problems(net)
    populations = {p.name: p for p in net.populations}
    sources = {s.name for s in net.stimuli if isinstance(s, Source)}
    for population in net.populations:
        yield from _parameter_problems(population)
    for projection in net.projections:
        yield from _projection_problems(projection, populations, sources)
    rules = {p.name: p.plasticity for p in net.projections if p.plasticity is not None}
    modulators = {name: rule.modulator for name, rule in rules.items() if rule.modulator}
    yield from modulator_problems(modulators, [*populations, *sources])
    for stimulus in net.stimuli:
        if isinstance(stimulus, Drive):
            yield from _port_problems(f"stimulus {stimulus.name!r}", stimulus.target, stimulus.port, populations)
    probed: set[tuple[str, str]] = set()
    for probe in net.probes:
        yield from _probe_problems(probe, populations)
        for key in ((probe.target, variable) for variable in probe.variables):
            if key in probed:
                yield f"probe on {probe.target!r}: {key[1]!r} is probed twice; join the two probes"
            probed.add(key)


def _name_problems(net: Network) -> Iterable[str]:
    seen: set[str] = set()
    for part in (*net.populations, *net.stimuli, *net.projections):
        if not part.name or part.name == "." or set(part.name) & {"/", "\0"}:
            yield f"a name must not be empty nor hold '/', found {part.name!r}"
        if part.name in seen:
            yield f"the name {part.name!r} is used twice; give one of them another name"
        seen.add(part.name)


def _parameter_problems(population: Population) -> Iterable[str]:
    for kind, values in (("parameter", population.neuron.params), ("initial", population.neuron.init)):
        for name, value in values.items():
            if hasattr(value, "sample"):
                continue
            array = np.asarray(value, np.float64)
            if array.ndim and array.size != population.n:
                wanted = f"1 or {population.n} values"
                yield f"population {population.name!r}: {kind} {name!r} needs {wanted}, found {array.size}"
            if kind == "parameter":
                problem = population.model.params[name].problem(array)
                if problem:
                    yield f"population {population.name!r}: {name} {problem}"
            elif not np.isfinite(array).all():
                yield f"population {population.name!r}: initial {name!r} must be finite, found NaN or infinity"


def _unknown(subject: str, kind: str, name: str, known: Iterable[str]) -> str:
    return f"{subject}: {UnknownNameError(kind, name, list(known))}"


def _port_problems(subject: str, target: str, port: str | None, populations: dict[str, Population]) -> Iterable[str]:
    if target not in populations:
        yield _unknown(subject, "population", target, populations)
    elif not populations[target].model.inputs:
        yield f"{subject}: neuron {populations[target].model.name!r} of {target!r} has no input port"
    elif port is not None and port not in populations[target].model.inputs:
        yield _unknown(subject, f"port of {target!r}", port, populations[target].model.inputs)


def _projection_problems(
    projection: Projection, populations: dict[str, Population], sources: set[str]
) -> Iterable[str]:
    subject = f"projection {projection.name!r}"
    if projection.pre not in populations and projection.pre not in sources:
        yield _unknown(subject, "population or source", projection.pre, [*populations, *sources])
    yield from _port_problems(subject, projection.post, projection.port, populations)
    own_weights = projection.rule.has_weights
    if own_weights == (projection.weight is not None):
        yield (
            f"{subject}: the rule {type(projection.rule).__name__} has weights of its own; leave `weight` out"
            if own_weights
            else f"{subject}: no weight given; pass weight= a number, an array or a distribution"
        )
    yield from (f"{subject}: {problem}" for problem in _training_problems(projection))
    for label, value in (("weight", projection.weight), ("delay", projection.delay)):
        if value is None or hasattr(value, "sample"):
            continue
        array = np.asarray(value, np.float64)
        if not np.isfinite(array).all():
            yield f"{subject}: {label} must be finite, found NaN or infinity"
        elif label == "delay" and (array < 0).any():
            yield f"{subject}: delay must be at least 0 s, found {array.min():g}"


def _training_problems(projection: Projection) -> Iterable[str]:
    """Yield what is wrong with the parts that only training uses."""
    if not isinstance(projection.dropout, (int, float)) or not 0.0 <= projection.dropout < 1.0:
        yield f"dropout must be from 0 to below 1, found {projection.dropout!r}"
    if projection.norm is not None:
        yield from norm_problems(projection.norm, projection.rule)
        if projection.plasticity is not None:
            yield "a plastic projection cannot carry a batch norm; its weights change while it runs"


def _probe_problems(probe: Probe, populations: dict[str, Population]) -> Iterable[str]:
    subject = f"probe on {probe.target!r}"
    if probe.target not in populations:
        yield _unknown(subject, "population", probe.target, populations)
        return
    population = populations[probe.target]
    for variable in probe.variables:
        if variable not in population.model.states:
            yield _unknown(subject, f"state of neuron {population.model.name!r}", variable, population.model.states)
    if (
        probe.neurons is not None
        and probe.neurons
        and not (0 <= min(probe.neurons) and max(probe.neurons) < population.n)
    ):
        yield f"{subject}: neurons must be 0 .. {population.n - 1}, found {min(probe.neurons)} .. {max(probe.neurons)}"


__all__ = ["Network", "Population", "Probe", "Projection"]
