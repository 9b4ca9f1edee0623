"""What several rules share."""

from __future__ import annotations

from typing import Any, get_args

from spikesim.errors import UnknownNameError


def choice(kind: str, value: str, choices: Any) -> None:
    """Raise if an option has a value that does not exist."""
    if value not in get_args(choices):
        raise UnknownNameError(kind, value, get_args(choices))


def trace_spikes(nearest: bool) -> dict[str, Any]:
    """Return what spikes do to traces: add 1, or (``nearest``) set to 1."""

    def one(traces: Any, p: Any) -> dict[str, Any]:
        return dict.fromkeys(vars(traces), 1.0)

    return {"pre_spike": one, "post_spike": one} if nearest else {"pre_spike": None, "post_spike": None}
