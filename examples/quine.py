"""A spiking network that prints its own weights: learned, regenerated, and exact.

    python examples/quine.py [folder] [epochs]

10 epochs, the default, are the beginning; with more, rho goes on falling.
"""

from __future__ import annotations

import sys

import numpy as np

import spikesim as sp
from spikesim.models.networks import quine
from spikesim.models.networks.quine import coordinates, rho, self_reading
from spikesim.train.quine import Quine

HIDDEN = 12


def main(epochs: int = 10) -> None:
    """Train a quine, regenerate one, and build one that is exact."""
    learned = Quine(quine(HIDDEN, seed=1)).train("grad", epochs, learning_rate=5e-3)
    regenerated = Quine(quine(HIDDEN, seed=2)).train("regen+grad", 3)
    for name, history in (("gradients", learned), ("regeneration", regenerated)):
        for found in (history[0], history[-1]):
            shown = f"loss {found.loss:.3f}, sum theta^2 {found.norm2:.3f}, rho {found.rho:.3f}"
            print(f"{name}, after {found.epoch}: {shown}")
    print("a small loss with a small norm is the quine of zero; rho tells them apart")

    # asked only for the weights of its read-out, the network is a matrix of rates: its eigenvector describes itself
    network = quine(HIDDEN, seed=1)
    asked = np.broadcast_to(coordinates(network)[-HIDDEN:], (8, HIDDEN, HIDDEN))
    rates = sp.run(network, steps=8, inputs={"coordinate": asked}, backend="torch")["layer2"].dense().mean(0)
    gain, weights = self_reading(rates)
    error = rho(gain * rates @ weights, weights)
    print(f"read-out by eigenvector: norm {np.linalg.norm(weights):.3f}, rho {error:.1e}")
    right = learned[-1].rho < learned[0].rho
    print(f"knows itself better than before: {'right' if right else 'wrong'}")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[2:3]))
