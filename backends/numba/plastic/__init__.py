"""Plastic synapses: rows by source that catch up with the post spikes of their targets when they are used."""

from spikesim.backends.numba.plastic.rows import PlasticRows, addresses, build, room, row_order
from spikesim.backends.numba.plastic.source import compiled, print_rule

__all__ = ["PlasticRows", "addresses", "build", "compiled", "print_rule", "room", "row_order"]
