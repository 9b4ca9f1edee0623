"""Learned neuron parameters: one number for a population, one per channel, or one per neuron."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.neuron import Param

PER = ("shared", "channel", "neuron")


def named(wanted: Sequence[str] | Mapping[str, str]) -> dict[str, str | None]:
    """Return the parameters to learn with how they are shared, None for as they are given."""
    if isinstance(wanted, str):
        return {wanted: None}
    return dict(wanted) if isinstance(wanted, Mapping) else dict.fromkeys(wanted)


def shared(subject: str, values: Any, shape: tuple[int, ...], per: str | None) -> NDArray[np.float64]:
    """Return the values to start from: of no dimension, or one per channel or neuron.

    Parameters
    ----------
    subject
        For messages.
    values
        A number, or one per neuron.
    shape
        Of the population; channels come first.
    per
        A name in :data:`PER`; None keeps a number one number, and an array one per neuron.

    Raises
    ------
    InvalidValueError
        If values that are to be shared differ.
    """
    if per is not None and per not in PER:
        raise UnknownNameError(f"way to share {subject}:", per, PER)
    array, n = np.asarray(values, np.float64), int(np.prod(shape))
    if per is None:
        return array
    if per == "neuron":
        return np.broadcast_to(array, (n,)).copy()
    rows = np.broadcast_to(array, (n,)).reshape(1 if per == "shared" else shape[0], -1)
    if np.ptp(rows, axis=1).any():
        among = "neurons" if per == "shared" else "the neurons of a channel"
        raise InvalidValueError(f"{subject} differs among {among}, so it cannot be one number; use 'neuron'")
    return np.asarray(rows[0, 0] if per == "shared" else rows[:, 0].copy())


def spread(tensor: torch.Tensor, n: int) -> torch.Tensor:
    """Return one value per neuron, or one number, from what is learned."""
    return tensor.repeat_interleave(n // len(tensor)) if tensor.ndim and len(tensor) != n else tensor


def clamp_(tensor: torch.Tensor, param: Param, scale: float) -> None:
    """Bring a parameter, held relative to ``scale``, back into the range that its model allows."""
    margin = 1e-3 if param.open_low else 0.0  # of the initial value
    with torch.no_grad():
        tensor.clamp_(param.low / scale + margin, param.high / scale)
