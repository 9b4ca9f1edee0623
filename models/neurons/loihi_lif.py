"""Loihi's neuron in its fixed-point arithmetic, bit for bit, on whole numbers held in floats.

::

    u = wrap24( decay(u, du + 1) + 64 i )        decay(x, d) = sign(x) floor(|x| (4096 - d) / 4096)
    v = clip( decay(v, dv) + u + bias )          to +-(2^23 - 1);  bias = floor(bias_mant 2^bias_exp)
    s = 1 if v > 64 v_th else 0
    v = 0 | v - 64 q s                           reset "to" (the chip's), "subtract" (simulation only); u is kept
    r = refractory - 1 if s else max(r - 1, 0)   if asked for: v stays 0 while r > 0 at the start of a step, u goes on

``wrap24`` takes 2^24 off (on) once where u leaves the 24-bit range. The current decays by one more than ``du`` says
(the chip's hidden offset). ``i`` is the sum of integer weights. All numbers are exact in float64; float32 has too few
bits. In the backward pass a rounding counts as the identity, so that a network can be trained in the chip's arithmetic.

Reference: Davies et al., "Loihi: A Neuromorphic Manycore Processor with On-Chip Learning", IEEE Micro 38:82, 2018;
lava-nc 0.10.0, ``lava.proc.lif`` (tag ``bit_accurate_loihi``); Michaelis et al., "Brian2Loihi", Front. Neuroinform. 16,
2022.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from spikesim.equations.primitives import absolute, clip, detach, exp, floor, maximum, spike, where
from spikesim.errors import InvalidValueError
from spikesim.models.neurons._reset import COUNTER, Firing, Reset, count, firing
from spikesim.neuron import Neuron, NeuronModel, Param, State, neuron

ONE = 4096.0  # decays are whole 4096ths
UNIT = 64.0  # weights and thresholds are shifted left by 6 bits
TOP = 2.0**23


def _whole(x: Any) -> Any:
    """Round down; gradients pass as through the identity."""
    return x + detach(floor(x) - x)


def _decay(x: Any, keep: Any) -> Any:
    """Multiply by ``keep`` (whole 4096ths: the product is exact) and round towards zero."""
    size = _whole(absolute(x) * keep)
    return where(x < 0.0, -size, size)


def _wrap(u: Any) -> Any:
    return where(u > TOP, u - 2.0 * TOP, where(u <= -TOP, u + 2.0 * TOP, u))


def _power_of_two(k: Any) -> Any:
    """Return ``2^k`` for a whole ``k``, exactly."""
    power = floor(exp(absolute(k) * math.log(2.0)) + 0.5)
    return where(k < 0.0, 1.0 / power, power)


def _constants(p: Any, dt: Any) -> dict[str, Any]:
    return {
        "keep_u": (ONE - (p.du + 1.0)) / ONE,
        "keep_v": (ONE - p.dv) / ONE,
        "input": _whole(p.bias_mant * _power_of_two(p.bias_exp)),
        "level": p.v_th * UNIT,
        # thresholds are large numbers: dividing by them gives surrogates of unit width and keeps every sign
        "scale": maximum(p.v_th * UNIT, UNIT),
    }


def _refractory_constants(p: Any, dt: Any) -> dict[str, Any]:
    return {**_constants(p, dt), "hold": p.refractory - 1.0}


@cache
def _model(fire: Firing, refractory: bool) -> NeuronModel:
    def step(u: Any, v: Any, i: Any, p: Any) -> Any:
        u = _wrap(_decay(u, p.keep_u) + i * UNIT)
        v = clip(_decay(v, p.keep_v) + u + p.input, 1.0 - TOP, TOP - 1.0)
        s = spike((v - p.level) / p.scale)
        if fire.reset == "to":
            return s, u, where(s, 0.0, v)
        return s, u, v if fire.reset == "none" else v - p.q * UNIT * s

    def step_refractory(u: Any, v: Any, r: Any, i: Any, p: Any) -> Any:
        u = _wrap(_decay(u, p.keep_u) + i * UNIT)
        v = clip(_decay(v, p.keep_v) + u + p.input, 1.0 - TOP, TOP - 1.0)
        s = where(r > 0.0, 0.0, spike((v - p.level) / p.scale))
        return s, u, where(s, 0.0, where(r > 0.0, 0.0, v)), count(r, s, p.hold)

    states = {"u": State(0.0, "", "current, 24 bits"), "v": State(0.0, "", "membrane potential, 24 bits")}
    period = Param(1.0, "", "steps from a spike to the next possible one", low=1.0, high=64.0)
    quantum = Param(100.0, "", "what a spike subtracts, as a threshold mantissa", low=0.0, high=131072.0)
    return neuron(  # type: ignore[no-any-return]
        step_refractory if refractory else step,
        name="loihi_lif",
        doc="Loihi's neuron in fixed-point arithmetic, bit for bit",
        state={**states, "r": COUNTER} if refractory else states,
        params={
            "du": Param(409.0, "", "decay of the current in 4096ths, less one", low=0.0, high=4095.0),
            "dv": Param(204.0, "", "decay of the membrane in 4096ths", low=0.0, high=4096.0),
            "v_th": Param(100.0, "", "mantissa of the threshold", low=0.0, high=131071.0),
            "bias_mant": Param(0.0, "", "mantissa of the bias", low=-4096.0, high=4095.0),
            "bias_exp": Param(0.0, "", "exponent of the bias", low=-24.0, high=24.0),
            **({"q": quantum} if fire.reset == "subtract" else {}),
            **({"refractory": period} if refractory else {}),
        },
        constants=_refractory_constants if refractory else _constants,
        options={**fire.options(), **({"refractory": "yes"} if refractory else {})},
    )


def loihi_lif(*, reset: Reset = "to", **params: Any) -> Neuron:
    """Return Loihi's neuron in fixed-point arithmetic.

    Parameters
    ----------
    reset
        ``"to"`` (0, the chip's), ``"subtract"`` or ``"none"``.
    **params
        Whole numbers: ``du`` (0 .. 4095), ``dv`` (0 .. 4096), ``v_th`` (mantissa, 0 .. 131071), ``bias_mant`` (-4096 ..
        4095), ``bias_exp`` (the chip has 0 .. 7); with "subtract" also ``q`` (mantissa, 64ths allowed; ``v_th`` if left
        out); with "to" also ``refractory`` (1 .. 64 steps from a spike to the next possible one);
        ``init={"u": ..., "v": ...}``.

    Examples
    --------
    >>> from spikesim.equations.response import respond
    >>> respond(loihi_lif(v_th=300), [3] + [0] * 5)["v"].tolist()
    [192.0, 354.0, 490.0, 603.0, 696.0, 772.0]
    """
    if reset == "subtract":
        params = {"q": params.get("v_th", 100.0), **params}
    if "refractory" in params and reset != "to":
        raise InvalidValueError(f"a refractory period needs reset='to' (the chip's), found reset={reset!r}")
    return _model(firing(reset, "same", ">", params), "refractory" in params)(**params)
