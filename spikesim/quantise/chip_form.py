"""Does a neuron's equations match what the chip has? Found by calculation with affine forms, whoever wrote the neuron.

Loihi's neuron (Davies 2018; Lava's ``LIF``) is, in real numbers and with ``v`` at rest at 0::

    u' = a_u u + i
    v' = a_v v + u' + b
    spike if v' > v_th;   then v' = 0 (hard), or v' - q (soft: Loihi 2 microcode, or Lava with a custom process)

A neuron with one state is the case ``a_u = 0``. The step is evaluated with its states and inputs as unknowns, once
without and once with a spike; if both results are affine, their coefficients are the chip's parameters.

Neurons of a population may differ in their bias, in nothing else.

A reset in the next step (``timing="next"``, snnTorch's default) is one at once: what the next step makes of the reset
membrane is traced back through the leak. A soft reset by ``q`` becomes one by ``q / a_v``; the spikes are the same.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.graph import Node
from spikesim.quantise.refractory import counter_of, refractory_steps

TOLERANCE = 1e-9


class _NotAffine(Exception):
    """The step does something that the chip's neuron does not."""


class _Varies(Exception):
    """A value that differs from neuron to neuron does more than shift the voltage."""


@dataclass(frozen=True, eq=False)
class Affine:
    """``constant + sum of coefficient * unknown``; the constant may be one value per neuron."""

    constant: Any
    terms: Mapping[str, float]

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, Affine) and self.terms == other.terms
        return same and np.array_equal(self.constant, other.constant)  # type: ignore[attr-defined]

    def is_number(self) -> bool:
        """Whether no unknown is in it."""
        return not self.terms

    def scaled(self, factor: Any) -> Affine:
        """Return a multiple."""
        if self.terms and np.ndim(factor):
            raise _Varies
        return Affine(self.constant * factor, {k: c * factor for k, c in self.terms.items() if c * factor})

    def plus(self, other: Affine) -> Affine:
        """Return the sum."""
        terms = dict(self.terms)
        for name, coefficient in other.terms.items():
            terms[name] = terms.get(name, 0.0) + coefficient
        return Affine(self.constant + other.constant, {k: c for k, c in terms.items() if c})

    def of(self, name: str) -> float:
        """Return the coefficient of an unknown."""
        return self.terms.get(name, 0.0)


@dataclass(frozen=True)
class ChipForm:
    """A neuron as the chip sees it, with ``v`` shifted so that it rests at 0.

    Parameters
    ----------
    current, voltage
        Names of the states that play ``u`` and ``v``; ``current`` is None where there is none.
    current_keep, voltage_keep
        Fractions kept in a step (``a_u``, ``a_v``).
    gain
        What one unit of input adds to ``u`` (or to ``v`` where there is no ``u``), times what ``u`` adds to ``v``.
    bias
        Added to ``v`` in every step: one number, or one per neuron.
    threshold
        Relative to rest; fires strictly above.
    reset
        ``"hard"``, ``"soft"`` or ``"none"``.
    quantum
        What a soft reset subtracts.
    rest
        The level that was shifted to 0.
    coupling
        What one unit of the current adds to ``v``.
    refractory
        Steps from a spike to the next possible one.
    """

    current: str | None
    voltage: str
    current_keep: float
    voltage_keep: float
    gain: float
    bias: float | NDArray[np.float64]
    threshold: float
    reset: str
    quantum: float
    rest: float
    coupling: float
    refractory: int = 1


def _number(values: Any) -> Any:
    """Return one number, or one per neuron as float64."""
    array = np.asarray(values, np.float64)
    return array if array.ndim else float(array)


def _binary(number_op: Callable[[float, float], Any]) -> Callable[[Affine, Affine], Affine]:
    def apply(a: Affine, b: Affine) -> Affine:
        if a.is_number() and b.is_number():
            return Affine(_number(np.vectorize(number_op)(a.constant, b.constant)), {})
        raise _NotAffine("it compares or limits a value that changes")

    return apply


def _unary(name: str, number_op: Callable[[float], Any]) -> Callable[[Affine], Affine]:
    def apply(a: Affine) -> Affine:
        if a.is_number():
            return Affine(_number(np.vectorize(number_op)(a.constant)), {})
        raise _NotAffine(f"it uses {name} of a state or an input")

    return apply


def _multiply(a: Affine, b: Affine) -> Affine:
    if a.is_number():
        return b.scaled(a.constant)
    if b.is_number():
        return a.scaled(b.constant)
    raise _NotAffine("it multiplies two values that change")


def _divide(a: Affine, b: Affine) -> Affine:
    if b.is_number() and np.all(b.constant):
        return a.scaled(1.0 / b.constant)
    raise _NotAffine("it divides by a value that changes")


def _choose(condition: Affine, a: Affine, b: Affine) -> Affine:
    if not condition.is_number():
        raise _NotAffine("it chooses by a value other than its own spike")
    if np.ndim(condition.constant):
        raise _Varies
    return a if condition.constant > 0 else b


