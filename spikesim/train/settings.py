"""What can be asked of training, and whether it fits together: all problems at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any

import numpy as np

from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.network import Network
from spikesim.train.losses import Loss, RateRegulariser
from spikesim.train.readout import Readout
from spikesim.train.schedules import ENDLESS

OPTIMISERS = {
    "adam": "Adam",
    "adamax": "Adamax",
    "adamw": "AdamW",
    "nadam": "NAdam",
    "rmsprop": "RMSprop",
    "sgd": "SGD",
}
OPTIMISER_SETTINGS: dict[str, dict[str, Any]] = {"sgd": {"momentum": 0.9}}
KEEP = ("last", "best")
MONITORS = ("accuracy", "loss", "rmse")
FREE = ("progress", "log", "checkpoint", "checkpoint_every", "resume", "patience", "command")


WHOLE = {"epochs": 1, "batch_size": 1, "steps": 1, "patience": 1, "seed": 0}
REAL = {"learning_rate": None, "clip": None, "weight_decay": 0, "rate_penalty": 0, "checkpoint_every": 0, "warmup": 0}
"""Smallest value of each number; None: anything above 0."""
MAY_BE_NONE = ("patience", "clip")


def check_names(config: Mapping[str, Any]) -> None:
    """Raise UnknownNameError for an optimiser or a choice that does not exist."""
    for kind, name, known in (
        ("optimiser", config["optimiser"], OPTIMISERS),
        ("dtype", config["dtype"], ("float32", "float64")),
        ("choice of keep:", config["keep"], KEEP),
        ("figure to monitor:", config["monitor"] or "loss", MONITORS),
    ):
        if name not in known:
            raise UnknownNameError(kind, name, list(known))


def check_settings(config: Mapping[str, Any], reader: Readout, chosen: Loss) -> None:
    """Raise for numbers out of range and settings that exclude each other; all are reported."""
    problems = [p for name, low in WHOLE.items() if (p := _out_of_range(name, config[name], low, whole=True))]
    problems += [p for name, low in REAL.items() if (p := _out_of_range(name, config[name], low, whole=False))]
    if config["augment"] is not None and not callable(config["augment"]):
        problems.append(f"augment must be a function of (batch, generator), found {config['augment']!r}")
    fraction = config["validation_fraction"]
    if fraction is not None and not 0.0 <= fraction < 1.0:
        problems.append(f"validation_fraction must be from 0 to below 1, found {fraction!r}")
    if config["resume"] and config["checkpoint"] is None:
        problems.append("resume needs the file to go on from; pass checkpoint='run.ckpt.h5'")
    if reader.name not in chosen.readouts:
        use = " or ".join(repr(r) for r in chosen.readouts)
        problems.append(f"loss {chosen.name!r} does not fit read-out {reader.name!r}; use {use}")
    if problems:
        raise InvalidValueError("\n".join(problems))


def _out_of_range(name: str, value: Any, low: int | None, whole: bool) -> str:
    """Say what is wrong with a number; nothing if it is right."""
    if value is None and name in MAY_BE_NONE:
        return ""
    number = isinstance(value, (int, np.integer) if whole else (int, float, np.number)) and not isinstance(value, bool)
    if number and (value > 0 if low is None else value >= low):
        return ""
    allowed = "above 0" if low is None else f"at least {low}"
    return f"{name} must be {'a whole number ' if whole and not number else ''}{allowed}, found {value!r}"


def check_data(config: Mapping[str, Any], chosen: Loss, classes: bool, validated: bool) -> None:
    """Raise for settings that do not fit the labels, or need validation samples where there are none."""
    problems = []
    if chosen.regression and classes:
        problems.append(
            f"loss {chosen.name!r} needs targets [samples, outputs] or [samples, steps, outputs], found labels"
        )
    if not chosen.regression and not classes:
        problems.append(f"loss {chosen.name!r} needs class numbers [samples], found targets; use loss='mse'")
    if config["monitor"] == ("rmse" if classes else "accuracy"):
        problems.append(f"monitor={config['monitor']!r} is not a figure of these data; use 'loss'")
    needing = [
        what
        for what, needed in (
            ("keep='best'", config["keep"] == "best"),
            ("patience", config["patience"] is not None),
            ("schedule='plateau'", config["schedule"] == "plateau"),
        )
        if needed
    ]
    if needing and not validated:
        problems.append(
            f"{' and '.join(needing)} needs validation samples; set validation_fraction above 0, or pass validation"
        )
    if problems:
        raise InvalidValueError("\n".join(problems))


def check_regularisers(regularisers: Sequence[RateRegulariser], network: Any) -> None:
    """Raise if a regulariser is about populations that it cannot see."""
    if regularisers and not isinstance(network, Network):
        raise InvalidValueError("rate regularisers need a Network, found a module, whose populations are not known")
    for name in (n for r in regularisers for n in r.populations or ()):
        hidden = [p.name for p in network.populations[:-1]]
        if name not in hidden:
            raise UnknownNameError("population before the last:", name, hidden)


def check_device(device: str) -> None:
    """Raise if torch does not have a device."""
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).split("\n")[0]
        raise InvalidValueError(f"device {device!r} cannot be used here: {reason}; use device='cpu'") from None


def check_mixed_precision(wanted: bool, dtype: str, device: str) -> None:
    """Raise if bfloat16 products would not be faster here."""
    if not wanted:
        return
    import torch

    if dtype != "float32":
        raise InvalidValueError(f"mixed_precision needs dtype='float32', found {dtype!r}")
    # without instructions for bfloat16 a CPU emulates it, which is slower than float32
    if torch.device(device).type == "cpu" and not torch.cpu._is_avx512_bf16_supported():
        raise InvalidValueError(
            "mixed_precision is slower than float32 on this CPU, which has no bfloat16 instructions (avx512_bf16); "
            "leave it out, or train on a GPU"
        )


def settled(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that decide every bit of the result, as plain values that a file can hold."""
    skipped = {*FREE, *(["epochs"] if config["schedule"] in ENDLESS else [])}
    return {key: _plain(value) for key, value in config.items() if key not in skipped}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if is_dataclass(value):
        return repr(value)
    return _name(value)


def _name(function: Callable[..., Any]) -> str:
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', '')}.{name}"
