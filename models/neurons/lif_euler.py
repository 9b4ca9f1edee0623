"""Leaky integrate-and-fire neuron integrated by forward Euler: norse's ``LIFBoxCell`` and ``LIFCell``.

::

    tau_m dv/dt = e_l - v + x,  forward Euler with h = dt / tau_m
    v = v + h ((i + bias + e_l) - v)               current "box": the input itself, x = i
    c' = c + (i + bias)                            current "exp": tau_s dx/dt = -x, an input is a jump of x
    v = v + h ((e_l - v) + c'),  c = c' - h_s c'   with h_s = dt / tau_s
    s = 1 if v > v_th else 0
    v = v - q s | v_reset | v                      reset "subtract", "to", "none"

``fires=False`` gives norse's ``LIBoxCell`` and ``LICell``, which never fire: their membrane is the result. The inputs
are in units of the membrane and act with a factor ``h``, so weights are ``1/h`` times those of a ``leaky``.

Reference: Pehle and Pedersen, "Norse - A deep learning library for spiking neural networks", Zenodo 2021,
doi 10.5281/zenodo.4422025.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from spikesim.models.neurons._reset import Firing, Reset, check, firing
from spikesim.neuron import Neuron, NeuronModel, Param, State, neuron

Current = Literal["box", "exp"]

_H = {
    "h": Param(0.1, "", "dt / tau_m, part of the way to rest in a step", low=0.0, high=1.0),
    "h_s": Param(0.2, "", "dt / tau_s, part of the current lost in a step", low=0.0, high=1.0),
}


@cache
def _model(current: Current, fire: Firing | None) -> NeuronModel:
    def end(u: Any, p: Any) -> tuple[Any, Any]:
        if fire is None:
            return 0.0, u
        s = fire.spike(u, p.v_th)
        return s, fire.after(s, u, p)

    def box(v: Any, i: Any, p: Any) -> Any:
        return end(v + p.h * (((i + p.bias) + p.e_l) - v), p)

    def exponential(v: Any, c: Any, i: Any, p: Any) -> Any:
        c = c + (i + p.bias)
        s, v = end(v + p.h * ((p.e_l - v) + c), p)
        return s, v, c - p.h_s * c

    states = {"v": State(0.0, "", "membrane potential"), "c": State(0.0, "", "synaptic current")}
    exp = current == "exp"
    return neuron(  # type: ignore[no-any-return]
        exponential if exp else box,
        name="lif_euler",
        doc="Leaky integrate-and-fire neuron, forward Euler, as norse's LIFBoxCell and LIFCell",
        state=states if exp else {"v": states["v"]},
        params={
            **(_H if exp else {"h": _H["h"]}),
            "e_l": Param(0.0, "", "resting level"),
            "bias": Param(0.0, "", "constant input"),
            **({} if fire is None else {"v_th": Param(1.0, "", "threshold"), **fire.params(unit="")}),
        },
        options={"current": current, **({"reset": "none"} if fire is None else fire.options())},
    )


def lif_euler(*, current: Current = "box", reset: Reset = "to", fires: bool = True, **params: Any) -> Neuron:
    """Return a leaky neuron in forward Euler steps.

    Parameters
    ----------
    current
        ``"box"``: the input acts for one step. ``"exp"``: it is a jump of a current that decays.
    reset
        ``"to"``, ``"subtract"`` or ``"none"``, in the step of the spike.
    fires
        False for a read-out that never fires.
    **params
        ``h`` (``dt / tau_m``), ``h_s`` (``dt / tau_s``, with current "exp"), ``e_l``, ``v_th``, ``bias`` (pure
        numbers), ``v_reset`` with reset "to", ``q`` with "subtract" (the threshold if left out); ``init={"v": ...}``.

    Examples
    --------
    >>> from spikesim.equations.response import respond
    >>> respond(lif_euler(h=0.5), [1.5, 1.5, 1.5])["v"].tolist()
    [0.75, 0.0, 0.75]
    """
    check("current", current, Current)
    return _model(current, firing(reset, "same", ">", params) if fires else None)(**params)
