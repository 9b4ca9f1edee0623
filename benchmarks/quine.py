"""Train small quines in every way the page shows; one JSON file per run.

    python benchmarks/quine.py [--seeds 0 1 2] [--ways grad ...] [--epochs 60] [--show | --write]

Runs that have a file are left out, so it can be stopped and started, and several may work side by side on other seeds.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from itertools import product
from pathlib import Path

import numpy as np
from page_table import put

from spikesim import data
from spikesim.models.networks import quine
from spikesim.train.quine import Quine

PAGE = Path(__file__).parents[1] / "docs/methods/quine.md"
FOLDER = Path(__file__).parent / "results" / "quine"
WAYS = (("grad", "uniform"), ("grad", "he"), ("hill", "uniform"), ("regen+grad", "uniform"), ("auxiliary", "uniform"))
HIDDEN, GENERATIONS = 24, 8
SHOWN = (0, 1, 5, 20, 60)


def one(net: str, way: str, start: str, seed: int, epochs: int) -> dict:
    """Train one quine."""
    network, further = quine(HIDDEN, 10 if way == "auxiliary" else 0, start, seed=seed), {}
    accuracy = None
    if way == "auxiliary":
        digits = data.load("digits").scaled()
        further = {"images": digits.x_train, "labels": digits.y_train}
    made = Quine(network, selu=net == "selu", start=start, seed=seed, **further)
    count = GENERATIONS if way.startswith("regen") else epochs
    made.train("grad" if way == "auxiliary" else way, count, sigma=1e-3)
    if way == "auxiliary":
        accuracy = made.accuracy(digits.x_test, digits.y_test)
    history = [{k: None if v != v else v for k, v in asdict(h).items()} for h in made.history]
    return {"net": net, "way": way, "start": start, "seed": seed, "test_accuracy": accuracy, "history": history}


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", nargs="*", type=int, default=(0, 1, 2))
    parser.add_argument("--ways", nargs="*", default=tuple(dict.fromkeys(w for w, _ in WAYS)))
    parser.add_argument("--epochs", type=int, default=60)
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
    for seed, (way, start), net in product(chosen.seeds, WAYS, ("selu", "spiking")):
        path = FOLDER / f"{net}-{way.replace('+', '-')}-{start}-{seed}.json"
        if way not in chosen.ways or path.exists():
            continue
        found = one(net, way, start, seed, chosen.epochs)
        part = path.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(found) + "\n")
        part.replace(path)
        last = found["history"][-1]
        print(path.stem, last["loss"], last["norm2"], last["rho"], found["test_accuracy"], flush=True)


def table() -> str:
    """Return means over the seeds as a table of Markdown."""
    found = [json.loads(p.read_text()) for p in sorted(FOLDER.glob("*.json"))]
    epochs = " / ".join(map(str, SHOWN))
    lines = [f"| network | way | start | rho at {epochs} | loss, first to last | sum theta^2, first to last | seeds |"]
    lines.append("|---|---|---|---|---|---|---|")
    for net, (way, start) in product(("selu", "spiking"), WAYS):
        runs = [r["history"] for r in found if (r["net"], r["way"], r["start"]) == (net, way, start)]
        if not runs:
            continue
        shown = [min(e, len(runs[0]) - 1) for e in SHOWN]
        rhos = " / ".join(_mean([h[e]["rho"] for h in runs]) for e in dict.fromkeys(shown))
        ends = [" → ".join(_mean([h[e][key] for h in runs]) for e in (0, -1)) for key in ("loss", "norm2")]
        lines.append(f"| {net} | {way} | {start} | {rhos} | {ends[0]} | {ends[1]} | {len(runs)} |")
    return "\n".join(lines)


def _mean(values: list) -> str:
    known = [v for v in values if v is not None]
    return f"{np.mean(known):.3g}" if known else "–"


if __name__ == "__main__":
    main()
