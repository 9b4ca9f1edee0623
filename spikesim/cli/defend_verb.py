"""``spikesim defend``: find the filters that carry a backdoor with a few clean samples, and prune them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spikesim.cli.common import (
    Json,
    NetworkName,
    Settings,
    check_folder,
    find_network,
    parse_settings,
    print_json,
    print_table,
)
from spikesim.errors import InvalidValueError


def command(
    network: NetworkName,
    data: Annotated[str, typer.Option(help="Data set of images: `spikesim list data`.")] = "digits",
    samples: Annotated[int, typer.Option(help="Clean training samples that the defence has.")] = 300,
    poison: Annotated[
        float, typer.Option(help="First train the network with this share of poisoned samples, to have what to defend.")
    ] = 0.0,
    training: Annotated[int, typer.Option(help="Samples of the training with poisoned ones, at most.")] = 3000,
    target: Annotated[int, typer.Option(help="Class that the trigger means.")] = 0,
    row: Annotated[int | None, typer.Option(help="First row of the 3 x 3 trigger; the last ones by default.")] = None,
    column: Annotated[int | None, typer.Option(help="First column of the trigger.")] = None,
    epochs: Annotated[int, typer.Option(help="Of the training with poisoned samples.")] = 10,
    steps: Annotated[int, typer.Option(help="Time steps per sample.")] = 4,
    loss: Annotated[str, typer.Option(help="How the network is judged.")] = "membrane_cross_entropy",
    mask: Annotated[
        list[str] | None, typer.Option(help="A convolution with masks, by name; repeatable, all by default.")
    ] = None,
    mask_rate: Annotated[float, typer.Option(help="Learning rate of the masks.")] = 0.05,
    mask_epochs: Annotated[int, typer.Option(help="Most epochs of the masks.")] = 10,
    unlearn_rate: Annotated[float, typer.Option(help="Learning rate of the ascent.")] = 0.01,
    drop: Annotated[float, typer.Option(help="Accuracy that pruning may cost, on clean samples held out.")] = 0.02,
    seed: Annotated[int, typer.Option(help="Of samples, attack and training.")] = 0,
    out: Annotated[Path, typer.Option("--out", "-o", help="File for the pruned network.")] = Path("defended.h5"),
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Prune the filters of a backdoor: `spikesim defend suspect.h5 --data fashion-mnist`.

    A third of the clean samples is held out to choose how much to prune. Attack success is of the 3 x 3 trigger.
    """
    check_folder(out)
    problems = [f"--samples is {samples}; allowed is from 30, a third of which chooses the threshold"] * (samples < 30)
    problems += [f"--training is {training}; allowed is from 1"] * (training < 1)
    if problems:
        raise InvalidValueError("\n".join(problems))
    from spikesim.data.triggers import Backdoor, Patch
    from spikesim.sparsify.filters import filters
    from spikesim.sparsify.rnp import RNP

    net, found = find_network(network, parse_settings(settings)), _images(data, seed)
    attack = Backdoor(Patch(row=row, column=column), target, poison, classes=len(found.classes), seed=seed)
    filters(net, mask)  # what cannot work is found out before anything is trained
    attack.trigger(found.x_test[:1])
    presented = {"steps": steps, "loss": loss}
    clean, rest = _clean(found, samples, training, seed)
    if poison:
        net = _attacked(net, rest, attack, epochs, seed, presented)
    learned, held = ((clean[0][p], clean[1][p]) for p in (slice(samples // 3, None), slice(0, samples // 3)))
    batch = min(50, len(learned[1]))
    defence = RNP(
        unlearn_rate=unlearn_rate, mask_rate=mask_rate, mask_epochs=mask_epochs, batch_size=batch, seed=seed,
        projections=mask, presented=presented,
    )  # fmt: skip
    report = defence.fit(net, learned)
    threshold = defence.threshold(net, report, held, drop=drop)
    pruned = defence.prune(net, report, threshold)
    pruned.save(out)
    stages = {"given": net, "unlearned": report.unlearned, "pruned": pruned}
    rows = [(name, *_figures(defence, value, found, attack)) for name, value in stages.items()]
    counts = {"threshold": threshold, "pruned": report.count(threshold), "predicted": report.predicted}
    if json:
        figures = {name: {"accuracy": a, "attack_success": s} for name, a, s in rows}
        print_json({"out": out, **figures, **counts})
        return
    print_table("defence", ("network", "accuracy", "attack success"), rows)
    print(f"classes that the unlearned network answers to clean samples: {report.predicted.tolist()}")
    print(f"{counts['pruned']} filters with masks up to {threshold:.3g} pruned; written to {out}")


def _images(name: str, seed: int) -> Any:
    from spikesim.data import EventDataset, load

    found = load(name, seed=seed) if name == "digits" else load(name)
    if isinstance(found, EventDataset) or found.x_train.ndim != 3 or found.lengths_train is not None:
        raise InvalidValueError(f"--data {name}: defend puts its trigger on images; name a set of images, as digits")
    return found.scaled()


def _clean(found: Any, samples: int, training: int, seed: int) -> tuple[Any, Any]:
    """Return the defender's samples, and some of the others."""
    from spikesim.rng import Stream

    if samples >= len(found.y_train):
        raise InvalidValueError(f"--samples is {samples}; allowed is below {len(found.y_train)}, the training samples")
    order = Stream(seed, "cli/defend").permutation(len(found.y_train))
    parts = order[:samples], order[samples : samples + training]
    own, rest = ((found.x_train[p], found.y_train[p]) for p in parts)
    return own, rest


def _attacked(net: Any, samples: Any, attack: Any, epochs: int, seed: int, presented: dict[str, Any]) -> Any:
    from spikesim.train import train

    made = attack.poison(*samples)
    how: dict[str, Any] = {"learning_rate": 1e-2, "validation_fraction": 0.0, "fold": False, **presented}
    return train(net, (made.x, made.y), epochs=epochs, seed=seed, progress=True, **how).network


def _figures(defence: Any, net: Any, found: Any, attack: Any) -> tuple[float, float]:
    x, y = found.x_test[:2000], found.y_test[:2000]
    right = float((defence.predictions(net, x) == y).mean())
    return right, attack.success(defence.predictions(net, attack.trigger(x)), y)
