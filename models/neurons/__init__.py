"""Neuron models, one per file: equations, reference, parameters, and the step that every backend compiles.

Each is a function that returns a :class:`~spikesim.neuron.Neuron`; options are keyword arguments, parameters too.
"""

from collections.abc import Callable

from spikesim.models.neurons.adex import adex
from spikesim.models.neurons.alif import alif
from spikesim.models.neurons.cuba_lif import cuba_lif
from spikesim.models.neurons.if_ import integrate_and_fire
from spikesim.models.neurons.izhikevich import izhikevich
from spikesim.models.neurons.leaky import leaky
from spikesim.models.neurons.li import li
from spikesim.models.neurons.lif import lif
from spikesim.models.neurons.lif_alpha import lif_alpha
from spikesim.models.neurons.lif_cond_exp import lif_cond_exp
from spikesim.models.neurons.lif_euler import lif_euler
from spikesim.models.neurons.lif_exp import lif_exp
from spikesim.models.neurons.lif_psc_exp import lif_psc_exp
from spikesim.models.neurons.lif_soft import lif_soft
from spikesim.models.neurons.loihi_lif import loihi_lif
from spikesim.models.neurons.synaptic import synaptic
from spikesim.neuron import Neuron

NEURONS: dict[str, Callable[..., Neuron]] = {
    "adex": adex,
    "alif": alif,
    "cuba_lif": cuba_lif,
    "integrate_and_fire": integrate_and_fire,
    "izhikevich": izhikevich,
    "leaky": leaky,
    "li": li,
    "lif": lif,
    "lif_alpha": lif_alpha,
    "lif_cond_exp": lif_cond_exp,
    "lif_euler": lif_euler,
    "lif_exp": lif_exp,
    "lif_psc_exp": lif_psc_exp,
    "lif_soft": lif_soft,
    "loihi_lif": loihi_lif,
    "synaptic": synaptic,
}

__all__ = [
    "NEURONS",
    "adex",
    "alif",
    "cuba_lif",
    "integrate_and_fire",
    "izhikevich",
    "leaky",
    "li",
    "lif",
    "lif_alpha",
    "lif_cond_exp",
    "lif_euler",
    "lif_exp",
    "lif_psc_exp",
    "lif_soft",
    "loihi_lif",
    "synaptic",
]
