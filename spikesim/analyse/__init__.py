"""What a network does: Lyapunov spectra of maps, flows and networks, diverging twins, dormant neurons."""

from spikesim.analyse.closed_form import pulse_network
from spikesim.analyse.dormancy import (
    Diagnosis,
    Dormancy,
    diagnose,
    dormant_ratio,
    exploitation_share,
    exploration_std,
    perturb_factor,
)
from spikesim.analyse.lyapunov import Flow, Map, spectrum
from spikesim.analyse.pulse_network import PulseNetwork
from spikesim.analyse.saltation import event_spectrum
from spikesim.analyse.spectrum import Spectrum
from spikesim.analyse.tangent import network_spectrum
from spikesim.analyse.twins import Twins, twins

__all__ = [
    "Diagnosis",
    "Dormancy",
    "Flow",
    "Map",
    "PulseNetwork",
    "Spectrum",
    "Twins",
    "diagnose",
    "dormant_ratio",
    "event_spectrum",
    "exploitation_share",
    "exploration_std",
    "network_spectrum",
    "perturb_factor",
    "pulse_network",
    "spectrum",
    "twins",
]
