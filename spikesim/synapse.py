"""A synapse model: traces, states and events of a plastic synapse, written once for all backends.

What an event does is an ordinary Python function. It is called once with symbols; what comes out is the closed grammar
of :mod:`spikesim.equations.expression`, so a rule can be stored, compared, printed for kernels and evaluated with numpy
or torch. When events happen, and in which order, is said in ``docs/architecture.md`` under "Plasticity".
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spikesim.equations.expression import Expressions, Tape
from spikesim.errors import InvalidValueError, NetworkError, UnknownNameError, UnsupportedError
from spikesim.neuron import Param, _Values
from spikesim.units import si
from spikesim.value import Value

EVENTS = ("on_pre", "on_post", "on_reward", "send", "pre_spike", "post_spike")
LEARNING = ("on_pre", "on_post", "on_reward")  # the events that change a weight


@dataclass(frozen=True, eq=False)
class SynapseModel:
    """The equations of a synapse, ready for any backend. Made by :func:`synapse`, or read from a file.

    Parameters
    ----------
    name
        The model's name.
    params
        Parameters by name; a model that changes weights has ``w_min`` and ``w_max``.
    pre, post, states
        Traces of the source, traces of the target and states of the synapse: name to the parameter that is its time
        constant. All start at 0 and decay exponentially.
    events
        What the events of :data:`EVENTS` do. They read the states ``w`` (the weight) and the model's own, and the
        inputs ``pre_<trace>``, ``post_<trace>`` and ``reward``.
    doc
        One line for people.
    options
        Choices that the equations were made with, for people and for exporters.
    """

    name: str
    params: Mapping[str, Param]
    pre: Mapping[str, str]
    post: Mapping[str, str]
    states: Mapping[str, str]
    events: Mapping[str, Expressions]
    doc: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        problems = list(_model_problems(self))
        if problems:
            raise NetworkError(problems, f"synapse {self.name!r} has {len(problems)} problems:")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SynapseModel) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        chosen = "".join(f", {k}={v}" for k, v in self.options.items())
        return f"<synapse model {self.name}{chosen}>"

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes two models the same for a backend."""
        parts = (self.params, self.pre, self.post, self.states, self.events)
        return (self.name, *(tuple(p.items()) for p in parts))

    @property
    def learns(self) -> bool:
        """Whether weights change (short-term plasticity changes only what is sent)."""
        return any(event in self.events for event in LEARNING)

    @property
    def decaying(self) -> dict[str, str]:
        """Everything that decays, as events name it: ``pre_<trace>``, ``post_<trace>`` and states."""
        pre = {f"pre_{n}": tau for n, tau in self.pre.items()}
        return {**pre, **{f"post_{n}": tau for n, tau in self.post.items()}, **self.states}

    def reads(self, event: str, kind: str = "input") -> list[str]:
        """Names of the leaves of one kind that an event depends on."""
        return self.events[event].leaves(kind) if event in self.events else []


def _model_problems(model: SynapseModel) -> Iterable[str]:
    """Yield what does not fit together: backends print the names as source, and a model may come from a file."""
    if not model.name.isprintable() or not model.name or set(model.name) & set('"\\'):
        yield f"the name of a synapse must be printable, without quotation marks and backslashes, found {model.name!r}"
    for name in (*model.params, *model.pre, *model.post, *model.states):
        if not name.isidentifier() or keyword.iskeyword(name):
            yield f"synapse {model.name!r}: a name must be a Python identifier, found {name!r}"
    for name in {*model.states} & {"w", "reward", "dt", "sent"}:
        yield f"synapse {model.name!r}: the state {name!r} must have another name; this one is taken"
    for trace, tau in model.decaying.items():
        if tau not in model.params:
            yield f"synapse {model.name!r}: the time constant {tau!r} of {trace!r} is not among its parameters"
    for bound in ("w_min", "w_max"):
        if model.learns and bound not in model.params:
            yield f"synapse {model.name!r} changes weights and needs the parameter {bound!r}"
    pre, post = ({f"{side}_{n}" for n in names} for side, names in (("pre", model.pre), ("post", model.post)))
    states = {"w", *model.states}
    shapes: dict[str, tuple[set[str], set[str], set[str]]] = {  # what an event gives; the states and inputs it reads
        "on_pre": (states, states, pre | post),
        "on_post": (states, states, pre | post),
        "on_reward": (states, states, {"reward"}),
        "send": ({"sent"}, states, pre),
        "pre_spike": (pre, set(), pre),
        "post_spike": (post, set(), post),
    }
    for event, expressions in model.events.items():
        if event not in shapes:
            yield f"synapse {model.name!r}: {UnknownNameError('event', event, EVENTS)}"
            continue
        gives, readable, inputs = shapes[event]
        if {*expressions.outputs} != gives:
            yield f"synapse {model.name!r}: {event} must give {sorted(gives)}, found {sorted(expressions.outputs)}"
        allowed = {"state": readable, "input": inputs, "param": {*model.params, "dt"}, "cotangent": set()}
        for kind, names in allowed.items():
            for name in sorted({*expressions.leaves(kind)} - names):
                yield f"synapse {model.name!r}: {event} cannot read the {kind} {name!r}"


