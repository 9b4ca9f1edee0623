"""What a plain torch network applies in which order, and its linear layers as connection rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spikesim.connect import Chain, Dense, Sparse, Weighted
from spikesim.convert.image_rules import any_conv, array, paddings, pair, pool_rule
from spikesim.errors import UnsupportedError

Shape = tuple[int, ...]
Vector = NDArray[np.float64]

LINEAR = ("Linear", "Conv2d", "AvgPool2d", "AdaptiveAvgPool2d", "Flatten")
RECTIFIER = ("ReLU", "ReLU6")
NOTHING = ("Dropout", "Dropout1d", "Dropout2d", "Identity")
NORMS = ("BatchNorm1d", "BatchNorm2d")
ADVICE = {
    "MaxPool2d": "spikes have no maximum over rates: train it with AvgPool2d in its place",
    "AdaptiveMaxPool2d": "spikes have no maximum over rates: train it with AdaptiveAvgPool2d in its place",
    "LayerNorm": "it depends on each sample: train it with BatchNorm in its place, which is folded",
    "GroupNorm": "it depends on each sample: train it with BatchNorm in its place, which is folded",
}
FUNCTIONS = {"relu": "ReLU", "relu_": "ReLU", "flatten": "Flatten", "dropout": "Dropout"}


@dataclass(frozen=True, eq=False)
class Layer:
    """Linear modules up to the next rectifier, in float64.

    Parameters
    ----------
    modules
        In the order of the signal, batch norms folded.
    rectified
        Whether a ReLU follows.
    before, shape
        Shapes of a sample before and after.
    offset
        What the biases add to the result, ``[*shape]``.
    """

    modules: tuple[Any, ...]
    rectified: bool
    before: Shape
    shape: Shape
    offset: Vector

    @property
    def by_channel(self) -> bool:
        """Whether its elements can be scaled by channel: not where a convolution's result is flattened at once."""
        weighted = [m for m in self.modules if hasattr(m, "weight")]
        return len(self.shape) > 1 or not weighted or type(weighted[-1]).__name__ == "Linear"

    def __call__(self, x: Any) -> Any:
        """Apply the layer to a batch."""
        for module in self.modules:
            x = module(x)
        return x.relu() if self.rectified else x


def layers_of(module: Any, shape: Shape) -> list[Layer]:
    """Return the layers of a module that applies one thing after the other.

    Raises
    ------
    UnsupportedError
        If anything has no counterpart; all is listed.
    """
    import copy

    steps, problems = _straight(copy.deepcopy(module).double().eval())
    if not problems:
        steps, problems = _folded(steps)
    for label, step in steps:
        problems += _module_problems(label, step)
    if problems:
        raise UnsupportedError(problems, "this torch network cannot become a spiking one:")
    return _gathered(steps, shape)


def _straight(module: Any) -> tuple[list[tuple[str, Any]], list[str]]:
    """Return the modules that a forward pass applies, with functions such as ``relu`` as modules."""
    import torch

    traced = torch.fx.symbolic_trace(module)
    modules = dict(traced.named_modules())
    steps: list[tuple[str, Any]] = []
    problems: list[str] = []
    last = None
    for node in traced.graph.nodes:
        if node.op == "placeholder":
            if last is not None:
                problems.append(f"it has more than one input ({node.name!r})")
            last = node
            continue
        if node.op == "output":
            break
        inputs = list(node.all_input_nodes)
        if inputs != [last]:
            found = ", ".join(repr(n.name) for n in inputs) or "nothing"
            problems.append(f"{node.name!r} takes {found}, not the result before it: branches cannot be converted yet")
        last = node
        if node.op == "call_module":
            steps.append((str(node.target), modules[node.target]))
            continue
        called = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
        if called not in FUNCTIONS:
            problems.append(f"{node.name!r} calls {called!r}, which has no counterpart; use a torch.nn module for it")
        else:
            steps.append((node.name, _as_module(FUNCTIONS[called], node)))
    return steps, problems


def _as_module(kind: str, node: Any) -> Any:
    import torch

    if kind != "Flatten":
        return torch.nn.ReLU() if kind == "ReLU" else torch.nn.Identity()
    start = node.args[1] if len(node.args) > 1 else node.kwargs.get("start_dim", 0)
    return torch.nn.Flatten(start)


def _folded(steps: list[tuple[str, Any]]) -> tuple[list[tuple[str, Any]], list[str]]:
    """Leave out what does nothing, and fold batch norms into the layer before: ``w' = w g / sd``."""
    from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

    found: list[tuple[str, Any]] = []
    problems = []
    for label, step in steps:
        kind = type(step).__name__
        if kind in NOTHING:
            continue
        if kind not in NORMS:
            found.append((label, step))
            continue
        before = type(found[-1][1]).__name__ if found else "nothing"
        if before not in ("Linear", "Conv2d") or step.running_mean is None:
            problems.append(
                f"{label!r}: a {kind} stands behind {before}; it can be folded directly behind Linear or Conv2d "
                "only, with running statistics"
            )
            continue
        fuse = fuse_linear_bn_eval if before == "Linear" else fuse_conv_bn_eval
        found[-1] = (found[-1][0], fuse(found[-1][1], step))
    return found, problems


