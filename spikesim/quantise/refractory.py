"""Does a neuron's refractory time match the chip's? Found by calculation, like everything in `chip_form`.

On the chip a spike holds the voltage at its reset level for ``refractory - 1`` steps, while the current goes on. A
neuron does the same if a counter (an integer state) is set by a spike and falls by 1 a step to 0, and if, as long as it
is above 0, the neuron does not spike, its voltage stays where the reset put it, and its other states change as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from spikesim.graph import Node

Outputs = Mapping[str, Any]  # output name to an affine form
Step = Callable[[float, float], Outputs]

MAX_REFRACTORY = 64  # 6 bits


def counter_of(states: Mapping[str, Any]) -> str | None:
    """Return the name of the one integer state, if there is exactly one."""
    found = [name for name, state in states.items() if state.integer]
    return found[0] if len(found) == 1 else None


def refractory_steps(node: Node, counter: str, step: Step, voltage: str, level: float | None) -> tuple[int, str]:
    """Return how many steps lie between a spike and the next possible one.

    Parameters
    ----------
    node
        The lowered population.
    counter
        The state that counts.
    step
        ``step(value of the counter, outcome of the spike)`` evaluates the neuron's step.
    voltage
        The state that is held.
    level
        What a spike sets the voltage to; None without a hard reset.

    Returns
    -------
    steps
        At least 1, which means that the next step can spike.
    reason
        Why it is not as on the chip, or nothing.
    """
    silent = step(0.0, 0.0)
    left, held = _number(silent[counter]), _number(step(0.0, 1.0)[counter])
    if held is None:
        return 1, "the chip has one refractory time per population; split it into populations"
    if left != 0.0 or held < 0.0:
        return 1, f"the whole-numbered state {counter!r} does not count refractory steps as the chip does"
    if np.any(node.init[counter]):
        return 1, "it begins within its refractory time, which the chip cannot"
    if held >= MAX_REFRACTORY:
        return 1, f"the chip's refractory period is at most {MAX_REFRACTORY} steps, found {held + 1:g}"
    for value in sorted({1.0, held} - {0.0}):
        for outcome in (0.0, 1.0):
            now = step(value, outcome)
            others = all(now[n] == form for n, form in silent.items() if n not in (counter, voltage, "spike"))
            if not (_number(now["spike"]) == 0.0 and _number(now[counter]) == value - 1.0 and others):
                return (
                    1,
                    "a refractory neuron of the chip counts down, is silent and keeps its current; this one does not",
                )
            if level is None or not (_is_kept(now[voltage], voltage) or _number(now[voltage]) == level):
                return (
                    1,
                    "a refractory neuron of the chip holds its voltage where a hard reset put it; this one does not",
                )
    return int(held) + 1, ""


def _number(form: Any) -> float | None:
    """Return the number that all neurons share, or None."""
    values = np.unique(form.constant)
    return float(values[0]) if form.is_number() and values.size == 1 else None


def _is_kept(form: Any, name: str) -> bool:
    return dict(form.terms) == {name: 1.0} and not np.any(form.constant)
