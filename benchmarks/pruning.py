"""Pruned recurrent networks on several tasks, one pruned network for all of them; resumable.

``python benchmarks/pruning.py [--seeds 10]`` adds what is missing to ``results/pruning/tasks.json``, one row per
(family, variant, task, seed). A network gets the inputs of all tasks before it is pruned, so input
weights of neurons that stay are those of the dense network; only ``activity`` sees data (the inputs of the task that it
is then tested on).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from spikesim import Network, reservoir
from spikesim.models.networks import hrsnn, mrsnn
from spikesim.sparsify import prune

FILE = Path(__file__).parent / "results/pruning/tasks.json"
NEURONS = 240
CHANNELS = {"lorenz": 3, "roessler": 3, "japanese-vowels": 12, "sequential-mnist": 28}
IMAGES = 600
FAMILIES = {"hrsnn": hrsnn, "mrsnn": mrsnn}

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
CORE = ("dense", "lnp", "lnp, step 1", "activity", "activity, neurons only", "noise", "random, half")
QUICK = ("lorenz", "roessler", "japanese-vowels")
PASSES = [
    ("hrsnn", CORE, QUICK),
    ("hrsnn", ("dense", *AGNOSTIC, *ACTIVITY), QUICK),
    ("hrsnn", CORE, ("sequential-mnist",)),
    ("mrsnn", (*CORE, "random"), QUICK),
    ("hrsnn", ("dense", *AGNOSTIC, *ACTIVITY), ("sequential-mnist",)),
    ("mrsnn", CORE, ("sequential-mnist",)),
]


def dense(family: str, seed: int) -> Network:
    """Return a network with one input per number of channels, ``series3``, ``series12``, ``series28``."""
    found: Network | None = None
    for channels in sorted(set(CHANNELS.values())):
        one = FAMILIES[family](NEURONS, channels, seed=seed)
        source, way = one["series"], one["series->recurrent"]
        named = replace(source, name=f"series{channels}")
        projection = replace(way, pre=named.name, name=f"{named.name}->recurrent")
        if found is None:
            found = replace(one, stimuli=(), projections=tuple(p for p in one.projections if p.pre != "series"))
        found = found.add(named, projection)
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
    x = data[None, : task.cut] if isinstance(task, reservoir.Prediction) else data[0][:50]
    return np.repeat(np.swapaxes(x, 0, 1), task.hold, axis=0)


def score(network: Network, name: str, seed: int) -> dict[str, Any]:
    """Return plain numbers."""
    found = reservoir.evaluate(for_channels(network, CHANNELS[name]), the_task(name, seed), seed).row()
    wanted = ("rmse", "nrmse", "accuracy", "neurons", "synapses", "sops", "spikes", "input_sops", "readout_synapses")
    return {k: found[k] for k in wanted if k in found}


def save(rows: list[dict[str, Any]]) -> None:
    FILE.parent.mkdir(parents=True, exist_ok=True)
    part = FILE.with_suffix(".part")
    part.write_text("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n", "utf-8")
    part.replace(FILE)


def fill(seeds: int) -> None:
    """Compute what is missing, pass after pass, seed after seed."""
    rows = json.loads(FILE.read_text("utf-8")) if FILE.exists() else []
    done = {(r["family"], r["variant"], r["task"], r["seed"]) for r in rows}
    for family, variants, tasks in PASSES:
        for seed in range(seeds):
            for variant in variants:
                missing = [t for t in tasks if (family, variant, t, seed) not in done]
                if not missing:
                    continue
                made = maker(family, variant, seed)
                for name in missing:
                    key = {"family": family, "variant": variant, "task": name, "seed": seed}
                    rows.append({**key, **score(made(name), name, seed)})
                    done.add((family, variant, name, seed))
                save(rows)
            print(family, seed, tasks, flush=True)


def maker(family: str, variant: str, seed: int) -> Callable[[str], Network]:
    """Return a function from a task to the network: the same for all tasks, unless its method sees data."""
    network = dense(family, seed)
    if variant in ACTIVITY:

        def by_task(name: str) -> Network:
            one = for_channels(network, CHANNELS[name])
            inputs = {f"series{CHANNELS[name]}": training_input(the_task(name, seed))}
            return prune(one, **ACTIVITY[variant], inputs=inputs, seed=seed).network

        return by_task
    pruned = network if variant == "dense" else prune(network, **AGNOSTIC[variant], seed=seed).network
    return lambda name: pruned


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    fill(parser.parse_args().seeds)


if __name__ == "__main__":
    main()
