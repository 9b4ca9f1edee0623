"""Fit a recurrent network to a task: its input, and neurons that a trained read-out needs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from spikesim.connect import Dense
from spikesim.encode import varying_rate
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.models.networks._small_world import series_input
from spikesim.models.neurons import li
from spikesim.network import Network, Population, Projection
from spikesim.rng import Stream
from spikesim.stimulus import Input

FULL = 4.0  # deviations of a series at which a rate-coded input fires in every step

Coding = Literal["current", "rate"]


def own_input(network: Network, channels: int) -> Input | None:
    """Return the input of a network if it can take a series of so many channels; else None.

    It must be the only one: graded with one element per channel (currents), or of spikes with two (rate coding).
    """
    inputs = [s for s in network.stimuli if isinstance(s, Input)]
    fits = len(inputs) == 1 and inputs[0].n == (channels if inputs[0].graded else 2 * channels)
    return inputs[0] if fits else None


def the_input(network: Network, channels: int) -> Input:
    """Return what :func:`own_input` does, or raise InvalidValueError."""
    source = own_input(network, channels)
    if source is None:
        names = [s.name for s in network.stimuli if isinstance(s, Input)]
        raise InvalidValueError(
            f"a series of {channels} channels needs a network with one input, graded of that size or of twice as many "
            f"spike trains, found inputs {names}; use with_input(network, {channels})"
        )
    return source


def with_input(
    network: Network, channels: int, gain: float = 1.2, seed: int = 0, *, coding: Coding = "current"
) -> Network:
    """Return the network with an input ``"series"`` to all populations, in place of the inputs that it has.

    Parameters
    ----------
    network
        Any network.
    channels
        Values per step.
    gain
        How far an input of 1 can move a membrane (see :func:`spikesim.models.networks.hrsnn`), on average.
    seed
        Of the weights, which are uniform; they depend on the seed and the number of neurons only.
    coding
        ``"current"``: the values themselves. ``"rate"``: two spike trains per channel, one for values above 0 and one
        for those below, which fire with a probability of ``|value| / 4`` in each step.

    Raises
    ------
    UnknownNameError
        If there is no such coding.
    InvalidValueError
        If the name ``"series"`` is taken, or the network has no neurons.

    Examples
    --------
    >>> from spikesim.models.networks import hrsnn
    >>> with_input(hrsnn(40, inputs=3), 12)["series"].n
    12
    """
    if coding not in get_args(Coding):
        raise UnknownNameError("coding", coding, get_args(Coding))
    if not network.populations:
        raise InvalidValueError(f"network {network.name!r} has no population that could receive a series; add one")
    old = {s.name for s in network.stimuli if isinstance(s, Input)}
    kept = replace(
        network,
        stimuli=tuple(s for s in network.stimuli if s.name not in old),
        projections=tuple(p for p in network.projections if p.pre not in old),
    )
    graded = coding == "current"
    n, size = (channels, gain) if graded else (2 * channels, gain * FULL)
    source, ways = series_input(kept.populations, n, size, seed, network.dt, graded=graded)
    return kept.add(source, *ways)


def presented(x: NDArray[np.float64], source: Input, hold: int, seed: int = 0) -> NDArray[Any]:
    """Return what an input is given of series: held currents, or spikes.

    Parameters
    ----------
    x
        ``[samples, time, channels]``, in deviations.
    source
        See :func:`own_input`.
    hold
        Steps per value.
    seed
        Of the spikes.

    Returns
    -------
    numpy.ndarray
        ``[time * hold, samples, *shape]``.
    """
    held = np.repeat(x, hold, axis=1)
    if source.graded:
        return held.transpose(1, 0, 2).reshape(-1, len(x), *source.shape)
    intensity = np.concatenate([held, -held], axis=2).clip(0.0, FULL) / FULL
    return varying_rate(intensity, seed=seed).reshape(-1, len(x), *source.shape)


def fitted(network: Network, channels: int, seed: int = 0) -> Network:
    """Return the network itself if its input takes so many channels, else with one that does (:func:`with_input`)."""
    return network if own_input(network, channels) else with_input(network, channels, seed=seed)


def with_readout(network: Network, outputs: int, tau: float = 20e-3, seed: int = 0) -> Network:
    """Return the network with leaky integrators that read all populations, to be trained with :func:`spikesim.train`.

    Parameters
    ----------
    network
        Without a population ``"readout"``.
    outputs
        Number of integrators.
    tau
        Their time constant in seconds: the filter of the spikes.
    seed
        Of the first weights: normal, ``1 / sqrt(neurons)``.

    Examples
    --------
    >>> from spikesim.models.networks import hrsnn
    >>> [p.name for p in with_readout(hrsnn(40), 3).populations]
    ['recurrent', 'readout']
    """
    neurons = sum(p.n for p in network.populations)
    reader = Population("readout", outputs, li(beta=float(np.exp(-network.dt / tau))))
    ways = []
    for p in network.populations:
        draws = Stream(seed, f"{p.name}->readout/weight").normal(outputs * p.n) / np.sqrt(neurons)
        ways.append(Projection(p.name, "readout", Dense(draws.reshape(outputs, p.n))))
    return network.add(reader, *ways)
