"""Encoders: from values to spikes or currents."""
