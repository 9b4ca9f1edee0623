"""Continual learning: what each method forgets, on permuted digits, MNIST and Fashion-MNIST.

::

    python benchmarks/continual.py                        # what is not stored yet, hours on one core; may be stopped
    python benchmarks/continual.py digits --only hlop
    python benchmarks/continual.py mnist fashion
    python benchmarks/write_docs.py                       # docs/methods/continual.md from what is stored

Every run that has ended is stored at once in ``results/continual/<experiment>/<method>-<seed>.json``, with its
configuration, versions and commit; what is stored is not repeated. A run that was killed goes on behind its last
finished task, from a checkpoint beside the results. MNIST and Fashion-MNIST must be on the machine (``spikesim data
fetch``). A seed decides permutations, samples, initial weights and the order of training, the same for all methods.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import machine
import numpy as np

from spikesim.continual import METHODS, Metaplastic, Plan, Result, Task, run

STORED = machine.RESULTS / "continual"


@dataclass(frozen=True)
class Way:
    """A method with its settings.

    Parameters
    ----------
    method
        Name in :data:`spikesim.continual.METHODS`.
    settings
        Of the method.
    training
        Over those of the experiment.
    network
        In place of that of the experiment.
    told
        Run it in the variant that tells the task at test time, with a head for each.
    at_end
        Joint training once on all tasks, and not anew after each: only the last row of the matrix is measured.
    along
        The first task is also tested after each epoch on the second; for metaplastic synapses.
    """

    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    network: str = ""
    told: bool = False
    at_end: bool = False
    along: bool = False


@dataclass(frozen=True)
class Experiment:
    """A scenario, a network, how it is trained, and the methods.

    Parameters
    ----------
    scenario, scenario_settings, network, training
        Of :class:`spikesim.continual.Plan`.
    ways
        By label.
    seeds
        How many.
    """

    scenario: str
    scenario_settings: Mapping[str, Any]
    network: str
    training: Mapping[str, Any]
    ways: Mapping[str, Way]
    seeds: int = 1

    def plan(self, label: str, seed: int) -> Plan:
        """Return one run."""
        way = self.ways[label]
        told = {"kind": "task"} if way.told else {}
        heads = {"heads": True} if way.told and not METHODS[way.method].told else {}
        return Plan(
            self.scenario, {**self.scenario_settings, **told}, way.method, way.settings, way.network or self.network,
            {**self.training, **heads, **way.training}, seed,
        )  # fmt: skip


BITS = {"optimiser": "adam", "learning_rate": 0.005}  # of hidden weights, as the authors have it


def ways(
    hlops: Mapping[str, Way], share: float, strength: float, epochs: int, joint: int, bits: str = ""
) -> dict[str, Way]:
    """Return the methods of the table.

    Parameters
    ----------
    hlops
        HLOP with each training rule.
    share
        That GPM protects.
    strength
        Of EWC's pull.
    epochs
        Of binary synapses and CLNP.
    joint
        Epochs of joint training.
    bits
        Network of binary synapses.
    """
    ewc = {"strength": strength}
    afec = {"base": "ewc", "settings": ewc, "forgetting": strength / 10}  # less does nothing, more forgets
    return {
        "fine-tune": Way("fine-tune"),
        **hlops,
        "joint": Way("joint", {}, {"epochs": joint}, at_end=True),  # all tasks at once
        "gpm": Way("gpm", {"share": share}),
        "ewc": Way("ewc", ewc),
        "afec": Way("afec", afec),
        "metaplastic": Way("metaplastic", {"m": 1.0}, {**BITS, "epochs": epochs}, bits),
        "clnp, told": Way("clnp", {}, {"epochs": epochs}, told=True),
    }


def and_more(found: Mapping[str, Way]) -> dict[str, Way]:
    """Return the methods with those that are run on digits only."""
    hlop, ewc, afec = (found[name].settings for name in ("hlop", "ewc", "afec"))
    hidden = {k: {p: v for p, v in by.items() if p != PROJECTIONS[-1]} for k, by in hlop.items()}  # heads learn alone
    return {
        **found,
        "binary": Way("metaplastic", {"m": 0.0}, found["metaplastic"].training),
        "fine-tune, told": Way("fine-tune", told=True),
        "ewc, told": Way("ewc", ewc, told=True),
        "afec, told": Way("afec", afec, told=True),
        "hlop, told": Way("hlop", hidden, told=True),
        "single-task": Way("single-task"),
        "replay": Way("replay", {"size": 200}),
        "hlop-replay": Way("hlop-replay", {**hlop, "size": 200}),
        "mas": Way("mas"),
        "si": Way("si"),
    }


PROJECTIONS = ("image->layer1", "layer1->layer2", "layer2->layer3")


def conflicting(strengths: Mapping[str, float], forgetting: Mapping[str, float]) -> dict[str, Way]:
    """Return what AFEC is compared with where tasks contradict each other: penalties, each without and with it."""
    found = {"fine-tune": Way("fine-tune"), "single-task": Way("single-task", training={"heads": False})}
    for base, strength in strengths.items():
        settings = {"strength": strength}
        found[base] = Way(base, settings)
        found[f"afec on {base}"] = Way("afec", {"base": base, "settings": settings, "forgetting": forgetting[base]})
    taking_turns = {**found["afec on ewc"].settings, "mode": "interleaved"}
    return {**found, "afec on ewc, in turns": Way("afec", taking_turns)}


def synapses(epochs: Mapping[str, int]) -> dict[str, Way]:
    """Return metaplastic synapses by training length: some ``m`` relative to the hidden weights, and the authors'."""
    settings: dict[str, Mapping[str, Any]] = {f"m {m:g}": {"m": m} for m in (0.0, 0.5, 1.0, 2.0, 4.0)}
    settings["m 1.35 per weight"] = {"m": 1.35, "per": "weight"}
    return {
        f"{label}, {length}": Way("metaplastic", chosen, {**BITS, "epochs": n}, along=True)
        for length, n in epochs.items()
        for label, chosen in settings.items()
    }


