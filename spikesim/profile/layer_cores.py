"""Chips whose cores hold one convolution each: which population goes to which core."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import maximum_bipartite_matching

from spikesim.connect.linear import Chain, Conv2d
from spikesim.graph import Edge, Graph, Node
from spikesim.profile.checks import Check, wall
from spikesim.profile.device import Device
from spikesim.profile.schema import LayerCores


@dataclass(frozen=True)
class Layer:
    """What one population needs: words of kernel and of neuron memory, and the shape of its kernels."""

    name: str
    kernel_words: int
    neuron_words: int
    side: int
    strides: tuple[int, ...]
    features: int


def kernel_words(channels: int, height: int, width: int, features: int) -> int:
    """Return ``c_in 2^(ceil log2(kx ky) + ceil log2 f_out)``.

    >>> kernel_words(2, 3, 3, 8)
    256
    """
    return channels << (_log2(height * width) + _log2(features))


def neuron_words(features: int, height: int, width: int) -> int:
    """Return ``f_out 2^(ceil log2 fx + ceil log2 fy)``.

    >>> neuron_words(8, 30, 30)
    8192
    """
    return features << (_log2(height) + _log2(width))


def _log2(number: int) -> int:
    return max(number - 1, 0).bit_length()


def _kernel(edge: Edge) -> tuple[int, int, int, int, int]:
    """Return input channels, kernel height and width, output channels and stride.

    What is no convolution is a kernel as large as its input, or of one pixel where the input has no shape.
    """
    rule, shape = edge.rule, edge.pattern.pre
    if isinstance(rule, Chain):
        shape = rule.shapes(edge.pattern.pre, edge.pattern.post)[len(rule.rules) - 1]
        rule = rule.rules[-1]
    if isinstance(rule, Conv2d):
        features, channels, height, width = rule.weights.shape
        return channels, height, width, features, rule.stride
    channels, height, width = shape if len(shape) == 3 else (int(np.prod(shape)), 1, 1)
    return channels, height, width, edge.n_post, 1


def layer_of(node: Node, edges: list[Edge]) -> Layer:
    """Return what a population needs; projections into one population keep a kernel each."""
    kernels = [_kernel(e) for e in edges]
    features, height, width = node.shape if len(node.shape) == 3 else (node.n, 1, 1)
    return Layer(
        node.name,
        sum(kernel_words(c, h, w, f) for c, h, w, f, _ in kernels),
        neuron_words(features, height, width),
        max((max(h, w) for _, h, w, _, _ in kernels), default=0),
        tuple(s for *_, s in kernels),
        features,
    )


def assign(layers: list[Layer], cores: LayerCores) -> dict[str, int]:
    """Return the core of as many layers as possible (maximum matching)."""
    allowed = np.array(
        [
            [
                layer.kernel_words <= k and layer.neuron_words <= n
                for k, n in zip(cores.kernel_words, cores.neuron_words, strict=True)
            ]
            for layer in layers
        ]
    ).reshape(len(layers), len(cores.kernel_words))
    found = maximum_bipartite_matching(sparse.csr_array(allowed.astype(np.int8)), perm_type="column")
    return {layer.name: int(core) for layer, core in zip(layers, found, strict=True) if core >= 0}


def layer_checks(graph: Graph, device: Device) -> list[Check]:
    """Compare every population with the cores, then all of them together."""
    cores = device.layer_cores
    if cores is None:
        return []
    layers = [layer_of(n, [e for e in graph.edges if e.post == n.name]) for n in graph.nodes]
    checks = []
    for layer in layers:
        subject = f"population {layer.name!r}"
        reached = len({e.post for e in graph.edges if e.pre == layer.name})
        for rule, used, limit, what in (
            ("kernel_words", layer.kernel_words, max(cores.kernel_words), "words of kernel memory"),
            ("neuron_words", layer.neuron_words, max(cores.neuron_words), "words of neuron memory"),
            ("kernel_side", layer.side, cores.kernel_side, "pixels of kernel side"),
            ("out_features", layer.features, cores.out_features, "output channels"),
            ("target_layers", reached, cores.targets, "populations that it reaches"),
        ):
            checks.append(wall(device, rule, subject, used, limit, what, cores))
        odd = [s for s in layer.strides if s not in cores.strides]
        checks += [
            wall(device, "stride", subject, s, max(cores.strides), f"pixels of stride (of {cores.strides})", cores)
            for s in odd[:1]
        ]
    placed = assign(layers, cores)
    homeless = [repr(layer.name) for layer in layers if layer.name not in placed]
    subject = (
        f"populations {', '.join(homeless)}, for which no core is left," if homeless else f"network {graph.name!r}"
    )
    limit = len(placed) if homeless else len(cores.kernel_words)
    return [*checks, wall(device, "layer_cores", subject, len(layers), limit, "populations with a core each", cores)]
