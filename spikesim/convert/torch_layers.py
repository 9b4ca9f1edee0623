"""Torch's layers as connection rules: a table by class, and what tensor functions between layers do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from spikesim.connect import Dense
from spikesim.connect.base import Shape, elements
from spikesim.convert.image_rules import array, conv_rule, pair, pool_rule
from spikesim.convert.signals import Signal, scaled, through
from spikesim.errors import FileFormatError, UnsupportedError


class Layer(NamedTuple):
    """A layer without state.

    Parameters
    ----------
    dims
        On how many trailing dimensions it works.
    apply
        ``apply(module, name, signal, shape)``: the signal behind it; ``shape`` is that of one sample's values.
    """

    dims: int
    apply: Callable[[Any, str, Signal, Shape], Signal]


def linear(weight: Any, bias: Any, name: Any, signal: Signal, shape: Shape) -> Signal:
    """Return a signal behind a full matrix ``[out, in]``."""
    weights = array(weight)
    added = 0.0 if bias is None else array(bias)
    return through(signal, name, Dense(weights), added, shape, (len(weights),))


def convolution(module: Any, name: Any, signal: Signal, shape: Shape) -> Signal:
    """Return a signal behind a convolution with torch's attributes."""
    if getattr(module, "padding_mode", "zeros") != "zeros":
        return Signal(unknown=f"a convolution that pads by {module.padding_mode!r} (only zeros)")
    rule, after = conv_rule(module, shape)
    bias = 0.0 if module.bias is None else np.repeat(array(module.bias), elements(after[1:]))
    return through(signal, name, rule, bias, shape, after)


def pool(module: Any, name: Any, signal: Signal, shape: Shape) -> Signal:
    """Return a signal behind an average or sum pool."""
    padded = any(pair(module.padding))
    if getattr(module, "ceil_mode", False) or (padded and not getattr(module, "count_include_pad", True)):
        return Signal(unknown="a pool with ceil_mode, or that leaves padding out of its averages")
    if getattr(module, "divisor_override", None):
        return Signal(unknown="a pool with divisor_override")
    rule, after = pool_rule(module, shape)
    return through(signal, name, rule, 0.0, shape, after)


class AvgPool2d(NamedTuple):
    """The attributes of an average pool, for adaptive and functional ones."""

    kernel_size: Any
    stride: Any
    padding: Any = 0


class SumPool2d(NamedTuple):
    """The attributes of a sum pool."""

    kernel_size: Any
    stride: Any
    padding: Any = 0


def _sum_pool(module: Any, name: str, signal: Signal, shape: Shape) -> Signal:
    if float(module.norm_type) != 1.0 or module.ceil_mode:
        return Signal(unknown=f"an LPPool2d of norm {module.norm_type} (only 1, a sum, without ceil_mode)")
    return pool(SumPool2d(module.kernel_size, module.stride or module.kernel_size), name, signal, shape)


def _adaptive(module: Any, name: str, signal: Signal, shape: Shape) -> Signal:
    given = module.output_size if isinstance(module.output_size, (tuple, list)) else [module.output_size] * 2
    sides = [side if out is None else out for out, side in zip(given, shape[1:], strict=True)]
    if any(side % out for side, out in zip(shape[1:], sides, strict=True)):
        return Signal(unknown=f"an adaptive pool from {shape[1:]} to {tuple(sides)}, which are no whole windows")
    size = tuple(side // out for side, out in zip(shape[1:], sides, strict=True))
    return pool(AvgPool2d(size, size), name, signal, shape)


def _norm(module: Any, name: str, signal: Signal, shape: Shape) -> Signal:
    """Batch norm with its running mean and variance, folded."""
    if module.running_mean is None:
        return Signal(unknown="a batch norm without running statistics (track_running_stats=False)")
    channels = len(array(module.running_mean))
    scale = np.ones(channels) if module.weight is None else array(module.weight)
    shift = np.zeros(channels) if module.bias is None else array(module.bias)
    scale = scale / np.sqrt(array(module.running_var) + module.eps)
    each = elements(shape) // channels
    bias = np.repeat(shift - array(module.running_mean) * scale, each)
    return scaled(signal, name, np.repeat(scale, each), bias, shape)


def _same(module: Any, name: str, signal: Signal, shape: Shape) -> Signal:
    return signal


LAYERS: dict[str, Layer] = {
    "torch.Linear": Layer(1, lambda m, name, signal, shape: linear(m.weight, m.bias, name, signal, shape)),
    "torch.Conv1d": Layer(2, convolution),
    "torch.Conv2d": Layer(3, convolution),
    "torch.AvgPool2d": Layer(3, pool),
    "torch.AdaptiveAvgPool2d": Layer(3, _adaptive),
    "torch.BatchNorm1d": Layer(1, _norm),
    "torch.BatchNorm2d": Layer(3, _norm),
    "torch.Identity": Layer(0, _same),
    "torch.Dropout": Layer(0, _same),
    "torch.Dropout1d": Layer(0, _same),
    "torch.Dropout2d": Layer(0, _same),
    "torch.LPPool2d": Layer(3, _sum_pool),
}
"""Layers by ``"package.Class"``; those with 0 dims leave a signal as it is."""


def apply_layer(layer: Layer, module: Any, name: str, signal: Signal, found: Shape) -> Signal:
    """Return the signal behind a layer, or an unknown one that says why not.

    Parameters
    ----------
    layer
        From :data:`LAYERS`.
    module
        The torch module.
    name
        Where it is in the whole.
    signal
        What arrives.
    found
        Shape of the tensor that arrives, leading dimensions included.
    """
    if signal.unknown or layer.dims == 0:
        return signal
    dims = layer.dims
    if type(module).__name__ == "BatchNorm1d" and len(found) == 3:
        dims = 2
    try:
        return layer.apply(module, name, signal, tuple(int(d) for d in found[-dims:]))
    except (FileFormatError, UnsupportedError) as error:
        return Signal(unknown=str(error))
