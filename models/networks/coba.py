"""COBA: the benchmark network with conductance-based synapses (Brette et al. 2007, benchmark 1).

4000 neurons, 80 % excitatory, connected at random with probability 0.02; about 20 Hz.

Reference: Vogels and Abbott, J. Neurosci. 25:10786, 2005; Brette et al., J. Comput. Neurosci. 23:349, 2007.

Deviations: the resting level is raised from -60 to -49 mV, so that activity starts by itself as in CUBA; conductances
are in units of the leak; integrated by exponential Euler; spikes act on the membrane one step later (see :mod:`.cuba`).
Other sizes keep the synapses per neuron (p = 0.02 * 4000 / n).
"""

from __future__ import annotations

from spikesim.connect import FixedProbability
from spikesim.distributions import Uniform
from spikesim.models.networks._balanced import check_size
from spikesim.models.neurons import lif_cond_exp
from spikesim.network import Network, Population, Projection
from spikesim.units import ms, mV

DT = 0.1 * ms


def coba(n: int = 4000, seed: int = 1) -> Network:
    """Build COBA: 4000 conductance-based neurons that keep each other active at about 20 Hz.

    Parameters
    ----------
    n
        Neurons, of which 80 % are excitatory.
    seed
        Seed of the connections and of the initial membrane potentials.

    Examples
    --------
    >>> net = coba()
    >>> [(p.name, p.weight) for p in net.projections][::2]
    [('exc->exc:exc', 0.6), ('inh->exc:inh', 6.7)]
    """
    check_size("coba", n)
    n_exc = int(0.8 * n)
    cell = lif_cond_exp(
        arrival="start",
        tau_m=20 * ms,
        tau_exc=5 * ms,
        tau_inh=10 * ms,
        e_l=-49 * mV,
        e_exc=0 * mV,
        e_inh=-80 * mV,
        v_th=-50 * mV,
        v_reset=-60 * mV,
        t_ref=5 * ms,
        init={"v": Uniform(-60 * mV, -50 * mV)},
    )
    rule = FixedProbability(min(1.0, 0.02 * 4000 / n))
    weights = {"exc": 0.6, "inh": 6.7}
    return Network(
        (Population("exc", n_exc, cell), Population("inh", n - n_exc, cell)),
        tuple(
            Projection(pre, post, rule, weight=weight, delay=DT, port=pre)
            for pre, weight in weights.items()
            for post in weights
        ),
        dt=DT,
        seed=seed,
        name="coba",
    )
