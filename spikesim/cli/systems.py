"""Published systems that ``spikesim run NAME`` trains and shows as a table, in place of one simulation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from spikesim.cli.common import print_json, print_table
from spikesim.errors import UnknownNameError

Rows = list[dict[str, Any]]


def quine(hidden: int = 24, epochs: int = 20, generations: int = 4, steps: int = 8, seed: int = 0) -> Rows:
    """Train small quines by gradients and by regeneration; rho and norm before, between and after."""
    from spikesim.models.networks import quine as network
    from spikesim.train.quine import Quine

    rows: Rows = []
    for net in ("selu", "spiking"):
        for method, start, count in (
            ("grad", "uniform", epochs),
            ("grad", "he", epochs),
            ("hill", "uniform", min(epochs, 5)),
            ("regen+grad", "uniform", generations),
        ):
            made = Quine(network(hidden, start=start, seed=seed), steps, net == "selu", start, seed=seed)
            first, *_, last = made.train(method, count)
            for found in (first, last):
                figures = {"loss": found.loss, "norm2": found.norm2, "rho": found.rho if found.norm2 else None}
                rows.append({"net": net, "method": method, "start": start, "epoch": found.epoch, **figures})
    return rows


def plastic_rnn(task: str = "cue_reward", steps: int = 400, hidden: int = 24, seed: int = 0) -> Rows:
    """Train a small network with each rule of fast weights; error of the answers that are not in the input."""
    import numpy as np

    from spikesim.data.episodes import Copying, CueReward, Episodes, Regression
    from spikesim.models.networks import plastic_rnn as network
    from spikesim.models.synapses import FastWeights
    from spikesim.train import evaluate, fast_weights, train

    known: dict[str, Any] = {
        "cue_reward": CueReward(),
        "copying": Copying(12),
        "regression": Regression("linear", 4, 8, 4),
    }
    if task not in known:
        raise UnknownNameError("task of plastic_rnn:", task, list(known))
    generator, rows = known[task], []
    for net in ("rate", "spiking"):
        for rule in ("none", "hebbian", "gradient"):
            value = network(generator.inputs, 1, hidden, scale=1.7, seed=seed)
            fast = FastWeights(rule, eta0=0.5, decay0=0.5)
            module = fast_weights(value, fast, outputs=1, rate=net == "rate", gate=generator.gate, seed=seed)
            how: dict[str, Any] = {"loss": "mse", "schedule": "constant", "encode": "sequence", "seed": seed}
            train(module, Episodes(generator, 32, steps, seed), epochs=1, learning_rate=1e-2, clip=5.0, **how)
            found = evaluate(
                module, Episodes(generator, 256, 1, seed + 10_000), encode="sequence", readout="membrane_mean"
            )
            wrong = (found.predicted - found.labels)[:, generator.scored]
            rows.append({"net": net, "rule": rule, "test_mse": float(np.square(wrong).mean())})
    return rows


SYSTEMS: dict[str, Callable[..., Rows]] = {"plastic_rnn": plastic_rnn, "quine": quine}


def show_system(name: str, settings: Mapping[str, Any], seed: int | None, json: bool) -> None:
    """Run a system and print its table.

    Raises
    ------
    UnknownNameError
        If it has no such setting.
    """
    import inspect

    allowed = list(inspect.signature(SYSTEMS[name]).parameters)
    for key in settings:
        if key not in allowed:
            raise UnknownNameError(f"setting of {name!r}:", key, allowed)
    rows = SYSTEMS[name](**{**settings, **({} if seed is None else {"seed": seed})})
    if json:
        print_json({"system": name, "rows": rows})
        return
    header = list(rows[0])
    print_table(name, header, [["" if row[key] is None else row[key] for key in header] for row in rows])
