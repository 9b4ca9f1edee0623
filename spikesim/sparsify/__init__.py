"""Sparse networks: noise-pruning, Lyapunov noise pruning and its baselines, and taking away for real."""

from spikesim.sparsify.betweenness import Betweenness, betweenness
from spikesim.sparsify.covariance import covariance, simulated_covariance
from spikesim.sparsify.noise import EigenErrors, NoisePruned, eigen_errors, noise_prune
from spikesim.sparsify.prune import Pruned, prune
from spikesim.sparsify.report import PruneReport
from spikesim.sparsify.surgery import Synapses, cut

__all__ = [
    "Betweenness",
    "EigenErrors",
    "NoisePruned",
    "PruneReport",
    "Pruned",
    "Synapses",
    "betweenness",
    "covariance",
    "cut",
    "eigen_errors",
    "noise_prune",
    "prune",
    "simulated_covariance",
]
