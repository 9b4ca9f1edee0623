"""``spikesim train``: train a network on a data set."""

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
from spikesim.errors import InvalidValueError, UnknownNameError

ENCODINGS = ("regular", "rate", "latency", "constant", "sequence")


def command(
    network: NetworkName,
    data: Annotated[str, typer.Option(help="Data set: `spikesim list data`.")] = "digits",
    epochs: Annotated[int, typer.Option(help="Passes over the training samples.")] = 30,
    steps: Annotated[int, typer.Option(help="Time steps per sample.")] = 8,
    batch_size: Annotated[int, typer.Option(help="Samples per update.")] = 64,
    learning_rate: Annotated[float, typer.Option(help="At the start; it falls to 0 along a cosine.")] = 2e-3,
    optimiser: Annotated[str, typer.Option(help="adam, adamw, nadam, rmsprop or sgd.")] = "adam",
    loss: Annotated[str, typer.Option(help="Name of the loss, e.g. rate_cross_entropy.")] = "rate_cross_entropy",
    surrogate: Annotated[str, typer.Option(help="Derivative of the spike: `spikesim list surrogates`.")] = "arctan",
    encode: Annotated[str, typer.Option(help=f"How samples become input: {', '.join(ENCODINGS)}.")] = "regular",
    validation: Annotated[float, typer.Option(help="Fraction of the training samples held out for choosing.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Of the split, the order of training and the initial weights.")] = 0,
    out: Annotated[Path, typer.Option("--out", "-o", help="File for the trained network.")] = Path("trained.h5"),
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Train a network: `spikesim train digits_mlp --data digits --out trained.h5`."""
    from spikesim.train import evaluate, train

    check_folder(out)
    values = load_data(data, seed)
    value = find_network(network, parse_settings(settings), seed)
    coding = encoding(encode, seed)
    trained = train(
        value, values, epochs=epochs, steps=steps, batch_size=batch_size, learning_rate=learning_rate,
        optimiser=optimiser, loss=loss, surrogate=surrogate, encode=coding, validation_fraction=validation, seed=seed,
        progress=None if json else _print_epoch,
    )  # fmt: skip
    evaluation = evaluate(trained.network, values.x_test, values.y_test, steps=steps, encode=coding)
    trained.network.save(out)
    summary = {
        "model": network, "data": data, "seed": seed, "epochs": epochs, "steps": steps, "encode": encode,
        "test_accuracy": evaluation.accuracy, "seconds": trained.seconds, "out": out,
        "spikes_per_sample": evaluation.recording.counts.spikes / evaluation.recording.samples,
    }  # fmt: skip
    if json:
        print_json(summary)
        return
    rows = [(k, v) for k, v in summary.items()]
    print_table("training", ("what", "value"), rows)


def load_data(name: str, seed: int) -> Any:
    """Return a data set at full intensity 1, one row of features per sample; digits are split by the seed."""
    from spikesim.data import EventDataset, load

    found = load(name, seed=seed) if name == "digits" else load(name)
    if isinstance(found, EventDataset):
        raise InvalidValueError(
            f"--data {name}: holds events; allowed here are images and series. In Python: "
            f"train(network, data.load({name!r}).train.batches(64, dt=10 * ms, steps=100, seed=0), encode='sequence')"
        )
    return found.scaled().flat()


def encoding(name: str, seed: int) -> Any:
    """Return how samples are presented: a name that training knows, or an encoder."""
    from spikesim import encode

    if name not in ENCODINGS:
        raise UnknownNameError("encoding", name, ENCODINGS)
    if name == "regular":
        return encode.regular
    if name == "rate":
        return lambda x, steps: encode.rate(x, steps, seed=seed)
    if name == "latency":
        return lambda x, steps: encode.latency(x, steps)
    return name


def _print_epoch(epoch: Any, total: int) -> None:
    held = "" if epoch.validation_accuracy is None else f", validation {epoch.validation_accuracy:.1%}"
    remaining = epoch.seconds * (total - epoch.number)
    print(
        f"epoch {epoch.number}/{total}: loss {epoch.loss:.4f}, training {epoch.accuracy:.1%}{held} "
        f"({remaining:.0f} s left)"
    )
