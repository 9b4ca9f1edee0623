"""Sparse networks: what is taken away for real, masks for training, and cures of dormant neurons."""

from spikesim.sparsify.betweenness import Betweenness, betweenness
from spikesim.sparsify.covariance import covariance, simulated_covariance
from spikesim.sparsify.cures import Homeostasis, Perturb, Redo, Watch
from spikesim.sparsify.granet import SCORES, Gradual, GraNet, Rigl, sparsity_named
from spikesim.sparsify.noise import EigenErrors, NoisePruned, eigen_errors, noise_prune
from spikesim.sparsify.plasticity import OneShot, Plasticity, pruning_plasticity
from spikesim.sparsify.prune import Pruned, prune
from spikesim.sparsify.report import PruneReport
from spikesim.sparsify.stay_off import StayOff
from spikesim.sparsify.structured import (
    Smaller,
    keep_most_active,
    remove_neurons,
    remove_silent,
    remove_unread,
    unread,
)
from spikesim.sparsify.surgery import Synapses, cut

__all__ = [
    "SCORES",
    "Betweenness",
    "EigenErrors",
    "GraNet",
    "Gradual",
    "Homeostasis",
    "NoisePruned",
    "OneShot",
    "Perturb",
    "Plasticity",
    "PruneReport",
    "Pruned",
    "Redo",
    "Rigl",
    "Smaller",
    "StayOff",
    "Synapses",
    "Watch",
    "betweenness",
    "covariance",
    "cut",
    "eigen_errors",
    "keep_most_active",
    "noise_prune",
    "prune",
    "pruning_plasticity",
    "remove_neurons",
    "remove_silent",
    "remove_unread",
    "simulated_covariance",
    "sparsity_named",
    "unread",
]
