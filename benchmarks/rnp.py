"""Reconstructive neuron pruning against a backdoor in a spiking conv net: trade-off curves, with controls.

::

    python benchmarks/rnp.py                         # what is not stored yet, about a quarter of an hour on one core
    python benchmarks/rnp.py mnist --seeds 5
    python benchmarks/rnp.py --report                # the tables of docs/methods/rnp.md

The attacker poisons 10 % of 3000 training images (averaged to 14 x 14) with the 3 x 3 grid in the lower right corner.
The defender has 300 clean images that are not among them, and 200 more to choose a threshold on. Clean accuracy is of
all ten classes, attack success of images of the nine others, both on 500 test images. A run that has ended is stored at
once in ``results/rnp.json`` and not repeated. The data sets must be on the machine (``spikesim data fetch``).
"""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import Any

import machine
import numpy as np

import spikesim as sp
from spikesim import data
from spikesim.data.triggers import Backdoor, Patch
from spikesim.layers import batch_norm, conv2d, dense, pool
from spikesim.models.neurons import li, lif_soft
from spikesim.network import Network
from spikesim.sparsify.filters import at_random, by_magnitude, filters, lowest, masked, switched_off
from spikesim.sparsify.rnp import RNP, predictions, trade_off
from spikesim.train import train

TRAINING, DEFENCE, HELD, TEST = 3000, 300, 200, 500
CHANNELS = (24, 256)
PRESENTED = {"steps": 4, "loss": "membrane_cross_entropy"}
MASKED = ["layer1->layer2"]
COUNTS = (0, 8, 16, 24, 32, 40, 48, 64, 96)
TUNED = (0, 24, 32, 48)
SETTINGS = {"mask_rate": 0.05, "mask_epochs": 8, "batch_size": 50}
WIDE = {"surrogate_settings": {"alpha": 1.0}}
NAMES = ("mnist", "fashion-mnist")
STAGES = ("attacked", "unlearned", "masked_unlearned")


def network(seed: int) -> Network:
    """Return 24c3 - norm - neurons - pool - 256c3 - norm - neurons - average of each channel - dense."""
    return sp.sequential(
        sp.Input("image", (1, 14, 14), graded=True),
        conv2d(CHANNELS[0], 3, padding=1), batch_norm(gain=0.5), lif_soft(), pool(2),
        conv2d(CHANNELS[1], 3, padding=1), batch_norm(gain=0.5), lif_soft(), pool(7),
        dense(10), li(beta=0.0), seed=seed, name="rnp",
    )  # fmt: skip


class Case:
    """One attacked network and its samples.

    Parameters
    ----------
    name
        Data set.
    seed
        Of the subset, the attack, the initial weights and the order.
    epochs
        Of the attacker's training.
    """

    def __init__(self, name: str, seed: int, epochs: int = 6) -> None:
        found = data.load(name)
        order = np.random.default_rng(seed).permutation(len(found.x_train))[: TRAINING + DEFENCE + HELD]
        x, y = averaged(found.x_train[order]), found.y_train[order]
        self.attack = Backdoor(Patch(), target=0, rate=0.1, seed=seed)
        made = self.attack.poison(x[:TRAINING], y[:TRAINING])
        self.clean = x[TRAINING : TRAINING + DEFENCE], y[TRAINING : TRAINING + DEFENCE]
        self.held = x[-HELD:], y[-HELD:]
        self.x, self.y = averaged(found.x_test[:TEST]), found.y_test[:TEST]
        self.shown = self.attack.trigger(self.x)
        self.seed = seed
        self.network = self.train(network(seed), (made.x, made.y), epochs, 1e-2)

    def train(self, net: Network, samples: Any, epochs: int, rate: float) -> Network:
        """Train; norms stay."""
        how = {"epochs": epochs, "learning_rate": rate, "batch_size": 50, "validation_fraction": 0.0, "fold": False}
        return train(net, samples, seed=self.seed, **how, **PRESENTED).network  # type: ignore[no-any-return]

    def figures(self, net: Network) -> tuple[float, float]:
        """Return clean accuracy and attack success."""
        right = float(np.mean(predictions(net, self.x, **PRESENTED) == self.y))
        return round(right, 4), round(self.attack.success(predictions(net, self.shown, **PRESENTED), self.y), 4)

    def tuned(self, net: Network) -> tuple[float, float]:
        """Return the figures after fine-tuning on the clean samples of the defence."""
        return self.figures(self.train(net, self.clean, 3, 2e-3))


