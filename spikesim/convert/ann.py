"""A trained torch network of rectifiers (ReLU) as a network of soft-reset integrate-and-fire neurons.

An integrate-and-fire neuron that subtracts its threshold when it fires counts how often the threshold fits into the
sum of its input: over T steps of a constant input its rate is that input over the threshold, to within 1/T, cut off at
0 and 1. That is a rectifier with a ceiling. So each layer's activations are divided by a scale that they (almost)
never exceed, measured on calibration data, which rescales weights and biases and leaves every threshold at 1::

    w' = w s_in / s_out,   b' = b / s_out,   rate = activation / s_out

A membrane that starts at half the threshold rounds instead of rounding down, which halves the error. As a threshold of
1/2 with a quantum of 1 is the same neuron, no initial charge is needed: ``lif_soft("code")``.

References: Cao, Chen and Khosla, Int. J. Comput. Vis. 113:54, 2015 (the idea); Rueckauer et al., Front. Neurosci.
11:682, 2017 (soft reset, scales by percentile, batch norm); Bu et al., "Optimal ANN-SNN Conversion for High-accuracy
and Ultra-low-latency Spiking Neural Networks", ICLR 2022 (half a threshold as initial charge).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikesim.convert.ann_layers import Layer, layers_of, rule_of
from spikesim.convert.report import ImportReport
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.models.neurons import li, lif_soft
from spikesim.network import Network, Population, Projection
from spikesim.optional import require
from spikesim.stimulus import Input

Per = Literal["layer", "channel"]
Vector = NDArray[np.float64]
BATCH = 256  # calibration samples at once
FLOOR = 1e-12  # a channel whose activations stay below this is silent


def from_ann(
    module: Any,
    calibration: Any,
    *,
    percentile: float = 100.0,
    per: Per = "layer",
    half_charge: bool = True,
    dt: float = 1e-3,
    name: str = "converted",
) -> tuple[Network, ImportReport]:
    """Return a spiking network whose rates are the activations of a trained torch network.

    Parameters
    ----------
    module
        A ``torch.nn.Module`` that applies one layer after the other: Linear, Conv2d, AvgPool2d, AdaptiveAvgPool2d,
        BatchNorm behind a Linear or Conv2d (folded), ReLU, Flatten, Dropout (left out). It is not changed.
    calibration
        Inputs as the module takes them, ``[samples, ...]``: training samples, a few hundred are enough.
    percentile
        Which percentile of the positive activations becomes the scale of a layer: 100 is the largest; a little less
        (99.9) ignores outliers, which makes rates higher and cuts the outliers off.
    per
        One scale for each ``"layer"``, or for each ``"channel"`` of an image and each neuron of a vector.
    half_charge
        Begin with half a threshold of charge (as a threshold of 1/2), which halves the error for few steps.
    dt
        Time step in seconds.
    name
        Of the network.

    Returns
    -------
    network : Network
        Input ``"input"`` takes the samples as graded values (``encode="constant"``); layers are ``layer1``, ... A last
        layer without ReLU adds up what it receives and does not fire (read-out ``"membrane_last"``): after T steps its
        membrane is T times the module's output, to within the rates' error.
    report : ImportReport
        Per layer: its scale and the share of the calibration activations that it cuts off.

    Raises
    ------
    UnsupportedError
        If a layer has no counterpart (max pooling, branches, other activations); all are listed, with advice.
    InvalidValueError
        If the calibration samples or the options cannot be used.
    MissingPackageError
        If torch is not installed.
    """
    torch = require("torch", "from_ann")
    if per not in ("layer", "channel"):
        raise UnknownNameError("per", per, ["layer", "channel"])
    if not 0.0 < percentile <= 100.0:
        raise InvalidValueError(f"percentile must be above 0 and at most 100, found {percentile!r}")
    x = torch.as_tensor(np.asarray(calibration, np.float64))
    if x.ndim < 2 or len(x) == 0 or not torch.isfinite(x).all():
        raise InvalidValueError(f"calibration needs finite samples [samples, ...], found the shape {list(x.shape)}")
    layers = layers_of(module, tuple(x.shape[1:]))
    network = Network(stimuli=(Input("input", tuple(x.shape[1:]), graded=True),), dt=dt, name=name)
    report = ImportReport("ANN")
    here, scale = "input", np.ones(tuple(x.shape[1:]))
    for k, layer in enumerate(layers, 1):
        label = f"layer{k}"
        x = _through(layer, x)
        new = np.ones(layer.shape)
        if layer.rectified:
            new = _scale(x.numpy(), percentile, per if layer.by_channel else "layer")
        bias = _plain((layer.offset / new).reshape(-1))
        spiking = lif_soft(th=0.5 if half_charge else 1.0, q=1.0, bias=bias)
        neuron = spiking if layer.rectified else li(beta=1.0, bias=bias)
        network = network.add(
            Population(label, layer.shape, neuron), Projection(here, label, rule_of(layer, scale, new))
        )
        _describe(report, label, layer, x.numpy(), new)
        here, scale = label, new
    return network, report


def _through(layer: Layer, x: Any) -> Any:
    import torch

    with torch.no_grad():
        return torch.cat([layer(x[k : k + BATCH]) for k in range(0, len(x), BATCH)])


def _scale(activations: NDArray[np.float64], percentile: float, per: Per) -> NDArray[np.float64]:
    """Return the scale of each element, ``[*shape]``; a channel that is silent takes the layer's."""
    shape = activations.shape[1:]
    whole = _percentile(activations, percentile)
    if per == "layer":
        return np.full(shape, whole)
    by_channel = np.array([_percentile(activations[:, c], percentile) for c in range(shape[0])])
    by_channel = np.where(by_channel > FLOOR, by_channel, whole)
    return np.broadcast_to(by_channel.reshape(-1, *([1] * (len(shape) - 1))), shape).copy()


def _percentile(values: NDArray[np.float64], percentile: float) -> float:
    positive = values[values > FLOOR]
    return float(np.percentile(positive, percentile)) if positive.size else 1.0


def _plain(values: NDArray[np.float64]) -> Any:
    return float(values[0]) if (values == values[0]).all() else values


def _describe(report: ImportReport, label: str, layer: Layer, x: Vector, scale: Vector) -> None:
    made = " ".join(type(m).__name__ for m in layer.modules)
    if not layer.rectified:
        report.add(label, "li", "exact", f"{made}: adds up its input")
        return
    low, high = scale.min(), scale.max()
    span = f"{low:.4g}" if low == high else f"{low:.4g} .. {high:.4g}"
    cut = float(np.mean(x > scale * (1 + 1e-9)))
    report.add(
        label, "lif_soft", "approximated",
        f"{made} ReLU: rates in steps of 1/T of the scale {span}; {cut:.2%} of the activations are cut off",
    )  # fmt: skip


__all__ = ["from_ann"]
