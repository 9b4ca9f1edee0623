"""Give a pruned network the time constants that bring its spectrum back to that of the original."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from spikesim.fold import BIAS, adds_bias
from spikesim.lowering import lower
from spikesim.network import Network, Population
from spikesim.sparsify.covariance import leading
from spikesim.sparsify.linear import LinearModel, linearise
from spikesim.sparsify.lnp import leading_directions
from spikesim.sparsify.surgery import cut, synapses_of
from spikesim.sparsify.timescales import Tuned, gamma_like, time_constants, tune, with_time_constants

Floats = NDArray[np.float64]
ALL = 600  # rows up to which whole spectra are compared; beyond, 32 leading directions
PENALTY = 10.0


def retuned(
    network: Network, projections: Sequence[str], before: LinearModel, *, evaluations: int, seed: int
) -> tuple[Network, Tuned | None]:
    """Return the network with time constants from the gamma distribution that brings the spectrum back.

    While searching, gains and weights stay as they are and a decay ``a`` becomes ``a exp(dt / tau - dt / tau')``. The
    network's bias and the synapses that are not pruned are then scaled by ``(1 - alpha') / (1 - alpha)``, so the level
    to which the input holds a membrane does not change.

    Parameters
    ----------
    network
        The pruned network.
    projections
        The pruned projections.
    before
        Linear system of the original.
    evaluations
        Of the spectrum.
    seed
        Of the search and the noise.

    Returns
    -------
    network, tuned
        The network as it was, and None, if no neuron has a time constant.
    """
    now = linearise(network, projections, noise=before.noise, seed=seed)
    graph = lower(network, snap=False)
    found: dict[str, tuple[str, Floats]] = {}
    for name in now.names:
        population = next((p for p in network.populations if p.name == name), None)
        if population is not None:
            known = time_constants(population.neuron, graph.node(name).params, network.dt, population.n)
            found |= {} if known is None else {name: known}
    if not found:
        return network, None
    tau = np.concatenate([values for _, values in found.values()])
    target = _spectrum(before, before.decay)

    def changed(shape: float, mean: float) -> dict[str, Floats]:
        ends = np.cumsum([len(values) for _, values in found.values()])[:-1]
        return dict(zip(found, np.split(gamma_like(tau, shape, mean), ends), strict=True))

    def objective(shape: float, mean: float) -> float:
        decay = now.decay.copy()
        for name, values in changed(shape, mean).items():
            decay[now.rows(name)] *= np.exp(network.dt / found[name][1] - network.dt / values)
        rates = _spectrum(now, np.minimum(decay, 1.0 - 1e-6))
        return float(stats.wasserstein_distance(rates, target) + PENALTY * max(0.0, float(rates.max())))

    best = tune(objective, tau, evaluations=evaluations, seed=seed)
    new = changed(best.shape, best.mean)
    return _applied(network, projections, found, new), best


def _spectrum(model: LinearModel, decay: Floats) -> Floats:
    """Return real parts of all eigenvalues, or of a large system the growth of its leading directions."""
    matrix = model.matrix(decay=decay)
    return np.asarray(leading(matrix, model.n).real if model.n <= ALL else leading_directions(matrix)[1], np.float64)


def _applied(
    network: Network, projections: Sequence[str], found: dict[str, tuple[str, Floats]], new: dict[str, Floats]
) -> Network:
    graph = lower(network, snap=False)
    factors = {n: -np.expm1(-network.dt / new[n]) / -np.expm1(-network.dt / found[n][1]) for n in found}
    populations = []
    for name, (parameter, _) in found.items():
        population = network.population(name)
        neuron = with_time_constants(population.neuron, parameter, new[name], network.dt)
        ports = population.model.inputs
        if ports and BIAS in population.model.params and adds_bias(population.model, ports[0]):
            neuron = neuron(**{BIAS: np.asarray(graph.node(name).params[BIAS]) * factors[name]})
        populations.append(Population(name, population.shape, neuron))
    others = {}
    for edge in graph.edges:
        if edge.name not in projections and edge.post in factors:
            s = synapses_of(edge)
            others[edge.name] = replace(s, weight=s.weight * factors[edge.post][s.post])
    return cut(network.swap(*populations), {}, others)
