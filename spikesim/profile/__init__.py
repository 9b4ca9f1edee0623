"""Counts, mapping on a device, energy, report."""