def _module_problems(label: str, module: Any) -> list[str]:
    kind = type(module).__name__
    if kind not in (*LINEAR, *RECTIFIER, *NOTHING, *NORMS):
        advice = ADVICE.get(kind, f"known are {', '.join((*LINEAR, *RECTIFIER, *NORMS, 'Dropout'))}")
        return [f"{label!r}: a {kind} has no counterpart; {advice}"]
    wrong = []
    if kind == "Conv2d" and module.padding_mode != "zeros":
        wrong.append(f"padding_mode={module.padding_mode!r}, known is 'zeros'")
    if kind == "AvgPool2d":
        padded = max(pair(module.padding)) > 0 and not module.count_include_pad
        wrong += ["ceil_mode=True"] * bool(module.ceil_mode) + ["count_include_pad=False"] * padded
        wrong += ["divisor_override"] * (module.divisor_override is not None)
    if kind == "AdaptiveAvgPool2d" and module.output_size not in (1, (1, 1)):
        wrong.append(f"output_size={module.output_size}, known is 1")
    if kind == "Flatten" and (module.start_dim, module.end_dim) != (1, -1):
        wrong.append(f"start_dim={module.start_dim}, end_dim={module.end_dim}, known are 1 and -1")
    return [f"{label!r}: {kind} with {what} cannot be converted" for what in wrong]


def _gathered(steps: list[tuple[str, Any]], shape: Shape) -> list[Layer]:
    layers: list[Layer] = []
    pending: list[Any] = []
    for label, step in steps:
        if type(step).__name__ == "Linear" and len(_shape(pending, shape)) > 1:
            arriving = " x ".join(map(str, _shape(pending, shape)))
            raise UnsupportedError([f"{label!r}: a Linear on an image ({arriving}); put a Flatten before it"])
        if type(step).__name__ in RECTIFIER:
            layers.append(_layer(pending, True, shape))
            pending, shape = [], layers[-1].shape
        else:
            pending.append(step)
    if pending:
        layers.append(_layer(pending, False, shape))
    return layers


def _shape(modules: list[Any], shape: Shape) -> Shape:
    return _layer(modules, False, shape).shape


def _layer(modules: list[Any], rectified: bool, before: Shape) -> Layer:
    import torch

    with torch.no_grad():
        x = torch.zeros((1, *before), dtype=torch.float64)
        for module in modules:
            x = module(x)
    return Layer(tuple(modules), rectified, before, tuple(x.shape[1:]), x[0].numpy())


# -------------------------------------------------------------------------------------------------------------- rules
def rule_of(layer: Layer, scale_in: Vector, scale_out: Vector) -> Weighted:
    """Return the layer's weights times ``scale_in / scale_out``, arrays of the layer's two shapes.

    Scales are equal within a channel, and pools keep channels, so the first weights take the one, the last the other.
    """
    weighted = [k for k, m in enumerate(layer.modules) if hasattr(m, "weight")]
    here, scale = layer.before, scale_in
    rules: list[tuple[Weighted, Shape, Shape]] = []
    if not weighted:
        factors = (_pooled(scale_in, layer) / scale_out).reshape(-1)
        rules.append((Sparse(sparse.diags_array(factors, format="csr")), layer.shape, layer.shape))
    for k, module in enumerate(layer.modules):
        if type(module).__name__ == "Flatten":
            here, scale = (int(np.prod(here)),), scale.reshape(-1)
            continue
        entering = scale if weighted and k == weighted[0] else None
        leaving = scale_out if weighted and k == weighted[-1] else None
        rule, after = _rule(module, here, entering, leaving)
        rules.insert(len(rules) if weighted else len(rules) - 1, (rule, here, after))
        if weighted and k < weighted[0]:
            scale = np.broadcast_to(scale[:, :1, :1], after)
        here = after
    return _joined(rules)


def _pooled(scale: Vector, layer: Layer) -> Vector:
    """Return the scales of a layer without weights behind its pools."""
    if len(layer.shape) == len(layer.before):
        return np.broadcast_to(scale[(slice(None), *[slice(1)] * (scale.ndim - 1))], layer.shape)
    by_channel = scale.reshape(scale.shape[0], -1)[:, 0]
    return np.asarray(np.repeat(by_channel, layer.shape[0] // scale.shape[0]))


def _rule(module: Any, here: Shape, entering: Vector | None, leaving: Vector | None) -> tuple[Weighted, Shape]:
    kind = type(module).__name__
    if kind == "Linear":
        weight = array(module.weight)
        weight = weight if entering is None else weight * entering.reshape(-1)
        weight = weight if leaving is None else weight / leaving.reshape(-1)[:, None]
        return Dense(weight), (len(weight),)
    if kind == "Conv2d":
        weight, groups = array(module.weight), module.groups
        if entering is not None:
            by_group = entering[:, 0, 0].reshape(groups, 1, -1)
            weight = weight * np.repeat(by_group, len(weight) // groups, axis=1).reshape(len(weight), -1, 1, 1)
        if leaving is not None:
            weight = weight / leaving.reshape(leaving.shape[0], -1)[: len(weight), 0].reshape(-1, 1, 1, 1)
        dilation = pair(module.dilation)
        around = paddings(module.padding, (weight.shape[2], weight.shape[3]), dilation)
        return any_conv(weight, here, pair(module.stride), around, dilation, groups)
    if kind == "AdaptiveAvgPool2d":
        module = _Pool(here[1:], here[1:], (0, 0))
    return pool_rule(module, here, "average")


@dataclass(frozen=True)
class _Pool:
    kernel_size: Shape
    stride: Shape
    padding: Shape


def _joined(rules: list[tuple[Weighted, Shape, Shape]]) -> Weighted:
    if len(rules) == 1:
        return rules[0][0]
    if not any(isinstance(rule, Sparse) for rule, _, _ in rules):
        return Chain(tuple(rule for rule, _, _ in rules))
    product: Any = None
    for rule, before, after in rules:
        matrix = rule.matrix(before, after)
        product = matrix if product is None else matrix @ product
    return Sparse(product)
