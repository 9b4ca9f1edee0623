"""Neurons that only snnTorch or norse have, written as theirs are, operation for operation.

They are ordinary neurons: a network that holds them runs, learns and is saved as any other.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from spikesim.equations.primitives import maximum, spike, where
from spikesim.neuron import NeuronModel, neuron


@cache
def alpha(reset: str) -> NeuronModel:
    """Return snnTorch's ``Alpha``: the membrane is the difference of two currents of its input.

    ::

        e = alpha e + (i + bias)                  n = beta n - (i + bias)
        u = tau (e + n)                           tau = ln alpha / (ln beta - ln alpha) + 1
        s = 1 if u > v_th else 0                  a spike of the step before acts first:
        reset "to": e = n = u = 0;  "subtract": e = e - v_th, u = u + n of the step before, n = 0
    """

    def step(e: Any, n: Any, v: Any, i: Any, p: Any) -> Any:
        fired = spike(v - p.v_th)
        x = i + p.bias
        e, before, n = p.alpha * e + x, n, p.beta * n - x
        u = p.tau * (e + n)
        if reset != "none":
            n = where(fired, 0.0, n)
        if reset == "to":
            e, u = where(fired, 0.0, e), where(fired, 0.0, u)
        elif reset == "subtract":
            e, u = e - p.v_th * fired, u + before * fired
        return spike(u - p.v_th), e, n, u

    return neuron(  # type: ignore[no-any-return]
        step,
        name="snntorch_alpha",
        doc="snnTorch's Alpha: the membrane is the difference of two currents",
        state={"e": 0.0, "n": 0.0, "v": 0.0},
        options={"reset": reset, "timing": "next"},
        alpha=0.9,
        beta=0.8,
        tau=1.0,
        v_th=1.0,
        bias=0.0,
    )


def _refractory(v: Any, c: Any, r: Any, i: Any, p: Any) -> Any:
    """Step as norse's LIFRefracCell: a leaky neuron that holds its membrane for some steps after a spike."""
    c = c + (i + p.bias)
    u = v + p.h * ((p.e_l - v) + c)
    s = where(r > 0.0, 0.0, spike(u - p.v_th))
    after = where(r > 0.0, v, where(s, p.v_reset, u))
    return s, after, c - p.h_s * c, where(s > 0.0, p.n_ref, maximum(r - 1.0, 0.0))


def _adaptive(v: Any, c: Any, b: Any, i: Any, p: Any) -> Any:
    """Step as norse's LSNNCell: a leaky neuron whose threshold jumps with a spike and decays to its resting value."""
    u = v + p.h * ((p.e_l - v) + c)
    b = b + p.h_b * (p.v_th - b)
    s = spike(u - b)
    return s, where(s, p.v_reset, u), (c - p.h_s * c) + (i + p.bias), b + s * p.jump


def _izhikevich(v: Any, u: Any, i: Any, p: Any) -> Any:
    """Step as norse's IzhikevichCell: both equations in one Euler step from the old values."""
    after = v + p.h * (p.square * (v * v) + p.slope * v + p.base - u + (i + p.bias))
    recovery = u + p.h_a * (p.b * v - u)
    s = spike(after - p.v_th)
    return s, where(s, p.c, after), recovery + s * p.d


_LEAK = {"h": 0.1, "h_s": 0.2, "e_l": 0.0, "v_th": 1.0, "v_reset": 0.0, "bias": 0.0}

refractory: NeuronModel = neuron(
    _refractory, name="norse_refractory", state={"v": 0.0, "c": 0.0, "r": 0.0}, params={**_LEAK, "n_ref": 5.0}
)
adaptive: NeuronModel = neuron(
    _adaptive, name="norse_adaptive", state={"v": 0.0, "c": 0.0, "b": 1.0}, params={**_LEAK, "h_b": 0.8, "jump": 1.8}
)
izhikevich: NeuronModel = neuron(
    _izhikevich,
    name="norse_izhikevich",
    state={"v": -65.0, "u": -13.0},
    params={
        "h": 0.25,
        "h_a": 0.005,
        "square": 0.04,
        "slope": 5.0,
        "base": 140.0,
        "b": 0.2,
        "c": -65.0,
        "d": 6.0,
        "v_th": 30.0,
        "bias": 0.0,
    },
)
