"""Smaller networks: filters that are switched off, and the defence that finds the ones of a backdoor."""
