"""Fit a recurrent network to a task: its input, and neurons that a trained read-out needs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spikesim.connect import Dense
from spikesim.errors import InvalidValueError
from spikesim.models.networks._small_world import series_input
from spikesim.models.neurons import li
from spikesim.network import Network, Population, Projection
from spikesim.rng import Stream
from spikesim.stimulus import Input


def own_input(network: Network, channels: int) -> Input | None:
    """Return the graded input of a network if it has one only, of so many channels; else None."""
    inputs = [s for s in network.stimuli if isinstance(s, Input)]
    fits = len(inputs) == 1 and inputs[0].graded and inputs[0].n == channels
    return inputs[0] if fits else None


def with_input(network: Network, channels: int, gain: float = 1.2, seed: int = 0) -> Network:
    """Return the network with a graded input ``"series"`` to all populations, in place of the inputs that it has.

    Parameters
    ----------
    network
        Any network.
    channels
        Values per step.
    gain
        How far an input of 1 can move a membrane (see :func:`spikesim.models.networks.hrsnn`).
    seed
        Of the weights, which are uniform; they depend on the seed and the number of neurons only.

    Raises
    ------
    InvalidValueError
        If the name ``"series"`` is taken, or the network has no neurons.

    Examples
    --------
    >>> from spikesim.models.networks import hrsnn
    >>> with_input(hrsnn(40, inputs=3), 12)["series"].n
    12
    """
    if not network.populations:
        raise InvalidValueError(f"network {network.name!r} has no population that could receive a series; add one")
    old = {s.name for s in network.stimuli if isinstance(s, Input)}
    kept = replace(
        network,
        stimuli=tuple(s for s in network.stimuli if s.name not in old),
        projections=tuple(p for p in network.projections if p.pre not in old),
    )
    source, ways = series_input(kept.populations, channels, gain, seed, network.dt)
    return kept.add(source, *ways)


def fitted(network: Network, channels: int, seed: int = 0) -> Network:
    """Return the network itself if its input has so many channels, else with one that has (:func:`with_input`)."""
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
