"""What a read-out sees: spikes, low-pass filtered, once per value of the series."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikesim.engine import run
from spikesim.errors import InvalidValueError
from spikesim.network import Network
from spikesim.recording import Recording, Spikes
from spikesim.reservoir.attach import presented, the_input

Floats = NDArray[np.float64]

TAU = 20e-3  # s


def filtered(spikes: Spikes, every: int, tau: float = TAU) -> Floats:
    """Filter spikes with an exponential, ``x' = x exp(-dt / tau) + s``, and keep every so many steps.

    Parameters
    ----------
    spikes
        Of one population.
    every
        Steps from one kept value to the next; the first is kept at step ``every - 1``.
    tau
        Seconds; 0 keeps only spikes of the very step.

    Returns
    -------
    numpy.ndarray
        Float64 ``[samples, steps // every, neurons]``.

    Examples
    --------
    >>> one = np.zeros(1, int)
    >>> x = filtered(Spikes(one, one, one, n=1, steps=4, samples=1, dt=1e-3), every=2, tau=1e-3)
    >>> x[0, :, 0].round(4)
    array([0.3679, 0.0498])
    """
    if every < 1 or tau < 0:
        raise InvalidValueError(f"filtered: needs every of at least 1 and tau of at least 0 s, found {every} and {tau}")
    decay = float(np.exp(-spikes.dt / tau)) if tau else 0.0
    bins = spikes.steps // every
    kept = spikes.step < bins * every
    at = spikes.step[kept]
    place = (spikes.sample[kept].astype(np.int64) * bins + at // every) * spikes.n + spikes.neuron[kept]
    weight = decay ** (every - 1 - at % every).astype(np.float64)
    total = np.bincount(place, weight, spikes.samples * bins * spikes.n).astype(
        np.float64
    )  # integers if there are none
    out: Floats = total.reshape(spikes.samples, bins, spikes.n)
    whole = decay**every
    for k in range(1, bins):
        out[:, k] += whole * out[:, k - 1]
    return out


def states(network: Network, recording: Recording, every: int, tau: float = TAU) -> Floats:
    """Return the filtered spikes of all populations side by side, in the order of the network.

    Parameters
    ----------
    network
        That ran.
    recording
        Its spikes.
    every, tau
        See :func:`filtered`.

    Returns
    -------
    numpy.ndarray
        Float64 ``[samples, steps // every, neurons]``.
    """
    return np.concatenate([filtered(recording[p.name], every, tau) for p in network.populations], axis=2)


def drive(
    network: Network, x: Floats, hold: int, tau: float = TAU, seed: int = 0, backend: str | None = None
) -> tuple[Floats, Recording]:
    """Present series to a network's input and return the filtered spikes.

    Parameters
    ----------
    network
        With one input that takes the series (:func:`spikesim.reservoir.with_input`).
    x
        ``[samples, time, channels]``.
    hold
        Steps per value.
    tau, seed, backend
        Filter (s), seed of rate-coded spikes, engine.

    Returns
    -------
    states, recording
        ``[samples, time, neurons]``, after the last step of each value; and the run.
    """
    source = the_input(network, x.shape[2])
    recording = run(network, inputs={source.name: presented(x, source, hold, seed)}, backend=backend)
    return states(network, recording, hold, tau), recording


def pooled(x: Floats, lengths: NDArray[np.int64] | None = None) -> Floats:
    """Return one vector per sample: the mean over its real length, and the last real value.

    Parameters
    ----------
    x
        ``[samples, time, neurons]``.
    lengths
        Real values of each sample; all by default.

    Returns
    -------
    numpy.ndarray
        Float64 ``[samples, 2 * neurons]``.
    """
    n, time = x.shape[:2]
    real = np.full(n, time) if lengths is None else np.asarray(lengths)
    inside = np.arange(time) < real[:, None]
    mean = np.einsum("stn,st->sn", x, inside) / real[:, None]
    return np.concatenate([mean, x[np.arange(n), real - 1]], axis=1)
