"""``spikesim train``: train a network on a data set."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from spikesim.cli.common import (
    Json,
    Settings,
    Threads,
    check_folder,
    find_network,
    parse_seconds,
    parse_settings,
    print_json,
    print_table,
)
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.files.envelope import check_target

ENCODINGS = ("regular", "rate", "latency", "constant", "sequence")
NEW = ("resume", "json", "threads", "out", "log", "epochs", "patience", "checkpoint_every")
"""Options that may be given anew when training goes on."""


def command(
    context: typer.Context,
    network: Annotated[
        str | None, typer.Argument(help="A network's name (`spikesim list networks`) or an HDF5 file of one.")
    ] = None,
    data: Annotated[str, typer.Option(help="Data set: `spikesim list data`.")] = "digits",
    epochs: Annotated[int, typer.Option(help="Passes over the training samples.")] = 30,
    steps: Annotated[int, typer.Option(help="Time steps per sample.")] = 8,
    batch_size: Annotated[int, typer.Option(help="Samples per update.")] = 64,
    learning_rate: Annotated[float, typer.Option(help="The largest; the schedule takes shares of it.")] = 2e-3,
    optimiser: Annotated[str, typer.Option(help="adam, adamw, nadam, rmsprop or sgd.")] = "adam",
    weight_decay: Annotated[float, typer.Option(help="Of the weights.")] = 0.0,
    schedule: Annotated[str, typer.Option(help="constant, cosine, linear, step, one_cycle or plateau.")] = "cosine",
    schedule_setting: Annotated[
        list[str] | None, typer.Option(help="key=value, e.g. every=10, factor=0.1; repeatable.")
    ] = None,
    warmup: Annotated[float, typer.Option(help="Epochs in which the learning rate rises first.")] = 0.0,
    clip: Annotated[float | None, typer.Option(help="Largest norm of the gradient.")] = None,
    loss: Annotated[str, typer.Option(help="Name of the loss: `spikesim list losses`.")] = "rate_cross_entropy",
    loss_setting: Annotated[list[str] | None, typer.Option(help="key=value, e.g. scale=0.5; repeatable.")] = None,
    readout: Annotated[
        str | None, typer.Option(help="rate, latency, membrane_mean, membrane_max or membrane_last; by the loss.")
    ] = None,
    rate_penalty: Annotated[float, typer.Option(help="Weight of the cost of hidden rates above the target.")] = 0.0,
    rate_target: Annotated[float, typer.Option(help="Spikes per step that cost nothing.")] = 0.0,
    surrogate: Annotated[str, typer.Option(help="Derivative of the spike: `spikesim list surrogates`.")] = "arctan",
    detach_reset: Annotated[bool, typer.Option(help="No gradient through the reset.")] = False,
    rule: Annotated[str, typer.Option(help="What gradients are made of: bptt, ottt or dsr.")] = "bptt",
    errors: Annotated[str, typer.Option(help="How errors travel back: exact, feedback or sign.")] = "exact",
    sparsity: Annotated[
        str | None, typer.Option(help="Synapses removed while it trains, e.g. granet:0.98; granet, gradual or rigl.")
    ] = None,
    encode: Annotated[str, typer.Option(help=f"How samples become input: {', '.join(ENCODINGS)}.")] = "regular",
    noise: Annotated[float, typer.Option(help="Normal noise added to training samples.")] = 0.0,
    shift: Annotated[int, typer.Option(help="Training images move by up to so many pixels.")] = 0,
    validation: Annotated[float, typer.Option(help="Fraction of the training samples held out for choosing.")] = 0.1,
    keep: Annotated[str, typer.Option(help="Weights of the last epoch, or of the best on held-out samples.")] = "last",
    monitor: Annotated[str | None, typer.Option(help="What best means: accuracy, rmse or loss.")] = None,
    patience: Annotated[int | None, typer.Option(help="Stop after so many epochs without improvement.")] = None,
    seed: Annotated[int, typer.Option(help="Of the split, the order of training and the initial weights.")] = 0,
    mixed_precision: Annotated[bool, typer.Option(help="Products in bfloat16.")] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Threads = 0,
    log: Annotated[
        list[str] | None, typer.Option(help="One row per epoch: x.csv, x.jsonl, or a folder for TensorBoard.")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="File from which a killed training goes on (--resume), bit for bit.")
    ] = None,
    checkpoint_every: Annotated[
        str, typer.Option(help="Time between checkpoints within an epoch: 30s, 10min; each epoch ends with one.")
    ] = "1min",
    resume: Annotated[Path | None, typer.Option(help="Go on from a checkpoint, with the options in it.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="File for the trained network.")] = Path("trained.h5"),
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Train a network: `spikesim train digits_mlp --data digits --out trained.h5`."""
    options = {k: str(v) if isinstance(v, Path) else v for k, v in context.params.items()}
    if resume is not None:
        options |= _kept(context, resume)
    elif network is None:
        raise InvalidValueError("what is to be trained? name a network, or go on with --resume FILE")
    _train(options)


def _kept(context: typer.Context, path: Path) -> dict[str, Any]:
    """Return the options in a checkpoint, but for those that are given anew."""
    from spikesim.files.training import load_training

    given = [n for n in context.params if getattr(context.get_parameter_source(n), "name", "") == "COMMANDLINE"]
    if wrong := [n for n in given if n not in NEW]:
        names = ", ".join("MODEL" if n == "network" else f"--{n.replace('_', '-')}" for n in wrong)
        raise InvalidValueError(f"--resume takes its options from {str(path)!r}; leave out {names}")
    found = dict(load_training(path).command)
    if not found:
        raise InvalidValueError(f"{str(path)!r} was begun in Python; go on there with train(..., resume=True)")
    kept = {k: v for k, v in found.items() if k in context.params and k not in ("json", "resume", *given)}
    return kept | {"checkpoint": str(path), "resume": str(path)}


