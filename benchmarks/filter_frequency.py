"""Robustness against the frequency proportion of the first filters: proportions, modulation, penalties; paired seeds.

::

    python benchmarks/filter_frequency.py                         # what is not stored yet, half an hour on one core
    python benchmarks/filter_frequency.py digits --seeds 0 1 2    # one data set, these seeds
    python benchmarks/filter_frequency.py --report                # the tables of docs/methods/filter-frequency.md

Every training that has ended is stored at once in ``results/filter_frequency/<experiment>-<seed>.json``; what is stored
is not repeated, and processes with different seeds may run side by side. A seed decides split or subset, initial
weights, order and noise and is the same for all variants. Corrupted test samples are looked at once, after training.
Fashion-MNIST must be on the machine (``spikesim data fetch``).
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import machine
import numpy as np

import spikesim as sp
from spikesim import data
from spikesim.analyse.filter_frequency import filter_rates, first_filters, frequency_proportion
from spikesim.data.corruptions import CORRUPTIONS, corrupt, losing
from spikesim.layers import batch_norm, conv2d, dense, pool
from spikesim.models.neurons import li, lif_soft
from spikesim.network import Network
from spikesim.sparsify.rnp import predictions
from spikesim.train.filter_frequency import DCTPenalty, train_filters

STORED = machine.RESULTS / "filter_frequency"
STEPS, SEVERITIES = 4, (1, 3, 5)
LOSING_STEPS = 8
COMMON = {"steps": STEPS, "loss": "membrane_cross_entropy", "validation_fraction": 0.0, "batch_size": 64}
VARIANTS: dict[str, dict[str, Any]] = {
    "free": {},
    "q = 0": {"proportion": 0.0},
    "q = 0.25": {"proportion": 0.25},
    "q = 0.5": {"proportion": 0.5},
    "q = 0.75": {"proportion": 0.75},
    "q = 1": {"proportion": 1.0},
    "modulation": {"modulation": {"bands": 4, "sigma": 0.0}},
    "modulation, perturbed": {"modulation": {"bands": 4, "sigma": 0.2}},
    "modulation, perturbed, n = 3": {"modulation": {"n": 3, "bands": 3, "sigma": 0.3}},
    "penalty": {"penalty": DCTPenalty("dct_weighted", 1e-2)},
}
EXPERIMENTS: dict[str, dict[str, Any]] = {
    "digits": {"epochs": 10, "learning_rate": 5e-3},
    "fashion-mnist": {"epochs": 5, "learning_rate": 5e-3, "samples": 6000, "test": 1000},
}
SEEDS = {"digits": 10, "fashion-mnist": 5}


def samples(name: str, seed: int) -> tuple[Any, Any, Any, Any]:
    """Return training and test samples with full intensity 1; Fashion-MNIST averaged to 14 x 14."""
    if name == "digits":
        found = data.load("digits", seed=seed).scaled()
        return found.x_train[:, None], found.y_train, found.x_test[:, None], found.y_test
    found, about = data.load(name), EXPERIMENTS[name]
    chosen = np.random.default_rng(seed).permutation(len(found.x_train))[: about["samples"]]
    parts = found.x_train[chosen], found.x_test[: about["test"]]
    x, test = (p.reshape(-1, 1, 14, 2, 14, 2).mean((3, 5)) / 255.0 for p in parts)
    return x, found.y_train[chosen], test, found.y_test[: about["test"]]


def network(side: int, seed: int) -> Network:
    """Return 24c3 - norm - neurons - 32c3 with stride 2 - norm - neurons - (pool) - dense."""
    wide = (pool(2),) if side > 8 else ()
    return sp.sequential(
        sp.Input("image", (1, side, side), graded=True),
        conv2d(24, 3, padding=1), batch_norm(gain=0.5), lif_soft(),
        conv2d(32, 3, stride=2, padding=1), batch_norm(gain=0.5), lif_soft(), *wide,
        dense(10), li(beta=0.0), seed=seed, name="filter_frequency",
    )  # fmt: skip


def accuracies(net: Network, x: Any, y: Any, seed: int) -> dict[str, float]:
    """Return the accuracy on clean and on corrupted samples, by ``"name severity"``."""

    def right(images: Any, **how: Any) -> float:
        return round(float(np.mean(predictions(net, images, loss=COMMON["loss"], **{"steps": STEPS, **how}) == y)), 4)

    found = {"clean": right(x)}
    for name in CORRUPTIONS:
        for severity in SEVERITIES:
            if name != "lose_events":
                found[f"{name} {severity}"] = right(corrupt(x, name, severity, seed=seed))
    for severity in (0, *SEVERITIES):  # the same samples as spikes, of which some are lost
        share = CORRUPTIONS["lose_events"][1][severity - 1] if severity else 0.0
        encode = losing("regular", share, seed=seed)
        found[f"lose_events {severity}"] = right(x, steps=LOSING_STEPS, encode=encode)
    return found


def one(name: str, variant: str, seed: int) -> dict[str, Any]:
    """Train one network; return its figures."""
    x, y, x_test, y_test = samples(name, seed)
    about, side = EXPERIMENTS[name], x.shape[-1]
    begin = time.perf_counter()
    settings = {k: about[k] for k in ("epochs", "learning_rate")}
    net = train_filters(network(side, seed), (x, y), seed=seed, **COMMON, **settings, **VARIANTS[variant]).network
    seconds = time.perf_counter() - begin
    size = 8 if side == 8 else 32
    rates = firing(net, x_test[:100])
    shares = frequency_proportion(net, n=size, rates=rates)
    return {
        "variant": variant,
        "seed": seed,
        "low": round(shares.low, 4),
        "low_share": round(shares.share, 4),
        "weighted_low_share": round(float(shares.weighted_share or 0.0), 4),
        "accuracy": accuracies(net, x_test, y_test, seed),
        "seconds": round(seconds, 1),
        "commit": machine.commit(),
    }


def firing(net: Network, x: Any) -> Any:
    """Return the firing rate behind each first filter."""
    shown = np.broadcast_to(x, (STEPS, *x.shape))
    recording = sp.run(net, steps=STEPS, inputs={"image": shown}, progress=False)
    return filter_rates(recording[net.populations[0].name].counts(), len(first_filters(net)[1]), STEPS)


def sweep(name: str, seed: int) -> None:
    """Run and store what is missing of an experiment with one seed, variant by variant."""
    begun = {"settings": {**COMMON, **EXPERIMENTS[name]}, "machine": machine.machine(), "versions": machine.versions()}
    stored = machine.read(f"{name}-{seed}", STORED) or {**begun, "runs": []}
    done = {r["variant"] for r in stored["runs"]}
    for variant in VARIANTS:
        if variant not in done:
            stored["runs"].append(one(name, variant, seed))
            write(f"{name}-{seed}", stored)
            print(name, variant, seed, stored["runs"][-1]["accuracy"]["clean"], flush=True)


def write(name: str, stored: dict[str, Any]) -> None:
    """Store an experiment, whole or not at all; one line a run."""
    STORED.mkdir(parents=True, exist_ok=True)
    head = json.dumps({k: v for k, v in stored.items() if k != "runs"}, indent=1).removesuffix("\n}")
    part = STORED / f"{name}.part"
    part.write_text(f'{head},\n "runs": [\n' + ",\n".join(json.dumps(r) for r in stored["runs"]) + "\n]\n}\n")
    part.replace(STORED / f"{name}.json")


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", choices=[[], *EXPERIMENTS], help="which; all by default")
    parser.add_argument("--seeds", type=int, nargs="+", help="by default 0 to 9 for digits, 0 to 4 for Fashion-MNIST")
    parser.add_argument("--report", action="store_true", help="print the tables of what is stored")
    chosen = parser.parse_args()
    if chosen.report:
        from page_filter_frequency import tables

        print(tables())
        return
    import torch

    torch.set_num_threads(1)
    for name in chosen.names or EXPERIMENTS:
        for seed in chosen.seeds or range(SEEDS[name]):
            sweep(name, seed)


if __name__ == "__main__":
    main()
