"""All tables of a network, so that each edge is drawn for all its tiles at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from spikesim.backends.numba.build.bits import bitmaps
from spikesim.backends.numba.build.dense import dense
from spikesim.backends.numba.build.rows import rows16
from spikesim.backends.numba.build.segments import Part, segments
from spikesim.graph import Edge

ONE_EDGE: Final[Mapping[str, Callable[..., list[Any]]]] = {"bitmap": bitmaps, "rows": rows16, "dense": dense}


def build(keys: Collection[tuple[Any, ...]], edges: Mapping[str, Edge], threads: int = 1) -> dict[tuple[Any, ...], Any]:
    """Build tables and give back what the edges have drawn on the way.

    Parameters
    ----------
    keys
        What to build: ``("bitmap" | "rows" | "dense", edge, low, high)`` or
        ``("segments", (edge, low, high, cell), ...)`` with edges of one source.
    edges
        By name.
    threads
        How many threads draw; the result does not depend on them.

    Returns
    -------
    dict
        Key to :class:`Bitmap`, :class:`Rows16`, matrix or :class:`Segments`.
    """
    built: dict[tuple[Any, ...], Any] = {}
    for kind, name in dict.fromkeys(key[:2] for key in keys if key[0] in ONE_EDGE):
        mine = sorted({key for key in keys if key[:2] == (kind, name)})
        tables = ONE_EDGE[kind](edges[name], [key[2:4] for key in mine], threads)
        built.update(zip(mine, tables, strict=True))
        edges[name].forget()
    merged: dict[str, list[tuple[Any, ...]]] = {}
    for key in dict.fromkeys(key for key in keys if key[0] == "segments"):
        merged.setdefault(edges[key[1][0]].pre, []).append(key)
    for mine in merged.values():
        tiles = [[Part(edges[name], low, high, cell) for name, low, high, cell in key[1:]] for key in mine]
        used = {part.edge.name: part.edge for tile in tiles for part in tile}.values()
        built.update(zip(mine, segments(tiles, threads), strict=True))
        for edge in used:
            edge.forget()
    return built
