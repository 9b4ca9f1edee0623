"""Sparse networks: synapses and neurons taken away for real, masks for training, and cures of dormant neurons."""

from spikesim.sparsify.cures import Homeostasis, Perturb, Redo, Watch
from spikesim.sparsify.granet import SCORES, Gradual, GraNet, Rigl, sparsity_named
from spikesim.sparsify.plasticity import OneShot, Plasticity, pruning_plasticity
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
    "GraNet",
    "Gradual",
    "Homeostasis",
    "OneShot",
    "Perturb",
    "Plasticity",
    "Redo",
    "Rigl",
    "Smaller",
    "Synapses",
    "Watch",
    "cut",
    "keep_most_active",
    "pruning_plasticity",
    "remove_neurons",
    "remove_silent",
    "remove_unread",
    "sparsity_named",
    "unread",
]