def averaged(images: Any) -> Any:
    """Return images with full intensity 1, averaged to 14 x 14."""
    return images.reshape(-1, 1, 14, 2, 14, 2).mean((3, 5)) / 255.0


def one(name: str, seed: int) -> dict[str, Any]:
    """Attack and defend; return all figures."""
    begin = time.perf_counter()
    case = Case(name, seed)
    defence = RNP(projections=MASKED, seed=seed, presented=PRESENTED | WIDE, **SETTINGS)  # type: ignore[arg-type]
    report = defence.fit(case.network, case.clean)
    threshold = defence.threshold(case.network, report, case.held)
    rankings = {
        "rnp": report.masks,
        "magnitude": by_magnitude(case.network, MASKED),
        "random": at_random(case.network, seed, MASKED),
    }
    auto = defence.prune(case.network, report, threshold)
    return {
        "data": name,
        "seed": seed,
        "attacked": case.figures(case.network),
        "unlearned": case.figures(report.unlearned),
        "steps_of_ascent": len(report.unlearning),
        "predicted": report.predicted.tolist(),
        "recovery": [round(a, 3) for a in report.recovery],
        "masked_unlearned": case.figures(masked(report.unlearned, report.masks)),
        "masks": np.quantile(report.masks[MASKED[0]], np.arange(0, 1.01, 0.1)).round(3).tolist(),
        "filters": filters(case.network, MASKED),
        "auto": {"threshold": round(threshold, 4), "pruned": report.count(threshold), "figures": case.figures(auto)},
        "curves": {k: trade_off(case.network, s, COUNTS, case.figures) for k, s in rankings.items()},
        "tuned": {
            k: [(n, case.tuned(switched_off(case.network, lowest(s, n)))) for n in TUNED if n or k == "rnp"]
            for k, s in rankings.items()
        },
        "seconds": round(time.perf_counter() - begin, 1),
        "commit": machine.commit(),
    }


def sweep(names: list[str], seeds: int) -> None:
    """Run and store what is missing."""
    stored = machine.read("rnp") or {
        "settings": {**SETTINGS, **PRESENTED, "channels": CHANNELS}, "machine": machine.machine(),
        "versions": machine.versions(), "runs": [],
    }  # fmt: skip
    for seed in range(seeds):
        for name in names:
            if not any((r["data"], r["seed"]) == (name, seed) for r in stored["runs"]):
                stored["runs"].append(one(name, seed))
                machine.write("rnp", stored)
                print(json.dumps(stored["runs"][-1]), flush=True)


# -------------------------------------------------------------------------------------------------------------- report
def report(name: str) -> str:
    """Return the tables of one data set in Markdown: clean accuracy / attack success in per cent, mean over seeds."""
    runs = [r for r in machine.read("rnp").get("runs", []) if r["data"] == name]
    if not runs:
        return f"{name}: nothing is stored"
    stages = [f"{stage.replace('_', ' ')} {pair([r[stage] for r in runs])}" for stage in STAGES]
    lines = [f"{name}, seeds: {len(runs)}, clean accuracy / attack success: {', '.join(stages)}"]
    for title, kind in (("filters pruned", "curves"), ("pruned, then fine-tuned", "tuned")):
        lines += ["", f"| {title} | RNP | magnitude | random |", "|---|---|---|---|"]
        for n, _ in runs[0][kind]["rnp"]:
            found = [[dict(r[kind][way]).get(n) for r in runs] for way in ("rnp", "magnitude", "random")]
            lines.append(f"| {n} | {' | '.join(pair(f) if None not in f else '' for f in found)} |")
    auto = [(r["auto"]["pruned"], pair([r["auto"]["figures"]])) for r in runs]
    return "\n".join([*lines, "", "threshold from clean samples: " + "; ".join(f"{n} pruned, {f}" for n, f in auto)])


def pair(figures: Any) -> str:
    """Return the mean of pairs in per cent."""
    clean, success = 100 * np.mean(figures, axis=0)
    return f"{clean:.1f} / {success:.1f}"


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", choices=[[], *NAMES], help="which; all by default")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--report", action="store_true", help="print the tables of what is stored")
    chosen = parser.parse_args()
    if chosen.report:
        print("\n\n".join(report(name) for name in NAMES))
        return
    os.nice(5)
    import torch

    torch.set_num_threads(1)
    sweep(chosen.names or list(NAMES), chosen.seeds)


if __name__ == "__main__":
    main()
