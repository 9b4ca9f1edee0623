"""Heterogeneous against homogeneous recurrent networks, on all tasks, over seeds; resumable.

``python benchmarks/hrsnn.py [--seeds 10] [--tasks lorenz ...] [--networks hrsnn ...]`` adds what is missing to
``results/hrsnn.json``, one row per (network, task, seed), and prints means, wins and paired tests. Other networks, such
as pruned ones, are scored by the same :func:`score`.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from spikesim import reservoir
from spikesim.models.networks import chrsnn, hrsnn, mrsnn
from spikesim.network import Network
from spikesim.profile import profile

FILE = Path(__file__).parent / "results" / "hrsnn.json"
NEURONS = 240
STARTS = 10  # of closed-loop predictions
CAPACITY = "memory-capacity"
ENERGY = "lorenz, energy"
DEVICE = "cmos45"  # digital logic of 45 nm: every term has a price, unlike on the chips
TASKS = (*reservoir.TASKS, CAPACITY, ENERGY)


def learned(groups: int, spread: float) -> Callable[[int], Network]:
    """Return a function of the seed: an HRSNN after STDP on the part of Lorenz that read-outs learn from."""

    def build(seed: int) -> Network:
        task = reservoir.task("lorenz", seed)
        assert isinstance(task, reservoir.Prediction)
        network = hrsnn(NEURONS, stdp=groups, stdp_spread=spread, seed=seed)
        return reservoir.settled(network, task.standardised()[: task.cut], task.hold)

    return build


def trained(seed: int) -> Network:
    """Return an MRSNN whose time constants were learned on Lorenz by surrogate gradients, its read-out taken off again.

    The windows come from the part of the series that read-outs learn from; the windows' read-out learns beside.
    """
    from spikesim import train

    task, network = reservoir.task("lorenz", seed), mrsnn(NEURONS, seed=seed)
    assert isinstance(task, reservoir.Prediction)
    series, length = task.standardised(), 40
    begins = range(task.discard, task.cut - length - task.horizon, 20)
    x, y = (
        np.stack([series[b + ahead : b + ahead + length] for b in begins]).repeat(task.hold, axis=1)
        for ahead in (0, task.horizon)
    )
    result = train(
        reservoir.with_readout(network, task.channels),
        (x, y),
        loss="mse",
        encode="sequence",
        epochs=20,
        batch_size=16,
        learning_rate=0.02,
        weights=["recurrent->readout"],
        params={"recurrent": ["tau_m"]},
        validation_fraction=0.0,
        seed=seed,
    )
    return network.swap(result.network.population("recurrent"))


NETWORKS: dict[str, Callable[[int], Network]] = {
    "hrsnn": lambda seed: hrsnn(NEURONS, seed=seed),
    "mrsnn": lambda seed: mrsnn(NEURONS, seed=seed),
    "chrsnn": lambda seed: chrsnn(NEURONS, seed=seed),
    "mrsnn, 10 ms": lambda seed: mrsnn(NEURONS, tau=10e-3, seed=seed),
    "mrsnn, 40 ms": lambda seed: mrsnn(NEURONS, tau=40e-3, seed=seed),
    "mrsnn, bias 1.1": lambda seed: mrsnn(NEURONS, bias=1.1, seed=seed),
    "hrsnn, heterogeneous STDP": learned(8, 0.5),
    "hrsnn, homogeneous STDP": learned(1, 0.0),
    "mrsnn, time constants trained": trained,
}
BETTER = {"nrmse": -1, "accuracy": 1, "vpt": 1, "capacity": 1, "spikes": -1, "sops": -1, "energy": -1}


def score(network: Network, task: str, seed: int) -> dict[str, Any]:
    """Return the plain numbers of one evaluation."""
    if task == CAPACITY:
        found = reservoir.network_capacity(network, seed)
        return {"task": task, "seed": seed, "capacity": found.total, "spikes": found.spikes}
    if task == ENERGY:
        return energy(network, seed)
    return reservoir.evaluate(network, task, seed, starts=STARTS).row()


def energy(network: Network, seed: int) -> dict[str, Any]:
    """Return the energy per value of Lorenz, recurrent part and input, in microjoule: low, nominal, high."""
    total = energy_per_value(reservoir.evaluate(network, "lorenz", seed), 5)
    return {"task": ENERGY, "seed": seed, "energy": total["nominal"], **total}


def energy_per_value(scores: reservoir.Scores, hold: int) -> dict[str, float]:
    """Return what recurrent part and input take per value of the series, each held for so many steps (microjoule)."""
    bill = profile(scores.recording, scores.network, DEVICE).bills[DEVICE]
    if bill.total is None:
        raise SystemExit(f"{DEVICE}: {bill.why_no_total}")
    values = scores.recording.steps / hold / 1e6  # of one sample: bills are per sample
    return {k: getattr(bill.total, f"{k}_j") / values for k in ("low", "nominal", "high")}


def fill(networks: list[str], tasks: list[str], seeds: int) -> list[dict[str, Any]]:
    """Compute what is missing and return all rows."""
    rows = json.loads(FILE.read_text()) if FILE.exists() else []
    done = {(r["network"], r["task"], r["seed"]) for r in rows}
    for seed in range(seeds):
        for name in networks:
            missing = [task for task in tasks if (name, task, seed) not in done]
            network = NETWORKS[name](seed) if missing else None
            for task in missing:
                assert network is not None
                rows.append({"network": name, **score(network, task, seed), "task": task})
                print(name, task, seed, flush=True)
            if missing:
                save(rows)
    return rows


def save(rows: list[dict[str, Any]]) -> None:
    """Write the file whole or not at all."""
    part = FILE.with_suffix(".part")
    part.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
    os.replace(part, FILE)


def compare(rows: list[dict[str, Any]], one: str, other: str, task: str, metric: str) -> dict[str, float] | None:
    """Compare two networks on the seeds that both have: means, and a two-sided Wilcoxon signed-rank test."""
    found = {
        name: {r["seed"]: r[metric] for r in rows if (r["network"], r["task"]) == (name, task) and metric in r}
        for name in (one, other)
    }
    seeds = sorted(found[one].keys() & found[other].keys())
    if len(seeds) < 2:
        return None
    a, b = (np.array([found[name][s] for s in seeds]) for name in (one, other))
    p = float(stats.wilcoxon(a, b).pvalue) if (a != b).any() else 1.0
    wins = int((BETTER[metric] * (a - b) > 0).sum())
    return {"seeds": len(seeds), "one": a.mean(), "other": b.mean(), "wins": wins, "p": p}


def table(rows: list[dict[str, Any]], one: str, other: str) -> str:
    """Return a Markdown table of all comparisons of two networks."""
    lines = [f"| task | measure | {one} | {other} | better, of seeds | p |", "|---|---|---|---|---|---|"]
    for task in TASKS:
        for metric in BETTER:
            if c := compare(rows, one, other, task, metric):
                means = f"{c['one']:.3f} | {c['other']:.3f}"
                lines.append(f"| {task} | {metric} | {means} | {c['wins']} of {c['seeds']} | {c['p']:.3g} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    asked = parser.parse_args()
    os.nice(10)
    rows = fill(asked.networks, asked.tasks, asked.seeds)
    for one, other in (
        ("hrsnn", "mrsnn"),
        ("chrsnn", "hrsnn"),
        ("hrsnn, heterogeneous STDP", "hrsnn, homogeneous STDP"),
        ("mrsnn, time constants trained", "mrsnn"),
    ):
        print(f"\n{table(rows, one, other)}")


if __name__ == "__main__":
    main()
