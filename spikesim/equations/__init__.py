"""A model's step function, from Python to expressions, derivatives and printed source."""
