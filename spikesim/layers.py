"""A shorthand for layered networks. It builds the same ``Network`` value as populations and projections do.

>>> from spikesim import Input, sequential
>>> from spikesim.layers import conv2d, dense, pool
>>> from spikesim.models.neurons import lif_soft
>>> net = sequential(Input("image", (1, 8, 8), graded=True), conv2d(4, 3), lif_soft(), pool(2), dense(10), lif_soft())
>>> [(p.name, p.shape) for p in net.populations]
[('layer1', (4, 6, 6)), ('layer2', (10,))]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spikesim.connect import Chain, Connection, Conv2d, Dense, Pool2d
from spikesim.distributions import KaimingNormal
from spikesim.errors import InvalidValueError
from spikesim.network import Network, Population, Projection
from spikesim.neuron import Neuron, NeuronModel
from spikesim.rng import Stream
from spikesim.stimulus import Source


@dataclass(frozen=True)
class dense:
    """All-to-all weights.

    Parameters
    ----------
    n
        Number (or shape) of the neurons that follow.
    weights
        A distribution, or an array ``[n, inputs]``.
    delay
        Seconds.
    """

    n: int | tuple[int, ...]
    weights: Any = KaimingNormal()  # noqa: RUF009  (a frozen value)
    delay: float = 0.0

    def rule(self, shape: tuple[int, ...], stream: Stream) -> tuple[Connection, tuple[int, ...]]:
        """Return the connection rule and the shape it leads to."""
        out = (self.n,) if isinstance(self.n, int) else tuple(self.n)
        size = (int(np.prod(out)), int(np.prod(shape)))
        return Dense(_draw(self.weights, size, size[1], stream)), out


@dataclass(frozen=True)
class conv2d:
    """A convolution (cross-correlation, as in torch).

    Parameters
    ----------
    channels
        Output channels.
    kernel
        Height and width of the kernel, or one number for both.
    stride, padding
        As in torch.
    weights
        A distribution, or an array ``[channels, input channels, height, width]``.
    delay
        Seconds.
    """

    channels: int
    kernel: int | tuple[int, int]
    stride: int = 1
    padding: int = 0
    weights: Any = KaimingNormal()  # noqa: RUF009
    delay: float = 0.0

    def rule(self, shape: tuple[int, ...], stream: Stream) -> tuple[Connection, tuple[int, ...]]:
        """Return the connection rule and the shape it leads to."""
        if len(shape) != 3:
            raise InvalidValueError(f"conv2d needs an input of shape (channels, height, width), found {shape}")
        height, width = (self.kernel, self.kernel) if isinstance(self.kernel, int) else self.kernel
        size = (self.channels, shape[0], height, width)
        weights = _draw(self.weights, size, shape[0] * height * width, stream)
        rule = Conv2d(weights, stride=self.stride, padding=self.padding)
        return rule, rule.output_shape(shape)


@dataclass(frozen=True)
class pool:
    """Average or sum pooling.

    Parameters
    ----------
    size
        Side of the square that is pooled.
    stride
        ``size`` by default.
    kind
        ``"average"`` or ``"sum"``.
    """

    size: int
    stride: int | None = None
    kind: str = "average"
    delay: float = 0.0

    def rule(self, shape: tuple[int, ...], stream: Stream) -> tuple[Connection, tuple[int, ...]]:
        """Return the connection rule and the shape it leads to."""
        rule = Pool2d(self.size, stride=self.stride or self.size, kind=self.kind)
        return rule, rule.output_shape(shape)


Linear = dense | conv2d | pool


def _draw(weights: Any, size: tuple[int, ...], fan_in: int, stream: Stream) -> Any:
    if hasattr(weights, "sample"):
        return weights.sample(int(np.prod(size)), stream, fan_in=fan_in).reshape(size)
    array = np.asarray(weights, np.float64)
    if array.shape != size:
        raise InvalidValueError(f"weights need the shape {list(size)}, found {list(array.shape)}")
    return array


def sequential(
    *layers: Source | Linear | Neuron | NeuronModel, dt: float = 1e-3, seed: int = 0, name: str = "sequential"
) -> Network:
    """Build a layered network: a source, then linear layers and neurons in turn.

    Parameters
    ----------
    layers
        A :class:`~spikesim.stimulus.Source` first; then one or more of :class:`dense`, :class:`conv2d`,
        :class:`pool`, then a neuron; and so on. Populations are named ``layer1``, ``layer2``, ...
    dt
        Time step in seconds.
    seed
        Seed of the initial weights and of everything random in the network.
    name
        For people.

    Returns
    -------
    Network
    """
    if not layers or not isinstance(layers[0], Source):
        found = type(layers[0]).__name__ if layers else "nothing"
        raise InvalidValueError(f"sequential begins with a source such as Input('input', 64), found {found}")
    source = layers[0]
    here, shape = source.name, source.shape
    pending: list[Linear] = []
    populations: list[Population] = []
    projections: list[Projection] = []
    for layer in layers[1:]:
        if isinstance(layer, (dense, conv2d, pool)):
            pending.append(layer)
            continue
        if not isinstance(layer, (Neuron, NeuronModel)) or not pending:
            raise InvalidValueError(
                "sequential alternates linear layers (dense, conv2d, pool) and neurons; found "
                f"{type(layer).__name__} after {here!r}"
            )
        target = f"layer{len(populations) + 1}"
        rule, shape = _chain(pending, shape, Stream(seed, f"{here}->{target}/weight"))
        populations.append(Population(target, shape, layer))
        projections.append(Projection(here, target, rule, delay=sum(p.delay for p in pending)))
        here, pending = target, []
    if pending:
        raise InvalidValueError(f"sequential ends with a neuron, found {type(pending[-1]).__name__} after {here!r}")
    return Network(tuple(populations), tuple(projections), (source,), dt=dt, seed=seed, name=name)


def _chain(parts: list[Linear], shape: tuple[int, ...], stream: Stream) -> tuple[Connection, tuple[int, ...]]:
    rules: list[Connection] = []
    for k, part in enumerate(parts):
        rule, shape = part.rule(shape, stream if k == 0 else Stream(stream.seed, f"{stream.name}/{k}"))
        rules.append(rule)
    return (rules[0] if len(rules) == 1 else Chain(tuple(rules))), shape
