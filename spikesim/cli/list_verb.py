"""``spikesim list``: what there is."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from spikesim.cli.common import Json, print_json, print_table
from spikesim.errors import UnknownNameError


def _backends() -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    from spikesim.engine import backends

    rows = []
    for name, make in backends().items():
        engine = make()
        state = engine.availability()
        ability = "; ".join(f"{k}: {v}" for k, v in engine.capabilities().items())
        rows.append((name, "yes" if state.ok else f"no: {state.reason}", state.remedy, ability))
    return ("backend", "available", "remedy", "can do"), rows


def _registry(kind: str, table: dict[str, Any]) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    rows = [(name, _spoken((f.__doc__ or "").strip().split("\n")[0])) for name, f in sorted(table.items())]
    return (kind, "what it is"), rows


def _spoken(line: str) -> str:
    """Return a line of a docstring as people read it.

    >>> _spoken("Weights are pulled back; see :class:`spikesim.continual.Ewc`.")
    'Weights are pulled back.'
    """
    return re.sub(r":\w+:`~?(?:\w+\.)*(\w+)`", r"\1", re.sub(r"; see :\w+:`[^`]*`", "", line))


def _neurons() -> Any:
    from spikesim.models.neurons import NEURONS

    rows = [(name, make().model.doc, ", ".join(make().model.inputs)) for name, make in sorted(NEURONS.items())]
    return ("neuron", "what it is", "input ports"), rows


def _synapses() -> Any:
    from spikesim.models.synapses import SYNAPSES

    return _registry("synapse", dict(SYNAPSES))


def _networks() -> Any:
    from spikesim.models.networks import NETWORKS

    return _registry("network", dict(NETWORKS))


def _surrogates() -> Any:
    from spikesim.equations.surrogates import SURROGATES

    return _registry("surrogate", dict(SURROGATES))


def _losses() -> Any:
    from spikesim.train import LOSSES

    return _registry("loss", {name: loss.function for name, loss in LOSSES.items()})


def _hardware() -> Any:
    from spikesim.profile import device_rows

    return ("device", "what it is", "price model", "evidence"), device_rows()


def _data() -> Any:
    from spikesim.data import dataset_rows

    return ("data set", "samples", "licence", "where"), dataset_rows()


def _scenarios() -> Any:
    from spikesim.continual.named import scenario_rows

    return ("scenario", "what changes"), scenario_rows()


def _methods() -> Any:
    from spikesim.continual.registry import METHODS

    return _registry("method", dict(METHODS))


KINDS = {
    "backends": _backends,
    "neurons": _neurons,
    "synapses": _synapses,
    "networks": _networks,
    "surrogates": _surrogates,
    "losses": _losses,
    "hardware": _hardware,
    "data": _data,
    "scenarios": _scenarios,
    "methods": _methods,
}


def command(
    kind: Annotated[str, typer.Argument(help=f"One of: {', '.join(KINDS)}.")] = "backends", json: Json = False
) -> None:
    """List backends, neurons, synapses, networks, surrogates, losses, hardware, data sets, scenarios or methods."""
    if kind not in KINDS:
        raise UnknownNameError("list", kind, list(KINDS))
    header, rows = KINDS[kind]()
    if json:
        print_json({kind: [dict(zip(header, row, strict=True)) for row in rows]})
    else:
        print_table(kind, header, rows)
