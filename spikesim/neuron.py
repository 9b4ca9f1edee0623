"""A neuron model: named states, inputs and parameters, and one ``step`` function written once for all backends."""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np

from spikesim.equations.expression import Expressions, Symbol, Tape
from spikesim.equations.targets import NUMPY
from spikesim.errors import InvalidValueError, NetworkError, UnknownNameError, UnsupportedError
from spikesim.units import si
from spikesim.value import Value


@dataclass(frozen=True)
class Param:
    """A parameter of a neuron model.

    Parameters
    ----------
    default
        Its value in SI units.
    unit
        Its SI unit, ``""`` for a pure number.
    doc
        What it is.
    low, high
        Smallest and largest value allowed.
    open_low
        Whether ``low`` itself is excluded.
    """

    default: float
    unit: str = ""
    doc: str = ""
    low: float = -np.inf
    high: float = np.inf
    open_low: bool = False

    def problem(self, values: np.ndarray) -> str | None:
        """Say what is wrong with some values, or return None."""
        if not np.isfinite(values).all():
            return "must be finite, found NaN or infinity"
        below = values <= self.low if self.open_low else values < self.low
        bad = values[below | (values > self.high)]
        if bad.size == 0:
            return None
        bounds = f"{'above' if self.open_low else 'at least'} {self.low:g}" if np.isfinite(self.low) else ""
        bounds += (" and " if bounds and np.isfinite(self.high) else "") + (
            f"at most {self.high:g}" if np.isfinite(self.high) else ""
        )
        return f"must be {bounds}{' ' + self.unit if self.unit else ''}, found {bad.flat[0]:g}"


@dataclass(frozen=True)
class State:
    """A state variable: its value at the start, its unit, and whether it only takes whole numbers (0 .. 32767)."""

    init: float = 0.0
    unit: str = ""
    doc: str = ""
    integer: bool = False


@dataclass(frozen=True, eq=False)
class NeuronModel:
    """The equations of a neuron, ready for any backend. Made by :func:`neuron`, or read from a file.

    Parameters
    ----------
    name
        The model's name.
    states, params
        State variables and parameters by name.
    inputs
        Names of the ports that projections and drives add to.
    constants
        Step constants (decay factors, ...) as expressions of parameters and ``dt``.
    dynamics
        The step: outputs ``"spike"`` and the next value of every state.
    doc
        One line for people.
    options
        Choices that the equations were made with (kind of reset, ...), for people and for exporters.
    """

    name: str
    states: Mapping[str, State]
    inputs: tuple[str, ...]
    params: Mapping[str, Param]
    constants: Expressions
    dynamics: Expressions
    doc: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        problems = list(_model_problems(self))
        if problems:
            raise NetworkError(problems, f"neuron {self.name!r} has {len(problems)} problems:")

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """What makes two models the same for a backend."""
        states = tuple((n, s.integer) for n, s in self.states.items())
        return (states, self.inputs, tuple(self.params), hash(self.constants), self.dynamics)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NeuronModel) and (self.name, self.key) == (other.name, other.key)

    def __hash__(self) -> int:
        return hash((self.name, self.dynamics))

    def __repr__(self) -> str:
        chosen = "".join(f", {k}={v}" for k, v in self.options.items())
        return f"<neuron model {self.name}{chosen}>"

    def __call__(self, *, init: Mapping[str, Any] | None = None, **params: Any) -> Neuron:
        """Return a neuron of this model with some parameters and initial states changed."""
        return Neuron(self)(init=init, **params)

    @property
    def spiking(self) -> bool:
        """Whether the neuron ever fires (a read-out may not)."""
        index = self.dynamics.outputs["spike"]
        return self.dynamics.nodes[index].op != "const"

    def step_constants(self, params: Mapping[str, Any], dt: float) -> dict[str, Any]:
        """Turn parameters into everything that ``p`` holds inside ``step``.

        Parameters
        ----------
        params
            Parameter values, floats or float64 arrays with one value per neuron.
        dt
            Time step in seconds.

        Returns
        -------
        dict
            Parameters, step constants and ``dt``, by name, as float64.
        """
        leaves = {**{k: np.asarray(v, np.float64)[()] for k, v in params.items()}, "dt": np.float64(dt)}
        with np.errstate(all="ignore"):
            derived = self.constants.evaluate({"param": leaves}, NUMPY)
        return {**leaves, **derived}

    def used_constants(self) -> list[str]:
        """Names in ``p`` that the step really reads, in a fixed order."""
        return self.dynamics.leaves("param")


