"""Bit-accurate emulator of Loihi's fixed-point neuron."""
