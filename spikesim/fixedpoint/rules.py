"""A plasticity rule of the library -> a rule of Loihi's learning engine, if its events are sums of products.

The events are evaluated with polynomials, whoever wrote the rule. Two clocks differ: the library's source trace grows
when a spike arrives, the chip's when it is sent, a step before; and the chip's traces hold the present spike. Both are
made up for in the coefficients, with a product of ``x0 y0`` for the pairs that fall into one step. What is left
is the rounding of coefficients to ``mantissa 2^exponent``, which is reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikesim.errors import UnsupportedError
from spikesim.fixedpoint.learning import LoihiRule
from spikesim.fixedpoint.polynomial import OPERATIONS, NotPolynomial, Polynomial
from spikesim.fixedpoint.rule_text import (
    EXPONENT_HIGH,
    EXPONENT_LOW,
    MANTISSA_HIGH,
    VARIABLES,
    Factor,
    Product,
    sum_text,
)
from spikesim.synapse import Plasticity

IMPULSES = range(4, 41)  # whole impulses that leave room for several spikes below 127
MOST_ERROR = 0.4  # of a coefficient; beyond it the rule is another one
TAG_JUMP = 32.0  # what one spike adds to a tag at most, of 255
EVENTS = {"on_pre": "x0", "on_post": "y0", "on_reward": "u"}


@dataclass(frozen=True, eq=False)
class ChipRule:
    """A rule brought to the chip.

    Parameters
    ----------
    rule
        For ``Projection(..., plasticity=...)`` of a network in fixed point.
    scale
        Integer weight units per float unit.
    errors
        Relative rounding error of each product's coefficient, by its text.
    notes
        What else differs from the rule in floats, one sentence each.
    """

    rule: LoihiRule
    scale: float
    errors: Mapping[str, float]
    notes: tuple[str, ...]


def chip_rule(plasticity: Plasticity, dt: float, *, scale: float | None = None, arithmetic: str = "fixed") -> ChipRule:
    """Bring a plasticity rule to Loihi's learning engine.

    Parameters
    ----------
    plasticity
        A rule whose events add and multiply: pairs and triplets, weight dependence, reward with an eligibility,
        homeostasis; ready-made (:mod:`spikesim.models.synapses`) or a user's own.
    dt
        Time step of the network in seconds.
    scale
        Integer weight units per float unit, of the population it leads to (``Quantised.populations[name].scale``); by
        default such that ``w_max`` is the chip's largest weight.
    arithmetic
        As in :class:`~spikesim.fixedpoint.learning.LoihiRule`.

    Returns
    -------
    ChipRule

    Raises
    ------
    UnsupportedError
        If the rule is no sum of products on the chip; all reasons are listed.

    Examples
    --------
    >>> from spikesim.models.synapses import stdp_pair
    >>> made = chip_rule(stdp_pair(w_max=0.5), 1e-3)
    >>> made.rule.learned, made.rule.x1_tau, max(made.errors.values()) < 0.07
    (('w',), 20.0, True)
    """
    mapping = _Mapping(plasticity, dt, scale, arithmetic)
    if mapping.problems:
        raise UnsupportedError(mapping.problems, f"synapse {plasticity.model.name!r} cannot learn on Loihi:")
    return mapping.result()


class _Mapping:
    """One rule on its way."""

    def __init__(self, plasticity: Plasticity, dt: float, scale: float | None, arithmetic: str) -> None:
        self.given, self.model, self.dt, self.arithmetic = plasticity, plasticity.model, dt, arithmetic
        self.params = {n: plasticity.value(n) for n in self.model.params}
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.amplitude: dict[str, float] = {}
        self.changes: dict[tuple[str, str], Polynomial] = {}  # (what changes, event) -> by how much
        self.names = self._names()
        self.problems += self._read()
        self.scale = self._scale(scale) if not self.problems else 1.0

    def _names(self) -> dict[str, str]:
        """Give traces and the state their names on the chip."""
        model = self.model
        posts = ["y1", "y3"] if self.given.modulator else ["y1", "y2", "y3"]
        for what, has, found in (
            ("traces of the source", 2, model.pre),
            ("traces of the target", len(posts), model.post),
        ):
            if len(found) > has:
                self.problems.append(f"it has {len(found)} {what}, the chip {has}")
        if len(model.states) > 1:
            self.problems.append(f"it has the states {', '.join(model.states)}, the chip one tag per synapse")
        names = {f"pre_{n}": x for n, x in zip(model.pre, ("x1", "x2"), strict=False)}
        names |= {f"post_{n}": y for n, y in zip(model.post, posts, strict=False)}
        return names | dict.fromkeys(list(model.states)[:1], "t")

    def _read(self) -> Iterator[str]:
        """Evaluate the events; yield what the chip cannot do."""
        if not self.model.learns:
            yield "it changes what is sent and not the weight; the chip sends the weight"
        for event, expressions in self.model.events.items():
            numbers = {n: Polynomial.of(v) for n, v in {**self.params, "dt": self.dt}.items()}
            unknown = {n: Polynomial.of(n) for n in ("w", *self.model.states, *self.model.decaying, "reward")}
            try:
                found = expressions.evaluate({"param": numbers, "state": unknown, "input": unknown}, OPERATIONS)
            except NotPolynomial as reason:
                yield f"{event}: {reason}, and the chip adds and multiplies"
                continue
            yield from self._event(event, found)

    def _event(self, event: str, found: Mapping[str, Polynomial]) -> Iterator[str]:
        if event == "send":
            if found["sent"] != Polynomial.of("w"):
                yield (
                    "send: it delivers something other than the weight; a projection of its own can hold what changes, "
                    "as in spikesim.fixedpoint.fast_weights"
                )
            return
        for name, value in found.items():
            change = value + Polynomial.of(name).times(-1.0)
            if event.endswith("_spike"):
                if change.number is None or change.number <= 0:
                    yield f"{event}: the trace {name!r} does not grow by a fixed number; the chip's do (pairing='all')"
                self.amplitude[name] = change.number or 1.0
            elif change.terms:
                if event == "on_reward" and any("reward" not in m for m in change.terms):
                    yield f"on_reward: {name!r} changes by something that is not in proportion to the reward"
                self.changes["w" if name == "w" else "t", event] = change

    def _scale(self, scale: float | None) -> float:
        low, high = self.params["w_min"], self.params["w_max"]
        self.sign_mode = "excitatory" if low >= 0 else "inhibitory" if high <= 0 else "mixed"
        ends = {"excitatory": (0, 255), "inhibitory": (-255, 0), "mixed": (-256, 255)}[self.sign_mode]
        scale = scale or 255 / max(abs(low), abs(high))
        if abs(low * scale - ends[0]) > 1 or abs(high * scale - ends[1]) > 1:
            self.notes.append(
                f"weights are kept within {ends[0]}..{ends[1]}, that is {ends[0] / scale:g}..{ends[1] / scale:g}, "
                f"and not within w_min..w_max = {low:g}..{high:g}"
            )
        return scale

    def _steps(self, name: str) -> float:
        return self.params[self.model.decaying[name]] / self.dt

    def _shift(self, name: str, steps: float) -> float:
        """Return what a trace grows by when it is read some steps earlier."""
        tau = self._steps(name)
        return float(np.exp(steps / tau)) if tau else 1.0

    def _values(self, event: str, impulses: Mapping[str, int], tag: float) -> dict[str, Polynomial]:
        """Return what the library's unknowns are in terms of the chip's."""
        found = {"w": Polynomial.of("w").times(1 / self.scale), "reward": Polynomial.of("y2")}
        for name, chip in self.names.items():
            if chip == "t":
                found[name] = Polynomial.of("t").times(1 / tag)
                continue
            impulse, source = impulses[chip], name.startswith("pre_")
            value, own = Polynomial.of(chip), float(-impulse)
            if source == (event == "on_pre"):
                value = value.plus(own)  # without the present spike
            elif source:
                value = (value + Polynomial.of("x0").times(own)).times(self._shift(name, 1))
            else:
                value = value.times(self._shift(name, -1))
            found[name] = value.times(self.amplitude[name] / impulse)
        return found

    def _products(self, impulses: Mapping[str, int]) -> tuple[dict[str, list[Product]], dict[str, float]]:
        """Round every coefficient; return the products by what they change, and their relative errors."""
        products: dict[str, list[Product]] = {"w": [], "t": []}
        errors: dict[str, float] = {}
        tag = self._tag()
        wanted = {
            key: change.put(self._values(key[1], impulses, tag)).times(self.scale if key[0] == "w" else tag)
            for key, change in self.changes.items()
        }
        if self.model.states:
            (state,) = self.model.states
            wanted["t", "on_reward"] = Polynomial({("t",): -(1 - 1 / self._shift(state, 1))})
        for (target, event), polynomial in wanted.items():
            for monomial, coefficient in _once(polynomial).items():
                product, error = self._rounded(EVENTS[event], monomial, coefficient)
                products[target].append(product)
                errors[f"d{target}: {product}"] = error
        return products, errors

    def _cost(self, impulses: Mapping[str, int]) -> tuple[float, int]:
        """Return the sum of squared rounding errors, and the impulses: small ones leave room before traces saturate.

        The products of ``y0 x0`` are for the few pairs of one step, so their errors count a tenth.
        """
        errors = self._products(impulses)[1].items()
        return round(sum((e * (0.1 if "y0*x0" in text else 1.0)) ** 2 for text, e in errors), 6), sum(impulses.values())

    def _tag(self) -> float:
        """Return the unit of the tag: a power of 2 with which one spike adds at most 32."""
        jumps = [
            abs(c) * float(np.prod([self.amplitude.get(n, 1.0) for n in m]))
            for (target, _), change in self.changes.items()
            for m, c in change.terms.items()
            if target == "t"
        ]
        return float(2.0 ** np.floor(np.log2(TAG_JUMP / max(jumps)))) if jumps else 1.0

    def _rounded(self, dependency: str, monomial: tuple[str, ...], coefficient: float) -> tuple[Product, float]:
        factors = tuple(Factor(v) for v in sorted(monomial, key=VARIABLES.index))
        period = 0 if dependency == "u" else None
        shape = Product(dependency, 1, 0, factors, period)
        lost = shape.lost_bits if self.arithmetic == "fixed" else 0
        mantissa, exponent = nearest_scale(abs(coefficient), lost)
        error = abs(mantissa * 2.0 ** (exponent - lost) / abs(coefficient) - 1)
        sign = -1 if coefficient < 0 else 1
        return Product(dependency, sign * mantissa, exponent, factors, period), float(error)

    def result(self) -> ChipRule:
        """Choose impulses with the least rounding error, trace by trace, and write the rule."""
        impulses = {chip: 16 for chip in self.names.values() if chip != "t"}
        for chip in impulses:
            impulses[chip] = min(IMPULSES, key=lambda k: self._cost({**impulses, chip: k}))
        products, errors = self._products(impulses)
        wrong = {text: e for text, e in errors.items() if e > MOST_ERROR}
        far = [f"the coefficient of {text} is off by {e:.0%}; choose other rates" for text, e in wrong.items()]
        if far:
            raise UnsupportedError(far, f"synapse {self.model.name!r} cannot learn on Loihi:")
        for name, chip in self.names.items():
            if chip != "t" and self.arithmetic == "fixed":
                room = 127 // impulses[chip]
                self.notes.append(f"{chip} ({name}) saturates at 127, {room} spikes within its time constant")
        if self.model.states:
            self.notes.append("a reward acts on the tag of the step before")
        values: dict[str, Any] = {f"{chip}_impulse": float(k) for chip, k in impulses.items()}
        values |= {f"{chip}_tau": self._steps(name) for name, chip in self.names.items() if chip != "t"}
        texts: dict[str, Any] = {f"d{v}": sum_text(tuple(ps)) for v, ps in products.items() if ps}
        rule = LoihiRule(
            **texts, **values, modulator=self.given.modulator, sign_mode=self.sign_mode, arithmetic=self.arithmetic
        )
        return ChipRule(rule, self.scale, errors, tuple(self.notes))


def nearest_scale(wanted: float, lost: int) -> tuple[int, int]:
    """Return the chip's mantissa and exponent nearest to a coefficient of a product that loses so many bits.

    Of equal ones a wide product takes the smallest exponent: its bits are dropped before it is shifted by that.
    """
    options = [(m, e) for m in range(1, MANTISSA_HIGH + 1) for e in range(EXPONENT_LOW, EXPONENT_HIGH + 1)]
    return min(options, key=lambda o: (abs(o[0] * 2.0 ** (o[1] - lost) - wanted), o[1] if lost else 0))


def _once(polynomial: Polynomial) -> dict[tuple[str, ...], float]:
    """Write ``x0 x0`` as ``x0``, and drop what cancels but for rounding."""
    found: dict[tuple[str, ...], float] = {}
    for monomial, c in polynomial.terms.items():
        rest = tuple(n for n in monomial if n != "x0")
        key = (("x0",) if "x0" in monomial else ()) + rest
        found[key] = found.get(key, 0.0) + c
    largest = max(map(abs, found.values()), default=0.0)
    return {m: c for m, c in found.items() if abs(c) > 1e-12 * largest}
