"""Neurons taken out of a network for real: those that never fire, that nothing reads, or that do least.

A neuron that never fires sends nothing, so without it every other neuron does the same, bit for bit, on inputs on which
it stays silent. A neuron from which no path of synapses leads to the last population can be taken out whatever it does.
Noise (drives with random spikes, rules that draw synapses or values) is drawn by the number of a neuron, which changes
where others before it go; what is sliced keeps the values that it had.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.lowering import lower
from spikesim.network import Network
from spikesim.recording import Recording
from spikesim.sparsify.surgery import cut, synapses_of

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Smaller:
    """A network without some of its neurons.

    Parameters
    ----------
    network
        What is left.
    kept
        By population of the original, bool ``[n]``.
    """

    network: Network
    kept: Mapping[str, Mask]

    @property
    def neurons(self) -> tuple[int, int]:
        """Neurons before and now."""
        return sum(m.size for m in self.kept.values()), sum(int(m.sum()) for m in self.kept.values())

    def __str__(self) -> str:
        before, now = self.neurons
        rows = [f"  {name}: {m.sum()} of {m.size}" for name, m in self.kept.items() if not m.all()]
        return "\n".join([f"{now} of {before} neurons left", *rows])


def unread(network: Network, readouts: Sequence[str] | None = None) -> dict[str, Mask]:
    """Return which neurons nothing depends on: no path of synapses other than 0 leads from them to a read-out.

    Parameters
    ----------
    network
        The network.
    readouts
        Populations that are read; the last one by default.
    """
    graph = lower(network)
    names = _readouts(network, readouts)
    reached = {n.name: np.full(n.n, n.name in names) for n in graph.nodes}
    edges = [e for e in graph.edges if e.pre in reached]
    found = {e.name: synapses_of(e) for e in edges}
    growing = True
    while growing:
        growing = False
        for edge in edges:
            pre, post, weight, _ = vars(found[edge.name]).values()
            counts = (weight != 0.0) | (edge.learning is not None)
            new = np.zeros_like(reached[edge.pre])
            new[pre[counts & reached[edge.post][post]]] = True
            new &= ~reached[edge.pre]
            reached[edge.pre] |= new
            growing |= bool(new.any())
    modulators = {p.plasticity.modulator for p in network.projections if p.plasticity is not None}
    return {name: np.zeros_like(mask) if name in modulators else ~mask for name, mask in reached.items()}


def remove_neurons(network: Network, gone: Mapping[str, Mask]) -> Smaller:
    """Take neurons out, with their synapses, parameters, initial states, drives and probes.

    Parameters
    ----------
    network
        The network; batch norms are folded.
    gone
        By population, bool ``[n]``: who goes.

    Raises
    ------
    InvalidValueError
        If a population would be left without neurons.
    """
    kept = {name: ~np.asarray(mask, bool) for name, mask in gone.items()}
    smaller = cut(network, kept, {})
    return Smaller(smaller, {p.name: kept.get(p.name, np.ones(p.n, bool)) for p in network.populations})


def remove_silent(network: Network, recording: Recording, *, readouts: Sequence[str] | None = None) -> Smaller:
    """Take out all neurons that never fired in a recording; of a population that was silent throughout, one stays.

    Exact for what was recorded: on the same inputs all others fire at the same steps.

    Parameters
    ----------
    network
        The network of the recording.
    recording
        A run of it, with all inputs that matter as samples.
    readouts
        Populations that stay whole; the last one by default.
    """
    names = _readouts(network, readouts)
    spiking = [p for p in network.populations if p.model.spiking and p.name not in names]
    silent = {p.name: recording[p.name].counts().sum(axis=0) == 0 for p in spiking}
    return remove_neurons(network, {name: _one_stays(mask) for name, mask in silent.items()})


def remove_unread(network: Network, *, readouts: Sequence[str] | None = None) -> Smaller:
    """Take out all neurons that nothing depends on (:func:`unread`), as sparse training leaves them; one stays.

    Exact for every input: what is read does not change.

    Parameters
    ----------
    network, readouts
        See :func:`unread`.
    """
    return remove_neurons(network, {name: _one_stays(mask) for name, mask in unread(network, readouts).items()})


def keep_most_active(
    network: Network, recording: Recording, keep: float, *, readouts: Sequence[str] | None = None
) -> Smaller:
    """Keep the neurons of each population that fired most.

    Parameters
    ----------
    network, recording
        The network and a run of it.
    keep
        Share of each population that stays, above 0 to 1; rounded, at least one neuron. Among equals the first stay.
    readouts
        Populations that stay whole; the last one by default.
    """
    if not 0.0 < keep <= 1.0:
        raise InvalidValueError(f"keep must be above 0 and at most 1, found {keep!r}")
    names, gone = _readouts(network, readouts), {}
    for population in network.populations:
        if population.name not in names and population.model.spiking:
            spikes = recording[population.name].counts().sum(axis=0)
            order = np.argsort(-spikes, kind="stable")
            gone[population.name] = np.ones(population.n, bool)
            gone[population.name][order[: max(1, round(keep * population.n))]] = False
    return remove_neurons(network, gone)


def _one_stays(gone: Mask) -> Mask:
    """Leave a population one neuron: a network has no empty ones."""
    if gone.all():
        gone = gone.copy()
        gone[0] = False
    return gone


def _readouts(network: Network, readouts: Sequence[str] | None) -> set[str]:
    known = [p.name for p in network.populations]
    for name in readouts or ():
        if name not in known:
            raise UnknownNameError("population", name, known)
    return set(known[-1:] if readouts is None else readouts)
