"""Read-outs: what the last population says about the class, from tensors in training and from recordings alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.network import Network, Probe
from spikesim.recording import Recording

if TYPE_CHECKING:
    import torch

READOUTS = {
    "rate": "spikes of each neuron of the last population, summed over time",
    "membrane_mean": "mean over time of the first state of the last population (a leaky integrator that does not fire)",
    "membrane_max": "its maximum over time",
    "membrane_last": "its value after the last step",
}


@dataclass(frozen=True)
class Readout:
    """How scores are read from the last population of a network.

    Parameters
    ----------
    name
        A name in :data:`READOUTS`.
    population
        The last population.
    state
        Its state that is read, or an empty string for spikes.
    n
        Number of classes.
    """

    name: str
    population: str
    state: str
    n: int

    @property
    def record(self) -> tuple[str, ...]:
        """States that the network must return."""
        return (f"{self.population}/{self.state}",) if self.state else ()

    @property
    def output(self) -> str:
        """Which of a module's outputs is read."""
        return f"{self.population}/{self.state}" if self.state else self.population

    def scores(self, outputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return ``[samples, n]`` from a module's outputs, differentiable."""
        values = outputs[self.output]
        match self.name:
            case "membrane_mean":
                return values.mean(0)
            case "membrane_max":
                return values.amax(0)
            case "membrane_last":
                return values[-1]
        return values.sum(0)

    def probed(self, network: Network) -> Network:
        """Return the network with the probe that :meth:`read` needs."""
        if not self.state:
            return network.with_(probes=())
        return network.with_(probes=(Probe(self.population, (self.state,)),))

    def read(self, recording: Recording) -> NDArray[np.float64]:
        """Return ``[samples, n]`` from a recording."""
        if not self.state:
            return recording[self.population].counts().astype(np.float64)
        values: Any = recording.traces[self.population][self.state].values
        match self.name:
            case "membrane_mean":
                return np.asarray(values.mean(1))
            case "membrane_max":
                return np.asarray(values.max(1))
        return np.asarray(values[:, -1])


def read_out(network: Network, name: str) -> Readout:
    """Return a read-out of a network by name.

    Raises
    ------
    UnknownNameError
        If there is no such read-out.
    InvalidValueError
        If the last population cannot be read in that way.
    """
    if name == "membrane":
        name = "membrane_mean"
    if name not in READOUTS:
        raise UnknownNameError("read-out", name, list(READOUTS))
    if not network.populations:
        raise InvalidValueError(f"network {network.name!r} has no population to read out; add one")
    last = network.populations[-1]
    if name == "rate" and not last.model.spiking:
        raise InvalidValueError(
            f"read-out 'rate': the last population {last.name!r} ({last.model.name}) never fires; use 'membrane_mean'"
        )
    state = "" if name == "rate" else next(iter(last.model.states), "")
    if name != "rate" and not state:
        raise InvalidValueError(f"read-out {name!r}: the last population {last.name!r} has no state; use 'rate'")
    return Readout(name, last.name, state, last.n)


def predict(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the class with the highest score, the lowest number among equals.

    >>> predict(np.array([[1.0, 3.0, 3.0]])).tolist()
    [1]
    """
    return np.asarray(np.argmax(scores, axis=1), np.int64)
