"""Read-outs: what the last population says, from tensors in training and from recordings alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.network import Network, Probe
from spikesim.recording import Recording

if TYPE_CHECKING:
    import torch

READOUTS = {
    "rate": "spikes of each neuron of the last population, summed over time",
    "latency": "the first spike wins: minus the step of each neuron's first spike, minus the number of steps if none",
    "membrane_mean": "mean over time of the first state of the last population (a leaky integrator that does not fire)",
    "membrane_max": "its maximum over time",
    "membrane_last": "its value after the last step",
}
ALIASES = {
    "spikes": "rate",
    "count": "rate",
    "first_spike": "latency",
    "membrane": "membrane_mean",
    "mean": "membrane_mean",
    "max": "membrane_max",
    "last": "membrane_last",
}
OF_SPIKES = ("rate", "latency")


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
        Number of classes, or of outputs.
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

    def scores(self, values: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Return ``[samples, n]``, differentiable.

        Parameters
        ----------
        values
            Spikes or membranes of the last population, ``[steps, samples, n]``.
        lengths
            Steps of each sample that count, int64 ``[samples]``; all by default.
        """
        import torch

        if lengths is None:
            return self._whole(values)
        real = within(lengths, len(values))
        match self.name:
            case "membrane_mean":
                return (values * real).sum(0) / lengths[:, None]
            case "membrane_max":
                return values.masked_fill(~real, -torch.inf).amax(0)
            case "membrane_last":
                return values[lengths - 1, torch.arange(len(lengths), device=lengths.device)]
        return self._whole(values * real)

    def _whole(self, values: torch.Tensor) -> torch.Tensor:
        match self.name:
            case "membrane_mean":
                return values.mean(0)
            case "membrane_max":
                return values.amax(0)
            case "membrane_last":
                return values[-1]
            case "latency":
                return -first_spike(values)
        return values.sum(0)

    def probed(self, network: Network) -> Network:
        """Return the network with the probe that :meth:`read` needs."""
        if not self.state:
            return network.with_(probes=())
        return network.with_(probes=(Probe(self.population, (self.state,)),))

    def over_time(self, recording: Recording) -> NDArray[np.float64]:
        """Return spikes or membranes of a recording, ``[steps, samples, n]``."""
        if not self.state:
            return recording[self.population].dense().astype(np.float64)
        return np.moveaxis(np.asarray(recording.traces[self.population][self.state].values), 0, 1)

    def read(self, recording: Recording, lengths: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Return ``[samples, n]`` from a recording."""
        if self.name == "rate" and lengths is None:
            return recording[self.population].counts().astype(np.float64)
        values = self.over_time(recording)
        steps = np.arange(len(values))[:, None, None]
        ends = np.full(values.shape[1], len(values)) if lengths is None else lengths
        real = steps < ends[:, None]
        match self.name:
            case "membrane_mean":
                return np.asarray(np.where(real, values, 0.0).sum(0) / ends[:, None])
            case "membrane_max":
                return np.asarray(np.where(real, values, -np.inf).max(0))
            case "membrane_last":
                return np.asarray(values[ends - 1, np.arange(len(ends))])
            case "latency":
                return -np.asarray(np.where((values > 0) & real, steps, len(values)).min(0), np.float64)
        return np.asarray((values * real).sum(0))


def first_spike(spikes: torch.Tensor) -> torch.Tensor:
    """Return the step of each neuron's first spike, the number of steps if it has none; differentiable.

    The time is ``sum_t prod_{k <= t} (1 - s[k])``, the number of steps before a spike. Its derivative for ``s[k]`` is
    exactly what one more spike, or one less, would change: a spike at ``k`` before the first one would bring it
    forward by ``first - k``; without the first one the next would be the first.

    Parameters
    ----------
    spikes
        ``[steps, samples, n]``.
    """
    return (1.0 - spikes).cumprod(0).sum(0)


def within(lengths: torch.Tensor, steps: int) -> torch.Tensor:
    """Return which steps are real, bool ``[steps, samples, 1]``."""
    import torch

    return (torch.arange(steps, device=lengths.device)[:, None] < lengths)[:, :, None]


def readout_name(name: str) -> str:
    """Return the full name of a read-out.

    Raises
    ------
    UnknownNameError
        If there is no such read-out.
    """
    name = ALIASES.get(name, name)
    if name not in READOUTS:
        raise UnknownNameError("read-out", name, list(READOUTS))
    return name


def read_out(network: Network, name: str) -> Readout:
    """Return a read-out of a network by name.

    Raises
    ------
    UnknownNameError
        If there is no such read-out.
    InvalidValueError
        If the last population cannot be read in that way.
    """
    name = readout_name(name)
    if not network.populations:
        raise InvalidValueError(f"network {network.name!r} has no population to read out; add one")
    last = network.populations[-1]
    if name in OF_SPIKES and not last.model.spiking:
        raise InvalidValueError(
            f"read-out {name!r}: the last population {last.name!r} ({last.model.name}) never fires; use 'membrane_mean'"
        )
    state = "" if name in OF_SPIKES else next(iter(last.model.states), "")
    if name not in OF_SPIKES and not state:
        raise InvalidValueError(f"read-out {name!r}: the last population {last.name!r} has no state; use 'rate'")
    return Readout(name, last.name, state, last.n)


def predict(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the class with the highest score, the lowest number among equals.

    >>> predict(np.array([[1.0, 3.0, 3.0]])).tolist()
    [1]
    """
    return np.asarray(np.argmax(scores, axis=1), np.int64)