@dataclass(frozen=True, eq=False)
class Plasticity(Value):
    """A synapse model with values: what ``Projection(..., plasticity=...)`` takes.

    Parameters
    ----------
    model
        The equations.
    params
        Parameter values in SI units, one number each.
    modulator
        Name of the source or population whose output is the reward, summed over its elements, for a model that has
        an ``on_reward``.

    Raises
    ------
    UnknownNameError, InvalidValueError
        If a parameter is not known or out of range.
    """

    model: SynapseModel
    params: Mapping[str, Any] = field(default_factory=dict)
    modulator: str = ""

    def __post_init__(self) -> None:
        known = self.model.params
        for name in self.params:
            if name not in known:
                raise UnknownNameError(f"parameter of synapse {self.model.name!r}:", name, list(known))
        values = {k: si(v, known[k].unit, f"parameter {k!r}") for k, v in self.params.items()}
        for name, value in values.items():
            if not isinstance(value, float):
                raise InvalidValueError(f"synapse {self.model.name!r}: {name} must be one number, found {value!r}")
        object.__setattr__(self, "params", values)
        problems = [f"synapse {self.model.name!r}: {p}" for p in self._problems()]
        if problems:
            raise InvalidValueError("\n".join(problems))

    def _problems(self) -> Iterable[str]:
        for name, param in self.model.params.items():
            problem = param.problem(np.asarray(self.value(name)))
            if problem:
                yield f"{name} {problem}"
        if self.model.learns and self.value("w_min") > self.value("w_max"):
            yield f"w_min must be at most w_max, found {self.value('w_min'):g} and {self.value('w_max'):g}"
        if ("on_reward" in self.model.events) != bool(self.modulator):
            yield (
                "it has no reward; leave `modulator` out"
                if self.modulator
                else "it learns from a reward; pass modulator= the name of a source or population"
            )

    def value(self, name: str) -> float:
        """Return the value of a parameter: the one given, or the model's default."""
        return float(self.params.get(name, self.model.params[name].default))


