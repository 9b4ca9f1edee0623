"""Compiled CPU kernels: event-driven synapses, delays, threads."""
