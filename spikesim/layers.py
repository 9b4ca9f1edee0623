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

from spikesim.connect import Chain, Connection, Conv2d, Dense, OneToOne, Pool2d
from spikesim.distributions import KaimingNormal
from spikesim.errors import InvalidValueError, UnknownNameError
from spikesim.network import Network, Population, Projection
from spikesim.neuron import Neuron, NeuronModel
from spikesim.norm import BatchNorm
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


batch_norm = BatchNorm  # of the layer before it: the value itself, with its parameters


@dataclass(frozen=True)
class dropout:
    """Leave elements of the layer before it out while training, for all steps of a sample.

    Parameters
    ----------
    p
        Probability.
    """

    p: float


@dataclass(frozen=True)
class recurrent:
    """Synapses of the neurons before it onto themselves.

    Parameters
    ----------
    weights
        A distribution, a number, or an array: ``[n, n]``, or ``[n]`` one to one.
    kind
        ``"dense"`` or ``"one_to_one"``.
    delay
        Seconds; one step by default.
    """

    weights: Any = KaimingNormal(1.0)  # noqa: RUF009
    kind: str = "dense"
    delay: float | None = None


class skip:
    """A second way to the next neurons, past those between (a residual connection).

    Parameters
    ----------
    *layers
        What lies on it: ``skip(pool(2), conv2d(128, 1), batch_norm())``; nothing is the identity.
    back
        Where it begins: 2 is the population (or the source) before the last.
    """

    def __init__(self, *layers: Linear | BatchNorm | dropout, back: int = 2) -> None:
        self.layers, self.back = layers, back


Linear = dense | conv2d | pool
Layer = Linear | BatchNorm | dropout | recurrent | skip


def _draw(weights: Any, size: tuple[int, ...], fan_in: int, stream: Stream) -> Any:
    if hasattr(weights, "sample"):
        return weights.sample(int(np.prod(size)), stream, fan_in=fan_in).reshape(size)
    array = np.asarray(weights, np.float64)
    array = np.full(size, array) if array.ndim == 0 else array
    if array.shape != size:
        raise InvalidValueError(f"weights need the shape {list(size)}, found {list(array.shape)}")
    return array


def sequential(
    *layers: Source | Layer | Neuron | NeuronModel, dt: float = 1e-3, seed: int = 0, name: str = "sequential"
) -> Network:
    """Build a layered network: a source, then linear layers and neurons in turn.

    Parameters
    ----------
    layers
        A :class:`~spikesim.stimulus.Source` first; then one or more of :class:`dense`, :class:`conv2d`,
        :class:`pool`, then a neuron; and so on. :class:`dropout` comes before linear layers, :class:`batch_norm`
        and :class:`skip` between them and the neuron, :class:`recurrent` after it. Populations are named ``layer1``,
        ``layer2``, ...
    dt
        Time step in seconds.
    seed
        Seed of the initial weights and of everything random in the network.
    name
        For people.

    Returns
    -------
    Network

    Examples
    --------
    >>> from spikesim.layers import batch_norm, conv2d, dense, pool, skip
    >>> from spikesim.models.neurons import lif_soft
    >>> from spikesim.stimulus import Input
    >>> block = (conv2d(8, 3, padding=1), batch_norm(), lif_soft(), conv2d(8, 3, padding=1), batch_norm(), skip())
    >>> stem = (Input("image", (3, 8, 8), graded=True), conv2d(8, 3, padding=1), batch_norm(), lif_soft())
    >>> net = sequential(*stem, *block, lif_soft(), pool(8), dense(10), lif_soft())
    >>> [p.name for p in net.projections]
    ['image->layer1', 'layer1->layer2', 'layer2->layer3', 'layer1->layer3', 'layer3->layer4']
    """
    if not layers or not isinstance(layers[0], Source):
        found = type(layers[0]).__name__ if layers else "nothing"
        raise InvalidValueError(f"sequential begins with a source such as Input('input', 64), found {found}")
    builder = _Builder(layers[0], dt, seed)
    for layer in layers[1:]:
        builder.add(layer)
    if builder.pending or builder.skips:
        last = (*builder.pending, *builder.skips)[-1]
        found = type(last).__name__
        raise InvalidValueError(f"sequential ends with a neuron, found {found} after {builder.senders[-1][0]!r}")
    parts = (tuple(builder.populations), tuple(builder.projections), (layers[0],))
    return Network(*parts, dt=dt, seed=seed, name=name)


