"""``spikesim prune``: take synapses and neurons out of a network."""

from __future__ import annotations

import sys
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

SEEN = 256  # training samples, about, that activity pruning measures rates on


def command(
    network: NetworkName,
    method: Annotated[
        str, typer.Option(help="lnp, noise, weight, random, magnitude, activity, sparse_init or granet.")
    ] = "lnp",
    keep: Annotated[float, typer.Option(help="Share of the synapses that is left.")] = 0.15,
    keep_neurons: Annotated[
        float | None, typer.Option(help="Share of the neurons; half for lnp and activity, else all.")
    ] = None,
    projection: Annotated[
        list[str] | None, typer.Option(help="Prune this projection; repeatable; all on a cycle by default.")
    ] = None,
    protect: Annotated[
        list[str] | None, typer.Option(help="Population that keeps its neurons; repeatable; outputs by default.")
    ] = None,
    rounds: Annotated[int | None, typer.Option(help="Rounds; 3 for lnp, else 1.")] = None,
    steps: Annotated[str, typer.Option(help="Steps of lnp.")] = "1,2,3,4",
    factor: Annotated[str, typer.Option(help="Of lnp's probability: L, w or wL.")] = "L",
    data: Annotated[
        str | None,
        typer.Option(help="A data set, which granet trains on; activity also takes an .npz with an array per input."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Of granet's training; 30 by default.")] = None,
    time_steps: Annotated[int, typer.Option(help="Time steps per sample, with --data.")] = 8,
    encode: Annotated[str, typer.Option(help="How samples become input, with --data.")] = "regular",
    learning_rate: Annotated[float, typer.Option(help="Of granet's training.")] = 2e-3,
    loss: Annotated[str, typer.Option(help="Of granet's training: `spikesim list losses`.")] = "rate_cross_entropy",
    device: Annotated[str | None, typer.Option(help="Price both networks under noise on this device.")] = None,
    picture: Annotated[Path | None, typer.Option(help="PNG or SVG file for connectivity and spectra.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="File for the pruned network.")] = Path("pruned.h5"),
    seed: Annotated[int, typer.Option(help="Of noise and draws.")] = 0,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Prune a network: `spikesim prune trained.h5 --keep 0.15 --keep-neurons 0.5`.

    granet alone trains: `spikesim prune digits_mlp --method granet --data digits --epochs 10`; activity may look at a
    task's training samples. The others see the network and noise.
    """
    from spikesim.sparsify import prune

    check_folder(out)
    check_folder(picture)
    if network.endswith(".nir"):
        raise InvalidValueError(
            f"a NIR file holds no time step, found {network!r}; bring it here first: spikesim convert {network} "
            "--to h5 --dt 1e-3"
        )
    value = find_network(network, parse_settings(settings))
    seen = _Seen(value, method, data, time_steps, encode, epochs, seed)
    training = {"learning_rate": learning_rate, "loss": loss, "progress": not json}
    found = prune(
        value, method, keep=keep, keep_neurons=keep_neurons, projections=projection, protect=protect, rounds=rounds,
        steps=_steps(steps), factor=factor, seed=seed, progress=lambda line: print(line, file=sys.stderr),
        **seen.options(training),
    )  # fmt: skip
    accuracy = seen.accuracies(value, found.network, loss)
    bills = None if device is None else found.report.energy(device)
    found.network.save(out)
    if picture is not None:
        figure = found.report.plot()[0].get_figure(root=True)
        if figure is not None:
            figure.savefig(picture, dpi=130)
    energies = {} if bills is None else {"energy": [b.total.nominal_j if b.total else None for b in bills]}
    if json:
        print_json({"out": out, **found.report.to_dict(), **energies, **accuracy})
        return
    print(found.report)
    if accuracy:
        before, after = accuracy["accuracy"]
        print(f"  accuracy on test samples: {before:.2%} -> {after:.2%}")
    if bills is not None:
        rows = [
            (x, b.total.nominal_j if b.total else b.why_no_total)
            for x, b in zip(("before", "after"), bills, strict=True)
        ]
        print_table(f"energy of half a second of noise on {bills[0].title}", ("", "joules"), rows)
    print(f"pruned network written to {out}")


class _Seen:
    """What a method is shown of a task."""

    def __init__(
        self, network: Any, method: str, data: str | None, steps: int, encode: str, epochs: int | None, seed: int
    ) -> None:
        self.method, self.data, self.epochs = method, data, epochs
        if epochs is not None and method != "granet":
            raise InvalidValueError(f"--epochs is for granet, which trains; {method} does not, leave it out")
        if data is not None and method not in ("activity", "granet"):
            raise InvalidValueError(
                f"--data is for granet, which trains on it, and activity, which measures rates; {method} sees the "
                "network and noise, leave it out"
            )
        self.network, self.steps, self.encode, self.seed = network, steps, encode, seed
        if data is not None and method == "granet":
            from spikesim.cli.train_verb import load_samples

            if data.endswith(".npz"):
                raise InvalidValueError(f"granet needs labels: --data takes a data set's name, found {data!r}")
            self.values, self.coding = load_samples(data, seed, steps, encode)

    def options(self, training: dict[str, Any]) -> dict[str, Any]:
        """Return what ``prune`` is given."""
        if self.data is None:
            return {}
        if self.method == "activity":
            return {"inputs": self._inputs(self.data)}
        settings = {"epochs": self.epochs or 30, "steps": self.steps, "encode": self.coding}
        return {"data": self.values, "training": {**training, **settings}}

    def _inputs(self, name: str) -> dict[str, Any]:
        """Return arrays from a file, or training samples, as they are in order."""
        from spikesim.cli.export_verb import real_inputs
        from spikesim.cli.train_verb import encoding, load_data
        from spikesim.train.samples import check_encoding, present, samples_of, the_input

        if name.endswith(".npz"):
            return real_inputs(self.network, name)
        entry, coding = the_input(self.network), encoding(self.encode, self.seed)
        check_encoding(coding, entry)
        samples = samples_of(load_data(name, self.seed), "train").scaled(slice(None))
        return {entry.name: present(samples[:: max(1, len(samples) // SEEN)], coding, self.steps, entry)}

    def accuracies(self, before: Any, after: Any, loss: str) -> dict[str, Any]:
        """Return test accuracies of a network that was trained while it was pruned."""
        if self.data is None or self.method != "granet":
            return {}
        from spikesim.train import evaluate
        from spikesim.train import loss as loss_by_name

        options = {"steps": self.steps, "encode": self.coding, "readout": loss_by_name(loss).readout, "batch_size": 256}
        return {"accuracy": [evaluate(n, self.values, **options).accuracy for n in (before, after)]}


def _steps(text: str) -> tuple[int, ...]:
    """Turn ``"1,2"`` into numbers.

    >>> _steps("1,2")
    (1, 2)
    """
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise InvalidValueError(f"--steps takes numbers such as 1,2,4, found {text!r}") from None
