"""Equality by content, for the parts of a network."""

from __future__ import annotations


class Value:
    """Equal if everything in it is equal: numbers, arrays, equations.

    The comparison that dataclasses make by default cannot be used, because ``==`` of two arrays is an array.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(self) is not type(other):
            return NotImplemented
        from spikesim.files.storage import fingerprint

        return fingerprint(self) == fingerprint(other)

    def __hash__(self) -> int:
        from spikesim.files.storage import fingerprint

        return hash(fingerprint(self))
