"""Which synapses and neurons go, by method: scores of synapses, draws, scores of neurons.

``lnp`` and ``noise`` see the network and noise only. The baselines: ``weight`` draws in proportion to ``|w|``,
``random`` draws all alike, ``magnitude`` keeps the largest ``|w|``, ``activity`` the synapses that carry most,
``rate |w|``, and the neurons that fire most (on the inputs given, else under noise); ``sparse_init`` draws a new random
graph with weights of the old one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.network import Network
from spikesim.rng import Stream
from spikesim.sparsify.betweenness import betweenness
from spikesim.sparsify.linear import LinearModel
from spikesim.sparsify.lnp import lnp_terms, lyapunov_weights, neuron_exponents, sensitivity
from spikesim.sparsify.noise import draw, scaled_to

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
METHODS = ("lnp", "noise", "weight", "random", "magnitude", "activity", "sparse_init")
DRAWN = ("lnp", "noise", "weight", "random")
KEPT_NEURONS = {"lnp": 0.5, "activity": 0.5}


@dataclass(frozen=True)
class Settings:
    """How to prune; see :func:`spikesim.sparsify.prune`."""

    method: str
    steps: tuple[int, ...]
    factor: str
    floor: float
    rescale: bool
    exponents: str
    engine: str
    seed: int


class Scores:
    """Probabilities and scores of one round.

    Parameters
    ----------
    network, model
        The network and its linear system.
    settings
        How to prune.
    activity
        Spikes of every row on the user's inputs, or None.
    number
        Of the round, for its random numbers.
    """

    def __init__(
        self, network: Network, model: LinearModel, settings: Settings, activity: Floats | None, number: int
    ) -> None:
        self.model, self.settings, self.number = model, settings, number
        self.raw = np.abs(np.concatenate([s.weight for s in model.synapses.values()]))
        self.activity = model.rates if activity is None else activity
        self.uniform = Stream(settings.seed, f"prune/{number}").uniform(len(model.pre))
        if settings.method in ("lnp", "noise"):
            self.sensitive = sensitivity(model, settings.seed)
        self.lyapunov = settings.method == "lnp" and settings.factor != "w"
        if self.lyapunov:
            self.exponents = neuron_exponents(network, model, settings.exponents, settings.seed)

    def terms(self, among: Mask) -> Floats:
        """Return the score of every synapse, 0 for those that are not among the ones that still exist."""
        method = self.settings.method
        if method in ("lnp", "noise"):
            weights = lyapunov_weights(self.model, self.exponents, among) if self.lyapunov else None
            found = lnp_terms(self.model, self.sensitive, weights, self.settings.factor if self.lyapunov else "w")
        elif method == "activity":
            found = self.raw * self.activity[self.model.pre]
        else:
            found = np.ones(len(self.raw)) if method == "random" else self.raw
        return np.where(among, found, 0.0)

    def kept(self, among: Mask, count: int) -> tuple[Mask, Floats]:
        """Return which synapses stay, exactly ``count`` of those that exist, and the probability that each had."""
        terms, p = self.terms(among), np.zeros(len(among))
        if self.settings.method in DRAWN:
            p[among] = scaled_to(terms[among], count, self.settings.floor)
            return draw(p, self.uniform, count), p
        ranked = np.lexsort((self.uniform, -terms, ~among))
        kept = np.zeros(len(among), bool)
        kept[ranked[:count]] = True
        return kept, np.where(kept, 1.0, 0.0)

    def neurons(self, trial: Mask, p: Floats, removable: Mask) -> tuple[Floats, Floats]:
        """Return a score for every row, the lowest of which go, and the standard errors of the scores.

        For ``lnp`` it is the betweenness on the graph that a trial draw leaves.
        """
        method, model = self.settings.method, self.model
        nothing = np.zeros(model.n)
        if method == "lnp":
            weight = np.where(trial, model.weight, 0.0)
            w = model.matrix(np.where(trial & (weight == 0.0), 1e-300, weight))  # a silent neuron's synapses count too
            found = betweenness(w, engine=self.settings.engine, seed=self.settings.seed)
            strength = np.bincount(model.pre, p, model.n) + np.bincount(model.post, p, model.n)
            return found.values + strength / (1.0 + strength.sum()), found.errors  # ties: the less connected goes
        if method == "activity":
            return self.activity, nothing
        if method in ("random", "sparse_init"):
            return Stream(self.settings.seed, f"prune/{self.number}/neurons").uniform(model.n), nothing
        value = p if method == "noise" else self.raw
        total = np.bincount(model.pre, value, model.n) + np.bincount(model.post, value, model.n)
        return total.astype(np.float64), nothing
