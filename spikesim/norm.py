"""Batch normalisation of what a projection brings, as a value: what training learns and a run never sees.

::

    y = shift + gain scale (x - mean) / sqrt(var + eps)

Reference: Ioffe and Szegedy, "Batch Normalization", ICML 2015; with ``gain`` the threshold-dependent form (tdBN) of
Zheng et al., "Going Deeper With Directly-Trained Larger Spiking Neural Networks", AAAI 2021.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.connect import Chain, Connection, Conv2d, Dense, Sparse
from spikesim.errors import InvalidValueError
from spikesim.value import Value

PER_CHANNEL = ("scale", "shift", "mean", "var")


@dataclass(frozen=True, eq=False)
class BatchNorm(Value):
    """Batch normalisation over samples, time and positions.

    Parameters
    ----------
    scale, shift
        What is learned: a number, or one per channel (the output channels of a convolution, every neuron of a dense
        layer).
    mean, var
        Running estimates, likewise.
    eps
        Added to the variance.
    momentum
        Weight of a batch in the running estimates.
    gain
        A fixed factor. ``alpha * v_th`` makes it tdBN: the inputs then have a standard deviation of ``alpha``
        thresholds.

    Examples
    --------
    >>> factor, offset = BatchNorm(scale=[2.0, 3.0], mean=0.5, var=3.75, eps=0.25).affine(2)
    >>> factor.tolist(), offset.tolist()
    ([1.0, 1.5], [-0.5, -0.75])
    """

    scale: Any = 1.0
    shift: Any = 0.0
    mean: Any = 0.0
    var: Any = 1.0
    eps: float = 1e-5
    momentum: float = 0.1
    gain: float = 1.0

    def __post_init__(self) -> None:
        problems = []
        for name in PER_CHANNEL:
            array = np.array(getattr(self, name), np.float64)  # a copy: a norm is a value
            object.__setattr__(self, name, array if array.ndim else float(array))
            if array.ndim > 1 or not np.isfinite(array).all():
                problems.append(f"batch norm: {name} must be a finite number, or one per channel")
        if np.min(self.var) < 0:
            problems.append(f"batch norm: var must be at least 0, found {np.min(self.var):g}")
        if not self.eps > 0:
            problems.append(f"batch norm: eps must be above 0, found {self.eps!r}")
        if not 0 < self.momentum <= 1:
            problems.append(f"batch norm: momentum must be above 0 and at most 1, found {self.momentum!r}")
        if not (np.isfinite(self.gain) and self.gain > 0):
            problems.append(f"batch norm: gain must be above 0, found {self.gain!r}")
        if problems:
            raise InvalidValueError("\n".join(problems))

    def __repr__(self) -> str:
        own = [f for f in fields(self) if np.ndim(getattr(self, f.name)) or getattr(self, f.name) != f.default]
        shown = [f"{f.name}={f'<{v.size}>' if np.ndim(v := getattr(self, f.name)) else f'{v:g}'}" for f in own]
        return f"BatchNorm({', '.join(shown)})"

    def spread(self, channels: int) -> BatchNorm:
        """Return the same norm with one value for each channel."""
        each: dict[str, Any] = {n: np.broadcast_to(getattr(self, n), (channels,)).copy() for n in PER_CHANNEL}
        return replace(self, **each)

    def affine(self, channels: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return ``factor`` and ``offset``, float64 ``[channels]``: the norm is ``factor * x + offset``."""
        each = self.spread(channels)
        factor = self.gain * each.scale / np.sqrt(each.var + self.eps)
        return factor, each.shift - factor * each.mean


def channels_of(rule: Connection) -> int | None:
    """Return how many channels a rule's output has for a norm, or None where it has no weights to fold one into."""
    last = rule.rules[-1] if isinstance(rule, Chain) else rule
    return int(last.weights.shape[0]) if isinstance(last, (Dense, Conv2d, Sparse)) else None


def scaled(rule: Connection, factor: NDArray[np.float64]) -> Connection:
    """Return a rule with the weights into each output channel multiplied by a factor."""
    if isinstance(rule, Chain):
        return replace(rule, rules=(*rule.rules[:-1], scaled(rule.rules[-1], factor)))
    if isinstance(rule, Sparse):
        rows = np.repeat(np.arange(len(factor)), np.diff(rule.weights.indptr))
        return rule.map_weights(lambda weights: weights * factor[rows])
    return rule.map_weights(lambda weights: weights * factor.reshape(-1, *[1] * (weights.ndim - 1)))


def norm_problems(norm: BatchNorm, rule: Connection) -> Iterable[str]:
    """Yield why a rule cannot carry a norm."""
    channels = channels_of(rule)
    if channels is None:
        yield (
            f"a batch norm is folded into weights; {type(rule).__name__} has none per channel, use Dense, Sparse or "
            "Conv2d (or a Chain that ends with one)"
        )
        return
    for name in PER_CHANNEL:
        if np.size(getattr(norm, name)) not in (1, channels):
            yield f"batch norm: {name} needs 1 or {channels} values, found {np.size(getattr(norm, name))}"


__all__ = ["BatchNorm", "channels_of", "norm_problems", "scaled"]