class _Builder:
    """A layered network under construction: who may send so far, and what waits for the next neuron."""

    def __init__(self, source: Source, dt: float, seed: int) -> None:
        self.dt, self.seed = dt, seed
        self.senders: list[tuple[str, tuple[int, ...]]] = [(source.name, source.shape)]
        self.pending: list[Linear | BatchNorm | dropout] = []
        self.skips: list[skip] = []
        self.populations: list[Population] = []
        self.projections: list[Projection] = []

    def add(self, layer: Any) -> None:
        """Take the next layer."""
        if isinstance(layer, (dense, conv2d, pool, BatchNorm, dropout)) and not self.skips:
            self.pending.append(layer)
        elif isinstance(layer, skip) and self.pending:
            self.skips.append(layer)
        elif isinstance(layer, recurrent) and self.populations and not self.pending:
            self.projections.append(self._loop(layer))
        elif isinstance(layer, (Neuron, NeuronModel)) and self.pending:
            self._neurons(layer)
        else:
            raise InvalidValueError(
                "sequential alternates linear layers (dense, conv2d, pool) and neurons; dropout comes before, "
                "batch_norm and then skip after linear layers, recurrent after a neuron; found "
                f"{type(layer).__name__} after {self.senders[-1][0]!r}"
            )

    def _neurons(self, neuron: Neuron | NeuronModel) -> None:
        target = f"layer{len(self.populations) + 1}"
        main, shape = _way(self.senders[-1], target, self.pending, self.seed)
        ways = [main, *(self._skip(s, target, shape) for s in self.skips)]
        self.populations.append(Population(target, shape, neuron))
        self.projections += ways
        self.senders.append((target, shape))
        self.pending, self.skips = [], []

    def _skip(self, layer: skip, target: str, shape: tuple[int, ...]) -> Projection:
        if not 2 <= layer.back <= len(self.senders):
            raise InvalidValueError(
                f"skip to {target!r}: back must be from 2 to {len(self.senders)}, the number of what lies before it, "
                f"found {layer.back!r}"
            )
        sender = self.senders[-layer.back]
        if layer.layers:
            way, found = _way(sender, target, list(layer.layers), self.seed)
        else:
            way, found = Projection(sender[0], target, OneToOne(), weight=1.0), sender[1]
        if found != shape:
            raise InvalidValueError(
                f"skip from {sender[0]!r} to {target!r} leads to the shape {found}, needed is {shape}; put layers on "
                "it that lead there, for example skip(pool(2), conv2d(128, 1))"
            )
        return way

    def _loop(self, layer: recurrent) -> Projection:
        here, shape = self.senders[-1]
        n, delay = int(np.prod(shape)), self.dt if layer.delay is None else layer.delay
        stream = Stream(self.seed, f"{here}->{here}/weight")
        if layer.kind == "dense":
            return Projection(here, here, Dense(_draw(layer.weights, (n, n), n, stream)), delay=delay)
        if layer.kind == "one_to_one":
            return Projection(here, here, OneToOne(), _draw(layer.weights, (n,), 1, stream), delay)
        raise UnknownNameError("kind of recurrent", layer.kind, ["dense", "one_to_one"])


def _way(
    sender: tuple[str, tuple[int, ...]], target: str, layers: list[Any], seed: int
) -> tuple[Projection, tuple[int, ...]]:
    """Return the projection that some layers make up, and the shape that it leads to."""
    name, shape = sender
    left_out = layers.pop(0).p if isinstance(layers[0], dropout) else 0.0
    norm = layers.pop() if layers and isinstance(layers[-1], BatchNorm) else None
    if not layers or not all(isinstance(part, (dense, conv2d, pool)) for part in layers):
        found = ", ".join(type(part).__name__ for part in layers) or "no linear layer"
        raise InvalidValueError(
            f"between {name!r} and {target!r} stand dropout (if any), linear layers (dense, conv2d, pool) and "
            f"batch_norm (if any), in this order; found {found}"
        )
    rule, shape = _chain(layers, shape, Stream(seed, f"{name}->{target}/weight"))
    delay = sum(part.delay for part in layers)
    return Projection(name, target, rule, delay=delay, norm=norm, dropout=left_out), shape


def _chain(parts: list[Linear], shape: tuple[int, ...], stream: Stream) -> tuple[Connection, tuple[int, ...]]:
    rules: list[Connection] = []
    for k, part in enumerate(parts):
        rule, shape = part.rule(shape, stream if k == 0 else Stream(stream.seed, f"{stream.name}/{k}"))
        rules.append(rule)
    return (rules[0] if len(rules) == 1 else Chain(tuple(rules))), shape
