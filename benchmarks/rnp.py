"""Reconstructive neuron pruning against a backdoor in a spiking conv net: trade-off curves, with controls.

::

    python benchmarks/rnp.py                         # what is not stored yet, a quarter of an hour on one free core
    python benchmarks/rnp.py mnist --seeds 3 4
    python benchmarks/rnp.py --report                # the tables of docs/methods/rnp.md

The attacker poisons 10 % of 3000 training samples, class 0. The defender has 300 clean samples that are not among them,
and 200 more to choose a threshold on. Clean accuracy is of all ten classes, attack success of samples of the nine
others, both on 500 test samples. Images are averaged to 14 x 14 and get the 3 x 3 grid in the lower right corner;
``events-*`` are synthetic recordings of the images of MNIST (:func:`spikesim.data.synthetic_nmnist`), 10 frames of
2 x 16 x 16, with a trigger of events. A run that has ended is stored in ``results/rnp/<name>-<seed>.json`` and not
repeated; processes with different seeds may run side by side. Data sets must be there (``spikesim data fetch``).
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
from spikesim.data.triggers import Backdoor, EventPatch, Patch
from spikesim.events import frames
from spikesim.layers import batch_norm, conv2d, dense, pool
from spikesim.models.neurons import li, lif_soft
from spikesim.network import Network
from spikesim.sparsify.filters import at_random, by_magnitude, filters, lowest, masked, switched_off
from spikesim.sparsify.rnp import RNP, predictions, trade_off
from spikesim.sparsify.stay_off import StayOff
from spikesim.train import train
from spikesim.train.samples import the_input

STORED = machine.RESULTS / "rnp"
TRAINING, DEFENCE, HELD, TEST = 3000, 300, 200, 500
STEPS, BINS = 4, 10
WIDTH = 512
MASKED = "layer2->layer3"
COUNTS = (0, 32, 64, 96, 128, 160, 192, 256, 320)
TUNED = (0, 128, 256)
FINE_TUNING = (10, 1e-2)  # epochs, learning rate
SETTINGS = {"mask_rate": 0.05, "mask_epochs": 3, "batch_size": 50}
TRIGGERS: dict[str, Any] = {
    "mnist": Patch(),
    "fashion-mnist": Patch(),
    "events-moving": EventPatch("moving", size=3),
    "events-static": EventPatch("static", size=3),
    "events-polarity": EventPatch("polarity", size=8, row=4, column=4),
}


def image_network(seed: int) -> Network:
    """Return 24c3 - norm - neurons - pool - 64c3 - norm - neurons - pool - 512c3 - norm - neurons - dense."""
    return sp.sequential(
        sp.Input("image", (1, 14, 14), graded=True),
        conv2d(24, 3, padding=1), batch_norm(gain=0.5), lif_soft(), pool(2),
        conv2d(64, 3, padding=1), batch_norm(gain=0.5), lif_soft(), pool(2),
        conv2d(WIDTH, 3), batch_norm(gain=0.5), lif_soft(),
        dense(10), li(beta=0.0), seed=seed, name="rnp",
    )  # fmt: skip


def event_network(seed: int) -> Network:
    """Return the same for events, with strides of 2 instead of pools and 512c4."""
    return sp.sequential(
        sp.Input("events", (2, 16, 16)),
        conv2d(24, 3, stride=2, padding=1), batch_norm(gain=0.5), lif_soft(),
        conv2d(64, 3, stride=2, padding=1), batch_norm(gain=0.5), lif_soft(),
        conv2d(WIDTH, 4), batch_norm(gain=0.5), lif_soft(),
        dense(10), li(beta=0.9), seed=seed, name="rnp_events",
    )  # fmt: skip


def images(name: str, seed: int) -> tuple[Any, Any, Any, Any]:
    """Return training samples of a seed and test samples: images with full intensity 1, averaged to 14 x 14."""
    found = data.load(name)
    order = _order(len(found.x_train), seed)

    def averaged(x: Any) -> Any:
        return x.reshape(-1, 1, 14, 2, 14, 2).mean((3, 5)) / 255.0

    return averaged(found.x_train[order]), found.y_train[order], averaged(found.x_test[:TEST]), found.y_test[:TEST]


def recordings(seed: int) -> tuple[Any, Any, Any, Any]:
    """Return the same of synthetic recordings: whether a pixel had events, ``[samples, bins, 2, 16, 16]``."""
    found = data.synthetic_nmnist(data.load("mnist"))
    parts = found.train[_order(len(found.train), seed)], found.test[:TEST]

    def binned(samples: Any) -> Any:
        made = np.zeros((len(samples), BINS, 2, 16, 16))
        for k in range(len(samples)):
            seen = frames(samples[k][0], steps=BINS, binary=True)[..., 1:33, 1:33]
            made[k] = seen.reshape(BINS, 2, 16, 2, 16, 2).max((3, 5))
        return made

    return binned(parts[0]), parts[0].labels, binned(parts[1]), parts[1].labels


def _order(total: int, seed: int) -> Any:
    return np.random.default_rng(seed).permutation(total)[: TRAINING + DEFENCE + HELD]


class Case:
    """One attacked network and its samples.

    Parameters
    ----------
    name
        Data set and trigger.
    seed
        Of the subset, the attack, the initial weights and the order.
    epochs
        Of the attacker's training.
    """

    def __init__(self, name: str, seed: int, epochs: int = 6) -> None:
        events = name.startswith("events")
        x, y, self.x, self.y = recordings(seed) if events else images(name, seed)
        self.how: dict[str, Any] = {"encode": "sequence"} if events else {"steps": STEPS}
        self.how["loss"] = "membrane_cross_entropy"
        self.attack = Backdoor(TRIGGERS[name], target=0, rate=0.1, seed=seed)
        made = self.attack.poison(x[:TRAINING], y[:TRAINING])
        self.clean = x[TRAINING : TRAINING + DEFENCE], y[TRAINING : TRAINING + DEFENCE]
        self.held = x[-HELD:], y[-HELD:]
        self.shown = self.attack.trigger(self.x)
        self.seed = seed
        start = event_network(seed) if events else image_network(seed)
        self.network = self.train(start, (made.x, made.y), epochs, 1e-2)

    def train(self, net: Network, samples: Any, epochs: int, rate: float) -> Network:
        """Train; norms stay, and filters that are off stay off."""
        how = {"epochs": epochs, "learning_rate": rate, "batch_size": 50, "validation_fraction": 0.0, "fold": False}
        found = train(net, samples, seed=self.seed, sparsity=StayOff(), **how, **self.how)  # type: ignore[arg-type]
        return found.network  # type: ignore[no-any-return]

    def figures(self, net: Network) -> tuple[float, float]:
        """Return clean accuracy and attack success."""
        right = float(np.mean(predictions(net, self.x, **self.how) == self.y))
        return round(right, 4), round(self.attack.success(predictions(net, self.shown, **self.how), self.y), 4)

    def tuned(self, net: Network) -> tuple[float, float]:
        """Return the figures after fine-tuning on the clean samples of the defence."""
        return self.figures(self.train(net, self.clean, *FINE_TUNING))

    def by_trigger(self) -> dict[str, Any]:
        """Return minus how much more each filter fires with the trigger: an order that no defender can know."""
        name = self.network[MASKED].post
        others = self.y != self.attack.target

        def rates(x: Any) -> Any:
            shown = x.swapaxes(0, 1) if "encode" in self.how else np.broadcast_to(x, (STEPS, *x.shape))
            inputs = {the_input(self.network).name: shown}
            recording = sp.run(self.network, steps=len(shown), inputs=inputs, backend="torch", progress=False)
            return recording[name].counts().reshape(len(x), WIDTH, -1).mean((0, 2))

        return {MASKED: rates(self.x[others]) - rates(self.shown[others])}


def one(name: str, seed: int) -> dict[str, Any]:
    """Attack and defend; return all figures."""
    begin = time.perf_counter()
    case = Case(name, seed)
    defence = RNP(projections=[MASKED], seed=seed, presented=case.how, **SETTINGS)  # type: ignore[arg-type]
    report = defence.fit(case.network, case.clean)
    threshold = defence.threshold(case.network, report, case.held)
    rankings = {
        "rnp": report.masks,
        "magnitude": by_magnitude(case.network, [MASKED]),
        "random": at_random(case.network, seed, [MASKED]),
        "by trigger": case.by_trigger(),
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
        "filters": filters(case.network, [MASKED]),
        "auto": {"threshold": round(threshold, 4), "pruned": report.count(threshold), "figures": case.figures(auto)},
        "curves": {k: trade_off(case.network, s, COUNTS, case.figures) for k, s in rankings.items()},
        "tuned": {
            k: [(n, case.tuned(switched_off(case.network, lowest(s, n)))) for n in TUNED if n or k == "rnp"]
            for k, s in rankings.items()
        },
        "seconds": round(time.perf_counter() - begin, 1),
    }


def sweep(name: str, seed: int) -> None:
    """Run and store what is missing."""
    stored = f"{name}-{seed}"
    if not machine.read(stored, STORED):
        settings = {**SETTINGS, "width": WIDTH, "fine_tuning": FINE_TUNING}
        about = {"settings": settings, "machine": machine.machine(), "versions": machine.versions()}
        write(stored, {**about, **one(name, seed)})
        print(json.dumps(machine.read(stored, STORED)["curves"]["rnp"]), stored, flush=True)


def write(name: str, value: dict[str, Any]) -> None:
    """Store a run, whole or not at all; one line an entry."""
    STORED.mkdir(parents=True, exist_ok=True)
    part = STORED / f"{name}.part"
    part.write_text("{\n" + ",\n".join(f" {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items()) + "\n}\n")
    part.replace(STORED / f"{name}.json")


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", choices=[[], *TRIGGERS], help="which; all by default")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--report", action="store_true", help="print the tables of what is stored")
    chosen = parser.parse_args()
    if chosen.report:
        from page_rnp import tables

        print(tables())
        return
    import torch

    torch.set_num_threads(1)
    for seed in chosen.seeds:
        for name in chosen.names or TRIGGERS:
            sweep(name, seed)


if __name__ == "__main__":
    main()
