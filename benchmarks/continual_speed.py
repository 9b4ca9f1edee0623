"""What HLOP adds to the time of plain training, on its published network 784-800-800-10, task by task.

Run ``python benchmarks/continual_speed.py`` (a few minutes); figures go to ``benchmarks/results/continual_speed.json``.
Plain training and HLOP take turns on the same samples, one thread, and processor time is what counts: the median over
the turns. Rows per task are the published ones. ``hook_rows`` shows that many rows of a batch to the circuits. In the
first task (0) nothing is projected yet, so what is added there is learning alone.
The images are the digits of scikit-learn, enlarged to 28 x 28.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

import spikesim
from spikesim.continual import Hlop
from spikesim.data import load
from spikesim.layers import dense, sequential
from spikesim.models.neurons import li, lif_soft
from spikesim.stimulus import Input
from spikesim.train import train

LATER = (70, 70, 50, 50, 50, 30, 30, 30, 10)
FIRST = {"image->layer1": 80, "layer1->layer2": 200, "layer2->layer3": 100}
ROWS = {name: (rows, *LATER) for name, rows in FIRST.items()}
RULES = {"bptt": 6, "dsr": 20, "ottt": 6}
"""Rule to steps per sample, as published."""
SHOWN = {"bptt": (None, 96, 32), "dsr": (None, 32), "ottt": (None, 32)}
"""Rows of a batch (of OTTT: of a step) that the circuits are shown; None for all."""


def images(batches: int) -> tuple[Any, Any]:
    """Return samples ``[64 batches, 28, 28]`` and labels."""
    digits = load("digits")
    x = np.kron(digits.x_train[: 64 * batches] / 16, np.ones((1, 3, 3)))
    return np.pad(x, ((0, 0), (2, 2), (2, 2))).astype(np.float32), digits.y_train[: 64 * batches]


def network() -> Any:
    """Return the published network, with a leaky read-out."""
    neuron = lif_soft(lam=0.5, th=1.0)
    image = Input("image", (28, 28), graded=True)
    return sequential(image, dense(800), neuron, dense(800), neuron, dense(10), li(beta=0.9), seed=1)


def measured(rule: str, task: int, rows: int | None, batches: int, turns: int) -> dict[str, Any]:
    """Return milliseconds per batch, plain and with HLOP in a task (from 0), and what is added."""
    x, y = images(batches)
    hook, net = Hlop(ROWS, learning_rate={"image->layer1": 0.001}), network()
    settings: dict[str, Any] = {
        "rule": rule, "steps": RULES[rule], "loss": "membrane_cross_entropy", "epochs": 1, "learning_rate": 0.05,
        "optimiser": "sgd", "validation_fraction": 0.0, "schedule": "constant", "hook_rows": rows,
    }  # fmt: skip
    for _ in range(task):
        train(net, (x[:64], y[:64]), hook=hook, **settings)
        hook.end_task()
    train(net, (x[:64], y[:64]), hook=hook, **settings)  # compiled, and products measured
    plain, hlop = [], []
    for _ in range(turns):
        for found, chosen in ((plain, None), (hlop, hook)):
            short, long = (_seconds(net, x[:n], y[:n], hook=chosen, **settings) for n in (64, 64 * batches))
            found.append((long - short) / (batches - 1))  # without what a call costs by itself
    before, after = (1000 * statistics.median(found) for found in (plain, hlop))
    return {
        "rule": rule, "task": task, "hook_rows": rows, "frozen_rows": {n: sum(r[:task]) for n, r in ROWS.items()},
        "plain_ms": round(before, 2), "hlop_ms": round(after, 2), "added": round(after / before - 1, 3),
    }  # fmt: skip


def _seconds(*args: Any, **settings: Any) -> float:
    begin = time.process_time()
    train(args[0], args[1:], **settings)
    return time.process_time() - begin


def main() -> None:
    """Measure and store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "continual_speed.json")
    options = parser.parse_args()
    found = []
    for rule in RULES:
        for task in (0, 5):
            for rows in SHOWN[rule]:
                found.append(measured(rule, task, rows, options.batches, options.turns))
                print(found[-1], flush=True)
    about = {"network": "784-800-800-10", "batch": 64, "threads": 1, "time": "processor"}
    options.out.write_text(
        json.dumps({**about, "spikesim": spikesim.__version__, "runs": found}, indent=1) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
