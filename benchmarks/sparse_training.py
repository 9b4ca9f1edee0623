"""Sparse training and dormant neurons on handwritten digits: GraNet, gradual pruning, RigL; cures; plasticity.

::

    python benchmarks/sparse_training.py                   # what is not stored yet; may be stopped at any time
    python benchmarks/sparse_training.py sparsity --seeds 5
    python benchmarks/write_docs.py                        # docs/methods/sparse-training.md from what is stored

Every training that has ended is stored at once in ``results/sparse_training/<experiment>.json``, one line each. A seed
decides the split, the initial weights and the order of the samples, and is the same for all variants, so their
differences are paired. Test samples are looked at once, after training.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import machine
import numpy as np

import spikesim as sp
from spikesim import data
from spikesim.layers import dense
from spikesim.lowering import lower
from spikesim.models.neurons import leaky, li
from spikesim.network import Network
from spikesim.sparsify import Gradual, GraNet, Homeostasis, Perturb, Redo, Rigl, Watch, pruning_plasticity
from spikesim.train import evaluate, train

STORED = machine.RESULTS / "sparse_training"
SPARSE = {"steps": 6, "learning_rate": 2e-3, "batch_size": 64, "schedule": "constant", "validation_fraction": 0.0}
EPOCHS, EVERY = 39, 25  # 23 batches an epoch: 897 updates, events every 25, pruning over the first 60 %
METHODS: dict[str, Callable[..., GraNet]] = {"gmp": Gradual, "granet": GraNet, "rigl": Rigl}
SHARES = (0.98, 0.99, 0.95, 0.9)
RATES = (0.5, 0.8, 0.9, 0.95, 0.98)


def mlp(seed: int) -> Network:
    """Return 64-256-256-10 spiking neurons, decay 0.9."""
    layers = (dense(256), leaky(beta=0.9), dense(256), leaky(beta=0.9), dense(10), li(beta=0.9))
    return sp.sequential(sp.Input("image", (8, 8), graded=True), *layers, seed=seed)


def _loss() -> dict[str, Any]:
    return {"loss": "membrane_cross_entropy"}


# ------------------------------------------------------------------------------------------------- GraNet against GMP
def sparsity(variant: str, seed: int) -> dict[str, Any]:
    """Train one network, ``"dense"`` or ``"granet 0.98"``; return its figures."""
    name, _, share = variant.partition(" ")
    plan = METHODS[name](float(share), every=EVERY) if share else None
    digits = data.load("digits", seed=seed)
    trained = train(
        mlp(seed), digits, epochs=EPOCHS, sparsity=plan, cure=Watch(every=100), seed=seed, **SPARSE, **_loss()
    )
    result = evaluate(trained.network, digits, steps=6, readout="membrane_mean")
    report = trained.upkeep.get("sparsity", {})
    return {
        "accuracy": result.accuracy,
        "sparsity": report.get("sparsity", 0.0),
        "density": report.get("density", {}),
        "synapses": sum(int(e.out_degree.sum()) for e in lower(trained.network).edges),
        "sops_per_sample": result.recording.counts.synaptic_events / len(result.labels) if result.recording else None,
        "dormant": trained.upkeep["cure"]["dormant"],
        "dormant_layers": {k: v[-1] for k, v in trained.upkeep["cure"]["per_layer"].items()},
        "seconds": round(trained.seconds, 1),
    }


# ------------------------------------------------------------------------------------------------- pruning plasticity
def plasticity(variant: str, seed: int) -> dict[str, Any]:
    """Prune a half-trained network once, ``"0.95"`` or ``"0.95 regrown"``, and train on for four epochs."""
    rate, _, regrown = variant.partition(" ")
    digits = data.load("digits", seed=seed)
    scaled = digits.scaled()
    half = train(mlp(seed), digits, epochs=10, seed=seed, **SPARSE, **_loss()).network
    found = pruning_plasticity(
        half, digits, (scaled.x_test, scaled.y_test), rate=float(rate), epochs=4, regrow=0.3 if regrown else 0.0,
        seed=seed, readout="membrane_mean", **SPARSE, **_loss(),
    )  # fmt: skip
    return {"before": found.before, "pruned": found.pruned, "recovered": found.recovered}


# ------------------------------------------------------------------------------------------------------------- cures
class Rounds:
    """Digits whose labels are permuted anew in every epoch: 150 batches of 64."""

    def __init__(self, seed: int) -> None:
        scaled = data.load("digits", seed=seed).scaled()
        self.x, self.y = scaled.x_train.astype(float), scaled.y_train
        self.seed = seed
        self.set_epoch(1)

    def __len__(self) -> int:
        return 150

    def set_epoch(self, number: int) -> None:
        """Choose the labels of a round."""
        self.random = np.random.default_rng((self.seed, number))
        self.names = self.random.permutation(10)

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        for _ in range(len(self)):
            chosen = self.random.integers(0, len(self.y), 64)
            yield self.x[chosen], self.names[self.y[chosen]]


CURES: dict[str, Watch] = {
    "plain": Watch(every=150),
    "perturb": Perturb(every=150),
    "redo": Redo(every=150),
    "homeostasis": Homeostasis(every=150, step=0.3),
}


def cures(variant: str, seed: int) -> dict[str, Any]:
    """Train 12 rounds of permuted labels from a network most of whose neurons are silent; perturb leaves biases be."""
    cells = (leaky(beta=0.9, bias=np.full(128, -1.2)), leaky(beta=0.9, bias=np.full(128, -0.6)))
    image = sp.Input("image", (8, 8), graded=True)
    start = sp.sequential(image, dense(128), cells[0], dense(128), cells[1], dense(10), li(beta=0.9), seed=seed)
    params = {name: {"bias": "neuron"} for name in [p.name for p in start.populations[:-1]]}
    trained = train(
        start, Rounds(seed), epochs=12, steps=8, learning_rate=1e-2, schedule="constant", params=params,
        cure=CURES[variant], seed=seed, **_loss(),
    )  # fmt: skip
    return {"accuracy": [e.accuracy for e in trained.history], "dormant": trained.upkeep["cure"]["dormant"]}


# ------------------------------------------------------------------------------------------------------------- agent
def agent(variant: str, seed: int) -> dict[str, Any]:
    """Train the spiking actor-critic of the examples."""
    path = machine.RESULTS.parents[1] / "examples" / "dormant_agent.py"
    spec = importlib.util.spec_from_file_location("dormant_agent", path)
    example = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(example)  # type: ignore[union-attr]
    first, dormant, goals = example.learn(variant, seed, UPDATES)
    return {"updates": UPDATES, "first": first, "dormant": dormant, "goals": goals}


UPDATES = 400


EXPERIMENTS: dict[str, tuple[Callable[[str, int], dict[str, Any]], list[str]]] = {
    "sparsity": (sparsity, ["dense", *(f"{name} {share}" for share in SHARES for name in METHODS)]),
    "cures": (cures, list(CURES)),
    "agent": (agent, ["fixed", "awaken", "awaken and perturb"]),
    "plasticity": (plasticity, [f"{rate}{end}" for rate in RATES for end in ("", " regrown")]),
}


def read(name: str) -> dict[str, Any]:
    """Return what is stored of an experiment; empty if nothing is."""
    return machine.read(name, STORED)


def write(name: str, stored: dict[str, Any]) -> None:
    """Store an experiment, whole or not at all; one line a run."""
    STORED.mkdir(parents=True, exist_ok=True)
    head = json.dumps({k: v for k, v in stored.items() if k != "runs"}, indent=1).removesuffix("\n}")
    runs = ",\n".join(json.dumps(run) for run in stored["runs"])
    part = (STORED / f"{name}.json").with_suffix(".part")
    part.write_text(f'{head},\n "runs": [\n{runs}\n]\n}}\n')
    part.replace(STORED / f"{name}.json")


def sweep(name: str, seeds: int) -> None:
    """Run and store what is missing of an experiment, seed by seed."""
    function, variants = EXPERIMENTS[name]
    stored = read(name) or {"machine": machine.machine(), "versions": machine.versions(), "runs": []}
    done = {(r["variant"], r["seed"]) for r in stored["runs"]}
    for seed in range(seeds):
        for variant in (v for v in variants if (v, seed) not in done):
            begin = time.perf_counter()
            run = {"variant": variant, "seed": seed, **function(variant, seed), "commit": machine.commit()}
            stored["runs"].append(run)
            write(name, stored)
            print(f"{name} {variant} seed {seed}: {time.perf_counter() - begin:.1f} s", run, flush=True)


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", choices=[[], *EXPERIMENTS], help="what; all by default")
    parser.add_argument("--seeds", type=int, default=3)
    chosen = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    for name in chosen.names or EXPERIMENTS:
        sweep(name, chosen.seeds)


if __name__ == "__main__":
    main()
