"""What connection rules have in common: the pairs they give, and how they are stored."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spikesim.checks import integer
from spikesim.errors import InvalidValueError
from spikesim.rng import Stream

Shape: TypeAlias = tuple[int, ...]
Keys: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Synapses, sorted by (pre, post).

    Parameters
    ----------
    pre, post
        int32[m]: sending and receiving neuron of every synapse.
    weights
        float64[m] for rules that bring their weights, else None.

    Examples
    --------
    >>> Pairs(np.array([0], np.int32), np.array([1], np.int32)).size
    1
    """

    pre: NDArray[np.int32]
    post: NDArray[np.int32]
    weights: NDArray[np.float64] | None = None

    @property
    def size(self) -> int:
        """Number of synapses."""
        return int(self.pre.size)


def from_keys(keys: Keys, n_post: int) -> Pairs:
    """Make pairs of ascending keys ``pre * n_post + post``.

    Examples
    --------
    >>> from_keys(np.array([3, 5]), 3).pre.tolist()
    [1, 1]
    """
    pre = keys // n_post
    return Pairs(pre.astype(np.int32), (keys - pre * n_post).astype(np.int32))


def from_entries(pre: Keys, post: Keys, weights: NDArray[np.float64]) -> Pairs:
    """Make pairs of entries in any order.

    Examples
    --------
    >>> from_entries(np.array([1, 0]), np.array([0, 0]), np.array([5.0, 6.0])).weights.tolist()
    [6.0, 5.0]
    """
    order = np.lexsort((post, pre))
    return Pairs(pre[order].astype(np.int32), post[order].astype(np.int32), weights[order])


def skip_own(pairs: Pairs, autapses: bool) -> Pairs:
    """Without autapses, receivers were numbered without the sender itself: skip it."""
    return pairs if autapses else Pairs(pairs.pre, pairs.post + (pairs.post >= pairs.pre))


class Rule(ABC):
    """A connection rule: which neurons of one population send to which of another.

    Rules are values. A random rule is a function of the stream alone, so adding a projection never changes another one.
    Shapes are (channels, height, width) with neurons in C order.
    """

    @abstractmethod
    def pairs(
        self,
        n_pre: int,
        n_post: int,
        stream: Stream,
        pre_shape: Sequence[int] | None = None,
        post_shape: Sequence[int] | None = None,
    ) -> Pairs:
        """Make the synapses.

        Parameters
        ----------
        n_pre, n_post
            Sizes of the sending and the receiving population.
        stream
            Source of randomness; rules without chance ignore it.
        pre_shape, post_shape
            Shapes of the populations, for rules that need a layout.

        Returns
        -------
        Pairs

        Raises
        ------
        InvalidValueError
            The rule cannot connect populations of these sizes or shapes.
        """

    def output_shape(self, pre_shape: Sequence[int]) -> Shape | None:
        """Shape that the receiving population must have, or None when the rule does not determine it."""
        return None

    def to_dict(self) -> dict[str, Any]:
        """Plain data of the rule without its arrays; see :func:`spikesim.connect.from_dict`."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}  # type: ignore[arg-type]
        plain = {name: value for name, value in fields.items() if isinstance(value, (bool, int, float, str, tuple))}
        return {"kind": type(self).__name__, **plain}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays of the rule, by name."""
        return {}

    @classmethod
    def rebuild(cls, fields: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Rule:
        """Make the rule from what :meth:`to_dict` (without the kind) and :meth:`arrays` gave."""
        return cls(**fields, **arrays)


class ArrayRule(Rule):
    """A rule that holds arrays: compared by their values, shown by their shapes."""

    def __eq__(self, other: object) -> bool:
        """Compare kind, fields and arrays."""
        if not isinstance(other, ArrayRule) or self.to_dict() != other.to_dict():
            return False
        mine, theirs = self.arrays(), other.arrays()
        return mine.keys() == theirs.keys() and all(np.array_equal(mine[name], theirs[name]) for name in mine)

    def __hash__(self) -> int:
        """Hash of the fields and the bytes of the arrays."""
        return hash((repr(self.to_dict()), *((name, array.tobytes()) for name, array in self.arrays().items())))

    def __repr__(self) -> str:
        """Name, fields, and shapes of the arrays."""
        data = self.to_dict()
        parts = [f"{name}=<{array.dtype} {array.shape}>" for name, array in self.arrays().items()]
        parts += [f"{name}={value!r}" for name, value in data.items() if name != "kind"]
        return f"{data['kind']}({', '.join(parts)})"


def check_sizes(n_pre: int, n_post: int) -> None:
    """Check the sizes of two populations."""
    integer("size of the sending population", n_pre, 1, 2**31 - 1)
    integer("size of the receiving population", n_post, 1, 2**31 - 1)


def check_own(rule: Rule, autapses: bool, n_pre: int, n_post: int) -> None:
    """Refuse ``autapses=False`` where neuron i of one population cannot be neuron i of the other."""
    if not autapses and n_pre != n_post:
        raise InvalidValueError(
            f"{type(rule).__name__} has autapses=False between {n_pre} and {n_post} neurons; it is meant for a "
            "population that projects to itself; leave it at True between different populations"
        )