def _train(options: dict[str, Any]) -> None:
    from spikesim.train import evaluate, train

    out, seed = Path(options["out"]), options["seed"]
    for path in (out, options["checkpoint"]):
        check_folder(path)
    check_target(out, "spikesim network")
    _use_threads(options["threads"])
    _keep_memory()
    values, coding = load_samples(options["data"], seed, options["steps"], options["encode"])
    network = find_network(options["network"], parse_settings(options["settings"]), seed)
    same = (
        "epochs steps batch_size learning_rate optimiser weight_decay schedule warmup clip loss readout rate_penalty "
        "rate_target surrogate detach_reset rule errors sparsity keep monitor patience seed mixed_precision device log "
        "checkpoint"
    )
    trained = train(
        network,
        values,
        **{name: options[name] for name in same.split()},
        schedule_settings=parse_settings(options["schedule_setting"]),
        loss_settings=parse_settings(options["loss_setting"]),
        augment=_augment(options),
        encode=coding,
        validation_fraction=options["validation"],
        checkpoint_every=parse_seconds(options["checkpoint_every"], "--checkpoint-every"),
        resume=options["resume"] is not None,
        progress=not options["json"],
        command={k: v for k, v in options.items() if k not in ("json", "resume")},
    )
    readout = options["readout"] or _readout(options["loss"])
    steps = options["steps"]
    result = evaluate(
        trained.network, values, steps=steps, encode=coding, readout=readout, batch_size=256, threads=options["threads"]
    )
    trained.network.save(out)
    names = ("data", "seed", "steps", "encode", "loss")
    summary = {"model": options["network"], **{n: options[n] for n in names}, "epochs": len(trained.history)}
    summary |= {"test_accuracy": result.accuracy, "seconds": trained.seconds, "out": out}
    summary |= {"products": {name: _way(seen) for name, seen in trained.products.items()}}
    if pruned := trained.upkeep.get("sparsity"):
        summary["sparsity"] = pruned["sparsity"]
    summary |= {"spikes_per_sample": result.spikes / len(result.labels), "interrupted": trained.interrupted}
    _show(summary, options)


def load_samples(name: str, seed: int, steps: int, encode: str) -> tuple[Any, Any]:
    """Return a data set and how it is presented; recordings of events become `steps` frames."""
    from spikesim.data import EventDataset, load

    coding = encoding(encode, seed)
    found: Any = load(name, seed=seed) if name == "digits" else load(name)
    return (found.dense(steps=steps), "sequence") if isinstance(found, EventDataset) else (found, coding)


def _show(summary: dict[str, Any], options: dict[str, Any]) -> None:
    """Print what came out, and exit with 130 if training was stopped."""
    if options["json"]:
        print_json(summary)
    else:
        ways = summary.pop("products")
        rows = [*summary.items(), *((f"products of {name}", way) for name, way in ways.items())]
        print_table("training", ("what", "value"), rows)
    if summary["interrupted"]:
        how = f"; go on with: spikesim train --resume {options['checkpoint']}" if options["checkpoint"] else ""
        if not options["json"]:
            print(f"stopped by Ctrl-C; the network so far is in {options['out']}{how}")
        raise typer.Exit(130)


def _way(seen: Mapping[str, Any]) -> str:
    """Say how the products of a projection were computed, and why."""
    if seen["density"] != seen["density"]:  # not a number: nobody looked
        return f"{seen['path']}: too small to look at its density"
    return (
        f"{seen['path']}: {seen['density']:.1%} of its input is not 0; events are faster below {seen['crossover']:.0%}"
    )


def _readout(loss: str) -> str:
    from spikesim.train import loss as loss_by_name

    return loss_by_name(loss).readout


def _augment(options: dict[str, Any]) -> Any:
    from spikesim.train import Augment

    if not options["noise"] and not options["shift"]:
        return None
    limits = (0.0, 1.0) if options["encode"] in ("regular", "rate", "latency") else None
    return Augment(noise=options["noise"], shift=options["shift"], limits=limits)


def _use_threads(threads: int) -> None:
    if threads < 0:
        raise InvalidValueError(f"--threads must be at least 0, found {threads}")
    if threads:
        import torch

        torch.set_num_threads(threads)


def _keep_memory() -> None:
    """Let the C library keep what one batch frees for the next.

    glibc returns large arrays to the system and has them filled with zeros again, page by page: a convolutional network
    trains 1.3 times as fast without (measured). The process is ours, so this is nobody else's business.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return  # another C library
    mmap_threshold, trim_threshold, largest = -3, -1, (1 << 31) - 1
    mallopt(mmap_threshold, 1 << 30)
    mallopt(trim_threshold, largest)


def load_data(name: str, seed: int) -> Any:
    """Return a data set at full intensity 1, one row of features per sample; digits are split by the seed."""
    from spikesim.data import EventDataset, load

    found = load(name, seed=seed) if name == "digits" else load(name)
    if isinstance(found, EventDataset):
        raise InvalidValueError(
            f"--data {name}: holds events; allowed here are images and series. `spikesim train` takes events, and in "
            f"Python data.load({name!r}).dense(steps=100) makes them a data set of frames"
        )
    return found.scaled().flat()


def encoding(name: str, seed: int) -> Any:
    """Return how samples are presented: a name that training knows, or an encoder."""
    from spikesim import encode

    if name not in ENCODINGS:
        raise UnknownNameError("encoding", name, ENCODINGS)

    def rate(x: Any, steps: int) -> Any:
        return encode.rate(x, steps, seed=seed)

    return rate if name == "rate" else name
