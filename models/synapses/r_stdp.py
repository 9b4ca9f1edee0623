"""Reward-modulated STDP: three factors, an eligibility that pairs of spikes leave and a reward that makes it a change.

::

    x (tau_plus) grows by 1 at every arrival, y (tau_minus) at every post spike
    e (tau_e), the eligibility of each synapse
    at an arrival       e -= a_minus y
    at a post spike     e += a_plus  x
    at a reward m       w += gain w_max m e

A reward is a pulse of the modulator: a source of one value per step (``Input(..., graded=True)``), spikes, or a
population, summed over its elements. The pulse acts in its step; a dopamine trace that outlasts it by ``tau_d`` adds
``1 / (1 / tau_e + 1 / tau_d)`` times the eligibility of that moment, which ``gain`` can hold, as long as few
spikes fall into ``tau_d``.

Reference: Izhikevich, *Cerebral Cortex* 17:2443 (2007); Frémaux and Gerstner, *Frontiers in Neural Circuits* 9:85
(2016), section 3.
Peers: NEST ``stdp_dopamine_synapse`` (dopamine as a trace); Brian2's example of Izhikevich 2007.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from spikesim.neuron import Param
from spikesim.synapse import Plasticity, SynapseModel, synapse

_PARAMS = {
    "a_plus": Param(1.0, "", "eligibility from a post spike after an arrival"),
    "a_minus": Param(1.5, "", "eligibility that an arrival after a post spike takes away"),
    "tau_plus": Param(20e-3, "s", "time constant of x", low=0.0),
    "tau_minus": Param(20e-3, "s", "time constant of y", low=0.0),
    "tau_e": Param(1.0, "s", "time constant of the eligibility", low=0.0),
    "gain": Param(0.01, "", "change per reward and eligibility, as a part of w_max"),
}


@cache
def _model() -> SynapseModel:
    def on_pre(w: Any, e: Any, pre: Any, post: Any, p: Any) -> Any:
        return w, e - p.a_minus * post.y

    def on_post(w: Any, e: Any, pre: Any, post: Any, p: Any) -> Any:
        return w, e + p.a_plus * pre.x

    def on_reward(w: Any, e: Any, reward: Any, p: Any) -> Any:
        return w + p.gain * p.w_max * reward * e, e

    return synapse(
        "r_stdp",
        params=_PARAMS,
        pre={"x": "tau_plus"},
        post={"y": "tau_minus"},
        state={"e": "tau_e"},
        on_pre=on_pre,
        on_post=on_post,
        on_reward=on_reward,
        doc="Reward-modulated STDP with eligibility",
    )


def r_stdp(modulator: str, **params: Any) -> Plasticity:
    """Return reward-modulated STDP.

    Parameters
    ----------
    modulator
        Name of the source or population that is the reward.
    **params
        ``a_plus``, ``a_minus``, ``tau_plus``, ``tau_minus``, ``tau_e`` (s), ``gain``; ``w_min`` (0) and ``w_max`` (1),
        in the unit of the port.

    Examples
    --------
    >>> r_stdp("reward", tau_e=0.5).modulator
    'reward'
    """
    return Plasticity(_model(), params, modulator)
