"""What tensor functions between the layers of a torch module do to the signals that pass through them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from spikesim.connect.base import Shape, elements
from spikesim.convert.image_rules import array
from spikesim.convert.signals import Signal, plus
from spikesim.convert.torch_layers import LAYERS, AvgPool2d, apply_layer, linear

SAME = frozenset("clone contiguous detach detach_ float double to type type_as requires_grad_ data cpu cuda".split())
SPREADING = frozenset("expand expand_as repeat tile".split())
SHAPING = frozenset("view reshape flatten squeeze unsqueeze ravel unflatten view_as reshape_as".split())
MOVING = frozenset("permute transpose movedim swapaxes".split())
ADDING = frozenset("add add_ __add__ __radd__ __iadd__".split())
TAKING = frozenset("sub sub_ __sub__ __isub__ subtract".split())
TIMES = frozenset("mul mul_ __mul__ __rmul__ __imul__ multiply".split())
OVER = frozenset("div div_ __truediv__ __itruediv__ true_divide divide".split())
DROPPING = frozenset("dropout dropout1d dropout2d feature_dropout".split())


class Operands:
    """Arguments of a tensor function.

    Parameters
    ----------
    args, kwargs
        As they were given.
    out
        What came out.
    signal_of
        The signal of a tensor, or None.
    """

    def __init__(self, args: Sequence[Any], kwargs: dict[str, Any], out: Any, signal_of: Callable[[Any], Any]) -> None:
        self.args, self.kwargs, self.out, self.signal_of = args, kwargs, out, signal_of

    def signal(self, k: int) -> Signal:
        """Return an argument as a signal; a tensor that no signal is known of is a constant."""
        value = self.args[k]
        found = self.signal_of(value)
        return found if found is not None else constant(value, self.out)

    def number(self, k: int) -> Any:
        """Return an argument as a constant, or None if it is a signal."""
        value = self.args[k]
        return None if self.signal_of(value) is not None else value


def constant(value: Any, like: Any) -> Signal:
    """Return a number or tensor that every sample shares as a signal; ``like`` is the tensor that it is added to."""
    if not hasattr(value, "dim"):
        return Signal(offset=np.float64(value))
    if value.dim() == 0:
        return Signal(offset=array(value))
    spread = array(value.expand(like.shape)) if hasattr(like, "shape") and like.dim() >= value.dim() else array(value)
    rows = spread.reshape(len(spread), -1) if spread.ndim > 1 else spread.reshape(1, -1)
    if (rows != rows[:1]).any():
        return Signal(unknown="a constant that differs from sample to sample")
    return Signal(offset=rows[0], shape=spread.shape[1:] if spread.ndim > 1 else spread.shape)


def reshaped(signal: Signal, shape: Sequence[int]) -> Signal:
    """Return a signal whose tensor has got another shape; its last dimensions must hold one sample's values."""
    if signal.shape is None:
        return signal
    n = elements(signal.shape)
    for k in range(len(shape) - 1, -1, -1):
        if elements(tuple(shape[k:])) == n:
            return signal.shaped(tuple(int(d) for d in shape[k:]))
    return Signal(unknown="a change of shape that tears the values of one sample apart")


def _moved(name: str, signal: Signal, given: Any, out: Any) -> Signal:
    """Follow a permutation: one sample's values must stay together, at the end and in order."""
    shape: Shape | None = signal.shape
    if shape is None:
        return signal
    kept = len(shape)
    kept = kept if tuple(given.shape[-kept:]) == shape else 1
    strides = given.stride()[-kept:] == out.stride()[-kept:] and given.shape[-kept:] == out.shape[-kept:]
    return signal if strides else Signal(unknown=f"{name} of one sample's values")


def _spread(name: str, signal: Signal, given: Any, out: Any) -> Signal:
    """Follow a repetition: over steps or samples, never of one sample's values."""
    kept = given.dim() - 1 if signal.shape is None else len(signal.shape)
    leads = signal.shape is not None or given.shape[0] == 1 or out.dim() > given.dim()
    same = out.shape[-kept:] == given.shape[-kept:] if kept else True
    return signal if leads and same else Signal(unknown=f"{name} of one sample's values")


def added(a: Signal, b: Signal, weight: Any = 1.0) -> Signal:
    """Return ``a + weight b``."""
    return plus(a, b.times(float(weight)) if weight != 1.0 else b)


