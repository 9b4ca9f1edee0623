"""Published systems that ``spikesim run NAME`` trains and shows as a table, in place of one simulation."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spikesim.cli.common import print_json, print_table
from spikesim.errors import DivergedError, InvalidValueError, UnknownNameError

Rows = list[dict[str, Any]]  # what is a list is a curve: in the JSON and the picture, not in the table


WAYS = ("grad", "hill", "regen", "regen+grad", "regen+hill", "auxiliary")


def quine(
    hidden: int = 24,
    epochs: int = 20,
    generations: int = 4,
    steps: int = 8,
    seed: int = 0,
    ways: str = "grad,hill,regen+grad",
) -> Rows:
    """Train small quines by gradients, hill climbing and regeneration; loss, norm and rho before and after."""
    _at_least(quine, {"hidden": (hidden, 1), "epochs": (epochs, 1), "generations": (generations, 1)})
    chosen = ways.split(",")
    for way in chosen:
        if way not in WAYS:
            raise UnknownNameError("way of a quine:", way, WAYS)
    rows: Rows = []
    for net in ("selu", "spiking"):
        for way in chosen:
            count = generations if way.startswith("regen") else min(epochs, 5) if way == "hill" else epochs
            for start in ("uniform", "he") if way == "grad" else ("uniform",):
                rows += _one_quine(net, way, start, count, hidden, steps, seed)
    return rows


def _one_quine(net: str, way: str, start: str, count: int, hidden: int, steps: int, seed: int) -> Rows:
    """Train one quine; rows of before and after."""
    from spikesim.data import load
    from spikesim.models.networks import quine as network
    from spikesim.train.quine import Quine

    further: dict[str, Any] = {}
    digits: Any = None
    if way == "auxiliary":
        digits = load("digits").scaled()
        further = {"images": digits.x_train, "labels": digits.y_train}
    value = network(hidden, 0 if digits is None else 10, start, seed=seed)
    made = Quine(value, steps, net == "selu", start, seed=seed, **further)
    accuracies = [None if digits is None else made.accuracy(digits.x_test, digits.y_test)]
    name = way
    try:
        made.train("grad" if way == "auxiliary" else way, count)
    except DivergedError:  # a result as well: the last row is the generation before
        name += " (diverged)"
    accuracies.append(None if digits is None else made.accuracy(digits.x_test, digits.y_test))
    curve = [[h.loss, h.norm2] for h in made.history]
    return [
        {
            "net": net, "method": name, "start": start, "epoch": h.epoch, "loss": h.loss, "norm2": h.norm2,
            "rho": h.rho if h.norm2 else None, "accuracy": accuracy, "curve": curve,
        }
        for h, accuracy in zip((made.history[0], made.history[-1]), accuracies, strict=True)
    ]  # fmt: skip


def plastic_rnn(
    task: str = "cue_reward", steps: int = 400, hidden: int = 24, parts: int = 4, seed: int = 0, rules: str = ""
) -> Rows:
    """Train a small network with each rule of fast weights; score of the answers that are not in the input."""
    import numpy as np

    from spikesim.data.episodes import Episodes, OneShot, episode_task
    from spikesim.models.networks import plastic_rnn as network
    from spikesim.models.synapses import FastWeights
    from spikesim.train import evaluate, fast_weights, train

    _at_least(plastic_rnn, {"parts": (parts, 1), "steps": (steps, parts)})
    learn, test = episode_task(task)
    fresh, shot = Episodes(test, 256, 1, seed + 10_000), isinstance(test, OneShot)

    def score(module: Any) -> float:
        found = evaluate(module, fresh, encode="sequence", readout="membrane_mean")
        if shot:
            return float((found.predicted[:, -1].argmax(1) == found.labels[:, -1].argmax(1)).mean())
        return float(np.square((found.predicted - found.labels)[:, test.scored]).mean())

    rows: Rows = []
    for net in ("rate", "spiking"):
        for rule in rules.split(",") if rules else ("none", "hebbian", "gradient"):
            value = network(learn.inputs, learn.outputs, hidden, scale=1.7, seed=seed)
            fast, given = FastWeights(rule, eta0=0.5, decay0=0.5), {"gate": learn.gate, "seed": seed}
            module = fast_weights(value, fast, outputs=learn.outputs, rate=net == "rate", **given)
            curve = [score(module)]
            how: dict[str, Any] = {"loss": "mse", "schedule": "constant", "encode": "sequence", "seed": seed}
            train(
                module,
                Episodes(learn, 32, steps // parts, seed),
                epochs=parts,
                learning_rate=1e-2,
                clip=5.0,
                progress=lambda _epoch, _epochs, net=module, to=curve: to.append(score(net)),  # type: ignore[misc]
                **how,
            )
            name = "test_accuracy" if shot else "test_mse"
            rows.append({"net": net, "rule": rule, f"{name} before": curve[0], name: curve[-1], "curve": curve})
    return rows


def _at_least(system: Callable[..., Rows], values: Mapping[str, tuple[int, int]]) -> None:
    wrong = [f"{system.__name__}: {n} must be at least {low}, found {v}" for n, (v, low) in values.items() if v < low]
    if wrong:
        raise InvalidValueError("\n".join(wrong))


SYSTEMS: dict[str, Callable[..., Rows]] = {"plastic_rnn": plastic_rnn, "quine": quine}


def _draw_quine(rows: Rows) -> Any:
    from spikesim.plot import quine as draw

    runs = {f"{r['net']} {r['method'].split()[0]} {r['start']}": [r["curve"]] for r in rows}
    return draw(runs, dashed=[name for name in runs if name.startswith("selu")])[0]


def _draw_curves(rows: Rows) -> Any:
    from spikesim.plot import learning_curves

    runs = {f"{r['rule']}, {r['net']}": r["curve"] for r in rows}
    score = list(rows[0])[3].replace("_", " ")
    return learning_curves(runs, x="part of the training", y=score, dashed=[n for n in runs if n.endswith("rate")])


PICTURES: dict[str, Callable[[Rows], Any]] = {"plastic_rnn": _draw_curves, "quine": _draw_quine}


def show_system(
    name: str,
    settings: Mapping[str, Any],
    seed: int | None,
    json: bool,
    plot: str | None = None,
    others: Sequence[str] = (),
) -> None:
    """Run a system and print its table.

    Parameters
    ----------
    name
        Of a system.
    settings, seed
        What its function takes.
    json
        Print one JSON object, with the curves.
    plot
        File for a picture.
    others
        Options of a simulation that were given, which it does not take.

    Raises
    ------
    UnknownNameError
        If it has no such setting.
    InvalidValueError
        If a setting has the wrong type, or an option does not apply: all of them.
    """
    chosen = {**settings, **({} if seed is None else {"seed": seed})}
    known = inspect.signature(SYSTEMS[name]).parameters
    for key in chosen:
        if key not in known:
            raise UnknownNameError(f"setting of {name!r}:", key, list(known))
    kinds = {"int": (int, "a whole number"), "str": (str, "a name")}
    wrong = [f"{option} is for simulations, and {name!r} is trained; leave it out" for option in others]
    for key, value in chosen.items():
        kind, words = kinds[str(known[key].annotation)]
        if not isinstance(value, kind) or isinstance(value, bool):
            wrong.append(f"setting {key} of {name!r} must be {words}, found {value!r}")
    if wrong:
        raise InvalidValueError("\n".join(wrong))
    rows = SYSTEMS[name](**chosen)
    if plot:
        PICTURES[name](rows).get_figure(root=True).savefig(plot, dpi=150, facecolor="white")
    if json:
        print_json({"system": name, "rows": rows})
        return
    header = [key for key in rows[0] if any(not isinstance(r[key], list | None) for r in rows)]
    print_table(name, header, [["" if row[key] is None else row[key] for key in header] for row in rows])
