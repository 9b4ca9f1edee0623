"""The layers of a netx file as a network."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.connect import Connection, Dense
from spikesim.convert.image_rules import any_conv, pair
from spikesim.convert.report import ImportReport
from spikesim.errors import UnsupportedError
from spikesim.models.neurons import loihi_lif
from spikesim.network import Network, Population, Projection
from spikesim.stimulus import Input

READ = ("input", "dense", "dense_rec", "conv", "flatten")
MAX_DELAY = 62
DEFAULT_DT = 1e-3
Shape = tuple[int, ...]


def network_from(tree: dict[str, Any], described: dict[str, Any], name: str) -> tuple[Network, ImportReport]:
    """Return the network of the group ``layer`` of a file, read into dictionaries.

    Raises
    ------
    UnsupportedError
        If a layer has no counterpart; all are listed.
    """
    report = ImportReport("netx")
    layers = [tree[k] for k in sorted(tree, key=lambda k: int(k) if k.isdigit() else -1)]
    problems = [p for k, layer in enumerate(layers) for p in _problems(k, layer)]
    if problems:
        raise UnsupportedError(problems, f"netx file {name!r} cannot be read:")
    builder = _Builder(described, sum(_type(x) in READ[1:4] for x in layers), report)
    for k, layer in enumerate(layers):
        builder.add(k, layer)
    if not builder.populations:
        builder.problems.append("it holds no layer of neurons")
    if builder.problems:
        raise UnsupportedError(builder.problems, f"netx file {name!r} cannot be read:")
    dt = float(described.get("dt", DEFAULT_DT))
    projections = [Projection(pre, post, rule, delay=np.asarray(d) * dt) for pre, post, rule, d in builder.projections]
    populations, inputs = tuple(builder.populations), tuple(builder.inputs)
    return Network(populations, tuple(projections), inputs, dt=dt, name=str(described.get("name", name))), report


def _type(layer: Any) -> str:
    value = layer.get("type", b"") if isinstance(layer, dict) else b""
    value = np.asarray(value).reshape(-1)[0] if np.size(value) else b""
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def _problems(k: int, layer: Any) -> list[str]:
    kind = _type(layer)
    if kind not in READ:
        return [f"layer {k}: type {kind!r}; readable are {', '.join(READ)}"]
    if kind == "input" and "neuron" in layer:
        return [f"layer {k}: an input with a neuron of its own turns values into spikes; encode them (spikesim.encode)"]
    if kind in ("input", "flatten"):
        return [f"layer {k}: an input without a shape"] if kind == "input" and "shape" not in layer else []
    if "neuron" not in layer:
        return [f"layer {k}: no neuron, which netx takes for an integrator with du = -1, outside the chip's range"]
    needed = ["weight", *(["weight_rec"] if kind == "dense_rec" else [])]
    found = [f"layer {k}: {n} is missing" for n in needed if not isinstance(layer.get(n), np.ndarray)]
    return found + _neuron_problems(k, layer["neuron"])


def _neuron_problems(k: int, neuron: dict[str, Any]) -> list[str]:
    kind = _type(neuron)
    if kind not in ("CUBA", "LOIHI"):
        return [f"layer {k}: neuron {kind!r}; readable are CUBA and LOIHI"]
    missing = [n for n in ("iDecay", "vDecay", "vThMant") if n not in neuron]
    if missing:
        return [f"layer {k}: its neuron lacks {', '.join(missing)}"]
    found = []
    if _number(neuron["iDecay"]) < 1:
        found.append(f"layer {k}: iDecay {_number(neuron['iDecay'])} means du = -1, outside the chip's range")
    if np.any(neuron.get("gradedSpike", False)) or np.any(neuron.get("messageBits", 0)):
        found.append(f"layer {k}: graded spikes; spikesim's populations send spikes")
    return found


def _number(value: Any) -> int:
    return int(np.asarray(value).reshape(-1)[0])


class _Builder:
    """Adds one layer after the other."""

    def __init__(self, described: dict[str, Any], count: int, report: ImportReport) -> None:
        names = described.get("chain", [])
        own = len(names) == count + 1 and all(isinstance(n, str) for n in names)
        self.names = names if own else ["input", *(f"layer{k + 1}" for k in range(count))]
        self.lags = described.get("lags", [0] * (count + 1)) if own else [0] * (count + 1)
        self.report = report
        self.shape: Shape = ()
        self.inputs: list[Input] = []
        self.populations: list[Population] = []
        self.projections: list[tuple[str, str, Connection, Any]] = []
        self.problems: list[str] = []

    def add(self, k: int, layer: dict[str, Any]) -> None:
        kind = _type(layer)
        if kind == "input":
            self._input(tuple(int(d) for d in np.asarray(layer["shape"]).reshape(-1)))
            return
        if kind == "flatten":
            self.shape = (int(np.prod(self.shape)),)
            return
        weight = layer["weight"].astype(int).astype(np.float64)
        n_out = int(np.prod(layer["shape"])) if "shape" in layer else len(weight)
        if not self.inputs:
            columns = weight.size // n_out if kind != "conv" else 0
            if not columns:
                self.problems.append(f"layer {k}: a convolution without an input layer before it")
                return
            self._input((columns,))
        if kind == "conv":
            self._conv(k, layer, weight)
        else:
            self._dense(k, layer, weight.reshape(n_out, -1))

    def _input(self, shape: Shape) -> None:
        self.shape = shape
        self.inputs = [Input(self.names[0], shape)]
        self.report.add(self.names[0], "Input")

    def _conv(self, k: int, layer: dict[str, Any], weight: NDArray[np.float64]) -> None:
        weight = weight.reshape(weight.shape[:4])
        if len(self.shape) == 2:
            self.shape = (1, *self.shape)
        if weight.ndim != 4 or len(self.shape) != 3:
            self.problems.append(
                f"layer {k}: a convolution of weights {weight.shape} on an input of shape {self.shape}"
            )
            return
        stride, around, dilation = (pair(layer.get(n, d)) for n, d in (("stride", 1), ("padding", 0), ("dilation", 1)))
        padding = ((around[0], around[0]), (around[1], around[1]))
        rule, shape = any_conv(weight, self.shape, stride, padding, dilation, _number(layer.get("groups", 1)))
        bias = np.asarray(layer.get("bias", 0)).reshape(-1)
        self._population(k, layer, shape, np.repeat(bias, int(np.prod(shape[1:]))) if bias.size > 1 else bias)
        self._project(k, rule, 0)

    def _dense(self, k: int, layer: dict[str, Any], weight: NDArray[np.float64]) -> None:
        if weight.shape[1] != int(np.prod(self.shape)):
            self.problems.append(
                f"layer {k}: weights for {weight.shape[1]} inputs, but {int(np.prod(self.shape))} arrive"
            )
            return
        mixed = weight.min(initial=0) < 0 < weight.max(initial=0)
        if mixed and (weight.min() < -256 or weight.max() > 254):
            weight = np.clip(weight, -256, 254)
            self.report.warnings.append(f"layer {k}: weights outside -256 .. 254 were clipped, as netx does")
        before = int(np.prod(self.shape))
        self._population(k, layer, (len(weight),), np.asarray(layer.get("bias", 0)).reshape(-1))
        self._project(k, Dense(weight), self._delay(k, layer.get("delay", 0), (len(weight), before)))
        if _type(layer) == "dense_rec":
            name = self.populations[-1].name
            recurrent = layer["weight_rec"].astype(int).astype(np.float64).reshape(len(weight), -1)
            self.projections.append((name, name, Dense(recurrent), 1))

    def _delay(self, k: int, value: Any, size: tuple[int, int]) -> Any:
        """Return one delay, or one per synapse sorted by source; a vector is by output first, else by input."""
        delay = np.asarray(value).astype(np.int64)
        if delay.max(initial=0) > MAX_DELAY:
            self.report.warnings.append(f"layer {k}: delays above {MAX_DELAY} were cut, as netx does")
            delay = np.minimum(delay, MAX_DELAY)
        if delay.size == 1:
            return int(delay.reshape(-1)[0])
        if delay.ndim == 1:
            delay = delay[:, None] if delay.size == size[0] else delay[None]
        if any(d not in (1, s) for d, s in zip(delay.shape, size, strict=False)) or delay.ndim != 2:
            self.problems.append(f"layer {k}: delays of shape {delay.shape} for weights of shape {size}")
            return 0
        return np.broadcast_to(delay, size).T.reshape(-1)

    def _population(self, k: int, layer: dict[str, Any], shape: Shape, bias: NDArray[Any]) -> None:
        neuron = layer["neuron"]
        mantissa: Any = bias.astype(np.float64)
        mantissa = float(mantissa[0]) if (mantissa == mantissa[0]).all() else mantissa
        label = self.names[len(self.populations) + 1]
        values: dict[str, Any] = {"du": _number(neuron["iDecay"]) - 1, "dv": _number(neuron["vDecay"])}
        values["v_th"] = _number(neuron["vThMant"])
        values |= {"bias_exp": 6} if np.any(mantissa) else {}
        self.populations.append(Population(label, shape, loihi_lif(bias_mant=mantissa, **values)))
        self.shape = shape
        detail = "refDelay is ignored, as netx does" if _number(neuron.get("refDelay", 1)) != 1 else ""
        self.report.add(label, "loihi_lif", "exact", detail)

    def _project(self, k: int, rule: Connection, delay: Any) -> None:
        """Every connection takes a step on the chip; what our own network shifted is shifted back."""
        here = len(self.populations)
        steps = delay + 1 - (self.lags[here] - self.lags[here - 1])
        self.projections.append((self.names[here - 1], self.names[here], rule, steps))