def _model_problems(model: NeuronModel) -> Iterable[str]:
    """Yield what is wrong with the names in a model: backends print them as source, and it may come from a file."""
    if not model.name.isprintable() or not model.name or set(model.name) & set('"\\'):
        yield f"the name of a neuron must be printable, without quotation marks and backslashes, found {model.name!r}"
    for name in (*model.states, *model.inputs, *model.params, *model.constants.outputs):
        if not name.isidentifier() or keyword.iskeyword(name):
            yield f"neuron {model.name!r}: a name must be a Python identifier, found {name!r}"
    if set(model.dynamics.outputs) != {"spike", *model.states}:
        given = [*model.dynamics.outputs]
        yield f"neuron {model.name!r}: the step must give the spike and {[*model.states]}, found {given}"
    values = {*model.params, *model.constants.outputs, "dt"}
    for kind, expected in {"state": {*model.states}, "input": {*model.inputs}, "param": values}.items():
        for name in {*model.dynamics.leaves(kind)} - expected:
            yield f"neuron {model.name!r}: the step reads the {kind} {name!r}, which is not declared"
        for name in {*model.constants.leaves(kind)} - ({*model.params, "dt"} if kind == "param" else set()):
            yield f"neuron {model.name!r}: the step constants read the {kind} {name!r}, which is not declared"


@dataclass(frozen=True, eq=False)
class Neuron(Value):
    """A neuron model with values: parameters and initial states as numbers, arrays (one per neuron) or distributions.

    Parameters
    ----------
    model
        The equations.
    params
        Parameter values in SI units.
    init
        Initial values of states.
    """

    model: NeuronModel
    params: Mapping[str, Any] = field(default_factory=dict)
    init: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.params:
            if name not in self.model.params:
                raise UnknownNameError(f"parameter of neuron {self.model.name!r}:", name, list(self.model.params))
        for name in self.init:
            if name not in self.model.states:
                raise UnknownNameError(f"state of neuron {self.model.name!r}:", name, list(self.model.states))

    def __call__(self, *, init: Mapping[str, Any] | None = None, **params: Any) -> Neuron:
        """Return a copy with some parameters and initial states changed."""
        changed = Neuron(self.model, {**self.params, **params}, {**self.init, **(init or {})})
        converted = {k: si(v, self.model.params[k].unit, f"parameter {k!r}") for k, v in changed.params.items()}
        started = {k: si(v, self.model.states[k].unit, f"initial {k!r}") for k, v in changed.init.items()}
        return replace(changed, params=converted, init=started)

    def value(self, name: str) -> Any:
        """Return the value of a parameter: the one given, or the model's default."""
        return self.params.get(name, self.model.params[name].default)


