"""spikesim: simulate spiking networks, export them to neuromorphic hardware, profile spikes and energy."""

from spikesim.equations.primitives import (
    absolute,
    clip,
    detach,
    exp,
    floor,
    log,
    maximum,
    minimum,
    spike,
    sqrt,
    tanh,
    where,
)

__version__ = "0.1.0"
