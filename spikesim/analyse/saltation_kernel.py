# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
"""Compiled: leaky neurons with pulses or exponential currents from spike to spike, with tangent columns."""

from __future__ import annotations

import math

from numba import njit

NEAR = 1e-12  # of the way from reset to threshold: so close is there
EQUAL = 1e-7  # relative difference of two time constants below which they count as one


@njit(cache=True)
def reach(t, tau, tau_syn):
    """Return what a current of 1 has added to the membrane after a time."""
    if abs(tau_syn - tau) < EQUAL * tau:
        return t / tau * math.exp(-t / tau)
    return tau_syn / (tau_syn - tau) * (math.exp(-t / tau_syn) - math.exp(-t / tau))


@njit(cache=True)
def membrane(t, v, g, tau, tau_syn, drive):
    """Return the membrane after a time without spikes."""
    u = drive + (v - drive) * math.exp(-t / tau)
    for p in range(len(g)):
        if g[p] != 0.0:
            u += g[p] * reach(t, tau, tau_syn[p])
    return u


@njit(cache=True)
def crossing(v, g, tau, tau_syn, drive, v_th, v_reset, limit):
    """Return when the membrane first reaches the threshold, or `limit` if it does not before.

    Each step goes as far as the membrane would need if the currents that excite it now stayed and the others were gone:
    the first crossing cannot come earlier. Without currents that is the exact time.
    """
    t, u = 0.0, v
    while True:
        top = drive
        for p in range(len(g)):
            if g[p] > 0.0:
                top += g[p] * math.exp(-t / tau_syn[p])
        if top <= v_th:
            return limit
        step = tau * math.log((top - u) / (top - v_th))
        t += step
        if t >= limit:
            return limit
        u = membrane(t, v, g, tau, tau_syn, drive)
        if v_th - u <= NEAR * (v_th - v_reset) or step <= 1e-15 * t:
            return t


@njit(cache=True)
def slope(i, v, g, tau, drive):
    """Return the derivative of a membrane."""
    total = drive[i] - v
    for p in range(len(g)):
        total += g[p, i]
    return total / tau[i]


@njit(cache=True)
def flow(wait, v, g, rest, q, tau, tau_syn, drive):
    """Carry everything on by a time without spikes, in place; membranes at rest after a spike are held."""
    n = len(v)
    for i in range(n):
        if rest[i] > 0.0:
            rest[i] -= wait
        else:
            v[i] = membrane(wait, v[i], g[:, i], tau[i], tau_syn[:, i], drive[i])
            q[i] *= math.exp(-wait / tau[i])
            for p in range(len(g)):
                q[i] += reach(wait, tau[i], tau_syn[p, i]) * q[n + p * n + i]
        for p in range(len(g)):
            decay = math.exp(-wait / tau_syn[p, i])
            g[p, i] *= decay
            q[n + p * n + i] *= decay


@njit(cache=True)
def advance(v, g, rest, q, duration, pulses, currents, tau, tau_syn, drive, v_th, v_reset, t_ref, spikes):
    """Carry states `v[n]`, `g[p, n]`, `rest[n]` and columns `q[n + p n, k]` on by a time, in place; count spikes.

    While a membrane is held, its row of `q` says how much earlier it was reset, over its time constant. Returns -1, or
    the neuron that an incoming pulse took over the threshold.
    """
    n, left = len(v), duration
    while True:
        first, wait = -1, left
        for i in range(n):
            held = rest[i] > 0.0
            if held:
                t = rest[i]
            else:
                t = crossing(v[i], g[:, i], tau[i], tau_syn[:, i], drive[i], v_th[i], v_reset[i], wait)
            if t < wait:
                first, wait = i, t
        released = first >= 0 and rest[first] > 0.0
        flow(wait, v, g, rest, q, tau, tau_syn, drive)
        left -= wait
        if first < 0:
            return -1
        if released:
            rest[first] = 0.0
            q[first] *= tau[first] * slope(first, v[first], g, tau, drive)
            continue
        # how much earlier the spike comes for each column; everything else follows from the slopes on both sides of it
        earlier = q[first] / max(slope(first, v_th[first], g, tau, drive), 1e-300)
        spikes[first] += 1
        for p in range(len(g)):
            for i in range(n):
                w = currents[p, i, first]
                if w != 0.0:
                    g[p, i] += w
                    q[n + p * n + i] -= earlier * (w / tau_syn[p, i])  # a later current has had less time to decay
                    if i != first and rest[i] <= 0.0:
                        q[i] += earlier * (w / tau[i])  # and less time to act
        for i in range(n):
            w = pulses[i, first]
            if w != 0.0 and rest[i] <= 0.0:
                v[i] += w
                q[i] -= earlier * (w / tau[i])
                if v[i] >= v_th[i] and i != first:
                    return i
        v[first] = v_reset[first]
        if t_ref[first] > 0.0:
            rest[first] = t_ref[first]
            q[first] = earlier / tau[first]
        else:
            q[first] = earlier * slope(first, v[first], g, tau, drive)
