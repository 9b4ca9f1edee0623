"""Last layers that are set aside, one per task."""

from __future__ import annotations

from spikesim.network import Network, Population, Projection


def head(network: Network) -> tuple[Population | Projection, ...]:
    """Return the last population and the projections to it."""
    last = network.populations[-1]
    return (last, *(p for p in network.projections if p.post == last.name))


def head_projections(network: Network) -> frozenset[str]:
    """Return the names of the projections to the last population."""
    return frozenset(part.name for part in head(network) if isinstance(part, Projection))
