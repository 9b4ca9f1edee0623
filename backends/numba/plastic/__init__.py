"""Plastic synapses: rows by source that catch up with the post spikes of their targets when they are used."""

from spikesim.backends.numba.plastic.rows import PlasticRows, Room, addresses, room
from spikesim.backends.numba.plastic.source import print_rule

__all__ = ["PlasticRows", "Room", "addresses", "print_rule", "room"]
