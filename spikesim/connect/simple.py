"""Rules that look at each pair alone: complete, one to one, and with a fixed probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spikesim.checks import flag, real
from spikesim.connect.rule import Keys, Pairs, Rule, Shape, check_own, check_sizes, from_keys, skip_own
from spikesim.equations.elementary import log
from spikesim.equations.inversion import open_uniform
from spikesim.errors import InvalidValueError
from spikesim.rng import Stream

_CHUNK = 1 << 16  # numbers per pass: small enough for the cache


@dataclass(frozen=True)
class AllToAll(Rule):
    """Every sender to every receiver.

    Parameters
    ----------
    autapses
        Whether a neuron connects to itself; False is for a population that projects to itself.

    Examples
    --------
    >>> AllToAll(autapses=False).pairs(2, 2, Stream(1, "x")).post.tolist()
    [1, 0]
    """

    autapses: bool = True

    def __post_init__(self) -> None:
        """Check the fields."""
        flag("AllToAll autapses", self.autapses)

    def pairs(
        self,
        n_pre: int,
        n_post: int,
        stream: Stream,
        pre_shape: Sequence[int] | None = None,
        post_shape: Sequence[int] | None = None,
    ) -> Pairs:
        """Make the synapses; see :meth:`spikesim.connect.rule.Rule.pairs`."""
        check_sizes(n_pre, n_post)
        check_own(self, self.autapses, n_pre, n_post)
        others = n_post - (not self.autapses)
        pre = np.repeat(np.arange(n_pre, dtype=np.int32), others)
        post = np.tile(np.arange(others, dtype=np.int32), n_pre)
        return Pairs(pre, post if self.autapses else post + (post >= pre))


@dataclass(frozen=True)
class OneToOne(Rule):
    """Neuron i to neuron i.

    Examples
    --------
    >>> OneToOne().pairs(3, 3, Stream(1, "x")).post.tolist()
    [0, 1, 2]
    """

    def pairs(
        self,
        n_pre: int,
        n_post: int,
        stream: Stream,
        pre_shape: Sequence[int] | None = None,
        post_shape: Sequence[int] | None = None,
    ) -> Pairs:
        """Make the synapses; see :meth:`spikesim.connect.rule.Rule.pairs`."""
        check_sizes(n_pre, n_post)
        if n_pre != n_post:
            raise InvalidValueError(
                f"OneToOne connects {n_pre} to {n_post} neurons; allowed are equal sizes; use another rule"
            )
        index = np.arange(n_pre, dtype=np.int32)
        return Pairs(index, index.copy())

    def output_shape(self, pre_shape: Sequence[int]) -> Shape:
        """Shape of the receiving population: the same."""
        return tuple(pre_shape)


def _log_of_complement(p: float) -> float:
    """log(1 - p), precise for small p too."""
    if p < 1e-3:
        return -p * (1 + p * (1 / 2 + p * (1 / 3 + p * (1 / 4 + p * (1 / 5 + p / 6)))))
    return float(log(1.0 - p))


def _chosen(total: int, p: float, stream: Stream) -> Keys:
    """Ascending integers below `total`, each chosen with probability p: the gaps between them are geometric."""
    scale = 1 / _log_of_complement(p)
    parts: list[Keys] = []
    start, last = 0, -1
    while last < total:
        expected = (total - last) * p
        count = int(expected + 5 * expected**0.5) + 64
        words = stream.wide(count, offset=start)
        for first in range(0, count, _CHUNK):
            gaps = np.minimum(log(open_uniform(words[first : first + _CHUNK])) * scale, float(total)).astype(np.int64)
            parts.append(last + np.cumsum(gaps + 1))
            last = int(parts[-1][-1])
        start += count
    keys = np.concatenate(parts)
    return keys[: np.searchsorted(keys, total)]


@dataclass(frozen=True)
class FixedProbability(Rule):
    """Each pair is connected with probability p, independently.

    Parameters
    ----------
    p
        Probability, 0 to 1.
    autapses
        See :class:`AllToAll`.

    Examples
    --------
    >>> FixedProbability(0.02).pairs(100, 100, Stream(1, "x")).size
    206
    """

    p: float
    autapses: bool = True

    def __post_init__(self) -> None:
        """Check the fields."""
        object.__setattr__(self, "p", real("FixedProbability p", self.p, 0, 1))
        flag("FixedProbability autapses", self.autapses)

    def pairs(
        self,
        n_pre: int,
        n_post: int,
        stream: Stream,
        pre_shape: Sequence[int] | None = None,
        post_shape: Sequence[int] | None = None,
    ) -> Pairs:
        """Make the synapses; see :meth:`spikesim.connect.rule.Rule.pairs`."""
        check_sizes(n_pre, n_post)
        check_own(self, self.autapses, n_pre, n_post)
        if self.p == 1:
            return AllToAll(self.autapses).pairs(n_pre, n_post, stream)
        others = n_post - (not self.autapses)
        total = n_pre * others
        keys = _chosen(total, self.p, stream) if self.p * total else np.empty(0, np.int64)
        return skip_own(from_keys(keys, max(others, 1)), self.autapses)
