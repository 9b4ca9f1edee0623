"""Encoders: arrays ``[samples, features...]`` to spikes or currents ``[steps, samples, features...]``, time first.

>>> from spikesim import encode
>>> encode.constant([[0.2, 0.7]], steps=4).shape
(4, 1, 2)
"""

from spikesim.encode.signals import constant, delta
from spikesim.encode.spikes import latency, poisson, rate, regular, varying_rate
from spikesim.encode.values import population, signed

__all__ = ["constant", "delta", "latency", "poisson", "population", "rate", "regular", "signed", "varying_rate"]
