"""Connection rules: who is connected to whom. A rule is a value; it is drawn when the network is lowered.

Rules give rows by source: ``indices[indptr[i] : indptr[i + 1]]`` are the targets of source ``i``, sorted. Shapes are
``(channels, height, width)``; elements are numbered in C order.
"""

from spikesim.connect.base import Connection, Rows
from spikesim.connect.linear import Chain, Conv2d, Dense, Pool2d, Sparse, Weighted
from spikesim.connect.rules import (
    AllToAll,
    FixedIndegree,
    FixedOutdegree,
    FixedProbability,
    FixedTotalNumber,
    OneToOne,
    SmallWorld,
)

CONNECTIONS: dict[str, type[Connection]] = {
    c.__name__: c
    for c in (
        AllToAll,
        OneToOne,
        FixedProbability,
        FixedIndegree,
        FixedOutdegree,
        FixedTotalNumber,
        SmallWorld,
        Dense,
        Sparse,
        Conv2d,
        Pool2d,
        Chain,
    )
}

__all__ = [
    "CONNECTIONS",
    "AllToAll",
    "Chain",
    "Connection",
    "Conv2d",
    "Dense",
    "FixedIndegree",
    "FixedOutdegree",
    "FixedProbability",
    "FixedTotalNumber",
    "OneToOne",
    "Pool2d",
    "Rows",
    "SmallWorld",
    "Sparse",
    "Weighted",
]
