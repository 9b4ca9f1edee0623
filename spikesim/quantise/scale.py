"""One scale per population: integer units per float unit, as fine as registers, weights and sample input allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.fixedpoint.weights import SignMode
from spikesim.graph import Node
from spikesim.quantise.calibrate import Peak
from spikesim.quantise.forms import Forms
from spikesim.quantise.levels import Levels, choose, largest_step, top
from spikesim.quantise.plan import STATE_SCALE

THRESHOLD_HIGH = 2**17 - 1
STATE_HIGH = 2**23 - 1
BIAS_HIGH = 4095 << 7
WEIGHT_HIGH = 254


@dataclass(frozen=True)
class Rules:
    """What a user chose about weights and scales.

    Parameters
    ----------
    bits
        Of a weight, 2 .. 8.
    exponent
        The largest weight exponent.
    margin
        By how much states may exceed those on the calibration input: 0.5 leaves room for half as much again.
    tries
        Scales that are tried per population.
    """

    bits: int = 8
    exponent: int = 7
    margin: float = 0.5
    tries: int = 24


@dataclass(frozen=True)
class Chosen:
    """A scale, the levels of each projection that arrives, and remarks for the reader."""

    scale: float
    levels: tuple[Levels, ...]
    notes: tuple[str, ...] = ()


def bounds(node: Node, form: Forms, peak: Peak | None, margin: float) -> dict[str, float]:
    """Return the largest scale that each register allows, by what stands in it."""
    start = (node.init[form.voltage] - form.rest, node.init[form.current] * form.coupling if form.current else 0.0)
    sizes = {
        "the threshold (17 bits)": (THRESHOLD_HIGH, form.threshold),
        "a bias (13 bits and an exponent up to 7)": (BIAS_HIGH / STATE_SCALE, form.bias),
        "the quantum of the soft reset (24 bits)": (STATE_HIGH / STATE_SCALE, form.quantum),
        "an initial state (24 bits)": (STATE_HIGH / STATE_SCALE, np.concatenate([np.ravel(s) for s in start])),
    }
    if peak is not None:
        room = STATE_HIGH / STATE_SCALE / (1.0 + margin)
        sizes["the current on the calibration input (24 bits)"] = (room, peak.current)
        sizes["the voltage on the calibration input (24 bits)"] = (room, peak.voltage)
    largest = {name: (high, float(np.abs(values).max(initial=0.0))) for name, (high, values) in sizes.items()}
    return {name: high / value for name, (high, value) in largest.items() if value > 0.0}


def choose_scale(
    node: Node, form: Forms, weights: Sequence[NDArray[Any]], modes: Sequence[SignMode], rules: Rules, peak: Peak | None
) -> Chosen:
    """Choose the scale of a population.

    Parameters
    ----------
    node, form
        The population.
    weights, modes
        Of the projections that arrive, in the membrane's units.
    rules
        What was asked for.
    peak
        Of states on sample input; None without calibration. Then the largest weight decides: all projections share the
        step that it needs, and nothing is known about wraps.
    """
    limits = bounds(node, form, peak, rules.margin)
    binding = min(limits, key=lambda name: limits[name])
    ceiling = limits[binding]
    sizes = [float(np.abs(w).max(initial=0.0)) for w in weights]
    used = [k for k, size in enumerate(sizes) if size > 0.0]
    if not used:
        least = [Levels(largest_step(rules.bits, m, 0), rules.bits, m) for m in modes]
        size = least[0].step * top(least[0].bits, least[0].mode) if least else WEIGHT_HIGH
        scale = min(ceiling, size / float(form.threshold.max()))
        return Chosen(scale, tuple(least), (f"population {node.name!r} has no weight other than 0",))
    exponent = 0 if peak is None else rules.exponent
    full = min(largest_step(rules.bits, modes[k], exponent) * top(rules.bits, modes[k]) / sizes[k] for k in used)
    if peak is None:
        candidates = full * np.geomspace(1.0, 2.0, rules.tries)
    else:
        candidates = min(ceiling, 2.0 * full) * np.geomspace(1.0, 0.5, rules.tries)
    tried = [_levels(weights, modes, scale, rules, exponent, shared=peak is None) for scale in candidates]
    best = int(np.argmin([error / scale**2 for (_, error), scale in zip(tried, candidates, strict=True)]))
    scale, levels = float(candidates[best]), tried[best][0]
    if scale <= ceiling:
        return Chosen(scale, levels, () if peak is None else _coarse(node, weights, scale, levels))
    levels = _levels(weights, modes, ceiling, rules, exponent, shared=peak is None)[0]
    said = (
        f"population {node.name!r}: {binding} is large beside its weights; they use only {ceiling / scale:.0%} of "
        f"their {rules.bits} bits"
    )
    return Chosen(ceiling, levels, (said,))


def _levels(
    weights: Sequence[NDArray[Any]],
    modes: Sequence[SignMode],
    scale: float,
    rules: Rules,
    exponent: int,
    shared: bool,
) -> tuple[tuple[Levels, ...], float]:
    """Return the levels of all projections at a scale, and the sum of the squared errors."""
    found, error = [], 0.0
    for w, mode in zip(weights, modes, strict=True):
        if shared:
            levels = Levels(largest_step(rules.bits, mode, 0), rules.bits, mode)
            wrong = float(np.sum((levels.round(w * scale) - w * scale) ** 2))
        else:
            levels, wrong = choose(w * scale, rules.bits, mode, exponent)
        found.append(levels)
        error += wrong
    return tuple(found), error


def _coarse(node: Node, weights: Sequence[NDArray[Any]], scale: float, levels: Sequence[Levels]) -> tuple[str, ...]:
    """Say where even steps of 1 leave weights less than a quarter of the values that their bits could tell apart."""
    shares = [
        float(np.abs(w).max(initial=0.0)) * scale / top(x.bits, x.mode)
        for w, x in zip(weights, levels, strict=True)
        if x.step == 1
    ]
    least = min((s for s in shares if s > 0.0), default=1.0)
    if least >= 0.25:
        return ()
    return (
        f"population {node.name!r}: its states are large beside its weights, some of which use only {least:.0%} of "
        "their range; a smaller margin gives them more",
    )
