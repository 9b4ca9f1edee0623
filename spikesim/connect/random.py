"""Random rules with fixed numbers of synapses, and small worlds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikesim.checks import flag, integer, real
from spikesim.connect.rule import Keys, Pairs, Rule, check_own, check_sizes, from_keys, skip_own
from spikesim.equations.inversion import below
from spikesim.errors import InvalidValueError
from spikesim.rng import MAX_SUBSTEP, Stream, substep


def _complete(keys: Keys, wanted: Keys, n: int, stream: Stream) -> Keys:
    """Ascending keys ``row * n + column`` with ``wanted[row]`` distinct columns in every row, all equally likely.

    Columns that are there already are drawn again. The procedure treats all columns alike, hence so does the outcome.
    """
    rows = len(wanted)
    first_slot = np.concatenate([[0], np.cumsum(wanted)])
    for number in range(MAX_SUBSTEP):
        have = np.bincount(keys // n, minlength=rows)
        lack = wanted - have
        missing = int(lack.sum())
        if not missing:
            return keys
        row = np.repeat(np.arange(rows), lack)
        if missing == first_slot[-1]:
            words = stream.wide(missing, substep(0, number))
        else:
            in_row = np.arange(missing) - (np.cumsum(lack) - lack)[row]
            words = stream.wide_at(first_slot[row] + have[row] + in_row, substep(0, number))
        keys = np.sort(np.concatenate([keys, row * n + below(words, n)]))
        keys = keys[np.concatenate([[True], keys[1:] != keys[:-1]])]
    raise InvalidValueError(f"stream {stream.name!r}: no {int(wanted.max())} distinct partners of {n} were found")


def _distinct(rows: int, k: int, n: int, stream: Stream) -> Keys:
    """Ascending keys ``row * n + column``: k distinct columns of n in every row, all sets equally likely."""
    nothing = np.empty(0, np.int64)
    if 2 * k <= n:
        return _complete(nothing, np.full(rows, k), n, stream)
    left_out = _complete(nothing, np.full(rows, n - k), n, stream)
    keep = np.ones(rows * n, dtype=np.bool_)  # no larger than the result itself
    keep[left_out] = False
    return np.flatnonzero(keep)


def _partners(rule: Rule, rows: int, k: int, n: int, multapses: bool, autapses: bool, stream: Stream) -> Pairs:
    """Draw k partners of n for every row, as pairs (row, partner); partners are sorted unless multapses are allowed."""
    others = n - (not autapses)
    if k > 0 and (others < 1 or (k > others and not multapses)):
        raise InvalidValueError(
            f"{type(rule).__name__} has k = {k} distinct partners; allowed are up to {others} of {n} neurons"
            f"{'' if autapses else ' without autapses'}; lower k or set multapses=True"
        )
    if multapses:
        row = np.repeat(np.arange(rows, dtype=np.int32), k)
        return skip_own(Pairs(row, stream.integers(rows * k, max(others, 1)).astype(np.int32)), autapses)
    return skip_own(from_keys(_distinct(rows, k, max(others, 1), stream), max(others, 1)), autapses)


def _sorted(pre: NDArray[np.int32], post: NDArray[np.int32], n_post: int) -> Pairs:
    return from_keys(np.sort(pre.astype(np.int64) * n_post + post), n_post)


@dataclass(frozen=True)
class FixedIndegree(Rule):
    """Every receiver has k synapses from random senders.

    Parameters
    ----------
    k
        Synapses of one receiver.
    multapses
        Whether a pair may be connected more than once (senders are drawn with replacement).
    autapses
        See :class:`AllToAll`.

    Examples
    --------
    >>> pairs = FixedIndegree(3, multapses=False).pairs(10, 4, Stream(1, "x"))
    >>> np.bincount(pairs.post).tolist()
    [3, 3, 3, 3]
    """

    k: int
    multapses: bool = True
    autapses: bool = True

    def __post_init__(self) -> None:
        """Check the fields."""
        object.__setattr__(self, "k", integer("FixedIndegree k", self.k))
        flag("FixedIndegree multapses", self.multapses)
        flag("FixedIndegree autapses", self.autapses)

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
        found = _partners(self, n_post, self.k, n_pre, self.multapses, self.autapses, stream)
        return _sorted(found.post, found.pre, n_post)


@dataclass(frozen=True)
class FixedOutdegree(Rule):
    """Every sender has k synapses to random receivers; the fields are those of :class:`FixedIndegree`.

    Examples
    --------
    >>> pairs = FixedOutdegree(3).pairs(4, 10, Stream(1, "x"))
    >>> np.bincount(pairs.pre).tolist()
    [3, 3, 3, 3]
    """

    k: int
    multapses: bool = True
    autapses: bool = True

    def __post_init__(self) -> None:
        """Check the fields."""
        object.__setattr__(self, "k", integer("FixedOutdegree k", self.k))
        flag("FixedOutdegree multapses", self.multapses)
        flag("FixedOutdegree autapses", self.autapses)

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
        found = _partners(self, n_pre, self.k, n_post, self.multapses, self.autapses, stream)
        return _sorted(found.pre, found.post, n_post)


@dataclass(frozen=True)
class FixedTotalNumber(Rule):
    """A number of synapses between random senders and random receivers.

    Parameters
    ----------
    n
        Number of synapses.
    multapses
        Whether a pair may be connected more than once (pairs are drawn with replacement).
    autapses
        See :class:`AllToAll`.

    Notes
    -----
    The rule of the cortical microcircuit of Potjans and Diesmann, Cerebral Cortex 24 (2014).

    Examples
    --------
    >>> FixedTotalNumber(1000).pairs(50, 20, Stream(1, "x")).size
    1000
    """

    n: int
    multapses: bool = True
    autapses: bool = True

    def __post_init__(self) -> None:
        """Check the fields."""
        object.__setattr__(self, "n", integer("FixedTotalNumber n", self.n))
        flag("FixedTotalNumber multapses", self.multapses)
        flag("FixedTotalNumber autapses", self.autapses)

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
        total = n_pre * others
        if self.n > 0 and (total == 0 or (self.n > total and not self.multapses)):
            raise InvalidValueError(
                f"FixedTotalNumber has n = {self.n} distinct pairs; allowed are up to {total}; lower n or set "
                "multapses=True"
            )
        if self.multapses:
            keys = np.sort(stream.integers(self.n, max(total, 1)))
        else:
            keys = _distinct(1, self.n, max(total, 1), stream)
        return skip_own(from_keys(keys, max(others, 1)), self.autapses)


@dataclass(frozen=True)
class SmallWorld(Rule):
    """A directed ring with shortcuts: every neuron sends to its k nearest neighbours, some synapses being rewired.

    Parameters
    ----------
    k
        Synapses of one sender, even, k/2 to either side; at most half of the population.
    p_rewire
        Probability that a synapse leaves the ring and goes to a random neuron that is neither the sender nor a
        receiver of it already.

    Notes
    -----
    Source: Watts and Strogatz, "Collective dynamics of small-world networks", Nature 393 (1998), here for directed
    synapses: the out-degree stays k.

    Examples
    --------
    >>> SmallWorld(2, 0.0).pairs(4, 4, Stream(1, "x")).post.tolist()
    [1, 3, 0, 2, 1, 3, 0, 2]
    """

    k: int
    p_rewire: float

    def __post_init__(self) -> None:
        """Check the fields."""
        k = integer("SmallWorld k", self.k, 0)
        if k % 2:
            raise InvalidValueError(f"SmallWorld k is {k}; allowed are even numbers; use {k - 1} or {k + 1}")
        object.__setattr__(self, "k", k)
        object.__setattr__(self, "p_rewire", real("SmallWorld p_rewire", self.p_rewire, 0, 1))

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
        if n_pre != n_post or 2 * self.k > n_pre:
            raise InvalidValueError(
                f"SmallWorld with k = {self.k} connects {n_pre} to {n_post} neurons; allowed are equal sizes of at "
                f"least {2 * self.k}; lower k, or use FixedProbability for dense networks"
            )
        steps = np.concatenate([np.arange(-(self.k // 2), 0), np.arange(1, self.k // 2 + 1)])
        pre = np.repeat(np.arange(n_pre), self.k)
        post = (pre + np.tile(steps, n_pre)) % n_pre
        stay = ~stream.child("rewire").bernoulli(pre.size, self.p_rewire)
        ring = pre[stay] * (n_pre - 1) + post[stay] - (post[stay] > pre[stay])  # numbered without the sender itself
        keys = _complete(np.sort(ring), np.full(n_pre, self.k), n_pre - 1, stream)
        return skip_own(from_keys(keys, n_pre - 1), autapses=False)
