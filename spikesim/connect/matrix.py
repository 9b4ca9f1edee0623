"""Rules that hold matrices of weights: dense, sparse, and chains of linear maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikesim.checks import weights
from spikesim.connect.image import Pool2d
from spikesim.connect.rule import ArrayRule, Pairs, Rule, Shape, check_sizes
from spikesim.connect.simple import OneToOne
from spikesim.errors import InvalidValueError
from spikesim.rng import Stream


def _check_matrix(rule: Rule, shape: tuple[int, int], n_pre: int, n_post: int) -> None:
    check_sizes(n_pre, n_post)
    if shape != (n_post, n_pre):
        hint = "; transpose it" if shape == (n_pre, n_post) else ""
        raise InvalidValueError(
            f"{type(rule).__name__} has weights of shape {shape}; from {n_pre} to {n_post} neurons it needs the shape "
            f"(receivers, senders) = {(n_post, n_pre)}{hint}"
        )


@dataclass(frozen=True, eq=False, repr=False)
class Dense(ArrayRule):
    """All pairs, with the weights of an array; entries that are zero are synapses too.

    Parameters
    ----------
    weights
        float64[receivers, senders].

    Examples
    --------
    >>> Dense([[1, 2], [3, 4]]).pairs(2, 2, Stream(1, "x")).weights.tolist()
    [1.0, 3.0, 2.0, 4.0]
    """

    weights: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check and copy the weights."""
        object.__setattr__(self, "weights", weights("Dense weights", self.weights, 2))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays of the rule, by name."""
        return {"weights": self.weights}

    def pairs(
        self,
        n_pre: int,
        n_post: int,
        stream: Stream,
        pre_shape: Sequence[int] | None = None,
        post_shape: Sequence[int] | None = None,
    ) -> Pairs:
        """Make the synapses; see :meth:`spikesim.connect.rule.Rule.pairs`."""
        _check_matrix(self, (self.weights.shape[0], self.weights.shape[1]), n_pre, n_post)
        pre = np.repeat(np.arange(n_pre, dtype=np.int32), n_post)
        post = np.tile(np.arange(n_post, dtype=np.int32), n_pre)
        return Pairs(pre, post, self.weights.T.flatten())

    def output_shape(self, pre_shape: Sequence[int]) -> Shape:
        """Shape of the receiving population: the rows."""
        return (self.weights.shape[0],)


@dataclass(frozen=True, eq=False, repr=False)
class Sparse(ArrayRule):
    """The stored entries of a sparse matrix; several entries of one pair are added up.

    Parameters
    ----------
    matrix
        ``scipy.sparse`` matrix or array of shape (receivers, senders).

    Examples
    --------
    >>> import scipy.sparse
    >>> Sparse(scipy.sparse.eye(3)).pairs(3, 3, Stream(1, "x")).post.tolist()
    [0, 1, 2]
    """

    matrix: Any

    def __post_init__(self) -> None:
        """Check and copy the matrix."""
        import scipy.sparse

        if not scipy.sparse.issparse(self.matrix):
            raise InvalidValueError(
                f"Sparse was given a {type(self.matrix).__name__}; allowed are scipy.sparse matrices; use Dense"
            )
        matrix = scipy.sparse.csr_array(self.matrix, dtype=np.float64, copy=True)
        matrix.sum_duplicates()
        weights("Sparse weights", matrix.data, 1)
        for array in (matrix.data, matrix.indices, matrix.indptr):
            array.setflags(write=False)
        object.__setattr__(self, "matrix", matrix)

    def to_dict(self) -> dict[str, Any]:
        """Plain data of the rule without its arrays."""
        return {"kind": "Sparse", "shape": tuple(int(n) for n in self.matrix.shape)}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays of the rule, by name: those of the compressed-row format."""
        return {"data": self.matrix.data, "indices": self.matrix.indices, "indptr": self.matrix.indptr}

    @classmethod
    def rebuild(cls, fields: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Rule:
        """Make the rule from what :meth:`to_dict` and :meth:`arrays` gave, distrusting the indices."""
        import scipy.sparse

        content = (arrays["data"], arrays["indices"], arrays["indptr"])
        try:
            matrix = scipy.sparse.csr_array(content, shape=tuple(fields["shape"]))
            matrix.check_format(full_check=True)
        except (ValueError, TypeError) as error:
            raise InvalidValueError(f"the stored sparse weights are damaged: {error}") from error
        return cls(matrix)

    def pairs(
        self,
        n_pre: int,
        n_post: int,
        stream: Stream,
        pre_shape: Sequence[int] | None = None,
        post_shape: Sequence[int] | None = None,
    ) -> Pairs:
        """Make the synapses; see :meth:`spikesim.connect.rule.Rule.pairs`."""
        _check_matrix(self, self.matrix.shape, n_pre, n_post)
        return _of_matrix(self.matrix)

    def output_shape(self, pre_shape: Sequence[int]) -> Shape:
        """Shape of the receiving population: the rows."""
        return (int(self.matrix.shape[0]),)


def _of_matrix(matrix: Any) -> Pairs:
    """Make pairs of the stored entries of a sparse [receivers, senders] matrix, sender by sender."""
    columns = matrix.tocsc()
    columns.sort_indices()
    pre = np.repeat(np.arange(columns.shape[1], dtype=np.int32), np.diff(columns.indptr))
    return Pairs(pre, columns.indices.astype(np.int32), columns.data.copy())


@dataclass(frozen=True, eq=False, repr=False)
class Chain(ArrayRule):
    """Linear maps one after another without neurons between them, for example pooling and then a convolution.

    Parameters
    ----------
    rules
        Two or more of Conv2d, Pool2d, Dense, Sparse, Chain and OneToOne, the first nearest to the senders.

    Notes
    -----
    The weights are the product of the maps, as a sparse matrix: a pair that is linked through several ways has one
    synapse with the sum of their weights.

    Examples
    --------
    >>> from spikesim.connect import Conv2d
    >>> Chain([Pool2d(2), Conv2d(np.ones((4, 1, 3, 3)))]).output_shape((1, 8, 8))
    (4, 2, 2)
    """

    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        """Check the rules."""
        rules = tuple(self.rules)
        for rule in rules:
            if not isinstance(rule, (ArrayRule, Pool2d, OneToOne)):
                raise InvalidValueError(
                    f"Chain was given {rule!r}; allowed are Conv2d, Pool2d, Dense, Sparse, Chain and OneToOne"
                )
        if not rules:
            raise InvalidValueError("Chain was given no rules; it needs at least one")
        object.__setattr__(self, "rules", rules)

    def to_dict(self) -> dict[str, Any]:
        """Plain data of the rule without its arrays."""
        return {"kind": "Chain", "rules": tuple(rule.to_dict() for rule in self.rules)}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays of all rules, their names preceded by the place of the rule and a point."""
        return {f"{i}.{name}": array for i, rule in enumerate(self.rules) for name, array in rule.arrays().items()}

    def output_shape(self, pre_shape: Sequence[int]) -> Shape:
        """Shape of the receiving population."""
        shape: Shape = tuple(pre_shape)
        for rule in self.rules:
            shape = rule.output_shape(shape) or shape
        return shape

    def pairs(
        self,
        n_pre: int,
        n_post: int,
        stream: Stream,
        pre_shape: Sequence[int] | None = None,
        post_shape: Sequence[int] | None = None,
    ) -> Pairs:
        """Make the synapses; see :meth:`spikesim.connect.rule.Rule.pairs`."""
        import scipy.sparse

        shape: Shape = (n_pre,) if pre_shape is None else tuple(pre_shape)
        product = None
        for place, rule in enumerate(self.rules):
            after = rule.output_shape(shape) or shape
            last = place == len(self.rules) - 1
            n_in, n_out = math.prod(shape), n_post if last else math.prod(after)
            found = rule.pairs(n_in, n_out, stream, shape, post_shape if last else None)
            values = np.ones(found.size) if found.weights is None else found.weights
            factor = scipy.sparse.csr_array((values, (found.post, found.pre)), shape=(n_out, n_in))
            product = factor if product is None else factor @ product
            shape = after
        return _of_matrix(product)
