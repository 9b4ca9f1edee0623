"""spikesim: simulate spiking networks, export them to neuromorphic hardware, profile spikes and energy."""

__version__ = "0.1.0"

import importlib
import os
from types import ModuleType

# Threads of OpenMP (torch, numba) that wait must sleep: by default they spin, and beside one busy process a training
# that takes 18 s was measured to take 146 s. Read when the runtime is loaded; whoever has set it keeps their choice.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


from spikesim.engine import Options, compile, resume, run
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
from spikesim.sweeps import load_sweep, sweep
from spikesim.synapse import Plasticity, SynapseModel, synapse
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
    "Plasticity",
    "Poisson",
    "PoissonDrive",
    "Population",
    "Probe",
    "Projection",
    "Rate",
    "Recording",
    "SpikeTrains",
    "State",
    "SynapseModel",
    "absolute",
    "clip",
    "compile",
    "detach",
    "exp",
    "floor",
    "kHz",
    "load_sweep",
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
    "resume",
    "run",
    "s",
    "sequential",
    "spike",
    "sqrt",
    "sweep",
    "synapse",
    "tanh",
    "us",
    "where",
]

_ROOMS = ("backends", "convert", "data", "encode", "events", "models", "plot", "profile", "quantise", "train")


def __getattr__(name: str) -> ModuleType:
    """Import a room when it is first asked for: ``spikesim.train(...)`` after ``import spikesim``."""
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
