"""Connection rules: which neurons of one population send to which of another.

Rules without weights: :class:`AllToAll`, :class:`OneToOne`, :class:`FixedProbability`, :class:`FixedIndegree`,
:class:`FixedOutdegree`, :class:`FixedTotalNumber`, :class:`SmallWorld`. Rules that bring their weights: :class:`Dense`,
:class:`Sparse`, :class:`Conv2d`, :class:`Pool2d`, :class:`Chain`. All are values with a method ``pairs``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from numpy.typing import NDArray

from spikesim.connect.image import Conv2d, Pool2d
from spikesim.connect.matrix import Chain, Dense, Sparse
from spikesim.connect.random import FixedIndegree, FixedOutdegree, FixedTotalNumber, SmallWorld
from spikesim.connect.rule import Pairs, Rule
from spikesim.connect.simple import AllToAll, FixedProbability, OneToOne
from spikesim.errors import InvalidValueError, UnknownNameError

__all__ = [
    "KINDS",
    "AllToAll",
    "Chain",
    "Conv2d",
    "Dense",
    "FixedIndegree",
    "FixedOutdegree",
    "FixedProbability",
    "FixedTotalNumber",
    "OneToOne",
    "Pairs",
    "Pool2d",
    "Rule",
    "SmallWorld",
    "Sparse",
    "from_dict",
]

KINDS: Final[dict[str, type[Rule]]] = {
    kind.__name__: kind
    for kind in (
        AllToAll,
        OneToOne,
        FixedProbability,
        FixedIndegree,
        FixedOutdegree,
        FixedTotalNumber,
        SmallWorld,
        Dense,
        Sparse,
        Conv2d,
        Pool2d,
        Chain,
    )
}


def from_dict(data: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]] | None = None) -> Rule:
    """Make a rule from what ``Rule.to_dict`` and ``Rule.arrays`` gave.

    Parameters
    ----------
    data
        ``kind`` and the plain fields; JSON's lists stand for tuples.
    arrays
        The arrays of the rule, by name.

    Raises
    ------
    UnknownNameError
        The kind is not one of the closed set.
    InvalidValueError
        The fields or arrays do not fit the kind.

    Examples
    --------
    >>> from_dict({"kind": "FixedIndegree", "k": 10})
    FixedIndegree(k=10, multapses=True, autapses=True)
    """
    fields, given = dict(data), dict(arrays or {})
    kind = str(fields.pop("kind", None))
    if kind not in KINDS:
        raise UnknownNameError("connection rule", kind, list(KINDS))
    try:
        if kind == "Chain":
            return Chain(tuple(_part(i, part, given) for i, part in enumerate(fields["rules"])))
        return KINDS[kind].rebuild(fields, given)
    except (TypeError, KeyError) as error:
        raise InvalidValueError(
            f"connection rule {kind!r} was given the fields {sorted(fields)} and the arrays {sorted(given)}, "
            f"which do not fit: {error}"
        ) from error


def _part(place: int, data: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Rule:
    prefix = f"{place}."
    return from_dict(data, {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)})
