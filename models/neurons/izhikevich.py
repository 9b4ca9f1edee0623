"""Izhikevich's simple neuron: two equations, many firing patterns.

::

    dv/dt = 0.04 v^2 + 5 v + 140 - u + i         v in mV, time in ms, as in the paper
    du/dt = a (b v - u)
    s = 1 if v >= 30;  v = c, u = u + d after a spike

Integrated as in the paper: forward Euler, ``v`` in ``substeps`` parts of a step (2 by default) and then ``u`` in one,
from the new ``v``. The paper steps by 1 ms; take ``dt = 0.1 ms`` or less for results that do not depend on the step.
An input of port "i" is a current that holds for one step.

Reference: Izhikevich, "Simple model of spiking neurons", IEEE Trans. Neural Netw. 14:1569, 2003.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from spikesim.equations.primitives import where
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.models.neurons._reset import Firing
from spikesim.neuron import Neuron, NeuronModel, Param, State, neuron

PRESETS = {
    "RS": {"a": 0.02, "b": 0.2, "c": -65.0, "d": 8.0},  # regular spiking
    "IB": {"a": 0.02, "b": 0.2, "c": -55.0, "d": 4.0},  # intrinsically bursting
    "CH": {"a": 0.02, "b": 0.2, "c": -50.0, "d": 2.0},  # chattering
    "FS": {"a": 0.1, "b": 0.2, "c": -65.0, "d": 2.0},  # fast spiking
    "LTS": {"a": 0.02, "b": 0.25, "c": -65.0, "d": 2.0},  # low-threshold spiking
}

_FIRE = Firing(threshold=">=")


@cache
def _model(substeps: int) -> NeuronModel:
    def step(v: Any, u: Any, i: Any, p: Any) -> Any:
        for _ in range(substeps):
            v = v + p.h * (0.04 * v * v + 5.0 * v + 140.0 - u + i)
        u = u + p.h_u * (p.b * v - u)
        s = _FIRE.spike(v, p.v_peak)
        return s, where(s, p.c, v), u + p.d * s

    return neuron(  # type: ignore[no-any-return]
        step,
        name="izhikevich",
        doc="Izhikevich's simple neuron (2003), forward Euler",
        state={"v": State(-65.0, "", "membrane potential, mV"), "u": State(-13.0, "", "recovery, mV/ms")},
        params={
            "a": Param(0.02, "", "rate of the recovery, 1/ms"),
            "b": Param(0.2, "", "how much the recovery follows v, 1/ms"),
            "c": Param(-65.0, "", "membrane after a spike, mV"),
            "d": Param(8.0, "", "jump of the recovery after a spike, mV/ms"),
            "v_peak": Param(30.0, "", "peak of a spike, mV"),
        },
        # the equations count time in ms
        constants=lambda p, dt: {"h": dt * (1e3 / substeps), "h_u": dt * 1e3 * p.a},
        options={"reset": "to", "timing": "same", "threshold": ">=", "substeps": str(substeps)},
    )


def izhikevich(preset: str = "RS", *, substeps: int = 2, **params: Any) -> Neuron:
    """Return an Izhikevich neuron.

    Parameters
    ----------
    preset
        ``"RS"`` regular spiking, ``"IB"`` intrinsically bursting, ``"CH"`` chattering, ``"FS"`` fast spiking, ``"LTS"``
        low-threshold spiking.
    substeps
        Into how many parts a step of ``v`` is cut.
    **params
        Values in place of the preset's: ``a``, ``b``, ``c``, ``d``, ``v_peak`` in the paper's units (mV, ms);
        ``init={"v": -65.0, "u": b * v}``.

    Examples
    --------
    >>> import numpy as np
    >>> from spikesim.equations.response import respond
    >>> counts = {name: respond(izhikevich(name), np.full(200, 10.0))["spike"].sum() for name in ("RS", "FS")}
    >>> int(counts["RS"]) < int(counts["FS"])
    True
    """
    if preset not in PRESETS:
        raise UnknownNameError("preset of izhikevich:", preset, list(PRESETS))
    if not isinstance(substeps, int) or substeps < 1:
        raise InvalidValueError(f"izhikevich: substeps must be a whole number of at least 1, found {substeps!r}")
    values = {**PRESETS[preset], **params}
    init = {"u": -65.0 * PRESETS[preset]["b"], **values.pop("init", {})}
    return _model(substeps)(init=init, **values)
