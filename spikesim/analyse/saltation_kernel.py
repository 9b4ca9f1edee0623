# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
"""Compiled: leaky neurons from spike to spike, with tangent columns."""

from __future__ import annotations

import math

from numba import njit


@njit(cache=True)
def advance(v, q, duration, weights, tau, drive, v_th, v_reset, spikes):
    """Carry states `v[n]` and columns `q[n, k]` on by a time, in place; count spikes.

    Returns -1, or the neuron that an incoming pulse took over the threshold.
    """
    left = duration
    while True:
        first, wait = -1, left
        for i in range(len(v)):
            if drive[i] > v_th:
                t = tau[i] * math.log((drive[i] - v[i]) / (drive[i] - v_th))
                if t < wait:
                    first, wait = i, t
        for i in range(len(v)):
            decay = math.exp(-wait / tau[i])
            v[i] = drive[i] + (v[i] - drive[i]) * decay
            q[i] *= decay
        left -= wait
        if first < 0:
            return -1
        # how much earlier the spike comes for each column; everything else follows from the slopes on both sides of it
        earlier = q[first] * (tau[first] / (drive[first] - v_th))
        for i in range(len(v)):
            w = weights[i, first]
            if w != 0.0:
                v[i] += w
                q[i] -= earlier * (w / tau[i])  # a later pulse has had less time to leak away
                if v[i] >= v_th and i != first:
                    return i
        v[first] = v_reset
        q[first] = earlier * ((drive[first] - v_reset) / tau[first])
        spikes[first] += 1
