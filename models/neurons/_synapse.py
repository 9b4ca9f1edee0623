"""When an arriving spike begins to act: the choice that neurons with synaptic currents share."""

from __future__ import annotations

from typing import Any

from spikesim.models.neurons._reset import Arrival


def arrive(arrival: Arrival, g: Any, i: Any, keep: Any) -> tuple[Any, Any]:
    """Add what arrives to a synaptic variable; return its value during the step and after it.

    ``"end"``: spikes arrive at the end of the step, so the membrane sees them in the next one. ``"start"``: the
    membrane sees them at once.
    """
    if arrival == "end":
        return g, g * keep + i
    present = g + i
    return present, present * keep
