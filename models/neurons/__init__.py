"""Neuron models, one per file."""
