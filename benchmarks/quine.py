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
from PIL import Image

from spikesim import data, plot
from spikesim.errors import DivergedError
from spikesim.models.networks import quine
from spikesim.train.quine import Quine

DOCS = Path(__file__).parents[1] / "docs"
FOLDER = Path(__file__).parent / "results" / "quine"
WAYS = (
    ("grad", "uniform"), ("grad", "he"), ("hill", "uniform"), ("regen", "uniform"), ("regen+grad", "uniform"),
    ("regen+hill", "uniform"), ("auxiliary", "uniform"),
)  # fmt: skip
DRAWN = WAYS[:2] + WAYS[4:5]
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
    diverged = False
    try:
        made.train("grad" if way == "auxiliary" else way, count, sigma=1e-3)
    except DivergedError:
        diverged = True
    if way == "auxiliary":
        accuracy = made.accuracy(digits.x_test, digits.y_test)
    history = [{k: None if v != v else v for k, v in asdict(h).items()} for h in made.history]
    shown = {"net": net, "way": way, "start": start, "seed": seed, "test_accuracy": accuracy}
    return {**shown, "diverged": diverged, "history": history}


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", nargs="*", type=int, default=(0, 1, 2))
    parser.add_argument("--ways", nargs="*", default=tuple(dict.fromkeys(w for w, _ in WAYS)))
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--show", action="store_true", help="print the table of what is there")
    parser.add_argument("--write", action="store_true", help="write it into the page")
    chosen = parser.parse_args()
    found = [json.loads(p.read_text()) for p in sorted(FOLDER.glob("*.json"))]
    if chosen.show:
        print(table(found))
        return
    if chosen.write:
        put(DOCS / "methods/quine.md", table(found))
        draw(found)
        return
    os.nice(5)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for seed, (way, start), net in product(chosen.seeds, WAYS, ("selu", "spiking")):
        path = FOLDER / f"{net}-{way.replace('+', '-')}-{start}-{seed}.json"
        if way not in chosen.ways or path.exists():
            continue
        run = one(net, way, start, seed, chosen.epochs)
        part = path.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(run) + "\n")
        part.replace(path)
        last = run["history"][-1]
        print(path.stem, last["loss"], last["norm2"], last["rho"], run["test_accuracy"], flush=True)


def table(found: list[dict]) -> str:
    """Return means over the seeds as a table of Markdown."""
    epochs = " / ".join(map(str, SHOWN))
    lines = [f"| network | way | start | rho at {epochs} | last rho | loss | sum theta^2 | accuracy | seeds |"]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for net, (way, start) in product(("selu", "spiking"), WAYS):
        chosen = [r for r in found if (r["net"], r["way"], r["start"]) == (net, way, start)]
        if not chosen:
            continue
        runs = [r["history"] for r in chosen if not r.get("diverged")] or [r["history"] for r in chosen]
        longest = max(map(len, runs))
        shown = dict.fromkeys(min(e, longest - 1) for e in SHOWN)
        rhos = " / ".join(_mean([h[e]["rho"] for h in runs if e < len(h)]) for e in shown)
        last = [h[-1]["rho"] for h in runs if h[-1]["rho"] is not None]
        ends = [" → ".join(_mean([h[e][key] for h in runs]) for e in (0, -1)) for key in ("loss", "norm2")]
        known = [r["test_accuracy"] for r in chosen if r["test_accuracy"] is not None]
        parts = [net, way, start, rhos, f"{min(last):.3g} .. {max(last):.3g}" if last else "–", *ends]
        parts += [f"{np.mean(known):.3f}" if known else "", str(len(chosen))]
        if any(r.get("diverged") for r in chosen):
            parts[-1] += f", {sum(r['diverged'] for r in chosen)} diverged"
        lines.append(f"| {' | '.join(parts)} |")
    return "\n".join(lines)


def _mean(values: list) -> str:
    known = [v for v in values if v is not None]
    return f"{np.mean(known):.3g}" if known else "–"


def draw(found: list[dict]) -> None:
    """Draw rho, loss and norm of some ways."""
    histories = {}
    for net, (way, start) in product(("selu", "spiking"), DRAWN):
        runs = [r["history"] for r in found if (r["net"], r["way"], r["start"]) == (net, way, start)]
        if runs:
            histories[f"{net} {way} {start}"] = [[(h["loss"], h["norm2"]) for h in run] for run in runs]
    figure = plot.quine(histories, dashed=[n for n in histories if n.startswith("selu")])[0].get_figure(root=True)
    path = DOCS / "images/quine.png"
    figure.savefig(path, dpi=110, facecolor="white")
    Image.open(path).convert("RGB").quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
