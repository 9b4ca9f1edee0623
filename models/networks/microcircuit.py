"""The cortical microcircuit of Potjans and Diesmann: four layers, eight populations, 77 169 neurons at full scale.

Numbers of neurons, probabilities, external in-degrees and rates are the paper's. ``scale`` shrinks the populations and
the in-degrees alike; weights grow by ``1 / sqrt(scale)`` and a direct current makes up for the lost mean input, so that
rates stay near those of the full circuit (0.8, 3.3, 4.5, 7.2, 8.3, 7.9, 1.2, 8.4 Hz measured with NEST at 0.1).

Reference: Potjans and Diesmann, "The Cell-Type Specific Cortical Microcircuit", Cereb. Cortex 24:785, 2014; van Albada
et al., PLoS Comput. Biol. 11:e1004490, 2015 (down-scaling); GeNN's ``potjans_microcircuit.py``.

Deviations: only the scaled versions of the circuit deviate, as said above; membranes start at Normal(-58, 5) mV for all
populations. Delays below 0.05 ms are drawn again and all are rounded to steps, at least one (NEST).
"""

from __future__ import annotations

import math

from spikesim.connect import FixedTotalNumber
from spikesim.distributions import Normal
from spikesim.errors import InvalidValueError
from spikesim.models.neurons import lif_psc_exp
from spikesim.network import Network, Population, Projection
from spikesim.neuron import Neuron
from spikesim.stimulus import PoissonDrive
from spikesim.units import ms, mV, pA

DT = 0.1 * ms
TAU_SYN = 0.5 * ms
WEIGHT = 87.8 * pA
G = -4.0  # inhibitory over excitatory weight
BACKGROUND_HZ = 8.0  # of each external source

POPULATIONS = ("23E", "23I", "4E", "4I", "5E", "5I", "6E", "6I")
SIZES = dict(zip(POPULATIONS, (20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948), strict=True))
EXTERNAL = dict(zip(POPULATIONS, (1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100), strict=True))
RATES_HZ = dict(zip(POPULATIONS, (0.971, 2.868, 4.746, 5.396, 8.142, 9.078, 0.991, 7.523), strict=True))
PROBABILITIES = {  # target: from each source, in the order of POPULATIONS
    "23E": (0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0, 0.0076, 0.0),
    "23I": (0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0, 0.0042, 0.0),
    "4E": (0.0077, 0.0059, 0.0497, 0.135, 0.0067, 0.0003, 0.0453, 0.0),
    "4I": (0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0, 0.1057, 0.0),
    "5E": (0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0),
    "5I": (0.0548, 0.0269, 0.0257, 0.0022, 0.06, 0.3158, 0.0086, 0.0),
    "6E": (0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252),
    "6I": (0.0364, 0.001, 0.0034, 0.0005, 0.0277, 0.008, 0.0658, 0.1443),
}


def indegree(source: str, target: str) -> int:
    """Return the synapses per target neuron at full scale: what a pair probability means with multiple synapses.

    Rounded down, as in GeNN's version of the model.

    >>> indegree("23E", "23E")
    2199
    """
    p = PROBABILITIES[target][POPULATIONS.index(source)]
    pairs = SIZES[source] * SIZES[target]
    return int(math.log1p(-p) / math.log1p(-1 / pairs) / SIZES[target])


def weight(source: str, target: str) -> float:
    """Return the mean weight at full scale in amperes; the projection from 4E to 23E is twice as strong."""
    if source.endswith("I"):
        return G * WEIGHT
    return 2 * WEIGHT if (source, target) == ("4E", "23E") else WEIGHT


def direct_current(target: str, scale: float) -> float:
    """Return the current in amperes that makes up for the mean input lost by shrinking in-degrees."""
    recurrent = sum(weight(s, target) * indegree(s, target) * RATES_HZ[s] for s in POPULATIONS)
    return TAU_SYN * (1 - math.sqrt(scale)) * (recurrent + WEIGHT * EXTERNAL[target] * BACKGROUND_HZ)


def microcircuit(scale: float = 0.1, seed: int = 1) -> Network:
    """Build the cortical microcircuit of Potjans and Diesmann: four layers, eight populations.

    Parameters
    ----------
    scale
        Of the populations and of the in-degrees: above 0, at most 1.
    seed
        Seed of connections, weights, delays, initial membrane potentials and Poisson input.

    Examples
    --------
    >>> net = microcircuit(0.1)
    >>> sum(p.n for p in net.populations)
    7717
    """
    if not 0.0 < scale <= 1.0:
        raise InvalidValueError(f"microcircuit: scale must be above 0 and at most 1, found {scale!r}")
    sizes = {name: max(1, round(scale * n)) for name, n in SIZES.items()}
    backgrounds = {f"background_{name}": name for name in POPULATIONS}
    return Network(
        tuple(Population(name, n, _cell(name, scale)) for name, n in sizes.items()),
        tuple(_projection(s, t, scale, sizes[t]) for t in POPULATIONS for s in POPULATIONS if indegree(s, t)),
        tuple(
            PoissonDrive(name, target, rate=EXTERNAL[target] * scale * BACKGROUND_HZ, weight=WEIGHT / math.sqrt(scale))
            for name, target in backgrounds.items()
        ),
        dt=DT,
        seed=seed,
        name="microcircuit",
    )


def _cell(name: str, scale: float) -> Neuron:
    start = Normal(-58 * mV, 5 * mV)
    return lif_psc_exp(threshold=">=", tau_syn=TAU_SYN, i_e=direct_current(name, scale), init={"v": start})


def _projection(source: str, target: str, scale: float, n_target: int) -> Projection:
    mean = weight(source, target) / math.sqrt(scale)
    strong = (source, target) == ("4E", "23E")
    sd = abs(mean) * (0.05 if strong else 0.1)
    low, high = (0.0, None) if mean > 0 else (None, 0.0)
    delay = 1.5 * ms if source.endswith("E") else 0.75 * ms
    return Projection(
        source,
        target,
        FixedTotalNumber(round(indegree(source, target) * scale * n_target)),
        weight=Normal(mean, sd, low, high),
        delay=Normal(delay, delay / 2, 0.05 * ms),
    )
