"""Hebbian fast weights on Loihi's learning engine: a plastic projection that starts at 0 beside the static slow one.

    x1, y1      decay by k = exp(-1 / tau) a step, a spike adds its impulse;   a = x1 (1 - k) / impulse, b likewise
    at the end of each trial step, or whenever the modulator y2 is not 0
                w += (eta0 / 2) g scale alpha a b - (decay0 / 2) g w          g = y2 / unit, or 1 if not modulated

This is the rule of :class:`spikesim.models.synapses.FastWeights` with traces in place of counts. For constant
rates it has the same fixed point, ``w = scale alpha a b (eta0 / decay0)``. The chip has coefficients
``mantissa 2^exponent``, traces of 7 bits and weights of 9; :class:`~spikesim.fixedpoint.rules.ChipRule` says what the
rounding of the coefficients costs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from spikesim.connect import AllToAll, Dense
from spikesim.errors import InvalidValueError, UnknownNameError, UnsupportedError
from spikesim.fixedpoint.learning import TRACE_HIGH, LoihiRule
from spikesim.fixedpoint.rule_text import Factor, Product, sum_text
from spikesim.fixedpoint.rules import MOST_ERROR, ChipRule, nearest_scale
from spikesim.models.synapses import FastWeights
from spikesim.network import Network, Projection

EVERY = tuple(2**k for k in range(10))  # steps: u0 .. u9


def chip_fast_weights(
    fast: FastWeights,
    modulator: str = "",
    *,
    scale: float = 128.0,
    tau: float | None = None,
    unit: int = 32,
    modulator_weight: int = 1,
    modulator_delay: int = 0,
    arithmetic: str = "fixed",
) -> ChipRule:
    """Return Hebbian fast weights as a rule of Loihi's learning engine.

    Parameters
    ----------
    fast
        ``rule="hebbian"``, one ``alpha`` for all synapses, ``clip=inf``. Without a modulator ``micro_steps`` must be a
        power of 2, because the chip learns in every ``2^K``-th step.
    modulator
        Source or population that gates growth and decay, in the steps in which it emits something; empty if
        ``fast.modulated`` is False.
    scale
        Integer weight units per float unit.
    tau
        Time constant of the traces in steps; ``micro_steps`` by default.
    unit
        Output of the modulator, times `modulator_weight`, that means ``g = 1``; at most 127 counts.
    modulator_weight
        Whole number that the modulator's output is multiplied by, such as `unit` for spikes of one neuron.
    modulator_delay
        Steps by which it acts later: 1 where the network's own spikes are the modulator.
    arithmetic
        As in :class:`~spikesim.fixedpoint.learning.LoihiRule`.

    Returns
    -------
    ChipRule

    Raises
    ------
    UnsupportedError
        If the rule needs what a synapse of the chip does not know, or a coefficient is out of the chip's reach: all
        reasons.
    InvalidValueError
        If a modulator is missing or too many, or a number is not allowed.

    Examples
    --------
    >>> hebb = FastWeights(eta0=0.5, decay0=0.5, alpha="plus", clip=float("inf"), modulated=False)
    >>> made = chip_fast_weights(hebb)
    >>> made.rule.dw  # u2: in every fourth step
    '3*2^-7*u2*x1*y1-1*2^-2*u2*w'
    """
    steps = float(fast.micro_steps if tau is None else tau)
    _check(fast, modulator, scale, steps, unit)
    gate, per, period = ((Factor("y2"),), unit, 0) if modulator else ((), 1, fast.micro_steps.bit_length() - 1)
    keep = float(np.exp(-1.0 / steps)) if steps else 0.0
    wanted = (-1 if fast.alpha == "minus" else 1) * fast.eta0 / 2 * scale / per

    def growth(impulse: float) -> tuple[Product, float]:
        rates = (Factor("x1"), Factor("y1"), *gate)
        return _product(wanted * ((1 - keep) / impulse) ** 2, rates, period, arithmetic)

    if arithmetic == "float":  # impulses need not be whole, so the coefficient can be 1
        impulse = (1 - keep) * abs(wanted) ** 0.5 or 1.0
    else:
        most = max(1, int(TRACE_HIGH * (1 - keep)))  # a source that never rests fills its trace
        impulse = min(range(-(-3 * most // 4), most + 1), key=lambda k: (growth(k)[1], -k))
    decay = _product(-fast.decay0 / 2 / per, (Factor("w"), *gate), period, arithmetic)
    made = [p for p, rate in ((growth(impulse), fast.eta0), (decay, fast.decay0)) if rate]
    errors = {f"dw: {product}": error for product, error in made}
    far = [f"the coefficient of {t} is off by {e:.0%}; choose other rates" for t, e in errors.items() if e > MOST_ERROR]
    if far:
        raise UnsupportedError(far, "fast weights cannot learn on Loihi:")
    rule = LoihiRule(
        dw=sum_text(tuple(product for product, _ in made)),
        x1_impulse=impulse, x1_tau=steps, y1_impulse=impulse, y1_tau=steps,
        modulator=modulator,
        modulator_weight=modulator_weight,
        modulator_delay=modulator_delay,
        sign_mode="inhibitory" if wanted < 0 else "excitatory",
        arithmetic=arithmetic,
    )  # fmt: skip
    return ChipRule(rule, scale, errors, _notes(scale, steps, modulator, unit))


def _check(fast: FastWeights, modulator: str, scale: float, tau: float, unit: int) -> None:
    problems = fast.beyond_a_synapse()
    if fast.rule == "hebbian" and not fast.eta0 and not fast.decay0:
        problems.append("eta0 and decay0 are both 0, so nothing changes; leave plasticity out")
    if not fast.modulated and fast.micro_steps not in EVERY:
        problems.append(
            f"the chip learns in every 2^K-th step: micro_steps must be 1, 2 .. 512, found {fast.micro_steps}"
        )
    if problems:
        raise UnsupportedError(problems, "fast weights cannot learn on Loihi:")
    fast.check_modulator(modulator)
    wrong = [
        f"{name} must be {allowed}, found {value!r}"
        for name, value, allowed, fits in (
            ("scale", scale, "above 0", scale > 0),
            ("tau", tau, "0 steps or more", tau >= 0),
            ("unit", unit, "a whole number of 1..127", isinstance(unit, int) and 1 <= unit <= TRACE_HIGH),
        )
        if not fits
    ]
    if wrong:
        raise InvalidValueError("\n".join(wrong))


def _product(wanted: float, factors: tuple[Factor, ...], period: int, arithmetic: str) -> tuple[Product, float]:
    """Return the product of every ``2^period``-th step whose coefficient is nearest, and its relative error."""
    lost = Product("u", 1, 0, factors, period).lost_bits if arithmetic == "fixed" else 0
    mantissa, exponent = nearest_scale(abs(wanted), lost)
    error = abs(mantissa * 2.0 ** (exponent - lost) / abs(wanted) - 1) if wanted else 0.0
    return Product("u", mantissa if wanted > 0 else -mantissa, exponent, factors, period), error


def _notes(scale: float, tau: float, modulator: str, unit: int) -> tuple[str, ...]:
    found = [
        f"rates are traces of {tau:g} steps when the chip learns, not counts within a trial step",
        f"a fast weight is a whole number up to 255, that is {255 / scale:g}",
        "a target must spike: the membrane of a read-out is no trace, so a projection to one does not learn",
        "a fast weight is 0 when a sample begins; on the chip itself it would have to be written from outside",
    ]
    if modulator:
        found.append(f"g is y2 / {unit}, a whole number of {unit}ths up to {TRACE_HIGH / unit:.3g}, not a real number")
    return tuple(found)


def beside(network: Network, rule: ChipRule | LoihiRule, names: Iterable[str] | None = None) -> Network:
    """Return a network with a plastic projection of weight 0 beside each of some projections.

    Parameters
    ----------
    network
        In fixed point.
    rule
        From :func:`chip_fast_weights`.
    names
        Projections to put one beside; by default all that are dense or all to all and do not learn.

    Returns
    -------
    Network
        With the further projections, named ``"<name> fast"``.

    Raises
    ------
    UnknownNameError
        If there is no such projection.
    UnsupportedError
        If one learns already or does not connect all to all: all reasons.
    """
    known = {p.name: p for p in network.projections}
    chosen = [p.name for p in network.projections if not _problem(p)] if names is None else list(names)
    for name in chosen:
        if name not in known:
            raise UnknownNameError(f"projection of network {network.name!r}:", name, list(known))
    problems = [text for name in chosen if (text := _problem(known[name]))]
    if problems:
        raise UnsupportedError(problems, f"network {network.name!r} cannot have fast weights there:")
    chip: Any = rule.rule if isinstance(rule, ChipRule) else rule
    return network.add(
        *(
            Projection(p.pre, p.post, weight=0.0, delay=p.delay, port=p.port, name=f"{p.name} fast", plasticity=chip)
            for p in map(known.__getitem__, chosen)
        )
    )


def _problem(projection: Projection) -> str:
    if projection.plasticity is not None:
        return f"projection {projection.name!r} learns already; choose another"
    if not isinstance(projection.rule, Dense | AllToAll):
        found = type(projection.rule).__name__
        return f"projection {projection.name!r} must be Dense or AllToAll, found {found}; every pair gets a fast weight"
    return ""


__all__ = ["beside", "chip_fast_weights"]
