"""``spikesim quantise``: bring a network to fixed point."""

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
    parse_pairs,
    parse_settings,
    plain,
    print_json,
    print_table,
)
from spikesim.errors import InvalidValueError


def command(
    network: NetworkName,
    out: Annotated[Path, typer.Option("--out", "-o", help="File for the integer network.")] = Path("quantised.h5"),
    data: Annotated[str | None, typer.Option(help="Measure what changed on this data set's test samples.")] = None,
    steps: Annotated[int, typer.Option(help="Time steps per sample.")] = 8,
    encode: Annotated[str, typer.Option(help="How samples become input.")] = "regular",
    seed: Annotated[int, typer.Option(help="Of the data set's split, and of fine-tuning.")] = 0,
    calibrate: Annotated[int, typer.Option(help="Training samples on which scales are chosen; 0: by weights.")] = 0,
    margin: Annotated[float, typer.Option(help="By how much states may exceed those while calibrating.")] = 0.5,
    weight_bits: Annotated[int, typer.Option(help="Bits of a weight, 2 to 8, the sign included.")] = 8,
    sign_mode: Annotated[str, typer.Option(help="mixed, or auto: 8 bits where all weights have one sign.")] = "mixed",
    max_exponent: Annotated[int, typer.Option(help="Largest weight exponent when calibrating; 0 for netx.")] = 7,
    bins: Annotated[
        list[str] | None,
        typer.Option(help="Time constants per population: a number, a device, or population=number (repeatable)."),
    ] = None,
    fine_tune: Annotated[int, typer.Option(help="Epochs of training in the chip's arithmetic; needs --data.")] = 0,
    learning_rate: Annotated[float, typer.Option(help="Of fine-tuning.")] = 1e-3,
    causes: Annotated[bool, typer.Option(help="Also measure each kind of rounding alone.")] = True,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Quantise to Loihi's fixed point and report what it costs: `spikesim quantise trained.h5 --data digits`."""
    from spikesim.quantise import quantise

    check_folder(out)
    if data is None and (calibrate or fine_tune):
        raise InvalidValueError("--calibrate and --fine-tune need samples; name a data set with --data")
    value = find_network(network, parse_settings(settings))
    samples = _Samples(value, data, seed, steps, encode) if data is not None else None
    sample = samples.inputs("train", calibrate) if samples is not None and calibrate else None
    result = quantise(
        value, calibration=sample, margin=margin, weight_bits=weight_bits, sign_mode=sign_mode,
        max_exponent=max_exponent, bins=_bins(bins),
    )  # fmt: skip
    shown: dict[str, Any] = {}
    if samples is not None:
        found = samples.measure(result, causes)
        if fine_tune:
            shown["before_fine_tuning"] = samples.figures(found)
            chosen = {"epochs": fine_tune, "learning_rate": learning_rate, "progress": not json}
            result = result.fine_tune(samples.values, encode=samples.coding, steps=steps, seed=seed, **chosen)
            found = samples.measure(result, causes)
        shown |= samples.figures(found)
    result.network.save(out)
    if json:
        print_json({"out": out, "parts": result.rows(), "notes": result.notes, **shown})
        return
    _print(result, shown, out)


class _Samples:
    """A data set, as it is presented to a network."""

    def __init__(self, network: Any, name: str, seed: int, steps: int, encode: str) -> None:
        from spikesim.cli.train_verb import encoding, load_data
        from spikesim.train.samples import check_encoding, the_input

        self.values, self.coding = load_data(name, seed), encoding(encode, seed)
        self.entry, self.steps = the_input(network), steps
        check_encoding(self.coding, self.entry)

    def inputs(self, part: str, most: int | None = None) -> dict[str, Any]:
        """Return samples over time, by the name of the input."""
        from spikesim.train.samples import present, samples_of

        samples = samples_of(self.values, part)
        return {self.entry.name: present(samples.scaled(slice(0, most)), self.coding, self.steps, self.entry)}

    def measure(self, result: Any, causes: bool) -> Any:
        """Compare float network and integers on the test samples."""
        return result.measure(self.inputs("test"), self.values.y_test, causes=causes)

    @staticmethod
    def figures(found: Any) -> dict[str, Any]:
        """Return what is printed of a comparison."""
        differing = sum(r["differing"] for r in found.rows())
        return {
            "accuracy_float": found.accuracy_float,
            "accuracy_fixed": found.accuracy_fixed,
            "spikes_float": sum(r["before"] for r in found.rows()),
            "spikes_differing": differing,
            "populations": found.rows(),
            "causes": found.cause_rows(),
            "blamed": found.blamed,
        }


def _bins(words: list[str] | None) -> Any:
    """Turn ``["4"]``, ``["loihi1"]`` or ``["hidden=4"]`` into what ``quantise`` takes."""
    if not words:
        return None
    if len(words) == 1 and "=" not in words[0]:
        return int(words[0]) if words[0].isdigit() else words[0]
    pairs = parse_pairs(words, "--bins")
    wrong = [f"{name}={k}" for name, k in pairs.items() if not k.isdigit()]
    if wrong:
        raise InvalidValueError(f"--bins takes population=number, found {wrong[0]!r}")
    return {name: int(k) for name, k in pairs.items()}


def _print(result: Any, shown: dict[str, Any], out: Path) -> None:
    rows = [(r["part"], r["what"], r["error"], r["detail"]) for r in result.rows()]
    print_table("fixed point", ("part", "what", "error", "detail"), rows)
    if shown:
        head = ("population", "spikes", "integer", "differ", "van Rossum", "first step", "wraps", "clips")
        keys = ("population", "before", "after", "share", "van_rossum", "first_step", "wraps", "clips")
        print_table("float network against integers", head, [_cells(r, keys) for r in shown["populations"]])
        words = ("rounding", "spikes", "share", "accuracy")
        print_table("which rounding did it", words, [_cells(r, words) for r in shown["causes"]])
    for note in result.notes:
        print(f"note: {note}")
    first = shown.get("before_fine_tuning")
    if first:
        print(f"accuracy before fine-tuning: {first['accuracy_fixed']:.2%}")
    for name in ("accuracy_float", "accuracy_fixed", "spikes_float", "spikes_differing"):
        if name in shown:
            print(f"{name}: {shown[name]}")
    print(f"integer network written to {out}")


def _cells(row: dict[str, Any], keys: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple("-" if row[k] is None else f"{row[k]:.2%}" if k == "share" else plain(row[k]) for k in keys)
