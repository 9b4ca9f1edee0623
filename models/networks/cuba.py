"""CUBA: the benchmark network with current-based synapses (Vogels and Abbott 2005; Brette et al. 2007, benchmark 2).

4000 neurons, 80 % excitatory, connected at random with probability 0.02. Nothing drives them: they rest 1 mV above the
threshold, and inhibition keeps them at about 5 Hz.

Reference: Vogels and Abbott, J. Neurosci. 25:10786, 2005; Brette et al., J. Comput. Neurosci. 23:349, 2007; Brian2's
example ``CUBA.py``.

Deviations: spikes act at once in Brian2's example; here loops need a delay, and one step with ``arrival="start"`` gives
the same equations: a spike of step t moves the membrane in t + 1. The membrane is held for the 50 steps after a spike;
Brian2 counts the step of the spike as well and holds it for 49. Other sizes keep the synapses per neuron
(p = 0.02 * 4000 / n).
"""

from __future__ import annotations

from spikesim.connect import FixedProbability
from spikesim.distributions import Uniform
from spikesim.models.networks._balanced import check_size
from spikesim.models.neurons import lif_exp
from spikesim.network import Network, Population, Projection
from spikesim.units import ms, mV

DT = 0.1 * ms


def cuba(n: int = 4000, seed: int = 1) -> Network:
    """Build CUBA: 4000 current-based neurons that keep each other active at about 5 Hz.

    Parameters
    ----------
    n
        Neurons, of which 80 % are excitatory.
    seed
        Seed of the connections and of the initial membrane potentials.

    Examples
    --------
    >>> net = cuba()
    >>> [(p.name, p.n) for p in net.populations]
    [('exc', 3200), ('inh', 800)]
    """
    check_size("cuba", n)
    n_exc = int(0.8 * n)
    cell = lif_exp(
        arrival="start",
        tau_m=20 * ms,
        tau_exc=5 * ms,
        tau_inh=10 * ms,
        e_l=-49 * mV,
        v_th=-50 * mV,
        v_reset=-60 * mV,
        t_ref=5 * ms,
        init={"v": Uniform(-60 * mV, -50 * mV)},
    )
    rule = FixedProbability(min(1.0, 0.02 * 4000 / n))
    weights = {"exc": 60 * 0.27 / 10 * mV, "inh": -20 * 4.5 / 10 * mV}
    return Network(
        (Population("exc", n_exc, cell), Population("inh", n - n_exc, cell)),
        tuple(
            Projection(pre, post, rule, weight=weight, delay=DT, port=pre)
            for pre, weight in weights.items()
            for post in weights
        ),
        dt=DT,
        seed=seed,
        name="cuba",
    )
