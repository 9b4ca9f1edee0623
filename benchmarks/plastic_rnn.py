"""Compare no, Hebbian and gradient plasticity on all tasks, rate and spiking: one JSON file per run.

    python benchmarks/plastic_rnn.py [--tasks cue_reward ...] [--seeds 0 1 2 3] [--steps 400]

Runs that have a file are left out, so it can be stopped and started, and several may work side by side on other tasks.
``--show`` prints the tables of what is there, ``--write`` puts them into the page and draws its picture. Runs of more
than 400 batches are a table of their own.
"""

from __future__ import annotations

import argparse
import json
import os
from itertools import product
from pathlib import Path

import numpy as np
from page_table import put
from plastic_rnn_summary import draw, stored, text

from spikesim.data.episodes import TASKS, Episodes, OneShot, episode_task
from spikesim.models.networks import plastic_rnn
from spikesim.models.synapses import FastWeights
from spikesim.train import evaluate, fast_weights, train

DOCS = Path(__file__).parents[1] / "docs"
FOLDER = Path(__file__).parent / "results" / "plastic_rnn"
RULES = ("none", "hebbian", "gradient")
STEPS = 400
HIDDEN, WIDER, BATCH, PART = 24, 36, 32, 100  # without fast weights 1.5 times the neurons, as in the paper
TEST = {"samples": 256, "batches": 2, "seed": 10_000}  # the same fresh episodes for all runs


def score(module, test) -> float:
    """Return the mean squared error of the scored steps, or the accuracy of one-shot episodes."""
    found = evaluate(module, test, encode="sequence", readout="membrane_mean")
    part = test.generator.scored
    if isinstance(test.generator, OneShot):
        return float((found.predicted[:, -1].argmax(1) == found.labels[:, -1].argmax(1)).mean())
    return float(np.square(found.predicted[:, part] - found.labels[:, part]).mean())


def one(name: str, net: str, rule: str, seed: int, steps: int) -> dict:
    """Train one network; its score before training and after every part."""
    learn, test = episode_task(name)
    network = plastic_rnn(learn.inputs, learn.outputs, WIDER if rule == "none" else HIDDEN, scale=1.7, seed=seed)
    fast = FastWeights(rule, eta0=0.5, decay0=0.5)
    module = fast_weights(network, fast, outputs=learn.outputs, rate=net == "rate", gate=learn.gate, seed=seed)
    fresh = Episodes(test, **TEST)
    shot = name == "one_shot"
    start, curve = score(module, fresh), []
    trained = train(
        module,
        Episodes(learn, BATCH, PART, seed),
        epochs=(2 if shot else 1) * steps // PART,  # an episode of four steps is short
        learning_rate=1e-2,
        schedule="constant",
        clip=5.0,
        encode="sequence",
        seed=seed,
        progress=lambda epoch, epochs: curve.append(score(module, fresh)),
        loss="mse",
    )
    losses = [e.loss for e in trained.history]
    shown = {"task": name, "net": net, "rule": rule, "seed": seed, "steps": steps, "batch": BATCH}
    return {**shown, "hidden": network.populations[0].n, "start": start, "curve": curve, "losses": losses}


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", nargs="*", default=TASKS, choices=TASKS)
    parser.add_argument("--nets", nargs="*", default=("rate", "spiking"))
    parser.add_argument("--rules", nargs="*", default=RULES)
    parser.add_argument("--seeds", nargs="*", type=int, default=(0, 1, 2, 3))
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--show", action="store_true", help="print the table of what is there")
    parser.add_argument("--write", action="store_true", help="write it into the page")
    chosen = parser.parse_args()
    if chosen.show:
        print(text(stored(FOLDER), STEPS))
        return
    if chosen.write:
        put(DOCS / "methods/plastic-rnn.md", text(stored(FOLDER), STEPS))
        draw(stored(FOLDER), STEPS, DOCS / "images/plastic_rnn.png")
        return
    os.nice(5)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for seed, name, net, rule in product(chosen.seeds, chosen.tasks, chosen.nets, chosen.rules):
        longer = "" if chosen.steps == STEPS else f"-{chosen.steps}"
        path = FOLDER / f"{name}-{net}-{rule}-{seed}{longer}.json"
        if path.exists():
            continue
        result = one(name, net, rule, seed, chosen.steps)
        part = path.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(result) + "\n")
        part.replace(path)
        print(path.stem, [round(v, 4) for v in result["curve"]], flush=True)


if __name__ == "__main__":
    main()
