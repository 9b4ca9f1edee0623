"""Loihi's neuron in floating point: a leaky current that feeds a leaky membrane (Lava's ``LIF``).

::

    u = (1 - du) u + i
    v = (1 - dv) v + u + bias
    s = 1 if v > v_th else 0;  v = v_reset | v - q s after a spike; u is kept

With ``du = 1`` the current is the input itself. What Lava calls ``bias_mant`` is ``bias``; Lava resets to 0.

Reference: Davies et al., "Loihi: A Neuromorphic Manycore Processor with On-Chip Learning", IEEE Micro 38:82, 2018;
lava-nc 0.10.0, ``lava.proc.lif`` (tag ``floating_pt``).
"""

from __future__ import annotations

from functools import cache
from typing import Any

from spikesim.models.neurons._reset import Firing, Reset, firing
from spikesim.neuron import Neuron, NeuronModel, Param, State, neuron


@cache
def _model(fire: Firing) -> NeuronModel:
    def step(u: Any, v: Any, i: Any, p: Any) -> Any:
        u = u * p.keep_u + i
        v = v * p.keep_v + u + p.bias
        s = fire.spike(v, p.v_th)
        return s, u, fire.after(s, v, p)

    return neuron(  # type: ignore[no-any-return]
        step,
        name="cuba_lif",
        doc="Loihi's neuron in floating point: leaky current, leaky membrane",
        state={"u": State(0.0, "", "current"), "v": State(0.0, "", "membrane potential")},
        params={
            "du": Param(0.1, "", "part of the current lost in a step", low=0.0, high=1.0),
            "dv": Param(0.05, "", "part of the membrane lost in a step", low=0.0, high=1.0),
            "v_th": Param(1.0, "", "threshold"),
            "bias": Param(0.0, "", "constant input per step"),
            **fire.params(unit=""),
        },
        constants=lambda p, dt: {"keep_u": 1.0 - p.du, "keep_v": 1.0 - p.dv},
        options=fire.options(),
    )


def cuba_lif(*, reset: Reset = "to", **params: Any) -> Neuron:
    """Return Loihi's neuron in floating point.

    Parameters
    ----------
    reset
        ``"to"`` (Loihi's hard reset), ``"subtract"`` or ``"none"``.
    **params
        ``du``, ``dv``, ``v_th``, ``bias`` (pure numbers), ``v_reset`` with reset "to", ``q`` with "subtract" (the
        threshold if left out); ``init={"u": ..., "v": ...}``.

    Examples
    --------
    >>> from spikesim.equations.response import respond
    >>> trace = respond(cuba_lif(du=0.5, dv=0.25, bias=0.0625), [1.0, 0.0, 0.0, 1.0])
    >>> trace["u"].tolist(), trace["v"].tolist()
    ([1.0, 0.5, 0.25, 1.125], [0.0, 0.5625, 0.734375, 0.0])
    """
    return _model(firing(reset, "same", ">", params))(**params)
