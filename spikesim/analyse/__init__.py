"""What a network does: Lyapunov spectra of maps, flows and networks, diverging twins, dormant neurons."""

from spikesim.analyse.lyapunov import Flow, Map, spectrum
from spikesim.analyse.spectrum import Spectrum
from spikesim.analyse.tangent import network_spectrum

__all__ = ["Flow", "Map", "Spectrum", "network_spectrum", "spectrum"]