def neuron(
    step: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    state: Mapping[str, float | State] | None = None,
    constants: Callable[..., Mapping[str, Any]] | None = None,
    params: Mapping[str, float | Param] | None = None,
    options: Mapping[str, str] | None = None,
    doc: str | None = None,
    **more: float | Param,
) -> Any:
    """Turn a ``step`` function into a neuron model; use it as a decorator.

    Parameters
    ----------
    step
        ``step(state..., input..., p)``: returns the spike, then the next value of every state. It is called once with
        symbols; it may use arithmetic, comparisons and the functions of :mod:`spikesim.equations.primitives`.
    name
        Name of the model; the function's name by default.
    state
        Names and initial values of the states, in the order of the arguments; ``{"v": 0.0}`` by default.
        The remaining arguments but the last are input ports.
    constants
        ``constants(p, dt)``: step constants from parameters, for example ``{"alpha": exp(-dt / p.tau)}``.
    params, **more
        Parameters and their defaults.
    options
        Choices behind the equations, for people and exporters.
    doc
        One line; the first line of the function's docstring by default.

    Returns
    -------
    NeuronModel

    Raises
    ------
    UnsupportedError
        If the function uses something that cannot be compiled.

    Examples
    --------
    >>> from spikesim import neuron, spike
    >>> @neuron(alpha=0.9, v_th=1.0)
    ... def my_lif(v, i, p):
    ...     u = p.alpha * v + i
    ...     s = spike(u - p.v_th)
    ...     return s, u - p.v_th * s
    >>> my_lif.inputs, sorted(my_lif.params)
    (('i',), ['alpha', 'v_th'])
    """
    if step is None:
        return lambda function: neuron(
            function, name=name, state=state, constants=constants, params=params, options=options, doc=doc, **more
        )
    states = {k: v if isinstance(v, State) else State(float(v)) for k, v in (state or {"v": 0.0}).items()}
    values = {k: v if isinstance(v, Param) else Param(float(v)) for k, v in {**(params or {}), **more}.items()}
    label = name or str(getattr(step, "__name__", "neuron"))
    arguments = list(inspect.signature(step).parameters)
    inputs = tuple(arguments[len(states) : -1])
    if arguments[: len(states)] != list(states) or not arguments:
        raise InvalidValueError(
            f"neuron {label!r}: the arguments of step must begin with the states {list(states)} and end with "
            f"p, found {arguments}"
        )
    derived = _trace_constants(label, constants, values)
    _check_names(label, [*states, *inputs, *values, *derived.outputs])
    dynamics = _trace_step(label, step, list(states), inputs, [*values, *derived.outputs, "dt"])
    line = doc or (inspect.getdoc(step) or "").split("\n")[0]
    return NeuronModel(label, states, inputs, values, derived, dynamics, line, dict(options or {}))


def _check_names(label: str, names: list[str]) -> None:
    """Raise if one name stands for two things; equations would be ambiguous to read and to print."""
    for name in names:
        if names.count(name) > 1 or name in ("spike", "dt"):
            raise InvalidValueError(
                f"neuron {label!r}: the name {name!r} has two meanings among states, inputs, parameters and step "
                f"constants ('spike' and 'dt' are taken); rename one"
            )


class _Values(SimpleNamespace):
    """What ``p`` is inside a step function; an unknown name gets a clear answer."""

    def __getattr__(self, name: str) -> Any:
        raise UnknownNameError("parameter or step constant", name, list(vars(self)))


def _trace_constants(
    label: str, function: Callable[..., Mapping[str, Any]] | None, params: Mapping[str, Param]
) -> Expressions:
    tape = Tape()
    dt = tape.symbol("param", "dt")
    values = _Values(**{n: tape.symbol("param", n) for n in params})
    try:
        results = function(values, dt) if function is not None else {}
    except (UnsupportedError, UnknownNameError, InvalidValueError) as error:
        error.args = (f"neuron {label!r}: {error}",)
        raise
    overlap = set(results) & {*params, "dt"}
    if overlap:
        raise InvalidValueError(
            f"neuron {label!r}: step constant {min(overlap)!r} has the name of a parameter; rename it"
        )
    return tape.finish({n: dt.lift(v) for n, v in results.items()})


def _trace_step(
    label: str, step: Callable[..., Any], states: list[str], inputs: tuple[str, ...], names: list[str]
) -> Expressions:
    tape = Tape()
    arguments = [*(tape.symbol("state", n) for n in states), *(tape.symbol("input", n) for n in inputs)]
    p = _Values(**{n: tape.symbol("param", n) for n in names})
    try:
        results = step(*arguments, p)
    except (UnsupportedError, UnknownNameError, InvalidValueError) as error:
        error.args = (f"neuron {label!r}: {error}",)
        raise
    results = results if isinstance(results, tuple) else (results,)
    if len(results) != 1 + len(states):
        raise InvalidValueError(
            f"neuron {label!r}: step must return the spike and the next {states}, that is {1 + len(states)} "
            f"values, found {len(results)}"
        )
    lift = p.dt.lift
    return tape.finish({"spike": lift(results[0]), **{n: lift(r) for n, r in zip(states, results[1:], strict=True)}})


__all__ = ["Neuron", "NeuronModel", "Param", "State", "Symbol", "neuron"]
