"""Values as JSON and arrays, and back: a closed set of types, so that reading never executes anything.

A tagged object stands for everything that JSON does not know: ``{"$array": 3}`` is the third array,
``{"$type": "Poisson", ...}`` one of the classes in :func:`classes`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spikesim.equations.expression import Expressions
from spikesim.errors import FileFormatError, UnsupportedError

Arrays = list[NDArray[Any]]


@cache
def classes() -> dict[str, type]:
    """Return the classes that a file may hold, by name."""
    from spikesim.distributions import DISTRIBUTIONS
    from spikesim.files.checkpoint import Checkpoint
    from spikesim.files.continual import ContinualResults, ContinualRun, ContinualState
    from spikesim.files.training import TrainingState
    from spikesim.fixedpoint.learning import LoihiRule
    from spikesim.network import Network, Population, Probe, Projection
    from spikesim.neuron import Neuron, NeuronModel, Param, State
    from spikesim.norm import BatchNorm
    from spikesim.stimulus import Current, Input, OrnsteinUhlenbeck, Poisson, PoissonDrive, Rate, SpikeTrains
    from spikesim.synapse import Plasticity, SynapseModel

    parts = [Checkpoint, TrainingState, Network, Population, Projection, Probe, Neuron, NeuronModel, Param, State]
    parts += [Plasticity, SynapseModel, LoihiRule, BatchNorm, ContinualResults, ContinualRun, ContinualState]
    stimuli = [Rate, Input, SpikeTrains, Poisson, PoissonDrive, Current, OrnsteinUhlenbeck]
    return {c.__name__: c for c in (*parts, *stimuli, *DISTRIBUTIONS.values())}


def known(name: str) -> type | None:
    """Return a class by the name that it has in a file."""
    from spikesim.connect import CONNECTIONS

    return classes().get(name) or CONNECTIONS.get(name)


def encode(value: Any, arrays: Arrays, *, closed: bool = True) -> Any:
    """Return a value as JSON; its arrays are appended to a list.

    Parameters
    ----------
    value
        A network, or anything that one may hold.
    arrays
        Grows by the arrays found.
    closed
        Refuse classes that :func:`decode` does not know.

    Raises
    ------
    UnsupportedError
        If a value cannot be written.
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else {"$float": str(float(value))}
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        arrays.append(value)
        return {"$array": len(arrays) - 1}
    return _encode_compound(value, arrays, closed)


def _encode_compound(value: Any, arrays: Arrays, closed: bool) -> Any:
    def inner(part: Any) -> Any:
        return encode(part, arrays, closed=closed)

    if isinstance(value, tuple):
        return {"$tuple": [inner(v) for v in value]}
    if isinstance(value, list):
        return [inner(v) for v in value]
    if isinstance(value, Mapping) and all(isinstance(k, str) for k in value):
        return {"$dict": {k: inner(v) for k, v in value.items()}}
    if isinstance(value, Expressions):
        return {"$expressions": value.to_json()}
    if sparse.issparse(value):
        rows = sparse.csr_array(value)
        return {"$sparse": [*rows.shape], **{k: inner(getattr(rows, k)) for k in ("data", "indices", "indptr")}}
    kind = type(value)
    if is_dataclass(value) and (not closed or known(kind.__name__) is kind):
        return {"$type": kind.__name__, **{f.name: inner(getattr(value, f.name)) for f in fields(value)}}
    raise UnsupportedError(
        [
            f"a network file cannot hold a {kind.__module__}.{kind.__qualname__} ({str(value)[:60]}); "
            "use numbers, arrays, distributions, and the rules in spikesim.connect.CONNECTIONS"
        ]
    )


def decode(data: Any, arrays: Sequence[NDArray[Any]]) -> Any:
    """Return what :func:`encode` wrote.

    Raises
    ------
    FileFormatError
        If the data is not of that form.
    """
    if data is None or isinstance(data, (bool, str, int, float)):
        return data
    if isinstance(data, list):
        return [decode(v, arrays) for v in data]
    tag = next(iter(data), "") if isinstance(data, dict) else ""
    if tag == "$array" and isinstance(data[tag], int) and 0 <= data[tag] < len(arrays):
        return arrays[data[tag]]
    if tag == "$float" and data[tag] in ("inf", "-inf", "nan"):
        return float(data[tag])
    if tag == "$tuple" and isinstance(data[tag], list):
        return tuple(decode(v, arrays) for v in data[tag])
    if tag == "$dict" and isinstance(data[tag], dict):
        return {k: decode(v, arrays) for k, v in data[tag].items()}
    if tag == "$expressions" and isinstance(data[tag], dict):
        return Expressions.from_json(data[tag])
    if tag == "$sparse":
        parts = tuple(decode(data.get(k), arrays) for k in ("data", "indices", "indptr"))
        return sparse.csr_array(parts, shape=tuple(data[tag]))
    if tag == "$type":
        return _decode_object(data, arrays)
    raise FileFormatError(f"stored value of an unknown form: {str(data)[:80]}")


def _decode_object(data: Mapping[str, Any], arrays: Sequence[NDArray[Any]]) -> Any:
    kind = known(str(data["$type"]))
    if kind is None:
        raise FileFormatError(
            f"it holds a {data['$type']!r}, which this version of spikesim does not know; "
            "upgrade spikesim, or register the rule in spikesim.connect.CONNECTIONS first"
        )
    values = {k: decode(v, arrays) for k, v in data.items() if k != "$type"}
    hints = get_type_hints(kind)
    for name, value in values.items():
        if name not in hints or not _fits(value, hints[name]):
            raise FileFormatError(f"{kind.__name__} cannot have {name} = {str(value)[:60]}")
    return kind(**values)


def _fits(value: Any, hint: Any) -> bool:
    """Tell whether a decoded value has the type that a class declares for a field."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, UnionType):
        return any(_fits(value, h) for h in inner)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(v, inner[0]) for v in value)
    if origin is Mapping:
        return isinstance(value, dict) and all(_fits(v, inner[1]) for v in value.values())
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, (int, float) if hint is float else origin or hint)
