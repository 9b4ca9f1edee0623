"""Synapses that are swapped while a network learns: the weakest go, and others take their places.

References: Evci et al., "Rigging the lottery", ICML 2020, arXiv 1911.11134 (growth where the gradient is large); Mocanu
et al., "Scalable training of artificial neural networks with adaptive sparse connectivity", Nature Communications 2018
(growth at random, and the Erdos-Renyi densities). A silent neuron of a spiking network gives gradients of exactly 0,
so ties are common here: synapses that are there never compete for a place, and ties are broken at random.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import InvalidValueError
from spikesim.sparsify.gradual import largest

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Swapped(NamedTuple):
    """A mask after a swap, and which synapses are new (of weight 0, also those that went and came back)."""

    mask: Mask
    grown: Mask


def swap_share(done: float, first: float = 0.5, last: float = 0.005) -> float:
    """Return the share of synapses that are swapped when a share of training is done: half a cosine.

    >>> swap_share(0.0), round(swap_share(1.0), 6)
    (0.5, 0.005)
    """
    return float(last + (first - last) * (1.0 + np.cos(np.pi * done)) / 2.0)


def swap(weight: Floats, mask: Mask, score: Floats, share: float, generator: np.random.Generator) -> Swapped:
    """Replace the weakest synapses of a matrix; their number stays the same.

    Parameters
    ----------
    weight, mask
        Weights, and which of them there are, of one shape.
    score
        Synapses grow where it is largest among those that are not there, the dropped ones included.
    share
        Of the synapses that are dropped, rounded up.
    generator
        Breaks ties.

    Examples
    --------
    >>> weight, score = np.array([3.0, 0.5, 0.0, 0.0]), np.array([9.0, 0.1, 0.3, -0.2])
    >>> swap(weight, weight != 0, score, 0.5, np.random.default_rng(0)).mask.tolist()
    [True, False, True, False]
    """
    there = mask.ravel().copy()
    count = int(np.ceil(share * there.sum())) if share > 0 else 0
    there[largest(np.where(there, -np.abs(weight).ravel(), -np.inf), count, generator)] = False
    grown = np.zeros(there.size, bool)
    grown[largest(np.where(there, -np.inf, np.abs(score).ravel()), count, generator)] = True
    return Swapped((there | grown).reshape(mask.shape), grown.reshape(mask.shape))


def erk_densities(dims: Mapping[str, Sequence[int]], sizes: Mapping[str, int], density: float) -> dict[str, float]:
    """Return Erdos-Renyi-kernel densities: small matrices are denser, and the whole has the density asked for.

    ``d = min(eps * sum(dims) / size, 1)``, with the ``eps`` at which sizes times densities add up.

    Parameters
    ----------
    dims
        Sides of each matrix or kernel, by name.
    sizes
        Weights that it can have; the product of the sides unless it is sparse from the beginning.
    density
        Of all together, 0 to 1.

    Examples
    --------
    >>> found = erk_densities({"a": (100, 100), "b": (100, 5)}, {"a": 10_000, "b": 500}, 0.1)
    >>> round(found["a"], 3), round(found["b"], 3)
    (0.069, 0.723)
    """
    if not 0.0 < density <= 1.0:
        raise InvalidValueError(f"density must be above 0 and at most 1, found {density!r}")
    full: set[str] = set()
    while True:
        open_ = [name for name in dims if name not in full]
        if not open_:
            return dict.fromkeys(dims, 1.0)
        wanted = density * sum(sizes.values()) - sum(sizes[name] for name in full)
        eps = wanted / sum(sum(dims[name]) for name in open_)
        found = {name: eps * sum(dims[name]) / sizes[name] for name in open_}
        over = {name for name, d in found.items() if d > 1.0}
        if not over:
            return {name: found.get(name, 1.0) for name in dims}
        full |= over


def random_masks(
    shapes: Mapping[str, tuple[int, ...]], densities: Mapping[str, float], generator: np.random.Generator
) -> dict[str, Mask]:
    """Return masks of random places; together they have as many as the densities say, rounded once.

    Examples
    --------
    >>> masks = random_masks({"a": (4, 5), "b": (3,)}, {"a": 0.48, "b": 0.8}, np.random.default_rng(0))
    >>> int(masks["a"].sum()), int(masks["b"].sum())
    (10, 2)
    """
    exact = {name: densities[name] * int(np.prod(shape)) for name, shape in shapes.items()}
    counts = {name: int(value) for name, value in exact.items()}
    missing = round(sum(exact.values())) - sum(counts.values())
    for name in sorted(exact, key=lambda n: counts[n] - exact[n])[:missing]:
        counts[name] += 1
    masks = {}
    for name, shape in shapes.items():
        flat = np.zeros(int(np.prod(shape)), bool)
        flat[generator.permutation(flat.size)[: counts[name]]] = True
        masks[name] = flat.reshape(shape)
    return masks
