"""spikesim: simulate spiking networks, export them to neuromorphic hardware, profile spikes and energy."""

__version__ = "0.1.0"

from spikesim.engine import Options, compile, run
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
from spikesim.layers import sequential
from spikesim.network import Network, Population, Probe, Projection
from spikesim.neuron import Neuron, NeuronModel, Param, State, neuron
from spikesim.recording import Recording
from spikesim.stimulus import Current, Input, OrnsteinUhlenbeck, Poisson, PoissonDrive, Rate, SpikeTrains
from spikesim.units import Hz, MOhm, kHz, ms, mV, nA, nF, nS, pA, pF, s, us

__all__ = [
    "Current",
    "Hz",
    "Input",
    "MOhm",
    "Network",
    "Neuron",
    "NeuronModel",
    "Options",
    "OrnsteinUhlenbeck",
    "Param",
    "Poisson",
    "PoissonDrive",
    "Population",
    "Probe",
    "Projection",
    "Rate",
    "Recording",
    "SpikeTrains",
    "State",
    "absolute",
    "clip",
    "compile",
    "detach",
    "exp",
    "floor",
    "kHz",
    "log",
    "mV",
    "maximum",
    "minimum",
    "ms",
    "nA",
    "nF",
    "nS",
    "neuron",
    "pA",
    "pF",
    "run",
    "s",
    "sequential",
    "spike",
    "sqrt",
    "tanh",
    "us",
    "where",
]
