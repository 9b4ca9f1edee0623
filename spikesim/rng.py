"""Counter-based random numbers: every draw is a function of (seed, stream, step, index), never of what was drawn before.

The generator is Threefry4x32-20 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). One call makes
four words; index ``i`` reads ``word = (i >> 4) & 3`` of ``counter = (i >> 6) * 16 + (i & 15)``, so 64 consecutive
indices are 16 calls whose words stand side by side. The counter block is (counter, step, stream, step >> 32), the key
the 64-bit seed.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.errors import InvalidValueError

ROTATIONS = ((10, 26), (11, 21), (13, 27), (23, 5), (6, 20), (17, 11), (25, 10), (18, 20))
PARITY = 0x1BD11BDA
LARGE = 4096  # draws from which on the compiled generator pays
LARGEST_MEAN = 6.0  # expected Poisson counts above which a draw is the sum of several

U64 = NDArray[np.uint64]
MASK = np.uint64(0xFFFFFFFF)


def threefry(counter: tuple[Any, Any, Any, Any], key: tuple[Any, Any]) -> list[U64]:
    """Return four 32-bit words (held in uint64) of Threefry4x32-20.

    Parameters
    ----------
    counter
        Four words, numbers or arrays.
    key
        Two words; the other two are 0.

    Examples
    --------
    >>> [f"{int(w):08x}" for w in threefry((0, 0, 0, 0), (0, 0))]  # Random123's known answer
    ['9c6ca96a', 'e17eae66', 'fc10ecd4', '5256a7d8']
    """
    k0, k1 = np.uint64(key[0]), np.uint64(key[1])
    keys = (k0, k1, np.uint64(0), np.uint64(0), k0 ^ k1 ^ np.uint64(PARITY))
    x = [(np.asarray(c, np.uint64) + k) & MASK for c, k in zip(counter, keys, strict=False)]
    for r in range(20):
        a, b = (1, 3) if r % 2 == 0 else (3, 1)
        for i, j, turn in ((0, a, ROTATIONS[r % 8][0]), (2, b, ROTATIONS[r % 8][1])):
            x[i] = (x[i] + x[j]) & MASK
            x[j] = (((x[j] << np.uint64(turn)) | (x[j] >> np.uint64(32 - turn))) & MASK) ^ x[i]
        if r % 4 == 3:
            n = r // 4 + 1
            x = [(x[i] + keys[(n + i) % 5] + np.uint64(n if i == 3 else 0)) & MASK for i in range(4)]
    return x


def poisson_thresholds(mean: float) -> NDArray[np.uint32]:
    """Return ``round(2^32 P(count <= k))`` for k = 0, 1, ... until the tail is below ``2^-32``.

    A draw is the number of thresholds that a random word reaches. Valid for means up to 6.
    """
    probability = total = math.exp(-mean)
    thresholds = []
    for k in range(64):
        thresholds.append(min(round(total * 2.0**32), 2**32 - 1))
        if 1.0 - total < 2.0**-32:
            break
        probability *= mean / (k + 1)
        total += probability
    return np.array(thresholds, np.uint32)


@dataclass(frozen=True)
class Stream:
    """A stream of random numbers.

    Parameters
    ----------
    seed
        64-bit seed of the network.
    name
        What the numbers are for, for example ``"a->b/weight"``. Another stream never changes this one.

    Examples
    --------
    >>> Stream(1, "noise").uniform(3, step=5).tolist() == Stream(1, "noise").uniform(100, step=5)[:3].tolist()
    True
    """

    seed: int
    name: str

    def __post_init__(self) -> None:
        if not 0 <= int(self.seed) < 2**64:
            raise InvalidValueError(f"seed must be from 0 to 2**64 - 1, found {self.seed}")

    @cached_property
    def id(self) -> int:
        """32-bit number of the stream, from its name."""
        return int.from_bytes(hashlib.blake2b(self.name.encode(), digest_size=4).digest(), "little")

    @property
    def key(self) -> tuple[int, int]:
        """The two key words."""
        return int(self.seed) & 0xFFFFFFFF, int(self.seed) >> 32

    def bits(self, n: int, step: int = 0, offset: int = 0, repeat: int = 0) -> NDArray[np.uint32]:
        """Return 32-bit words for the indices ``offset .. offset + n - 1``; ``repeat`` selects a sibling stream."""
        stream = (self.id + repeat) & 0xFFFFFFFF
        first = offset // 64 * 64
        blocks = -(-(offset + n - first) // 64)
        if n >= LARGE:
            from spikesim.equations.random_kernels import fill_bits

            out = np.empty(blocks * 64, np.uint32)
            fill_bits(out, np.uint64(step), np.uint32(stream), *(np.uint32(k) for k in self.key), first)
        else:
            counters = np.arange(first // 64 * 16, (first // 64 + blocks) * 16, dtype=np.uint64)
            words = threefry((counters, step & 0xFFFFFFFF, stream, step >> 32), self.key)
            out = np.stack([w.reshape(blocks, 16) for w in np.broadcast_arrays(*words)], axis=1).reshape(-1).astype(np.uint32)
        return out[offset - first : offset - first + n]

    def uniform(self, n: int, step: int = 0, offset: int = 0) -> NDArray[np.float64]:
        """Return float64 in [0, 1), multiples of ``2^-32``."""
        return np.asarray(self.bits(n, step, offset) * 2.0**-32)

    def integers(self, n: int, high: int, step: int = 0, offset: int = 0) -> NDArray[np.int64]:
        """Return whole numbers in [0, high), ``high < 2^32``; probabilities are equal to within ``high * 2^-32``."""
        return ((self.bits(n, step, offset).astype(np.uint64) * np.uint64(high)) >> np.uint64(32)).astype(np.int64)

    def normal(self, n: int, step: int = 0, offset: int = 0) -> NDArray[np.float64]:
        """Return standard normal numbers, by inversion of one word each (at most 6.3 standard deviations)."""
        from scipy.special import ndtri

        return np.asarray(ndtri((self.bits(n, step, offset) + 0.5) * 2.0**-32))

    def poisson(self, n: int, mean: Any, step: int = 0, offset: int = 0) -> NDArray[np.int64]:
        """Return Poisson counts by inversion of 32-bit words.

        Parameters
        ----------
        n
            Number of draws.
        mean
            Expected count: a number or ``n`` of them. Above 6 a draw is the sum of equal parts, each with its own
            sibling stream.
        step, offset
            As in :meth:`bits`.
        """
        means = np.asarray(mean, np.float64)
        repeats = max(1, math.ceil(float(means.max(initial=0.0)) / LARGEST_MEAN))
        counts = np.zeros(n, np.int64)
        for repeat in range(repeats):
            words = self.bits(n, step, offset, repeat)
            if means.ndim == 0:
                counts += np.searchsorted(poisson_thresholds(float(means) / repeats), words, side="right")
            else:
                counts += _invert(words, means / repeats)
        return counts

    def permutation(self, n: int) -> NDArray[np.int64]:
        """Return the numbers 0 .. n - 1 in random order."""
        return np.argsort(self.bits(n), kind="stable")


def _invert(words: NDArray[np.uint32], means: NDArray[np.float64]) -> NDArray[np.int64]:
    """Poisson counts for a mean of its own per word; equal means share their thresholds."""
    counts = np.zeros(len(words), np.int64)
    for mean in np.unique(means):
        mine = means == mean
        counts[mine] = np.searchsorted(poisson_thresholds(float(mean)), words[mine], side="right")
    return counts
