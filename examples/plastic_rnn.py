"""A network that learns while it answers: fast Hebbian weights remember which cue brought which reward.

    python examples/plastic_rnn.py [folder] [batches]

80 batches, the default, are the beginning; after 400 the error is below 0.02.
"""

from __future__ import annotations

import sys

import torch

from spikesim.data.episodes import CueReward, Episodes
from spikesim.models.networks import plastic_rnn
from spikesim.models.synapses import FastWeights
from spikesim.train import evaluate, fast_weights, train


def main(batches: int = 80) -> None:
    """Train, test on fresh episodes, and look at the fast weights of one."""
    task = CueReward()
    network = plastic_rnn(task.inputs, outputs=1, hidden=24, scale=1.7)
    module = fast_weights(network, FastWeights("hebbian", eta0=0.5, decay0=0.5), outputs=1, rate=True)
    how = {"loss": "mse", "encode": "sequence", "schedule": "constant", "learning_rate": 1e-2, "clip": 5.0}
    train(module, Episodes(task, samples=32, batches=batches), epochs=1, **how)
    found = evaluate(module, Episodes(task, 256, 1, seed=99), encode="sequence", readout="membrane_mean")
    error = (found.predicted - found.labels)[:, task.scored]
    print(f"error of rewards told from memory: {(error**2).mean():.3f}; telling 0 every time: {1 / 3:.3f}")

    x = torch.tensor(next(iter(Episodes(task, 1, 1, seed=99)))[0]).float().transpose(0, 1)
    state = module.reset(1)
    for step, row in enumerate(x):
        _, state = module.step(row, state)
        print(f"step {step}: fast weights of length {float(state.fast.detach().norm()):.2f}")
    right = "right" if (error**2).mean() < 1 / 3 else "wrong"
    print(f"better than telling 0: {right}")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[2:3]))