# of plain numbers these are computed; of values that change the chip's neuron has none
UNARY: dict[str, Callable[[float], Any]] = {
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "sqrt": np.sqrt,
    "abs": abs,
    "floor": np.floor,
    "not": operator.not_,
}
BINARY: dict[str, Callable[[float, float], Any]] = {
    "min": min,
    "max": max,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
    "eq": operator.eq,
    "and": lambda a, b: a and b,
    "or": lambda a, b: a or b,
}


def _ops(outcomes: tuple[float, ...], arguments: list[Affine]) -> dict[str, Callable[..., Affine]]:
    """Arithmetic on affine forms, in which spikes have the given outcomes (the last one from then on).

    Collects what spikes are tested on.
    """

    def spike(x: Affine) -> Affine:
        arguments.append(x)
        return Affine(outcomes[min(len(arguments), len(outcomes)) - 1], {})

    return {
        "const": lambda x: Affine(float(x), {}),
        "add": lambda a, b: a.plus(b),
        "sub": lambda a, b: a.plus(b.scaled(-1.0)),
        "neg": lambda a: a.scaled(-1.0),
        "mul": _multiply,
        "div": _divide,
        "detach": lambda a: a,
        "spike": spike,
        "where": _choose,
        **{name: _unary(name, function) for name, function in UNARY.items()},
        **{name: _binary(function) for name, function in BINARY.items()},
    }


def chip_form(node: Node) -> tuple[ChipForm | None, list[str]]:
    """Match a population's neuron with the chip's.

    Parameters
    ----------
    node
        A lowered population.

    Returns
    -------
    form
        The chip's parameters, or None.
    reasons
        Why it does not match, one sentence each.
    """
    who = f"population {node.name!r} (neuron {node.model.name!r})"
    if node.model.name == "loihi_lif":
        return None, [f"{who} is in fixed point already"]
    if len(node.model.inputs) != 1:
        return None, [f"{who}: the chip's neuron has one input, this one has {list(node.model.inputs)}"]
    try:
        counter = counter_of(node.model.states)
        silent, fired, tested = _both_outcomes(node, counter)
        form, reasons = _assemble(node, silent, fired, tested)
        if form is not None and counter is not None:
            form, reasons = _with_refractory(node, counter, form)
    except _NotAffine as reason:
        return None, [f"{who}: {reason}, which the chip's neuron cannot"]
    except _Varies:
        varying = {n: len(np.unique(v)) for n, v in node.constants.items() if np.ndim(v) and len(np.unique(v)) > 1}
        return None, [
            f"{who}: the chip has one value of {n!r} per population, found {k} different ones; "
            "split it into populations"
            for n, k in varying.items()
        ]
    return form, [f"{who}: {r}" for r in reasons]


def _one_or_all(values: Any) -> Any:
    array = np.asarray(values, np.float64)
    return array if array.ndim and len(np.unique(array)) > 1 else float(array.ravel()[0])


def _same(values: Any) -> float:
    """Return the number that all neurons share."""
    if np.ptp(values) > TOLERANCE * max(1.0, float(np.abs(values).max())):
        raise _Varies
    return float(np.ravel(values)[0])


def _step_of(node: Node, counter: str | None, waiting: float) -> Callable[..., tuple[dict[str, Affine], list[Affine]]]:
    """Return a function from outcomes of spikes to the results of a step and to what the spikes were tested on."""
    numbers = {n: Affine(_one_or_all(v), {}) for n, v in node.constants.items()}
    states = {n: Affine(waiting, {}) if n == counter else Affine(0.0, {n: 1.0}) for n in node.model.states}
    leaves = {"param": numbers, "state": states, "input": {n: Affine(0.0, {n: 1.0}) for n in node.model.inputs}}

    def step(*outcomes: float) -> tuple[dict[str, Affine], list[Affine]]:
        tested: list[Affine] = []
        return node.model.dynamics.evaluate(leaves, _ops(outcomes, tested)), tested

    return step


def _with_refractory(node: Node, counter: str, form: ChipForm) -> tuple[ChipForm | None, list[str]]:
    level = form.rest if form.reset == "hard" else None
    steps, reason = refractory_steps(node, counter, lambda k, s: _step_of(node, counter, k)(s)[0], form.voltage, level)
    return (None, [reason]) if reason else (replace(form, refractory=steps), [])


def _both_outcomes(node: Node, counter: str | None) -> tuple[dict[str, Affine], dict[str, Affine], Affine]:
    step = _step_of(node, counter, 0.0)
    silent, tested = step(0.0)
    if len(tested) == 2:
        return silent, _reset_at_once(silent, step(0.0, 1.0)[0], step(1.0, 0.0)[0], *tested), tested[1]
    if len(tested) != 1:
        raise _NotAffine(f"it tests for a spike {len(tested)} times a step")
    return silent, step(1.0)[0], tested[0]