def hlops(network: str, rows: Sequence[Any], **rates: Sequence[float]) -> dict[str, Way]:
    """Return HLOP with each training rule: lateral rates by rule, one per projection; see the page for the choice.

    Rows of OTTT are traces, of several times the size of spikes, and come at every step; those of DSR are averages.
    DSR's gradients are of the sum over its steps that the read-out makes, so its learning rate is smaller.
    """
    rules: dict[str, tuple[dict[str, Any], str]] = {
        "hlop": ({}, ""),
        "hlop, dsr": ({"rule": "dsr", "steps": 20, "learning_rate": 0.004}, f"{network},lam=0.8"),
        "hlop, ottt": ({"rule": "ottt", "hook_rows": 32}, ""),
    }
    return {
        label: Way(
            "hlop",
            {
                "rows": dict(zip(PROJECTIONS, rows, strict=True)),
                "learning_rate": dict(zip(PROJECTIONS, rates[training.get("rule", "bptt")], strict=True)),
            },
            training,
            other,
        )
        for label, (training, other) in rules.items()
    }


def in_two_epochs(found: Mapping[str, Way], rate: float) -> dict[str, Way]:
    """Return the methods, and some of them with as many epochs as joint training, at half the learning rate."""
    more = {}
    for label in ("hlop", "hlop, dsr", "gpm"):
        training = found[label].training
        slower = {"epochs": 2, "learning_rate": training.get("learning_rate", rate) / 2}
        more[f"{label}, 2 epochs"] = replace(found[label], training={**training, **slower})
    return {**found, **more}


