"""Compare no, Hebbian and gradient plasticity on all tasks, rate and spiking: one JSON file per run.

    python benchmarks/plastic_rnn.py [--tasks cue_reward ...] [--seeds 0 1 2 3] [--steps 400]

Runs that have a file are left out, so it can be stopped and started, and several may work side by side on other tasks.
``--show`` prints the table of what is there, ``--write`` puts it into the page.
"""

from __future__ import annotations

import argparse
import json
import os
from itertools import product
from pathlib import Path

import numpy as np
from page_table import put

from spikesim import data
from spikesim.data.episodes import Copying, CueReward, Episodes, OneShot, Regression
from spikesim.models.networks import plastic_rnn
from spikesim.models.synapses import FastWeights
from spikesim.train import evaluate, fast_weights, train

PAGE = Path(__file__).parents[1] / "docs/methods/plastic-rnn.md"
FOLDER = Path(__file__).parent / "results" / "plastic_rnn"
RULES = ("none", "hebbian", "gradient")
HIDDEN, WIDER, BATCH, PART = 24, 36, 32, 100  # without fast weights 1.5 times the neurons, as in the paper
TEST = {"samples": 256, "batches": 2, "seed": 10_000}  # the same fresh episodes for all runs


def task(name: str):
    """Return the generators of training and test episodes."""
    if name == "one_shot":
        digits = data.load("digits").scaled()
        x, y = np.concatenate([digits.x_train, digits.x_test]), np.concatenate([digits.y_train, digits.y_test])
        return OneShot(x[y < 7], y[y < 7]), OneShot(x[y >= 7], y[y >= 7])
    made = {
        "copying": Copying(12),
        "cue_reward": CueReward(),
        "regression_linear": Regression("linear", 4, 8, 4),
        "regression_mlp": Regression("mlp", 3, 8, 4),
    }[name]
    return made, made


TASKS = ("cue_reward", "one_shot", "copying", "regression_linear", "regression_mlp")


def score(module, test) -> float:
    """Return the mean squared error of the scored steps, or the accuracy of one-shot episodes."""
    found = evaluate(module, test, encode="sequence", readout="membrane_mean")
    part = test.generator.scored
    if isinstance(test.generator, OneShot):
        return float((found.predicted[:, -1].argmax(1) == found.labels[:, -1].argmax(1)).mean())
    return float(np.square(found.predicted[:, part] - found.labels[:, part]).mean())


def one(name: str, net: str, rule: str, seed: int, steps: int) -> dict:
    """Train one network; its score before training and after every part."""
    learn, test = task(name)
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
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--show", action="store_true", help="print the table of what is there")
    parser.add_argument("--write", action="store_true", help="write it into the page")
    chosen = parser.parse_args()
    if chosen.show:
        print(table())
        return
    if chosen.write:
        put(PAGE, table())
        return
    os.nice(5)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for seed, name, net, rule in product(chosen.seeds, chosen.tasks, chosen.nets, chosen.rules):
        path = FOLDER / f"{name}-{net}-{rule}-{seed}.json"
        if path.exists():
            continue
        result = one(name, net, rule, seed, chosen.steps)
        part = path.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(result) + "\n")
        part.replace(path)
        print(path.stem, [round(v, 4) for v in result["curve"]], flush=True)


def table() -> str:
    """Return mean and standard deviation over the seeds as a table of Markdown."""
    found = [json.loads(p.read_text()) for p in sorted(FOLDER.glob("*.json"))]
    lines = ["| task | network | " + " | ".join(RULES) + " |", "|---|---|---|---|---|"]
    for name, net in product(TASKS, ("rate", "spiking")):
        cells = []
        for rule in RULES:
            last = [r["curve"][-1] for r in found if (r["task"], r["net"], r["rule"]) == (name, net, rule)]
            spread = f" ± {np.std(last, ddof=1):.3f}" if len(last) > 1 else ""
            cells.append(f"{np.mean(last):.3f}{spread} ({len(last)})" if last else "–")
        lines.append(f"| {name} | {net} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
