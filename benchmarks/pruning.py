"""Pruned recurrent networks on several tasks, one pruned network for all of them; resumable.

``python benchmarks/pruning.py [--families hrsnn ...] [--seeds 0 1 ...]`` adds what is missing to
``results/pruning/tasks/FAMILY-SEED.json``, one row per (variant, task); processes may share the work if no two of them
have a file in common. A network gets the inputs of all tasks before it is pruned, so input weights of neurons that
stay are those of the dense network; only ``activity`` sees data (the training inputs of the task that it is then tested
on). ``activity, equal operations`` keeps as many synapses as it takes to do as many synaptic operations on those inputs
as the LNP network of the same seed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hrsnn import energy_per_value

from spikesim import Network, reservoir, run
from spikesim.models.networks import chrsnn, hrsnn, mrsnn
from spikesim.sparsify import prune

FOLDER = Path(__file__).parent / "results/pruning/tasks"
NEURONS = 240
CHANNELS = {"lorenz": 3, "roessler": 3, "japanese-vowels": 12, "sequential-mnist": 28}
IMAGES = 600
SEEN = 100  # samples of a classification that activity pruning sees, about
FAMILIES = {"hrsnn": hrsnn, "mrsnn": mrsnn, "chrsnn": chrsnn}

HALF = {"keep": 0.15, "keep_neurons": 0.5}
AGNOSTIC: dict[str, dict[str, Any]] = {
    "lnp": {"method": "lnp", **HALF},
    "lnp, e = w": {"method": "lnp", "factor": "w", **HALF},
    "lnp, step 1": {"method": "lnp", "steps": (1,), "keep": 0.15, "keep_neurons": 1.0},
    "lnp, steps 1 2": {"method": "lnp", "steps": (1, 2), **HALF},
    "lnp, steps 1 2 3": {"method": "lnp", "steps": (1, 2, 3), **HALF},
    "lnp, steps 1 2 4": {"method": "lnp", "steps": (1, 2, 4), **HALF},
    "noise": {"method": "noise", "keep": 0.15},
    "weight": {"method": "weight", "keep": 0.15},
    "random": {"method": "random", "keep": 0.15},
    "random, half": {"method": "random", **HALF},
    "magnitude": {"method": "magnitude", "keep": 0.15},
    "magnitude, half": {"method": "magnitude", **HALF},
    "sparse init": {"method": "sparse_init", "keep": 0.15},
    "sparse init, half": {"method": "sparse_init", **HALF},
}
ACTIVITY: dict[str, dict[str, Any]] = {
    "activity": {"method": "activity", **HALF},
    "activity, neurons only": {"method": "activity", "keep": 1.0, "keep_neurons": 0.5},
}
EQUAL = "activity, equal operations"
NEAR = 0.02  # how far from LNP's operations on the training input it may stay
LINES = ("lnp", "activity", "noise", "random, half", "magnitude, half")
OTHER_SHARES = (0.05, 0.3)  # kept synapses: three points per method, with 15 %
for _name in LINES:
    for _keep in OTHER_SHARES:
        (ACTIVITY if _name in ACTIVITY else AGNOSTIC)[f"{_name}, keep {_keep:.0%}"] = {
            **{**AGNOSTIC, **ACTIVITY}[_name], "keep": _keep
        }  # fmt: skip
CORE = (
    "dense", "lnp", "lnp, step 1", "lnp, steps 1 2 4", "activity", EQUAL, "activity, neurons only", "noise", "random",
    "random, half",
)  # fmt: skip
ABLATION = tuple(v for v in (*AGNOSTIC, *ACTIVITY) if "keep" not in v)
POINTS = tuple(v for v in (*AGNOSTIC, *ACTIVITY) if "keep" in v)
QUICK = ("lorenz", "roessler", "japanese-vowels")
IMAGE = ("sequential-mnist",)
PASSES: dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "hrsnn": [(CORE, QUICK), (CORE, IMAGE), (ABLATION, QUICK), (POINTS, QUICK), (ABLATION, IMAGE)],
    "mrsnn": [(CORE, QUICK), (CORE, IMAGE)],
    "chrsnn": [(("dense", "lnp"), QUICK)],
}


def dense(family: str, seed: int) -> Network:
    """Return a network with one input per number of channels, ``series3``, ``series12``, ``series28``."""
    found: Network | None = None
    for channels in sorted(set(CHANNELS.values())):
        one = FAMILIES[family](NEURONS, channels, seed=seed)
        named = replace(one["series"], name=f"series{channels}")
        ways = [p for p in one.projections if p.pre == "series"]
        moved = [replace(p, pre=named.name, name=p.name.replace("series", named.name)) for p in ways]
        if found is None:
            found = replace(one, stimuli=(), projections=tuple(p for p in one.projections if p.pre != "series"))
        found = found.add(named, *moved)
    assert found is not None
    return found


def for_channels(network: Network, channels: int) -> Network:
    """Return the network with one of its inputs only."""
    name = f"series{channels}"
    ways = tuple(p for p in network.projections if p.pre == name or not p.pre.startswith("series"))
    return replace(network, stimuli=tuple(s for s in network.stimuli if s.name == name), projections=ways)


def the_task(name: str, seed: int) -> Any:
    """Return a task."""
    return reservoir.task(name, seed, samples=IMAGES)


def training_input(task: Any) -> np.ndarray:
    """Return ``[steps, samples, channels]`` of what a task's read-out learns from."""
    data = task.standardised()
    if isinstance(task, reservoir.Prediction):
        x = data[None, : task.cut]
    else:
        x = data[0][:: max(1, len(data[0]) // SEEN)]  # samples may be in the order of their classes
    return np.repeat(np.swapaxes(x, 0, 1), task.hold, axis=0)


def score(network: Network, name: str, seed: int) -> dict[str, Any]:
    """Return plain numbers; energy is of recurrent part and input, in microjoule per value, on the last batch."""
    the = the_task(name, seed)
    scores = reservoir.evaluate(for_channels(network, CHANNELS[name]), the, seed)
    found, energy = scores.row(), energy_per_value(scores, the.hold)
    wanted = ("rmse", "nrmse", "accuracy", "neurons", "synapses", "sops", "spikes", "input_sops", "readout_synapses")
    prices = {"energy": energy["nominal"], "energy_low": energy["low"], "energy_high": energy["high"]}
    return {**{k: found[k] for k in wanted if k in found}, **prices}


def operations(network: Network, inputs: dict[str, np.ndarray]) -> int:
    """Return the recurrent synaptic operations on some input."""
    counts = run(network, inputs=inputs).counts
    return sum(int(p.events.sum()) for p in counts.projections.values() if not p.pre.startswith("series"))


def at_operations(network: Network, inputs: dict[str, np.ndarray], goal: int, seed: int) -> Network:
    """Return the network of activity pruning with half of the neurons whose operations come nearest to a number.

    Operations grow with the share that is kept, almost in proportion: a bisection that begins from there.
    """
    low, high, keep = 0.01, 1.0, 0.15
    best: tuple[float, Network] | None = None
    for _ in range(10):
        found = prune(network, "activity", keep=keep, keep_neurons=0.5, inputs=inputs, seed=seed).network
        ratio = operations(found, inputs) / goal
        if best is None or abs(ratio - 1.0) < best[0]:
            best = abs(ratio - 1.0), found
        if best[0] <= NEAR:
            break
        low, high = (keep, high) if ratio < 1.0 else (low, keep)
        guess = keep / max(ratio, 1e-3)
        keep = guess if low < guess < high else (low + high) / 2
    assert best is not None
    return best[1]


def fill(family: str, seed: int, only: list[str]) -> None:
    """Compute what is missing of one file, of some variants if they are named."""
    file = FOLDER / f"{family}-{seed}.json"
    rows = json.loads(file.read_text("utf-8")) if file.exists() else []
    done = {(r["variant"], r["task"]) for r in rows}
    for variants, tasks in PASSES[family]:
        for variant in (v for v in variants if v in only or not only):
            missing = [t for t in tasks if (variant, t) not in done]
            made = maker(family, variant, seed) if missing else None
            for name in missing:
                assert made is not None
                key = {"family": family, "variant": variant, "task": name, "seed": seed}
                rows.append({**key, **score(made(name), name, seed)})
                done.add((variant, name))
            if missing:
                save(file, rows)
        print(family, seed, tasks, f"{len(rows)} rows", flush=True)


def save(file: Path, rows: list[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n", "utf-8")
    part.replace(file)


def maker(family: str, variant: str, seed: int) -> Callable[[str], Network]:
    """Return a function from a task to the network: the same for all tasks, unless its method sees data."""
    network = dense(family, seed)
    if variant == EQUAL:
        lnp = prune(network, **AGNOSTIC["lnp"], seed=seed).network

        def matched(name: str) -> Network:
            channels, inputs = CHANNELS[name], inputs_of(name, seed)
            goal = operations(for_channels(lnp, channels), inputs)
            return at_operations(for_channels(network, channels), inputs, goal, seed)

        return matched
    if variant in ACTIVITY:
        return lambda name: (
            prune(
                for_channels(network, CHANNELS[name]), **ACTIVITY[variant], inputs=inputs_of(name, seed), seed=seed
            ).network
        )
    pruned = network if variant == "dense" else prune(network, **AGNOSTIC[variant], seed=seed).network
    return lambda name: pruned


def inputs_of(name: str, seed: int) -> dict[str, np.ndarray]:
    """Return a task's training input by the name of the input that takes it."""
    return {f"series{CHANNELS[name]}": training_input(the_task(name, seed))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--families", nargs="+", default=list(PASSES), choices=list(PASSES))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(10)))
    parser.add_argument("--only", action="append", default=[], help="a variant; repeatable; all by default")
    asked = parser.parse_args()
    for family in asked.families:
        for seed in asked.seeds:
            fill(family, seed, asked.only)


if __name__ == "__main__":
    main()