LATER = (70, 70, 50, 50, 50, 30, 30, 30, 10)
IMAGE_ROWS = ((80, *LATER), (200, *LATER), (100, *LATER))  # as the authors have them for permuted MNIST
DIGITS_HLOPS = hlops(
    "300-300", (40, 32, 20), bptt=(0.004, 0.02, 0.02), dsr=(0.004, 0.02, 0.02), ottt=(0.001, 0.005, 0.005)
)  # fmt: skip
IMAGE_NETWORK = "800-800,init=uniform"  # published sizes and initial weights
MNIST_HLOPS = hlops(
    IMAGE_NETWORK, IMAGE_ROWS, bptt=(0.0015, 0.006, 0.012), dsr=(0.002, 0.015, 0.02), ottt=(0.0002, 0.0008, 0.0015)
)  # fmt: skip
FASHION_HLOPS = hlops(
    IMAGE_NETWORK, IMAGE_ROWS, bptt=(0.005, 0.015, 0.03), dsr=(0.005, 0.03, 0.04), ottt=(0.0006, 0.004, 0.005)
)  # fmt: skip
IMAGE_TRAINING = {
    "epochs": 1, "batch_size": 64, "schedule": "constant", "steps": 6, "hook_rows": 96, "predict_at_once": 1000,
    "surrogate": "sigmoid", "surrogate_settings": {"slope": 4.0}, "detach_reset": True,  # as the authors have it
}  # fmt: skip
EXPERIMENTS = {
    "digits": Experiment(
        "permuted-digits", {"tasks": 5, "size": 18}, "300-300",
        {"epochs": 8, "batch_size": 32, "learning_rate": 0.02, "schedule": "constant", "steps": 6, "hook_rows": 96},
        and_more(ways(DIGITS_HLOPS, 0.95, 1e5, 16, 32)), seeds=5,
    ),
    "mnist": Experiment(
        "permuted-mnist", {"tasks": 10, "tests": 2000}, f"{IMAGE_NETWORK},beta=0",
        {**IMAGE_TRAINING, "learning_rate": 0.01},
        in_two_epochs(ways(MNIST_HLOPS, 0.9, 1e3, 1, 2, "800-800,beta=0"), 0.01),
    ),
    "fashion": Experiment(
        "permuted-fashion-mnist", {"tasks": 10, "samples": 12000, "tests": 2000}, f"{IMAGE_NETWORK},beta=0",
        {**IMAGE_TRAINING, "learning_rate": 0.02, "hook_rows": 192},
        ways(FASHION_HLOPS, 0.9, 1e3, 3, 4, "800-800,beta=0"),
    ),
    "conflict": Experiment(
        "relabelled-digits", {"tasks": 5, "groups": 2}, "40-40",
        {"epochs": 8, "batch_size": 32, "learning_rate": 0.02, "schedule": "constant", "steps": 6, "heads": True},
        conflicting({"ewc": 1e3, "mas": 0.1, "si": 1.0}, {"ewc": 30.0, "mas": 10.0, "si": 10.0}), seeds=5,
    ),
    "long": Experiment(
        "permuted-digits", {"tasks": 2}, "200-200", {"batch_size": 32, "steps": 6},
        synapses({"short": 8, "long": 40}), seeds=5,
    ),
}  # fmt: skip


# --------------------------------------------------------------------------------------------------------------- runs
def path_of(name: str, label: str, seed: int, folder: Path = STORED) -> Path:
    """Return where a run is stored."""
    return folder / name / f"{label.replace(',', '').replace(' ', '-')}-{seed}.json"