def synapse(
    name: str,
    *,
    params: Mapping[str, float | Param] | None = None,
    pre: Mapping[str, str] | None = None,
    post: Mapping[str, str] | None = None,
    state: Mapping[str, str] | None = None,
    on_pre: Callable[..., Any] | None = None,
    on_post: Callable[..., Any] | None = None,
    on_reward: Callable[..., Any] | None = None,
    send: Callable[..., Any] | None = None,
    pre_spike: Callable[..., Mapping[str, Any]] | None = None,
    post_spike: Callable[..., Mapping[str, Any]] | None = None,
    options: Mapping[str, str] | None = None,
    doc: str = "",
) -> SynapseModel:
    """Turn the functions of a plasticity rule into a synapse model.

    Parameters
    ----------
    name
        Of the model.
    params
        Parameters and their defaults; a rule that changes weights gets ``w_min`` (0) and ``w_max`` (1) besides.
    pre, post
        Traces of the source and of the target: name to the parameter that is its time constant.
    state
        States of the synapse (an eligibility, ...), likewise.
    on_pre, on_post
        ``f(w, states..., pre, post, p)``: the weight and the states after a spike has arrived, or after the target
        has fired. ``pre`` and ``post`` hold the traces just before.
    on_reward
        ``f(w, states..., reward, p)``: likewise, when the modulator emits ``reward``.
    send
        ``f(w, states..., pre, p)``: what an arriving spike delivers; the weight by default.
    pre_spike, post_spike
        ``f(pre, p)``, ``f(post, p)``: a dict of the traces after a spike; each grows by 1 by default.
    options
        Choices behind the equations, for people and exporters.
    doc
        One line.

    Returns
    -------
    SynapseModel

    Raises
    ------
    UnsupportedError
        If a function uses something that cannot be compiled.

    Examples
    --------
    >>> from spikesim.synapse import Plasticity, synapse
    >>> rule = synapse(
    ...     "potentiation", params={"eta": 0.01, "tau": 20e-3}, pre={"x": "tau"},
    ...     on_post=lambda w, pre, post, p: w + p.eta * pre.x,
    ... )
    >>> Plasticity(rule, {"w_max": 2.0}).value("w_max")
    2.0
    """
    functions = {"on_pre": on_pre, "on_post": on_post, "on_reward": on_reward, "send": send}
    values = {k: v if isinstance(v, Param) else Param(float(v)) for k, v in (params or {}).items()}
    if any(functions[event] for event in LEARNING):
        values.setdefault("w_min", Param(0.0, "", "smallest weight"))
        values.setdefault("w_max", Param(1.0, "", "largest weight"))
    pre, post, state = dict(pre or {}), dict(post or {}), dict(state or {})
    tracer = _Tracer(name, values, pre, post, state)
    events = {event: tracer.trace(event, f) for event, f in functions.items() if f is not None}
    for event, names, change in (("pre_spike", pre, pre_spike), ("post_spike", post, post_spike)):
        if names:
            events[event] = tracer.trace(event, change or _grow)
        elif change is not None:
            raise InvalidValueError(f"synapse {name!r}: {event} is given but there are no such traces; declare them")
    return SynapseModel(name, values, pre, post, state, events, doc, dict(options or {}))


def _grow(traces: Any, p: Any) -> dict[str, Any]:
    """Add 1 to every trace: every earlier spike counts."""
    return {name: value + 1.0 for name, value in vars(traces).items()}


@dataclass(frozen=True)
class _Tracer:
    """Calls the functions of one rule with symbols."""

    name: str
    params: Mapping[str, Param]
    pre: Mapping[str, str]
    post: Mapping[str, str]
    state: Mapping[str, str]

    def trace(self, event: str, function: Callable[..., Any]) -> Expressions:
        tape = Tape()
        p = _Values(**{n: tape.symbol("param", n) for n in (*self.params, "dt")})
        pre = _Values(**{n: tape.symbol("input", f"pre_{n}") for n in self.pre})
        post = _Values(**{n: tape.symbol("input", f"post_{n}") for n in self.post})
        own = [tape.symbol("state", n) for n in ("w", *self.state)]
        arguments: dict[str, tuple[Any, ...]] = {
            "on_pre": (*own, pre, post, p),
            "on_post": (*own, pre, post, p),
            "on_reward": (*own, tape.symbol("input", "reward"), p),
            "send": (*own, pre, p),
            "pre_spike": (pre, p),
            "post_spike": (post, p),
        }
        try:
            result = function(*arguments[event])
        except (UnsupportedError, UnknownNameError, InvalidValueError) as error:
            error.args = (f"synapse {self.name!r}: {event}: {error}",)
            raise
        lift = p.dt.lift
        return tape.finish({n: lift(v) for n, v in self._named(event, result).items()})

    def _named(self, event: str, result: Any) -> dict[str, Any]:
        """Give the results of a function their names."""
        if event in ("pre_spike", "post_spike"):
            side = event.partition("_")[0]
            return {f"{side}_{n}": v for n, v in dict(result).items()}
        names = ["sent"] if event == "send" else ["w", *self.state]
        results = result if isinstance(result, tuple) else (result,)
        if len(results) != len(names):
            raise InvalidValueError(f"synapse {self.name!r}: {event} must return {names}, found {len(results)} values")
        return dict(zip(names, results, strict=True))


__all__ = ["EVENTS", "LEARNING", "Plasticity", "SynapseModel", "synapse"]
