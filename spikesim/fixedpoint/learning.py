"""A rule of Loihi's learning engine: sums of products that change the weight, the delay and the tag of a synapse.

::

    every step    a spike of the source adds its impulses to x1, x2; one of the target adds its impulses to y1, y2, y3
                  every trace decays by exp(-1 / tau), tau in steps
    every epoch   w += dw,  d += dd,  t += dt         all three from the values before

Order within an epoch of ``t_epoch`` steps, as in lava-nc 0.10.0: the traces go through its steps, decaying first and
then taking the impulse; a product with ``x0`` reads them at the source's last spike of the epoch, one with ``y0`` at
the target's, one with ``uK`` at the end. A source's spike counts when it is sent, a step before it reaches the target.

Reference: Davies et al., "Loihi: A Neuromorphic Manycore Processor with On-Chip Learning", IEEE Micro 38:82, 2018;
lava-nc 0.10.0, ``lava.magma.core.learning`` and ``lava.magma.core.model.py.connection``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import NetworkError
from spikesim.fixedpoint.rule_text import (
    EXPONENT_HIGH,
    EXPONENT_LOW,
    MANTISSA_HIGH,
    TRACES,
    Product,
    RuleSyntaxError,
    parse,
    sum_text,
)
from spikesim.fixedpoint.weights import SIGN_MODES
from spikesim.rng import Stream
from spikesim.value import Value

Arithmetic = Literal["fixed", "float"]
TARGETS = {"dw": "w", "dd": "d", "dt": "t"}
TRACE_HIGH = 127  # 7 bits
EPOCH_HIGH = 63  # 6 bits
DELAY_HIGH = 62
# Random numbers of a step: for the traces of source and target, a target's second spike in an epoch, the synapses, and
# the traces that the target's neurons keep where a modulator is.
DRAW_NAMES = ("x decay", "x impulse", "y decay", "y impulse", "y again", "synapse", "own decay", "own impulse")
DRAWS, OWN_DECAY = len(DRAW_NAMES), DRAW_NAMES.index("own decay")
# What a rule with a modulator lets the target's traces decay by on their way, in steps (Loihi3FLearningRule).
THIRD_FACTOR_TAU = 65535.0


@dataclass(frozen=True, eq=False)
class LoihiRule(Value):
    """A learning rule of Loihi; what ``Projection(..., plasticity=...)`` takes for the backends ``loihi`` and ``lava``.

    Parameters
    ----------
    dw, dd, dt
        How weight, delay and tag change: sums of products (:mod:`spikesim.fixedpoint.rule_text`). The delay of a
        synapse is a number that rules may use; it delays nothing, as in Lava.
    x1_impulse, x2_impulse, y1_impulse, y2_impulse, y3_impulse
        What a spike adds to a trace, 0..127.
    x1_tau, x2_tau, y1_tau, y2_tau, y3_tau
        Time constants of the traces in steps; 0 forgets at once.
    t_epoch
        Steps of a learning epoch, 1..63.
    modulator
        Name of a source or population that is the third factor: ``y2`` is then `modulator_weight` times its output
        (spikes or whole numbers), summed over its elements and the steps of the epoch.
    modulator_weight
        Whole number, -256..255.
    modulator_delay
        Steps by which the modulator acts later, 0..62. 1 or more where the targets of the projection drive it.
    sign_mode
        ``"mixed"``, ``"excitatory"`` or ``"inhibitory"``: a weight never leaves it. ``"auto"`` is what the first
        weights have in common.
    arithmetic
        ``"fixed"``: Lava's bit-approximate one, with 7-bit traces, 9-bit weights and tags and stochastic rounding.
        ``"float"``: no rounding and no ranges; a synapse then sends its rounded weight.

    Raises
    ------
    NetworkError
        If the rule cannot be read or exceeds the chip; all problems are listed.

    Notes
    -----
    In fixed point a product whose factors have together more than 11 bits (``t * y2`` has 16) counts as divided by
    ``2^lost_bits`` (:attr:`spikesim.fixedpoint.rule_text.Product.lost_bits`), as in Lava.

    Examples
    --------
    >>> LoihiRule(dw="y0*x1 - x0*y1", x1_impulse=16, x1_tau=10, y1_impulse=16, y1_tau=10).learned
    ('w',)
    """

    dw: str = ""
    dd: str = ""
    dt: str = ""
    x1_impulse: float = 0.0
    x1_tau: float = 0.0
    x2_impulse: float = 0.0
    x2_tau: float = 0.0
    y1_impulse: float = 0.0
    y1_tau: float = 0.0
    y2_impulse: float = 0.0
    y2_tau: float = 0.0
    y3_impulse: float = 0.0
    y3_tau: float = 0.0
    t_epoch: int = 1
    modulator: str = ""
    modulator_weight: int = 1
    modulator_delay: int = 0
    sign_mode: str = "auto"
    arithmetic: str = "fixed"

    def __post_init__(self) -> None:
        problems = list(_problems(self))
        if problems:
            raise NetworkError(problems, f"this learning rule has {len(problems)} problems:")

    @cached_property
    def products(self) -> Mapping[str, tuple[Product, ...]]:
        """The products by what they change (``"w"``, ``"d"``, ``"t"``), only those that there are."""
        return {variable: parse(getattr(self, name)) for name, variable in TARGETS.items() if getattr(self, name)}

    @property
    def learned(self) -> tuple[str, ...]:
        """What changes, of ``"w"``, ``"d"``, ``"t"``."""
        return tuple(self.products)

    @property
    def period(self) -> int | None:
        """K of ``uK``, or None if no product has it."""
        return next((p.period for ps in self.products.values() for p in ps if p.period is not None), None)

    @property
    def texts(self) -> dict[str, str | None]:
        """``dw``, ``dd``, ``dt`` in a form that Lava's parser reads as they are meant; None for those left out."""
        return {name: sum_text(self.products[v]) if v in self.products else None for name, v in TARGETS.items()}

    @property
    def third_factor(self) -> bool:
        """Whether a modulator gives ``y2``; the target's neuron then keeps y1 and y3."""
        return bool(self.modulator)

    def trace_arrays(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """Return for x1, x2, y1, y2, y3 what a step keeps, and the impulse: its whole part and its fraction in 256ths.

        In float arithmetic the first part is all of the impulse.
        """
        tau, impulse = (np.array([getattr(self, f"{t}_{n}") for t in TRACES], float) for n in ("tau", "impulse"))
        keep = np.exp(-1.0 / np.where(tau > 0, tau, 1.0)) * (tau > 0)
        if self.arithmetic == "float":
            return keep, impulse, np.zeros(len(TRACES), np.int64)
        whole = np.floor(impulse)
        return keep, whole, np.rint((impulse - whole) * 256).astype(np.int64)


def _problems(rule: LoihiRule) -> Iterator[str]:
    products: list[Product] = []
    for name in TARGETS:
        text = getattr(rule, name)
        if not isinstance(text, str):
            yield f"{name} must be text, found {text!r}"
        elif text.strip():
            try:
                products += parse(text)
            except RuleSyntaxError as error:
                yield f"{name} = {text!r}: {error}"
        elif text:
            yield f"{name} is blank; leave it out"
    if not any(getattr(rule, name) for name in TARGETS):
        yield "none of dw, dd, dt is given; say what changes"
    yield from _product_problems(rule, products)
    yield from _number_problems(rule)
    reads_y2 = any(f.variable == "y2" for p in products for f in p.factors)
    if rule.modulator and not reads_y2:
        yield f"the modulator {rule.modulator!r} is y2, which no product reads; use y2 or leave `modulator` out"
    if rule.modulator and (rule.y2_impulse or rule.y2_tau):
        yield "y2 is the modulator's, so it has no impulse and no time constant of its own; use y1 or y3 for a trace"


def _product_problems(rule: LoihiRule, products: list[Product]) -> Iterator[str]:
    periods = sorted({p.period for p in products if p.period is not None})
    if len(periods) > 1:
        found = ", ".join(f"u{k}" for k in periods)
        yield f"the chip has one uK for all of dw, dd and dt, found {found}; use one of them"
    for p in products:
        if abs(p.mantissa) > MANTISSA_HIGH or not EXPONENT_LOW <= p.exponent <= EXPONENT_HIGH:
            yield (
                f"the scale {p.mantissa}*2^{p.exponent} of {str(p)!r} is not mantissa*2^exponent with a mantissa of "
                f"-{MANTISSA_HIGH}..{MANTISSA_HIGH} and an exponent of {EXPONENT_LOW}..{EXPONENT_HIGH}; round it"
            )
        for f in p.factors if rule.arithmetic == "fixed" else ():
            unit = 2 if f.variable in ("w", "t") else 1
            if f.constant % unit or not -128 * unit <= f.constant <= 127 * unit:
                kind = "an even number" if unit == 2 else "a whole number"
                yield f"the constant of {f} must be {kind} of {-128 * unit}..{127 * unit} (8 bit), found {f.constant:g}"


def _number_problems(rule: LoihiRule) -> Iterator[str]:
    for trace in TRACES:
        impulse, tau = getattr(rule, f"{trace}_impulse"), getattr(rule, f"{trace}_tau")
        if not 0 <= impulse <= TRACE_HIGH:
            yield f"{trace}_impulse must be 0..{TRACE_HIGH} (7 bit), found {impulse:g}"
        if not 0 <= tau < np.inf:
            yield f"{trace}_tau must be 0 steps or more, found {tau:g}"
    if rule.t_epoch != int(rule.t_epoch) or not 1 <= rule.t_epoch <= EPOCH_HIGH:
        yield f"t_epoch must be a whole number of 1..{EPOCH_HIGH} steps (6 bit), found {rule.t_epoch}"
    if rule.modulator_weight != int(rule.modulator_weight) or not -256 <= rule.modulator_weight <= 255:
        yield f"modulator_weight must be a whole number of -256..255 (a weight), found {rule.modulator_weight}"
    if rule.modulator_delay != int(rule.modulator_delay) or not 0 <= rule.modulator_delay <= DELAY_HIGH:
        yield f"modulator_delay must be a whole number of 0..{DELAY_HIGH} steps, found {rule.modulator_delay}"
    if rule.sign_mode not in SIGN_MODES:
        yield f"sign_mode is {rule.sign_mode!r}; use one of {', '.join(SIGN_MODES)}"
    if rule.arithmetic not in get_args(Arithmetic):
        yield f"arithmetic is {rule.arithmetic!r}; use one of {', '.join(get_args(Arithmetic))}"


@dataclass(frozen=True)
class IntLearning:
    """How the synapses of an integer projection learn.

    Parameters
    ----------
    rule
        The rule; its modulator is the name of an input or population.
    modulator_delay
        Delay of the modulator in Lava's meaning: what it emits in column k is y2 in column ``k + 1 + delay``.
    seed
        Of the stochastic rounding; with the name of the projection it fixes every draw.
    """

    rule: LoihiRule
    modulator_delay: int = 0
    seed: int = 0

    def draws(self, name: str, sample: int, first: int, steps: int) -> NDArray[np.float64]:
        """Return the random numbers of some columns, in [0, 1): float64, shape (steps, 8), see :data:`DRAW_NAMES`."""
        numbers = Stream(self.seed, f"{name}/learning").uniform(steps * DRAWS, step=sample, offset=first * DRAWS)
        return np.asarray(numbers).reshape(steps, DRAWS)


__all__ = ["Arithmetic", "IntLearning", "LoihiRule"]
