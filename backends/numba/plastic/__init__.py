"""Plastic synapses: rows by source that catch up with the post spikes of their targets when they are used."""