def _reset_at_once(
    silent: dict[str, Affine], fired: dict[str, Affine], reset: dict[str, Affine], before: Affine, now: Affine
) -> dict[str, Affine]:
    """Return what a spike leaves of the states if its reset is not put off to the next step.

    Parameters
    ----------
    silent, fired, reset
        The states after a step: without a spike; with one; with one in the step before.
    before, now
        What the two spikes are tested on: the stored voltage, then the new one.
    """
    names = {*before.terms, "spike"}
    voltage = next(iter(before.terms), "")
    level = silent[voltage].plus(now.scaled(-1.0)) if voltage in silent else now
    keep = silent[voltage].of(voltage) if voltage in silent else 0.0
    stays = all(fired[n] == silent[n] and reset[n] == silent[n] for n in silent if n not in names)
    same = (
        before.terms == {voltage: 1.0}
        and level.is_number()
        and abs(_same(level.constant + before.constant)) < TOLERANCE
    )
    if len(before.terms) != 1 or not (same and stays and keep) or fired[voltage] != silent[voltage]:
        raise _NotAffine("it tests for a spike 2 times a step, for more than a reset in the next step")
    difference = reset[voltage].plus(silent[voltage].scaled(-1.0))
    if not {*difference.terms} <= {voltage}:
        raise _NotAffine("the step after a spike does without its input")
    # the next step makes keep * w of the voltage w after the reset, and of this one keep * v + difference
    left = 1.0 + difference.of(voltage) / keep
    left = 0.0 if abs(left) < TOLERANCE else left
    return {**silent, voltage: silent[voltage].scaled(left).plus(Affine(difference.constant / keep, {}))}


def _assemble(
    node: Node, silent: dict[str, Affine], fired: dict[str, Affine], tested: Affine
) -> tuple[ChipForm | None, list[str]]:
    port = node.model.inputs[0]
    states = [n for n in node.model.states if n != counter_of(node.model.states)]
    if len(states) > 2:
        return None, [f"the chip's neuron has a current and a voltage, this one has the states {states}"]
    tested_ones = [n for n in states if silent[n].terms == tested.terms]
    # a voltage that keeps nothing does not stand in its own new value; states are declared before what they feed
    voltage = next((n for n in tested_ones if tested.of(n)), tested_ones[-1] if tested_ones else None)
    if voltage is None:
        return None, ["the spike must be tested on the new value of one state, before its reset"]
    current = next((n for n in states if n != voltage), None)
    v = silent[voltage]
    keep = v.of(voltage)
    if not 0.0 <= keep <= 1.0 + TOLERANCE:
        return None, [f"the chip keeps 0 .. 1 of the voltage in a step, found {keep:g}"]
    if current is None:
        current_keep, gain, coupling = 0.0, v.of(port), 1.0
    else:
        u = silent[current]
        if u.of(voltage) or np.any(u.constant) or fired[current] != u:
            return None, [f"the chip's current decays and adds its input, nothing else; {current!r} does more"]
        current_keep, passed = u.of(current), u.of(port)
        # v' must take u' itself (the new current): coefficients of u and of the input stand in one ratio
        coupling = v.of(port) / passed if passed else 0.0
        if abs(v.of(current) - coupling * current_keep) > TOLERANCE * max(1.0, abs(coupling)):
            return None, ["the chip's voltage adds the new current of the same step"]
        gain = v.of(port)
        if not 0.0 <= current_keep < 1.0:
            return None, [f"the chip keeps 0 .. 4095/4096 of the current in a step, found {current_keep:g}"]
    if gain == 0.0:
        return None, ["the input does not reach the voltage"]
    return _with_reset(voltage, current, current_keep, keep, gain, coupling, v, fired[voltage], tested)


def _with_reset(
    voltage: str,
    current: str | None,
    current_keep: float,
    keep: float,
    gain: float,
    coupling: float,
    v: Affine,
    after: Affine,
    tested: Affine,
) -> tuple[ChipForm | None, list[str]]:
    level = _same(v.constant - tested.constant)  # fires when v' > level
    difference = after.plus(v.scaled(-1.0))
    if after.is_number():
        reset, quantum, rest = "hard", 0.0, _same(after.constant)
    elif all(abs(c) < TOLERANCE for c in difference.terms.values()):
        quantum = -_same(difference.constant)
        shared = keep < 1.0 and not np.ndim(v.constant)  # each neuron may rest elsewhere, but there is one threshold
        rest = v.constant / (1.0 - keep) if shared else 0.0
        rest = rest if rest < level else 0.0  # a bias that makes it fire by itself stays a bias
        reset = "soft" if quantum else "none"
    else:
        return None, ["the reset must set the voltage to a value or subtract a fixed quantum"]
    bias = v.constant - rest * (1.0 - keep)
    if level - rest <= 0:
        return None, [f"the threshold must lie above the level that v is shifted to, found {level - rest:g}"]
    return ChipForm(
        current=current,
        voltage=voltage,
        current_keep=current_keep,
        voltage_keep=keep,
        gain=gain,
        bias=bias,
        threshold=level - rest,
        reset=reset,
        quantum=quantum,
        rest=rest,
        coupling=coupling,
    ), []
