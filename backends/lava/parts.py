"""Which of Lava's processes a population or projection becomes, and its parameters, without importing Lava."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from spikesim.backends.lava.job import one_per_pair, resolved_sign_mode, summed_weights
from spikesim.backends.lava.standalone.lava_network import Part
from spikesim.connect import Conv2d
from spikesim.fixedpoint import IntNetwork, IntPopulation, IntProjection
from spikesim.fixedpoint.run import MESSAGE_BITS

# Below this many entries a matrix costs nothing, above this density a sparse one costs more.
_LARGE, _THIN = 1 << 16, 0.1


Images: TypeAlias = Mapping[str, tuple[Conv2d, tuple[int, ...]]]


def parts_of(network: IntNetwork, images: Images | None = None) -> tuple[list[Part], list[Part]]:
    """Return the populations and the projections of a network that `find_unsupported` has nothing against.

    Parameters
    ----------
    network
        The network.
    images
        By name of a projection: its rule and the shape (channels, height, width) that it comes from. It becomes a
        ``Conv`` process, if it has no delay and no exponent to multiply with.
    """
    projections = []
    for p in network.projections:
        if p.learning is not None:  # made by `learning_connection`
            projections.append(Part(p.name, "LearningDense", {}, p.pre, p.post))
        elif images and p.name in images and not network.graded(p.pre) and p.max_delay == 0 and p.weight_exp <= 0:
            projections.append(convolution(p, *images[p.name]))
        else:
            bits = MESSAGE_BITS if network.graded(p.pre) else 0
            projections.append(connection(p, network.size(p.pre), network.size(p.post), bits))
    return [neurons(p) for p in network.populations], projections


def _one(value: Any) -> int:
    """Take the value that all neurons share."""
    return int(np.ravel(value)[0])


def neurons(p: IntPopulation) -> Part:
    """Return the process of a population."""
    parameters: dict[str, Any] = {
        "shape": (p.n,),
        "u": np.broadcast_to(p.u0, p.n).astype(np.int32),
        "v": np.broadcast_to(p.v0, p.n).astype(np.int32),
        "du": _one(p.du),
        "dv": _one(p.dv),
        "vth": _one(p.vth),
        "bias_mant": np.broadcast_to(p.bias_mant, p.n).astype(np.int32),
        "bias_exp": np.broadcast_to(p.bias_exp, p.n).astype(np.int32),
    }
    if p.reset == "hard" and p.reset_interval:
        interval = {"reset_interval": p.reset_interval, "reset_offset": p.reset_offset}
        return Part(p.name, "LIFReset", {**parameters, **interval})
    if p.reset == "hard":
        return Part(p.name, "LIF", parameters)
    return Part(p.name, "SoftLIF", {**parameters, "quantum": 0 if p.reset == "none" else _one(p.soft_quantum)})


def connection(p: IntProjection, n_pre: int, n_post: int, message_bits: int = 0) -> Part:
    """Return the process of a projection as a matrix."""
    _, first, place = one_per_pair(p)
    target, source = p.indices[first], p.sources[first]
    # Lava truncates the weights itself; only sums of several synapses are handed over truncated.
    weights = p.weights[first].astype(np.int64) if first.size == p.n_synapses else summed_weights(p, place)
    options: dict[str, Any] = {
        "weight_exp": p.weight_exp,
        "num_weight_bits": p.num_weight_bits,
        "num_message_bits": message_bits,
        "sign_mode": resolved_sign_mode(p),
    }
    if p.max_delay == 0 and n_pre * n_post >= _LARGE and first.size < _THIN * n_pre * n_post:
        rows = csr_array((weights, (target, source)), shape=(n_post, n_pre))
        arrays = {"data": rows.data, "indices": rows.indices, "indptr": rows.indptr}
        return Part(p.name, "Sparse", {**arrays, "shape": (n_post, n_pre), **options}, p.pre, p.post)
    matrix = _matrix(weights, target, source, (n_post, n_pre))
    if p.max_delay == 0:
        return Part(p.name, "Dense", {"weights": matrix, **options}, p.pre, p.post)
    each = np.broadcast_to(p.delay, p.n_synapses)[first]
    delays = _matrix(each, target, source, (n_post, n_pre))
    return Part(p.name, "DelayDense", {"weights": matrix, "delays": delays, **options}, p.pre, p.post)


def _matrix(values: Any, rows: Any, columns: Any, shape: tuple[int, int]) -> NDArray[np.int64]:
    matrix = np.zeros(shape, np.int64)
    matrix[rows, columns] = values
    return matrix


def convolution(p: IntProjection, rule: Conv2d, shape: tuple[int, ...]) -> Part:
    """Return the process of a projection as a convolution.

    Lava's is a true convolution over (width, height, channels), so the kernel is turned round. Its fixed-point model
    neither shifts nor truncates the weights, so it gets those that the chip would have after both.
    """
    kernel = rule.weights.astype(np.int64).transpose(0, 3, 2, 1)[:, ::-1, ::-1]
    channels, height, width = shape
    parameters = {
        "weight": np.ascontiguousarray(kernel),
        "input_shape": (width, height, channels),
        "stride": rule.stride,
        "padding": rule.padding,
    }
    return Part(p.name, "Conv", parameters, p.pre, p.post)
