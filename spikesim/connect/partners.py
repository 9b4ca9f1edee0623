"""Random choices behind the connection rules: chosen pairs, and distinct partners. The same on every platform."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from spikesim.equations.elementary import log
from spikesim.equations.inversion import below
from spikesim.errors import InvalidValueError
from spikesim.rng import MAX_SUBSTEP, Stream, substep

Keys = NDArray[np.int64]

CHUNK: Final = 1 << 16  # numbers per pass: small enough for the cache
TABLE: Final = 1 << 22  # entries of a table of words that is ranked at once


def log_of_complement(p: float) -> float:
    """Return log(1 - p), precise for small p too.

    >>> log_of_complement(1e-20)
    -1e-20
    """
    if p < 1e-3:
        return -p * (1 + p * (1 / 2 + p * (1 / 3 + p * (1 / 4 + p * (1 / 5 + p / 6)))))
    return float(log(1.0 - p))


def words_for(total: int, p: float) -> int:
    """Return how many random words almost surely suffice to choose from ``total`` numbers with probability ``p``."""
    expected = total * p
    return int(expected + 6 * np.sqrt(expected) + 16)


def chosen(total: int, p: float, stream: Stream) -> Keys:
    """Choose each of ``total`` numbers with probability ``p`` below 1: the gaps between them are geometric.

    Parameters
    ----------
    total
        The numbers 0 ... total - 1 are chosen from.
    p
        Probability.
    stream
        Where the random numbers come from.

    Returns
    -------
    int64, ascending
    """
    if p == 0.0 or total == 0:
        return np.zeros(0, np.int64)
    pieces, last, step = [], -1, 0
    scale = log_of_complement(p)
    while last < total:
        words = stream.bits(words_for(total - last, p), step=step)
        for first in range(0, len(words), CHUNK):
            u = (words[first : first + CHUNK] + 1.0) * 2.0**-32  # in (0, 1]
            gaps = np.minimum(np.floor(log(u) / scale), float(total))  # a tiny p must not leave the integers
            pieces.append(last + np.cumsum(1 + gaps.astype(np.int64)))
            last = int(pieces[-1][-1])
        step += 1
    found = np.concatenate(pieces)
    return np.asarray(found[: np.searchsorted(found, total)], np.int64)


def distinct(wanted: int, n: int, stream: Stream, rows: int, keep: Keys | None = None) -> Keys:
    """Choose distinct partners, all sets of them equally likely.

    Parameters
    ----------
    wanted
        Partners of every row.
    n
        Partners there are; at least ``wanted``.
    stream
        Where the random numbers come from.
    rows
        Who chooses.
    keep
        Ascending ``row * n + partner`` of the partners that are chosen already.

    Returns
    -------
    int64[rows * wanted]
        ``row * n + partner``, ascending.
    """
    have = np.zeros(0, np.int64) if keep is None else keep
    if 2 * wanted <= n:
        return _completed(have, wanted, n, stream, rows)
    return _ranked(have, wanted, n, stream, rows)


def _completed(keys: Keys, wanted: int, n: int, stream: Stream, rows: int) -> Keys:
    """Draw what is missing, again and again; at least half of the draws are new.

    The procedure treats all partners alike, hence so does the outcome.
    """
    for attempt in range(MAX_SUBSTEP):
        have = np.bincount(keys // n, minlength=rows)
        lack = wanted - have
        missing = int(lack.sum())
        if not missing:
            return keys
        row = np.repeat(np.arange(rows), lack)
        if missing == rows * wanted:
            words = stream.wide(missing, substep(0, attempt))
        else:
            place = np.arange(missing) - (np.cumsum(lack) - lack)[row] + have[row]
            words = stream.wide_at(row * wanted + place, substep(0, attempt))
        keys = np.sort(np.concatenate([keys, row * n + below(words, n)]))
        keys = keys[np.concatenate([[True], keys[1:] != keys[:-1]])]
    raise InvalidValueError(f"stream {stream.name!r}: no {wanted} different partners of {n} were found; draw fewer")


def _ranked(keys: Keys, wanted: int, n: int, stream: Stream, rows: int) -> Keys:
    """Take the partners with the smallest random words, after those that are kept: quick where most are taken."""
    if wanted == n:
        return np.arange(rows * n)
    pieces, height = [], max(1, TABLE // n)
    for top in range(0, rows, height):
        count = min(height, rows - top) * n
        ranks = stream.wide(count, offset=top * n) >> np.uint64(1)
        ranks += np.uint64(1)
        first, last = np.searchsorted(keys, [top * n, top * n + count])
        ranks[keys[first:last] - top * n] = 0
        smallest = np.argpartition(ranks.reshape(-1, n), wanted - 1, axis=1)[:, :wanted]
        pieces.append(np.sort(smallest, axis=1) + np.arange(top, top + len(smallest))[:, None] * n)
    return np.concatenate(pieces).reshape(-1)
