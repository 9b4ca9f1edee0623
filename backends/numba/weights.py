"""Weights that are replaced while a program runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import InvalidValueError
from spikesim.graph import Edge
from spikesim.learning import check_weights
from spikesim.lowering import snap
from spikesim.synapses import Constant, Given, Snapped


def checked_weights(edge: Edge, weights: Any, grid: float) -> NDArray[np.float64]:
    """Return new weights of a projection, one number or one per synapse, on its grid (0: there is none).

    Raises
    ------
    InvalidValueError
        If they are not finite, too many or too few, or outside the bounds of a plastic projection.
    """
    name, values = edge.name, snap(weights, grid) if grid else np.asarray(weights, np.float64)
    if not np.isfinite(values).all():
        raise InvalidValueError(f"projection {name!r}: weights must be finite, found NaN or infinity")
    if edge.constant_weight is not None and np.ndim(values) and edge.learning is None:
        raise InvalidValueError(
            f"projection {name!r} was built with one weight for all synapses; give one number, or "
            "build it with an array"
        )
    if np.ndim(values) and np.size(values) != edge.synapses:
        raise InvalidValueError(f"projection {name!r} has {edge.synapses} synapses, found {np.size(values)} weights")
    if edge.learning is not None:
        check_weights(edge, values)
    return np.asarray(values)


def with_weights(edge: Edge, values: NDArray[np.float64], grid: float) -> Edge:
    """Return a projection with other weights (:func:`checked_weights`)."""
    if edge.constant_weight is not None:
        return replace(edge, weight=Constant(float(values)))
    given = Given(np.array(np.broadcast_to(values, edge.synapses), np.float64))
    return replace(edge, weight=Snapped(given, grid) if grid else given)
