"""Random numbers as functions of (seed, stream, step, index): no state, the same on every backend and thread count.

The generator is Threefry4x32-20 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
A :class:`Stream` has a seed and a *name*; what is drawn from one stream never changes what another gives, so adding a
projection leaves the rest of a network as it was.

Layout: index ``i`` takes word ``(i >> 4) & 3`` of the counter ``(i >> 6) * 16 + (i & 15)``. The four counter words are
(counter, low half of the step, stream id, high half of the step); the key is the seed. Steps stay below 2**48: the 15
bits above number *sub-draws*, for methods that need more than one word for an index (:func:`substep`).
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikesim.equations.inversion import (
    POISSON_MAX_MEAN,
    below,
    inverse_normal,
    open_uniform,
    poisson_parts,
    poisson_thresholds,
)
from spikesim.errors import InvalidValueError

__all__ = [
    "MAX_STEP",
    "POISSON_MAX_MEAN",
    "Stream",
    "compiled",
    "poisson_parts",
    "poisson_thresholds",
    "stream_id",
    "substep",
    "threefry",
]

Words: TypeAlias = NDArray[np.uint32]

#: Above this many words a compiled kernel is worth the import of numba; above the second one, its call.
COMPILED_FROM: Final = 1_000_000
CALLED_FROM: Final = 256
MAX_STEP: Final = 2**48
MAX_INDEX: Final = 2**34
MAX_SUBSTEP: Final = 2**15

_ROTATIONS: Final = ((10, 26), (11, 21), (13, 27), (23, 5), (6, 20), (17, 11), (25, 10), (18, 20))
_PARITY: Final = 0x1BD11BDA
_CHUNK: Final = 1 << 16


def threefry(c0: Words, c1: int, c2: int, c3: int, k0: int, k1: int) -> tuple[Words, Words, Words, Words]:
    """Threefry4x32-20 of the counters (c0[i], c1, c2, c3) with the key (k0, k1, 0, 0).

    Parameters
    ----------
    c0
        uint32[n], not changed.
    c1, c2, c3, k0, k1
        Integers below 2**32.

    Returns
    -------
    tuple of four uint32[n]

    Examples
    --------
    >>> [f"{int(word[0]):08x}" for word in threefry(np.zeros(1, np.uint32), 0, 0, 0, 0, 0)]
    ['9c6ca96a', 'e17eae66', 'fc10ecd4', '5256a7d8']
    """
    key = (k0, k1, 0, 0, _PARITY ^ k0 ^ k1)
    x = [c0 + np.uint32(k0)] + [np.full_like(c0, (c + k) & 0xFFFFFFFF) for c, k in ((c1, k1), (c2, 0), (c3, 0))]
    spare = np.empty_like(c0)
    for r in range(20):
        partners = (1, 3) if r % 2 == 0 else (3, 1)
        for a, b, rotation in zip((0, 2), partners, _ROTATIONS[r % 8], strict=True):
            x[a] += x[b]
            np.right_shift(x[b], np.uint32(32 - rotation), out=spare)
            x[b] <<= np.uint32(rotation)
            x[b] |= spare
            x[b] ^= x[a]
        if r % 4 == 3:
            s = r // 4 + 1
            for i in range(4):
                x[i] += np.uint32((key[(s + i) % 5] + (s if i == 3 else 0)) & 0xFFFFFFFF)
    return x[0], x[1], x[2], x[3]


def substep(step: int, number: int) -> int:
    """Step that holds the sub-draws `number` (0 is the step itself).

    Examples
    --------
    >>> substep(7, 0), substep(7, 1) == 7 + 2**48
    (7, True)
    """
    if not 0 <= number < MAX_SUBSTEP:
        raise InvalidValueError(f"sub-draw number {number} is outside 0 to {MAX_SUBSTEP - 1}")
    return step | (number << 48)


def compiled(n: int) -> bool:
    """Tell whether ``n`` numbers are drawn by a compiled kernel; they are the same either way.

    Examples
    --------
    >>> compiled(10), compiled(COMPILED_FROM)
    (False, True)
    """
    return n >= COMPILED_FROM or (n >= CALLED_FROM and "numba" in sys.modules)


def stream_id(name: str) -> int:
    """32-bit number of a stream name (blake2b).

    Examples
    --------
    >>> stream_id("input") == stream_id("input") != stream_id("input 2")
    True
    """
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest(), "little")


@dataclass(frozen=True)
class Stream:
    """Random numbers of one consumer.

    Every method gives the draws of the indices ``offset`` ... ``offset + n - 1`` at a step; each is a function of
    (seed, name, step, index) alone.

    Parameters
    ----------
    seed
        Integer from 0 to 2**64 - 1.
    name
        Who draws, for example ``"projection exc->inh/weights"``.

    Raises
    ------
    InvalidValueError
        The seed is not such an integer.

    Examples
    --------
    >>> noise = Stream(seed=1, name="noise")
    >>> bool((noise.bits(100, step=3)[40:] == noise.bits(60, step=3, offset=40)).all())
    True
    """

    seed: int
    name: str

    def __post_init__(self) -> None:
        """Check the seed."""
        if isinstance(self.seed, bool) or not isinstance(self.seed, (int, np.integer)) or not 0 <= self.seed < 2**64:
            raise InvalidValueError(f"seed is {self.seed!r}; give an integer from 0 to 2**64 - 1")

    @cached_property
    def id(self) -> int:
        """32-bit number of the stream."""
        return stream_id(self.name)

    @property
    def key(self) -> tuple[int, int]:
        """Low and high half of the seed."""
        return int(self.seed) & 0xFFFFFFFF, int(self.seed) >> 32

    def child(self, name: str) -> Stream:
        """Stream of the same seed whose name is this one's, a slash, and `name`.

        Examples
        --------
        >>> Stream(1, "a").child("weights").name
        'a/weights'
        """
        return Stream(self.seed, f"{self.name}/{name}")

    def _blocks(self, counters: Words, step: int) -> tuple[Words, Words, Words, Words]:
        return threefry(counters, step & 0xFFFFFFFF, self.id, step >> 32, *self.key)

    def bits_at(self, index: ArrayLike, step: int = 0) -> Words:
        """Draw words for any indices (an integer array of any shape), the same that :meth:`bits` gives for them."""
        i = np.asarray(index, dtype=np.int64)
        flat = i.ravel()
        counters = ((flat >> 6) * 16 + (flat & 15)).astype(np.uint32)
        word = (flat >> 4) & 3
        return np.choose(word, self._blocks(counters, step)).reshape(i.shape)

    def bits(self, n: int, step: int = 0, offset: int = 0) -> Words:
        """Draw uniform 32-bit words.

        Parameters
        ----------
        n
            How many.
        step
            Time step or any other integer, 0 to 2**48 - 1 (above: sub-draws, see :func:`substep`).
        offset
            First index; indices stay below 2**34.

        Returns
        -------
        uint32[n]
        """
        if n < 0 or step < 0 or offset < 0 or offset + n > MAX_INDEX or step >= 2**63:
            raise InvalidValueError(
                f"cannot draw {n} numbers from index {offset} at step {step}; none may be negative, "
                "indices end at 2**34 and steps at 2**48"
            )
        if compiled(n):
            from spikesim.equations.random_kernels import fill_bits

            out = np.empty(n, dtype=np.uint32)
            fill_bits(out, step, self.id, *self.key, offset)
            return out
        first, last = offset >> 6, -(-(offset + n) // 64)
        out = np.empty(((last - first), 4, 16), dtype=np.uint32)
        for start in range(0, last - first, _CHUNK // 16):
            part = out[start : start + _CHUNK // 16]
            counters = np.arange(16 * (first + start), 16 * (first + start + len(part)), dtype=np.uint32)
            for w, words in enumerate(self._blocks(counters, step)):
                part[:, w, :] = words.reshape(-1, 16)
        return out.reshape(-1)[offset - 64 * first :][:n]

    def wide(self, n: int, step: int = 0, offset: int = 0) -> NDArray[np.uint64]:
        """Draw uniform 64-bit words: indices 2i and 2i + 1 of :meth:`bits` are the high and low half of index i."""
        pairs = self.bits(2 * n, step, 2 * offset).astype(np.uint64)
        return (pairs[0::2] << np.uint64(32)) | pairs[1::2]

    def wide_at(self, index: ArrayLike, step: int = 0) -> NDArray[np.uint64]:
        """Draw 64-bit words for any indices (an integer array), the same that :meth:`wide` gives for them."""
        i = np.asarray(index, dtype=np.int64)
        high, low = self.bits_at(2 * i, step), self.bits_at(2 * i + 1, step)
        return (high.astype(np.uint64) << np.uint64(32)) | low

    def uniform(self, n: int, step: int = 0, offset: int = 0) -> NDArray[np.float64]:
        """Draw uniform numbers in [0, 1): a 32-bit word times 2**-32, hence exact on every backend.

        Returns
        -------
        float64[n]
        """
        return np.multiply(self.bits(n, step, offset), 2.0**-32, dtype=np.float64)

    def bernoulli(self, n: int, p: ArrayLike, step: int = 0, offset: int = 0) -> NDArray[np.bool_]:
        """Draw True with probability `p`, rounded to a multiple of 2**-32.

        Parameters
        ----------
        n, step, offset
            See :meth:`bits`.
        p
            Probability, a number or one per draw (shape (n,)).

        Returns
        -------
        bool[n]
        """
        chance = np.asarray(p, dtype=np.float64)
        if not ((chance >= 0) & (chance <= 1)).all():
            raise InvalidValueError(f"probability {p!r} is outside 0 to 1")
        return self.bits(n, step, offset) < np.rint(chance * 2.0**32)

    def integers(self, n: int, high: int, step: int = 0, offset: int = 0) -> NDArray[np.int64]:
        """Draw integers in [0, high) as floor(64-bit word * high / 2**64): biased by less than high * 2**-64.

        Parameters
        ----------
        n, step, offset
            See :meth:`bits`.
        high
            Bound, 1 to 2**62.

        Returns
        -------
        int64[n]
        """
        return below(self.wide(n, step, offset), high)

    def normal(self, n: int, step: int = 0, offset: int = 0) -> NDArray[np.float64]:
        """Draw standard normal numbers by inversion of a 52-bit uniform number (for building networks).

        Returns
        -------
        float64[n]
            The same bits on every platform: the inverse uses only the library's own logarithm.
        """
        return inverse_normal(open_uniform(self.wide(n, step, offset)))

    def poisson(self, n: int, mean: float, step: int = 0, offset: int = 0) -> NDArray[np.int32]:
        """Draw Poisson counts by inversion of 32-bit words (:func:`poisson_thresholds`).

        A mean above 6 is a sum of ``k = ceil(mean / 6)`` counts of mean ``mean / k``; part j uses ``substep(step, j)``.

        Parameters
        ----------
        n, step, offset
            See :meth:`bits`.
        mean
            Mean count, 0 to below 196608.

        Returns
        -------
        int32[n]
        """
        parts, part_mean = poisson_parts(mean)
        thresholds = poisson_thresholds(part_mean)
        out = np.zeros(n, dtype=np.int32)
        for part in range(parts):
            self._add_poisson(out, thresholds, substep(step, part), offset)
        return out

    def _add_poisson(self, out: NDArray[np.int32], thresholds: Words, step: int, offset: int) -> None:
        if out.size >= COMPILED_FROM:
            from spikesim.equations.random_kernels import add_poisson

            add_poisson(out, thresholds, step, self.id, *self.key, offset)
            return
        # counts depend on the rank of the word only; "left" counts the thresholds strictly below it
        out += np.searchsorted(thresholds, self.bits(out.size, step, offset), side="left").astype(np.int32)

    def permutation(self, n: int, step: int = 0) -> NDArray[np.int64]:
        """Draw a permutation of 0 ... n - 1: the order of n random 64-bit words.

        Returns
        -------
        int64[n]
        """
        return np.argsort(self.wide(n, step), kind="stable")