def once(name: str, label: str, seed: int, folder: Path = STORED) -> dict[str, Any]:
    """Run one method with one seed, or go on with it, and store it."""
    experiment = EXPERIMENTS[name]
    plan, way, path = experiment.plan(label, seed), experiment.ways[label], path_of(name, label, seed, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    state = path.with_suffix(".h5")
    begin = time.time()
    more: dict[str, Any] = {}
    if way.at_end:
        result = at_end(plan)
    elif way.along:
        result, more["curve"] = along(plan)
    else:
        result = plan.run(checkpoint=state, progress=said(name, label, seed))
    row = {
        "experiment": name, "label": label, "plan": plan.described(), "scenario": result.scenario,
        **{k: listed(v) for k, v in (result.arrays | more).items()}, "wall_s": round(time.time() - begin, 1),
        "machine": machine.machine(), "versions": machine.versions(),
    }  # fmt: skip
    part = path.with_suffix(".part")
    part.write_text(json.dumps(row) + "\n")
    part.replace(path)
    state.unlink(missing_ok=True)
    return row


def said(name: str, label: str, seed: int) -> Callable[[int, Any], None]:
    """Return a function that says what is done."""

    def say(number: int, row: Any) -> None:
        print(f"{name}: {label}, seed {seed}, task {number + 1}: {np.nanmean(row[: number + 1]):.3f}", flush=True)

    return say


def at_end(plan: Plan) -> Result:
    """Train once on the samples of all tasks; test on each."""
    scenario, learner = plan.make()
    learner.begin(plan.seed)
    experiences = [scenario.experience(k) for k in range(len(scenario))]
    xs, ys = zip(*((e.task.x, e.task.y) for e in experiences), strict=True)
    begin = time.perf_counter()
    learner.learn(Task(np.concatenate(xs), np.concatenate(ys), None))
    seconds = time.perf_counter() - begin
    matrix = np.full((len(scenario),) * 2, np.nan)
    matrix[-1] = [np.mean(learner.predict(e.x_test) == e.y_test) for e in experiences]
    blank = np.full(len(scenario), np.nan)
    memory = np.full(len(scenario), learner.memory)
    return Result(scenario.name, learner.name, plan.seed, matrix, blank, memory, np.array([seconds]))


def along(plan: Plan) -> tuple[Result, list[list[float]]]:
    """Run metaplastic synapses; return also the accuracies on all tasks after every epoch on the last.

    Returns
    -------
    result, curve
        Accuracies ``[epochs, tasks]``.
    """
    scenario, learner = plan.make()
    assert isinstance(learner, Metaplastic)
    tests = [scenario.experience(k) for k in range(len(scenario))]
    seen: list[list[float]] = []

    def look(epoch: object, epochs: int) -> None:
        now = learner.now()
        seen.append([float(learner.run(now, e.x_test, e.y_test).accuracy) for e in tests])

    learner.settings["progress"] = look
    result = run(scenario, learner, plan.seed)
    return result, seen[-int(plan.training["epochs"]) :]


def listed(value: Any) -> Any:
    """Return arrays as lists of numbers that JSON knows, of seven digits; what is NaN becomes None."""
    if isinstance(value, Mapping):
        return {k: listed(v) for k, v in value.items()}
    found = np.asarray(value)
    if found.dtype.kind != "f":
        return found.tolist()
    short = np.array([None if np.isnan(v) else float(f"{v:.7g}") for v in found.flat], object)
    return short.reshape(found.shape).tolist()


def missing(names: list[str], only: list[str], folder: Path = STORED) -> list[tuple[str, str, int]]:
    """Return what is to be run: experiment, label, seed; the first seed of everything first."""
    found = [
        (name, label, seed)
        for name in names
        for seed in range(EXPERIMENTS[name].seeds)
        for label in EXPERIMENTS[name].ways
        if (not only or label in only) and EXPERIMENTS[name].ways[label].method in METHODS
    ]
    return [run for run in found if not path_of(*run, folder).exists()]


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="*", help=f"of {', '.join(EXPERIMENTS)}; all by default")
    parser.add_argument("--only", action="append", default=[], help="a label, such as hlop; repeatable")
    parser.add_argument("--folder", type=Path, default=STORED, help="where results are stored")
    given = parser.parse_args()
    if unknown := set(given.experiments) - set(EXPERIMENTS):
        parser.error(f"unknown experiment {', '.join(sorted(unknown))}; there are {', '.join(EXPERIMENTS)}")
    for name, label, seed in missing(given.experiments or list(EXPERIMENTS), given.only, given.folder):
        if path_of(name, label, seed, given.folder).exists():  # somebody else was faster
            continue
        row = once(name, label, seed, given.folder)
        last = [a for a in row["matrix"][-1] if a is not None]
        print(f"{name}: {label}, seed {seed}: ACC {np.mean(last):.4f}, {row['wall_s']} s", flush=True)


if __name__ == "__main__":
    main()
