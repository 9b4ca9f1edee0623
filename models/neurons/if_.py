"""Integrate-and-fire neuron without leak: the membrane adds up its input.

::

    u = v + i + bias
    s = 1 if u > v_th else 0
    v = u - q s | v_reset | u            reset "subtract", "to", "none"

With reset "subtract" the number of spikes times ``q`` plus what is left in ``v`` equals the sum of the input exactly:
the neuron of rate-based conversion.

Reference: Lapicque, J. Physiol. Pathol. Gen. 9:620, 1907 (the idea); Rueckauer et al., "Conversion of
Continuous-Valued Deep Networks to Efficient Event-Driven Networks", Front. Neurosci. 11:682, 2017 (both resets).
"""

from __future__ import annotations

from functools import cache
from typing import Any

from spikesim.models.neurons._reset import Firing, Reset, Threshold, Timing, firing
from spikesim.neuron import Neuron, NeuronModel, Param, neuron


@cache
def _model(fire: Firing) -> NeuronModel:
    def step(v: Any, i: Any, p: Any) -> Any:
        return fire.step(lambda v: v, v, i + p.bias, p)

    return neuron(  # type: ignore[no-any-return]
        step,
        name="integrate_and_fire",
        doc="Integrate-and-fire neuron without leak",
        params={
            "v_th": Param(1.0, "V", "threshold"),
            "bias": Param(0.0, "V", "constant input per step"),
            **fire.params(),
        },
        options=fire.options(),
    )


def integrate_and_fire(
    *, reset: Reset = "to", timing: Timing = "same", threshold: Threshold = ">", **params: Any
) -> Neuron:
    """Return an integrate-and-fire neuron.

    Parameters
    ----------
    reset, timing, threshold
        As for :func:`~spikesim.models.neurons.lif.lif`.
    **params
        ``v_th``, ``bias`` (V, or any one unit), ``v_reset`` with reset "to", ``q`` with "subtract" (the threshold if
        left out); ``init={"v": ...}``.

    Examples
    --------
    >>> from spikesim.equations.response import respond
    >>> respond(integrate_and_fire(reset="subtract"), [0.75] * 8)["spike"].tolist()
    [0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0]
    """
    return _model(firing(reset, timing, threshold, params))(**params)
