"""``spikesim learn``: task after task, with several methods and seeds."""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from spikesim.cli.common import Json, check_folder, console, parse_value, print_json
from spikesim.errors import InvalidValueError, UnknownNameError

Pairs = list[str] | None


def command(
    scenario: Annotated[str, typer.Option(help="Scenario: `spikesim list scenarios`.")] = "permuted-digits",
    method: Annotated[
        str, typer.Option(help="Methods, separated by commas: `spikesim list methods`; or all.")
    ] = "hlop",
    tasks: Annotated[int | None, typer.Option(help="How many tasks.")] = None,
    seeds: Annotated[str, typer.Option(help="How many seeds (0, 1, ...), or which: 3,5,8; `4,` is one.")] = "1",
    network: Annotated[
        str,
        typer.Option(help="Sizes of hidden layers (800-800, or 800-800,lam=0.95,init=uniform), or a network's file."),
    ] = "100",
    settings: Annotated[
        Pairs, typer.Option("--set", help="rows=20, or for one method hlop.rows=[80,70]; repeatable.")
    ] = None,
    training: Annotated[
        Pairs, typer.Option("--train", help="epochs=2, rule=ottt, learning_rate=0.02, steps=6; repeatable.")
    ] = None,
    scenario_setting: Annotated[
        Pairs, typer.Option(help="kind=task, samples=6000, tests=2000, piece=100, ...; repeatable.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Processes; 0: one per processor.")] = 1,
    cluster: Annotated[str | None, typer.Option(help="Dask scheduler, tcp://host:8786, or local.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="HDF5 file for the results; one that is there goes on.")] = (
        Path("learned.h5")
    ),
    report: Annotated[Path | None, typer.Option(help="Write a report, one HTML file.")] = None,
    json: Json = False,
) -> None:
    """Learn task after task: `spikesim learn --scenario permuted-digits --method fine-tune,hlop,joint --seeds 5`."""
    from spikesim.continual.report import tables, write_report
    from spikesim.continual.studies import study

    for path in (out, report):
        check_folder(path)
    chosen = _methods(method, scenario, scenario_setting)
    found = study(
        scenario,
        chosen,
        seeds=_seeds(seeds),
        network=network,
        settings=_of_methods(settings, chosen),
        scenario_settings=_pairs(scenario_setting, "--scenario-setting") | ({} if tasks is None else {"tasks": tasks}),
        training=_pairs(training, "--train"),
        out=out,
        jobs=jobs,
        cluster=cluster,
        progress=not json,
    )
    if report is not None and found.runs:
        write_report(found, report)
    if json:
        print_json({"methods": list(found.rows()), "failed": list(found.failures), "interrupted": found.interrupted})
    else:
        for part in tables(found):
            console().print(part)
        print(f"results are in {out}" + (f", the report is in {report}" if report is not None and found.runs else ""))
    for failure in found.failures if not json else ():
        print(f"failed: {failure}")
    if found.interrupted:
        if not json:
            print("stopped by Ctrl-C; the same command goes on behind the last finished task")
        raise typer.Exit(130)
    if found.failures:
        raise typer.Exit(1)


def _pairs(pairs: Sequence[str] | None, option: str) -> dict[str, Any]:
    """Turn ``["rows=[80,70]"]`` into a dictionary; lists and dictionaries are JSON.

    >>> _pairs(["rows=[80, 70]", "share=0.9", "name=x"], "--set")
    {'rows': [80, 70], 'share': 0.9, 'name': 'x'}
    """
    found: dict[str, Any] = {}
    for pair in pairs or []:
        key, sign, text = (part.strip() for part in pair.partition("="))
        if not sign or not key or not text:
            raise InvalidValueError(f"{option} takes key=value, found {pair!r}")
        if text[0] in "[{":
            try:
                found[key] = json_module.loads(text)
            except ValueError as error:
                raise InvalidValueError(
                    f"{option} {key}: a list or dictionary is JSON, such as [80, 70]; found {text!r} ({error})"
                ) from None
        else:
            found[key] = None if text == "none" else parse_value(text)
    return found


def _of_methods(pairs: Sequence[str] | None, chosen: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the settings of each method: ``hlop.rows=20`` is for one, ``rows=20`` for all that have it."""
    from spikesim.continual.registry import METHODS

    found: dict[str, dict[str, Any]] = {}
    for key, value in _pairs(pairs, "--set").items():
        name, dot, setting = key.partition(".")
        if dot and name not in chosen:
            raise UnknownNameError("method in --set:", name, list(chosen))
        takers = [name] if dot else [m for m in chosen if key in {f.name for f in fields(METHODS[m])}]
        if not takers:
            known = sorted({f.name for m in chosen for f in fields(METHODS[m])})
            raise UnknownNameError(f"setting of {', '.join(chosen)}:", key, known)
        for taker in takers:
            found.setdefault(taker, {})[setting if dot else key] = value
    return found


def _methods(text: str, scenario: str, scenario_setting: Sequence[str] | None) -> list[str]:
    """Return the names of methods; ``all`` are those that the scenario can be learned with."""
    from spikesim.continual.named import usual_kind
    from spikesim.continual.registry import METHODS, methods

    if text == "all":
        given: Mapping[str, Any] = _pairs(scenario_setting, "--scenario-setting")
        return list(methods(told=given.get("kind", usual_kind(scenario)) == "task"))
    chosen = [name.strip() for name in text.split(",") if name.strip()]
    for name in chosen:
        if name not in METHODS:
            raise UnknownNameError("method of continual learning", name, list(METHODS))
    return chosen


def _seeds(text: str) -> int | list[int]:
    from spikesim.cli.sweep_verb import parse_seeds

    return parse_seeds(text)
