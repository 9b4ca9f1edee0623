"""Soft reset and membrane potential rectifier (MPR), each with and without: accuracy, membranes, gradients.

::

    python benchmarks/soft_reset.py                  # what is not stored yet, 1 to 2 hours on one core; may be stopped
    python benchmarks/soft_reset.py digits-4 --seeds 8
    python benchmarks/soft_reset.py tables membranes # the tables of the argument; histograms of trained networks
    python benchmarks/write_docs.py                  # docs/methods/soft-reset-mpr.md from what is stored

Every training that has ended is stored at once in ``results/soft_reset/<experiment>.json``, one line each, with its
figures and the commit; what is stored is not repeated. Fashion-MNIST must be on the machine (``spikesim data fetch``).
A seed decides the split or subset, the noise, the initial weights and the order of the samples, and is the same for all
variants, so their differences are paired. The test samples are looked at once, after training.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import machine
import numpy as np
from soft_reset_figures import WATCHED, figures, histogram, membranes, short
from soft_reset_tables import quantisation_table, rate_table

import spikesim as sp
from spikesim import data
from spikesim.distributions import Normal
from spikesim.layers import batch_norm, conv2d, dense, pool
from spikesim.models.neurons import integrate_and_fire, li, lif_soft
from spikesim.network import Network
from spikesim.neuron import Neuron
from spikesim.norm import BatchNorm
from spikesim.train import Trained, train

STORED = machine.RESULTS / "soft_reset"
NEURONS: dict[str, Callable[[], Neuron]] = {
    "hard": lambda: integrate_and_fire(v_th=0.5),
    "soft": lambda: lif_soft("code"),  # a spike subtracts 1
    "half": lambda: lif_soft("figure"),  # a spike subtracts 1/2
}
SURROGATES = ("rectangle", "mpr")
Samples = tuple[Any, Any, Any, Any]


@dataclass(frozen=True)
class Experiment:
    """One network and its data, trained with every reset and surrogate.

    Parameters
    ----------
    network
        (neuron, seed) to network, untrained.
    samples
        Seed to training samples and labels, test samples and labels.
    settings
        Of :func:`spikesim.train.train`.
    resets, surrogates
        Keys of ``NEURONS``; names of surrogates, ``"mpr 6"`` with k = 6.
    seeds
        How many.
    """

    network: Callable[[Neuron, int], Network]
    samples: Callable[[int], Samples]
    settings: dict[str, Any]
    resets: tuple[str, ...] = ("hard", "soft")
    surrogates: tuple[str, ...] = SURROGATES
    seeds: int = 24

    def variants(self) -> list[str]:
        """Return the names of the variants: reset and surrogate."""
        return [f"{reset}+{surrogate}" for reset in self.resets for surrogate in self.surrogates]


# ---------------------------------------------------------------------------------------------------------------- data
def noisy_digits(seed: int) -> Samples:
    """Return 1000 digits to train on and 797 to test on, standardised, with noise of standard deviation 1/2."""
    digits = data.load("digits")
    x = np.concatenate([digits.x_train, digits.x_test]).reshape(-1, 64).astype(float)
    y = np.concatenate([digits.y_train, digits.y_test])
    random = np.random.default_rng(seed)
    order = random.permutation(len(x))
    x, y = x[order], y[order]
    x = (x - x[:1000].mean()) / x[:1000].std() + random.normal(0.0, 0.5, x.shape)
    return x[:1000], y[:1000], x[1000:], y[1000:]


def some_fashion(count: int) -> Callable[[int], Samples]:
    """Return a function that draws so many training images of Fashion-MNIST; the test images are all 10 000."""

    def samples(seed: int) -> Samples:
        fashion = data.load("fashion-mnist")
        chosen = np.random.default_rng(seed).permutation(len(fashion.x_train))[:count]
        x, test = (part.reshape(-1, 1, 28, 28) / 255.0 for part in (fashion.x_train[chosen], fashion.x_test))
        mean, std = x.mean(), x.std()
        return (x - mean) / std, fashion.y_train[chosen], (test - mean) / std, fashion.y_test

    return samples


# ------------------------------------------------------------------------------------------------------------- networks
def mlp(depth: int, norm: BatchNorm | None = None) -> Callable[[Neuron, int], Network]:
    """Return 64-[64]xdepth-10 without biases, weights normal with standard deviation ``sqrt(2 / inputs)``."""

    def network(neuron: Neuron, seed: int) -> Network:
        hidden = (dense(64), *((norm,) if norm else ()), neuron)
        return sp.sequential(sp.Input("image", 64, graded=True), *hidden * depth, dense(10), li(beta=0.0), seed=seed)

    return network


def conv_net(channels: tuple[int, ...], norm: BatchNorm) -> Callable[[Neuron, int], Network]:
    """Return 3 x 3 convolutions with batch norm, weights as in the released code; 0 is an average pool."""

    def block(number: int, neuron: Neuron) -> tuple[Any, ...]:
        if not number:
            return (pool(2),)
        weights = Normal(0.0, (2.0 / (9 * number)) ** 0.5)
        return conv2d(number, 3, padding=1, weights=weights), norm, neuron

    def network(neuron: Neuron, seed: int) -> Network:
        layers = [part for number in channels for part in block(number, neuron)]
        image = sp.Input("image", (1, 28, 28), graded=True)
        return sp.sequential(image, *layers, dense(10), li(beta=0.0), seed=seed)

    return network


COMMON = {
    "steps": 4,
    "optimiser": "sgd",  # momentum 0.9
    "weight_decay": 1e-4,
    "schedule": "cosine",
    "loss": "membrane_cross_entropy",  # of the linear read-out's mean over time
    "validation_fraction": 0.0,  # nothing is chosen
}
DIGITS = COMMON | {"learning_rate": 0.045, "epochs": 20, "batch_size": 32}
FASHION = COMMON | {"learning_rate": 0.1, "epochs": 6, "batch_size": 64}
CHANNELS = (8, 0, 16, 16, 16, 0, 32, 32, 32, 0)
EXPERIMENTS = {
    "digits-4": Experiment(mlp(4), noisy_digits, DIGITS, ("hard", "soft", "half")),
    "digits-6": Experiment(mlp(6), noisy_digits, DIGITS, ("hard", "soft", "half")),
    "digits-6-k": Experiment(mlp(6), noisy_digits, DIGITS, ("soft",), ("mpr 1", "mpr 2", "mpr 5", "mpr 8")),
    "digits-6-norm": Experiment(mlp(6, batch_norm()), noisy_digits, DIGITS),
    "digits-6-tdbn": Experiment(mlp(6, batch_norm(gain=0.5)), noisy_digits, DIGITS),  # inputs vary by one threshold
    "digits-12-tdbn": Experiment(mlp(12, batch_norm(gain=0.5)), noisy_digits, DIGITS, seeds=16),
    "digits-12-tdbn-quick": Experiment(
        mlp(12, batch_norm(gain=0.5)), noisy_digits, DIGITS | {"learning_rate": 0.135}, seeds=8
    ),
    "fashion": Experiment(conv_net(CHANNELS, batch_norm()), some_fashion(5000), FASHION, seeds=8),
    "fashion-tdbn": Experiment(conv_net(CHANNELS, batch_norm(gain=0.5)), some_fashion(5000), FASHION, seeds=8),
}
SHOWN = [
    (name, f"soft+{surrogate}")
    for name, surrogates in (("digits-6", ["mpr"]), ("digits-6-tdbn", SURROGATES), ("fashion-tdbn", SURROGATES))
    for surrogate in surrogates
]


# ---------------------------------------------------------------------------------------------------------------- runs
def trained_by(experiment: Experiment, variant: str, seed: int, samples: Samples) -> tuple[Network, Trained]:
    """Return a network before training, and what became of it."""
    network = experiment.network(NEURONS[variant.split("+")[0]](), seed)
    return network, train(network, samples[:2], **surrogate_of(variant), seed=seed, **experiment.settings)


def surrogate_of(variant: str) -> dict[str, Any]:
    """Return the surrogate of a variant as settings of ``train``."""
    name, *k = variant.split("+")[1].split()
    return {"surrogate": name, "surrogate_settings": {"k": float(k[0])} if k else None}


def one(experiment: Experiment, variant: str, seed: int) -> dict[str, Any]:
    """Train one network; return its figures."""
    x, y, x_test, y_test = samples = experiment.samples(seed)
    network, trained = trained_by(experiment, variant, seed, samples)
    last, surrogate = trained.history[-1], surrogate_of(variant)
    return {
        "variant": variant,
        "seed": seed,
        **figures(network, trained.network, surrogate, (x, y), (x_test, y_test), experiment.settings["steps"]),
        "training_accuracy": last.accuracy,
        "loss": short(last.loss),
        "seconds": round(trained.seconds, 2),
        "commit": machine.commit(),
    }


def read(name: str, folder: Path = STORED) -> dict[str, Any]:
    """Return what is stored of an experiment: settings, machine, versions, runs; empty if nothing is."""
    return machine.read(name, folder)


def write(name: str, stored: dict[str, Any], folder: Path = STORED) -> None:
    """Store an experiment, whole or not at all; one line a run."""
    folder.mkdir(parents=True, exist_ok=True)
    head = json.dumps({k: v for k, v in stored.items() if k != "runs"}, indent=1).removesuffix("\n}")
    runs = ",\n".join(json.dumps(run) for run in stored["runs"])
    part = (folder / f"{name}.json").with_suffix(".part")
    part.write_text(f'{head},\n "runs": [\n{runs}\n]\n}}\n')
    part.replace(folder / f"{name}.json")


def missing(experiment: Experiment, stored: dict[str, Any], seeds: int) -> Iterator[tuple[str, int]]:
    """Yield variants and seeds that are not stored, seed by seed, so that what there is can be compared."""
    done = {(r["variant"], r["seed"]) for r in stored["runs"]}
    for seed in range(seeds):
        yield from ((v, seed) for v in experiment.variants() if (v, seed) not in done)


def sweep(name: str, seeds: int | None) -> None:
    """Run and store what is missing of an experiment."""
    experiment = EXPERIMENTS[name]
    begun = {"settings": experiment.settings, "machine": machine.machine(), "versions": machine.versions(), "runs": []}
    stored = read(name) or begun
    if stored["settings"] != experiment.settings:
        raise SystemExit(f"{name}: stored with other settings; remove results/soft_reset/{name}.json to begin anew")
    for variant, seed in missing(experiment, stored, seeds or experiment.seeds):
        begin = time.perf_counter()
        stored["runs"].append(one(experiment, variant, seed))
        write(name, stored)
        accuracy = stored["runs"][-1]["accuracy"]
        print(f"{name} {variant} seed {seed}: {accuracy:.2%} in {time.perf_counter() - begin:.1f} s", flush=True)


def tables() -> None:
    """Store the tables that need no training."""
    machine.write("tables", {"rates": rate_table(), "quantisation": quantisation_table()}, STORED)


def look() -> None:
    """Store histograms of the membranes of networks of seed 0."""
    stored = read("membranes") or {"versions": machine.versions(), "runs": []}
    done = {(r["experiment"], r["variant"]) for r in stored["runs"]}
    for name, variant in SHOWN:
        if (name, variant) not in done:
            experiment = EXPERIMENTS[name]
            samples = experiment.samples(0)
            network = trained_by(experiment, variant, 0, samples)[1].network
            layers = membranes(network, samples[2][:WATCHED], experiment.settings["steps"])
            run = {"experiment": name, "variant": variant, "layers": [histogram(u) for u in layers]}
            stored["runs"].append(run)
            write("membranes", stored)


OTHERS: dict[str, Callable[[], None]] = {"tables": tables, "membranes": look}


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", choices=[[], *OTHERS, *EXPERIMENTS], help="what; all by default")
    parser.add_argument("--seeds", type=int, help="so many instead of those planned")
    parser.add_argument("--threads", type=int, default=1, help="of torch; the last bits may depend on it")
    chosen = parser.parse_args()
    import torch

    torch.set_num_threads(chosen.threads)
    for name in chosen.names or (*OTHERS, *EXPERIMENTS):
        OTHERS[name]() if name in OTHERS else sweep(name, chosen.seeds)


if __name__ == "__main__":
    main()
