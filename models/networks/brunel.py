"""Brunel's sparse random network with delta synapses, in the asynchronous irregular state.

Every neuron draws ``c_exc`` excitatory and ``c_inh = c_exc / 4`` inhibitory sources (10 %, with replacement) and
receives its own Poisson input of ``eta`` times the rate that reaches threshold by itself. With ``g = 5, eta = 2``
neurons fire irregularly at about 32 Hz.

Reference: Brunel, "Dynamics of Sparsely Connected Networks of Excitatory and Inhibitory Spiking Neurons",
J. Comput. Neurosci. 8:183, 2000, model A; NEST's example ``brunel_delta_nest.py``.

Deviations: sources may be drawn twice and may be the neuron itself, as in NEST's example; above 12 500 neurons the
in-degree stays at 1000 + 250; below, the synaptic weight grows as the in-degree shrinks (J C_E is kept).
"""

from __future__ import annotations

from spikesim.connect import FixedIndegree
from spikesim.models.networks._balanced import check_size
from spikesim.models.neurons import lif
from spikesim.models.synapses import stdp_pair
from spikesim.network import Network, Population, Projection
from spikesim.stimulus import PoissonDrive
from spikesim.units import ms, mV

DT = 0.1 * ms
TAU_M = 20 * ms
THETA = 20 * mV


def brunel(
    n: int = 12500, g: float = 5.0, eta: float = 2.0, seed: int = 1, recurrent: bool = True, plastic: bool = False
) -> Network:
    """Build Brunel's network: delta synapses, fixed in-degrees, Poisson input; asynchronous irregular at 32 Hz.

    Parameters
    ----------
    n
        Neurons, of which 80 % are excitatory.
    g
        Strength of an inhibitory synapse over an excitatory one.
    eta
        External rate over the rate that reaches threshold on average.
    seed
        Seed of the connections and of the Poisson input.
    recurrent
        False leaves the synapses out: the input alone.
    plastic
        True lets the synapses among excitatory neurons learn: pair-based STDP between 0 and twice the weight.

    Examples
    --------
    >>> net = brunel()
    >>> [(p.name, p.n) for p in net.populations], float(net["poisson_exc"].rate)
    ([('exc', 10000), ('inh', 2500)], 20000.0)
    """
    check_size("brunel", n, least=50)
    n_exc = int(0.8 * n)
    sizes = {"exc": n_exc, "inh": n - n_exc}
    rules = {"exc": FixedIndegree(min(1000, n_exc // 10)), "inh": FixedIndegree(min(250, (n - n_exc) // 10))}
    weight = 0.1 * mV * 1000 / rules["exc"].k
    weights = {"exc": weight, "inh": -g * weight}
    learning = stdp_pair(a_plus=1e-3, a_minus=1.05e-3, w_max=2 * weight) if plastic else None
    rate = round(eta * THETA / (weight * TAU_M), 6)
    cell = lif(threshold=">=", tau_m=TAU_M, e_l=0.0, v_th=THETA, v_reset=0.0, t_ref=2 * ms)
    return Network(
        tuple(Population(name, size, cell) for name, size in sizes.items()),
        tuple(
            Projection(
                pre,
                post,
                rules[pre],
                weight=weights[pre],
                delay=1.5 * ms,
                plasticity=learning if (pre, post) == ("exc", "exc") else None,
            )
            for pre in sizes
            for post in sizes
            if recurrent
        ),
        tuple(PoissonDrive(f"poisson_{name}", name, rate=rate, weight=weight) for name in sizes),
        dt=DT,
        seed=seed,
        name="brunel",
    )