def stacked(parts: Sequence[Signal | None]) -> Signal:
    """Return steps that were stacked: one signal that holds for every step, where they are the steps 0, 1, ..."""
    first = parts[0]
    known = [p for p in parts if p is not None]
    if first is None or len(known) < len(parts) or any(p.unknown for p in known):
        return Signal(unknown="a stack of what is no layer's output")
    same = all(p.key == first.key and set(p.steps) == {k} for k, p in enumerate(known))
    return first.at((None,) * len(first.paths)) if same else Signal(unknown="a stack", parts=tuple(known))


def step_index(index: Any) -> int | None:
    """Return the step that an index takes out of a tensor, or None if it does something else.

    >>> step_index(3), step_index((slice(None), 2)), step_index(slice(0, 2))
    (3, 2, None)
    """
    items = index if isinstance(index, tuple) else (index,)
    numbers = [i for i in items if not isinstance(i, slice) and i is not Ellipsis]
    whole = all(i == slice(None) for i in items if isinstance(i, slice))
    if len(numbers) != 1 or not whole or isinstance(numbers[0], bool):
        return None
    try:
        return int(numbers[0].__index__())
    except (AttributeError, TypeError, ValueError):
        return None


def indexed(signal: Signal, index: Any, out: Any) -> Signal:
    """Return one step of a signal that holds for every step."""
    step = step_index(index)
    if step is None or step < 0:
        return Signal(unknown="an index that takes a part of the values")
    if any(s is not None for s in signal.steps):
        return Signal(unknown="an index into the values of one step")
    return signal.at((step,) * len(signal.paths))


def follow(name: str, given: Operands) -> Signal:
    """Return the signal that comes out of a tensor function.

    Parameters
    ----------
    name
        Name of the function.
    given
        Its arguments and result.
    """
    first: Signal | None = given.signal_of(given.args[0]) if given.args else None
    if first is not None and first.unknown and name not in ("stack", "sum"):
        return first
    if name in ADDING or name in TAKING:
        weight = float(given.kwargs.get("alpha", 1.0)) * (-1.0 if name in TAKING else 1.0)
        return added(given.signal(0), given.signal(1), weight)
    if name in ("rsub", "__rsub__"):
        return added(given.signal(1), given.signal(0), -1.0)
    if name in TIMES or name in OVER:
        return _product(given, over=name in OVER)
    if first is None:
        return Signal(unknown=f"the function {name!r}")
    if name in SAME:
        return first
    if name in ("neg", "__neg__"):
        return first.times(-1.0)
    if name in MOVING:
        return _moved(name, first, given.args[0], given.out)
    if name in SHAPING:
        return reshaped(first, given.out.shape)
    if name in SPREADING:
        return _spread(name, first, given.args[0], given.out)
    if name in DROPPING and bool((given.args[0] == given.out).all()):
        return first
    return _layer_function(name, first, given)


def _product(given: Operands, over: bool) -> Signal:
    a, b = given.number(0), given.number(1)
    if a is not None and not over:
        a, b, signal = b, a, given.signal(1)
    else:
        signal = given.signal(0)
    if b is None or a is not None:
        return Signal(unknown="a product of two signals" if not over else "a quotient")
    factor = array(b)
    if factor.size != 1:
        return Signal(unknown="a product with a tensor (make it a layer)")
    value = float(factor.reshape(-1)[0])
    return signal.times(1.0 / value if over else value)


def _layer_function(name: str, signal: Signal, given: Operands) -> Signal:
    """Follow the functional form of a layer."""
    x, rest = given.args[0], [*given.args[1:], *given.kwargs.values()]
    if name == "linear":
        weight, bias = rest[0], rest[1] if len(rest) > 1 else None
        return linear(weight, bias, (name, id(weight)), signal, (int(x.shape[-1]),))
    if name in ("matmul", "mm", "__matmul__") and rest and rest[0].dim() == 2 and given.number(1) is not None:
        return linear(rest[0].t(), None, (name, id(rest[0])), signal, (int(x.shape[-1]),))
    if name == "avg_pool2d":
        names = ("kernel_size", "stride", "padding")
        options = {**dict(zip(names, given.args[1:], strict=False)), **given.kwargs}
        if set(options) <= set(names):
            size = options["kernel_size"]
            layer = AvgPool2d(size, options.get("stride") or size, options.get("padding", 0))
            return apply_layer(LAYERS["torch.AvgPool2d"], layer, f"{name} {size}", signal, tuple(x.shape))
    return Signal(unknown=f"the function {name!r}")
