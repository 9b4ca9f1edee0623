"""What the balanced random networks share."""

from __future__ import annotations

from spikesim.errors import InvalidValueError


def check_size(network: str, n: int, least: int = 10) -> None:
    """Raise if a network cannot have ``n`` neurons."""
    if not isinstance(n, int) or n < least:
        raise InvalidValueError(f"{network}: n must be a whole number of at least {least} neurons, found {n!r}")
