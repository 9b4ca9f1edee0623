"""Checkpoints of training: where it goes on, and whether it is the same training."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spikesim.errors import FileFormatError, InvalidValueError
from spikesim.files.envelope import check_target
from spikesim.files.training import KIND, TrainingState, load_training, save_training
from spikesim.train.result import Epoch

FOREIGN = {"network": "another network", "data": "other data", "validation": "other validation data"}
MACHINE = ("torch", "threads")  # may differ, but then bits may too


class Checkpoints:
    """The checkpoint file of one training.

    Parameters
    ----------
    path
        The file; None for no checkpoints.
    identity
        What must be the same: network, data, settings.
    every
        Seconds between checkpoints.
    command
        Options of the command line, kept in the file.
    resume
        Go on from the file if it is there.

    Attributes
    ----------
    start
        Where to go on, or None.

    Raises
    ------
    InvalidValueError
        If the file belongs to another training; says what differs.
    FileAccessError
        If it cannot be written.
    """

    def __init__(
        self,
        path: str | Path | None,
        identity: Mapping[str, Any],
        every: float,
        command: Mapping[str, Any],
        resume: bool,
    ) -> None:
        self.path = None if path is None else check_target(path, KIND)
        self.identity, self.every, self.command = dict(identity), every, dict(command)
        self.start: TrainingState | None = None
        if self.path is not None and resume and self.path.exists():
            self.start = load_training(self.path)
            self._check(self.start.identity)
        self._written = time.monotonic()

    def _check(self, found: Mapping[str, Any]) -> None:
        different = differences(self.identity, found)
        serious = [text for name, text in different.items() if name not in MACHINE]
        if serious:
            raise InvalidValueError(
                f"{str(self.path)!r} belongs to a training with {', '.join(serious)}; "
                "resume with the same, or delete it to begin anew"
            )
        if different:
            warnings.warn(
                f"{str(self.path)!r} was written with {', '.join(different.values())}; training goes on, "
                "but may not end with the same bits",
                stacklevel=4,
            )

    def due(self) -> bool:
        """Tell whether it is time for a checkpoint within an epoch."""
        return self.path is not None and time.monotonic() - self._written >= self.every

    def write(self, **parts: Any) -> None:
        """Write a checkpoint in place of the one before."""
        if self.path is not None:
            save_training(TrainingState(identity=self.identity, command=self.command, **parts), self.path)
            self._written = time.monotonic()


def differences(ours: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, str]:
    """Return how another identity differs, by the name of the setting."""
    named: dict[str, str] = {}
    for name in sorted({*ours, *found}):
        mine, other = ours.get(name), found.get(name)
        if isinstance(mine, dict) and isinstance(other, dict):
            named |= differences(mine, other)
        elif mine != other:
            named[name] = FOREIGN.get(name, f"{name} {other!r} in place of {mine!r}")
    return named


# ------------------------------------------------------------------------------------------------ tensors in files
def arrays(state: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Return tensors as arrays, by name."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in state.items()}


def tensors(found: Mapping[str, Any], like: Mapping[str, torch.Tensor], what: str) -> dict[str, torch.Tensor]:
    """Return arrays as tensors; names, shapes and types must be those of others.

    Raises
    ------
    FileFormatError
        If they are not.
    """
    if set(found) != set(like):
        raise FileFormatError(f"{what} has {sorted(found)}, expected {sorted(like)}")
    result = {}
    for name, tensor in like.items():
        array = np.asarray(found[name])
        value = torch.as_tensor(array)
        if value.shape != tensor.shape or value.dtype != tensor.dtype:
            raise FileFormatError(
                f"{what}: {name} is {value.dtype} {list(value.shape)}, expected {tensor.dtype} {list(tensor.shape)}"
            )
        result[name] = value.to(tensor.device)
    return result


def optimiser_arrays(optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """Return the state of each parameter, by number and name, such as Adam's moments."""
    state = optimiser.state_dict()["state"]
    return {
        str(number): {k: v.detach().cpu().numpy().copy() if isinstance(v, torch.Tensor) else v for k, v in kept.items()}
        for number, kept in state.items()
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, found: Mapping[str, Any]) -> None:
    """Give an optimiser the state that :func:`optimiser_arrays` returned.

    Raises
    ------
    FileFormatError
        If the state is that of other parameters.
    """
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    for number, kept in found.items():
        if not number.isdecimal() or int(number) >= len(parameters):
            raise FileFormatError(f"optimiser: there is no parameter {number}")
        state[int(number)] = {k: _moment(k, v, parameters[int(number)]) for k, v in kept.items()}
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def _moment(name: str, value: Any, parameter: torch.Tensor) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    tensor = torch.as_tensor(value)
    if tensor.ndim and (tensor.shape != parameter.shape or tensor.dtype != parameter.dtype):
        raise FileFormatError(
            f"optimiser: {name} is {tensor.dtype} {list(tensor.shape)}, "
            f"expected {parameter.dtype} {list(parameter.shape)}"
        )
    return tensor


def epochs_of(rows: tuple[Mapping[str, Any], ...]) -> list[Epoch]:
    """Return the history in a checkpoint."""
    names = {f.name for f in fields(Epoch)}
    if any(set(row) != names for row in rows):
        raise FileFormatError(f"history: each epoch needs {', '.join(sorted(names))}")
    return [Epoch(**row) for row in rows]


def rows_of(history: list[Epoch]) -> tuple[dict[str, Any], ...]:
    """Return a history as a checkpoint holds it."""
    return tuple(asdict(epoch) for epoch in history)
