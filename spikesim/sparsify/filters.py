"""Filters of a spiking convolutional network: their gain, their score, and how they are switched off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.connect import Chain, Conv2d
from spikesim.errors import InvalidValueError, NetworkError, UnknownNameError
from spikesim.network import Network, Population, Projection
from spikesim.norm import scaled
from spikesim.rng import Stream

Scores = Mapping[str, NDArray[np.float64]]
"""By projection, one number per filter."""


def filters(network: Network, projections: Sequence[str] | None = None) -> dict[str, int]:
    """Return the number of filters of each convolution, by the projection's name.

    Parameters
    ----------
    network
        The network.
    projections
        Names of the convolutions to look at; all by default.

    Raises
    ------
    NetworkError
        If there is none.
    """
    found = {p.name: len(kernel(p)) for p in network.projections if _convolution(p) is not None}
    if not found:
        raise NetworkError([f"network {network.name!r} has no convolution, hence no filters; add a layer conv2d"])
    for name in projections or ():
        if name not in found:
            raise UnknownNameError("convolution", name, list(found))
    return found if projections is None else {name: found[name] for name in projections}


def kernel(projection: Projection) -> NDArray[np.float64]:
    """Return the weights of a convolution, ``[filters, channels, height, width]``."""
    found = _convolution(projection)
    if found is None:
        raise NetworkError([f"projection {projection.name!r} is {type(projection.rule).__name__}, not a convolution"])
    return np.asarray(found.weights, np.float64)


def _convolution(projection: Projection) -> Conv2d | None:
    rule = projection.rule.rules[-1] if isinstance(projection.rule, Chain) else projection.rule
    return rule if isinstance(rule, Conv2d) else None


def masked(network: Network, masks: Scores) -> Network:
    """Return the network with every filter multiplied by a number: its batch norm's scale, or its weights.

    The shift of a norm and the bias of a neuron stay, as in Li et al. 2023.

    Parameters
    ----------
    network
        The network, with its norms (``train(..., fold=False)``) or without.
    masks
        Factors, ``[filters]``.
    """
    return network.swap(*(_gained(network[name], gain) for name, gain in _fitting(network, masks).items()))


def _gained(projection: Any, gain: NDArray[np.float64]) -> Any:
    if projection.norm is None:
        return replace(projection, rule=scaled(projection.rule, gain))
    norm = projection.norm.spread(len(gain))
    return replace(projection, norm=replace(norm, scale=norm.scale * gain))


def switched_off(network: Network, off: Mapping[str, NDArray[np.bool_]], *, keep_shift: bool = False) -> Network:
    """Return the network without some filters; their neurons stay, but receive nothing and are silent.

    Parameters
    ----------
    network
        The network.
    off
        Which filters, bool ``[filters]``.
    keep_shift
        Leave the norm's shift and the neurons' bias, so that a filter still emits a constant (as the source does).
    """
    found = _fitting(network, off)
    quiet = masked(network, {name: 1.0 - np.asarray(gone, np.float64) for name, gone in found.items()})
    if keep_shift:
        return quiet
    for name, gone in found.items():
        quiet = _without_bias(quiet, quiet[name], np.asarray(gone, bool))
    return quiet


def _without_bias(network: Network, projection: Any, gone: NDArray[np.bool_]) -> Network:
    if projection.norm is not None:
        norm = projection.norm.spread(len(gone))
        network = network.swap(replace(projection, norm=replace(norm, shift=np.where(gone, 0.0, norm.shift))))
    target = network.population(projection.post)
    if "bias" not in target.model.params or not np.any(target.neuron.value("bias")):
        return network
    bias = np.broadcast_to(np.asarray(target.neuron.value("bias"), np.float64), (target.n,))
    left = np.where(np.repeat(gone, target.n // len(gone)), 0.0, bias)
    return network.swap(Population(target.name, target.shape, target.neuron(bias=left)))


def below(scores: Scores, threshold: float) -> dict[str, NDArray[np.bool_]]:
    """Return which filters have a score of at most ``threshold``."""
    return {name: np.asarray(values) <= threshold for name, values in scores.items()}


def lowest(scores: Scores, count: int) -> dict[str, NDArray[np.bool_]]:
    """Return which filters have the ``count`` lowest scores of all layers; among equals the first ones.

    Raises
    ------
    InvalidValueError
        If there are not so many.
    """
    flat = np.concatenate([np.asarray(v, np.float64) for v in scores.values()])
    if not 0 <= count <= flat.size:
        raise InvalidValueError(f"filters to prune: found {count}; allowed is 0 to {flat.size}")
    off = np.zeros(flat.size, bool)
    off[np.argsort(flat, kind="stable")[:count]] = True
    ends = np.cumsum([len(v) for v in scores.values()])[:-1]
    return dict(zip(scores, np.split(off, ends), strict=True))


def by_magnitude(network: Network, projections: Sequence[str] | None = None) -> dict[str, NDArray[np.float64]]:
    """Return a score per filter: the size of its gain where it has a norm, else the mean size of its weights.

    Divided by the layer's mean, so that layers can be compared. Liu et al., "Network Slimming", ICCV 2017 (gain);
    Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017 (weights).
    """
    found = {}
    for name, n in filters(network, projections).items():
        projection: Any = network[name]
        if projection.norm is not None:
            size = np.abs(projection.norm.spread(n).scale)
        else:
            size = np.abs(kernel(projection)).mean((1, 2, 3))
        found[name] = size / (size.mean() or 1.0)
    return found


def at_random(network: Network, seed: int, projections: Sequence[str] | None = None) -> dict[str, NDArray[np.float64]]:
    """Return a random score per filter, uniform from 0 to 1."""
    return {name: Stream(seed, f"sparsify/{name}").uniform(n) for name, n in filters(network, projections).items()}


def _fitting(network: Network, values: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Return one value per filter of the projections named, or say what does not fit."""
    found, problems = {}, []
    for name, n in filters(network, list(values)).items():
        array = np.asarray(values[name])
        if array.shape != (n,) or not np.isfinite(array).all():
            problems.append(f"{name!r} has {n} filters and needs as many finite numbers, found {list(array.shape)}")
        found[name] = array
    if problems:
        raise InvalidValueError("\n".join(problems))
    return found


__all__ = ["at_random", "below", "by_magnitude", "filters", "kernel", "lowest", "masked", "switched_off"]
