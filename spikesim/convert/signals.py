"""What flows between the neurons of a torch module: paths through weight layers, and what their biases add."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spikesim.connect import Chain, Conv2d, Dense, OneToOne, Pool2d, Sparse
from spikesim.connect.base import Connection, Shape, elements

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Path:
    """Weight layers one after the other, from one origin.

    Parameters
    ----------
    origin
        Name of an input or a population.
    step
        Which step of the origin; None where every step meets its own.
    rules
        In the order of the signal.
    shapes
        The shape before each rule.
    gain
        Factor of the whole.
    layers
        What identifies the layers, one per layer.
    """

    origin: str
    step: int | None = None
    rules: tuple[Any, ...] = ()
    shapes: tuple[Shape, ...] = ()
    gain: float = 1.0
    layers: tuple[Hashable, ...] = ()

    @property
    def key(self) -> tuple[Hashable, ...]:
        """What makes two paths the same but for the step."""
        return self.origin, self.layers, self.gain


@dataclass(frozen=True, eq=False)
class Signal:
    """A sum of paths, plus a constant.

    Parameters
    ----------
    paths
        Where it comes from.
    offset
        What biases add: float64 ``[n]``, or one number.
    shape
        Shape of one sample's values at one step; None as long as no layer says so.
    unknown
        Why the signal cannot be followed; empty where it can.
    parts
        The signals that were stacked, where this is a stack of them.
    """

    paths: tuple[Path, ...] = ()
    offset: Any = 0.0
    shape: Shape | None = None
    unknown: str = ""
    parts: tuple[Signal, ...] = ()

    @property
    def key(self) -> Hashable:
        """What makes two signals the same but for the steps."""
        return tuple(p.key for p in self.paths), np.asarray(self.offset).tobytes(), self.shape, self.unknown

    @property
    def steps(self) -> tuple[int | None, ...]:
        """The steps of the paths."""
        return tuple(p.step for p in self.paths)

    def at(self, steps: tuple[int | None, ...]) -> Signal:
        """Return the signal with other steps."""
        return replace(self, paths=tuple(replace(p, step=s) for p, s in zip(self.paths, steps, strict=True)))

    def shaped(self, shape: Shape) -> Signal:
        """Return the signal with its shape known, or unknown if it has another number of values."""
        if self.shape is not None and elements(self.shape) != elements(shape):
            return Signal(
                unknown=f"{elements(shape)} of {elements(self.shape)} values at a time (flatten them before the layer)"
            )
        return replace(self, shape=shape)

    def times(self, factor: float) -> Signal:
        """Return a multiple."""
        paths = tuple(replace(p, gain=p.gain * factor) for p in self.paths)
        return replace(self, paths=paths, offset=np.asarray(self.offset) * factor)


def plus(a: Signal, b: Signal) -> Signal:
    """Return the sum of two signals."""
    if a.unknown or b.unknown:
        return a if a.unknown else b
    shape = a.shape if a.shape is not None else b.shape
    if a.shape is not None and b.shape is not None and elements(a.shape) != elements(b.shape):
        return Signal(unknown=f"a sum of {a.shape} and {b.shape} values")
    return Signal((*a.paths, *b.paths), np.asarray(a.offset) + np.asarray(b.offset), shape)


def through(signal: Signal, layer: Hashable, rule: Any, bias: Any, before: Shape, after: Shape) -> Signal:
    """Return a signal behind a weight layer.

    Parameters
    ----------
    signal
        What arrives.
    layer
        What identifies the layer.
    rule
        A connection rule with weights.
    bias
        Added behind it, ``[n]`` or a number.
    before, after
        Shapes.
    """
    arrived = signal.shaped(before)
    if arrived.unknown:
        return arrived
    paths = tuple(
        replace(p, rules=(*p.rules, rule), shapes=(*p.shapes, before), layers=(*p.layers, layer)) for p in arrived.paths
    )
    offset = np.asarray(arrived.offset, np.float64)
    if offset.any():
        bias = rule.matrix(before, after) @ np.broadcast_to(offset.reshape(-1), (elements(before),)) + bias
    return Signal(paths, bias, after)


def scaled(signal: Signal, layer: Hashable, gain: Vector, bias: Any, shape: Shape) -> Signal:
    """Return a signal times one factor per value, plus a bias; the factors are folded into the last weights."""
    arrived = signal.shaped(shape)
    if arrived.unknown:
        return arrived
    paths = tuple(replace(fold(p, gain, shape), layers=(*p.layers, layer)) for p in arrived.paths)
    return Signal(paths, np.asarray(arrived.offset) * gain + bias, shape)


def fold(path: Path, gain: Vector, after: Shape) -> Path:
    """Return a path whose result is multiplied by one factor per value."""
    if not path.rules:
        return replace(path, rules=(Sparse(sparse.diags_array(gain, format="csr")),), shapes=(after,))
    *first, last = path.rules
    if isinstance(last, Dense):
        return replace(path, rules=(*first, Dense(last.weights * gain[:, None])))
    if isinstance(last, Conv2d):
        by_channel = gain.reshape(len(last.weights), -1)
        if (by_channel == by_channel[:, :1]).all():
            return replace(path, rules=(*first, replace(last, weights=last.weights * by_channel[:, :1, None, None])))
    matrix = last.matrix(path.shapes[-1], after).multiply(gain[:, None])
    return replace(path, rules=(*first, Sparse(sparse.csr_array(matrix))))


def connection(path: Path, after: Shape) -> tuple[Connection, float | None]:
    """Return the rule of a whole path, and the weight if the rule has none."""
    if not path.rules:
        return OneToOne(), path.gain
    whole = fold(path, np.full(elements(after), path.gain), after) if path.gain != 1.0 else path
    if len(whole.rules) == 1:
        return whole.rules[0], None
    if all(isinstance(r, (Dense, Conv2d, Pool2d)) for r in whole.rules):
        return Chain(whole.rules), None
    product: Any = None
    for rule, before, behind in zip(whole.rules, whole.shapes, (*whole.shapes[1:], after), strict=True):
        matrix = rule.matrix(before, behind)
        product = matrix if product is None else matrix @ product
    return Sparse(sparse.csr_array(product)), None
