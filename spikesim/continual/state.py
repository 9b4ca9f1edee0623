"""What a learner has become, as plain values that a file can hold, and back: so that a run that was killed goes on.

A learner is made by its method and begins with its seed; then everything in its attributes is filled in: numbers,
arrays, networks, generators, and objects of ``spikesim.continual`` itself. Functions stay those of the new learner.
No other class is made from a file, and no code of a file runs.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spikesim.errors import FileFormatError, UnsupportedError

HOME = "spikesim.continual."
PLAIN = (type(None), bool, int, float, str, np.ndarray, np.generic)


def state_of(learner: Any) -> dict[str, Any]:
    """Return everything that a learner keeps, as :mod:`spikesim.files.codec` takes it.

    Raises
    ------
    UnsupportedError
        If it keeps something that a file cannot hold.
    """
    found: dict[str, Any] = _Writer().value(learner, type(learner).__name__)
    return found


def restore(learner: Any, state: Mapping[str, Any]) -> None:
    """Fill a learner that has begun with a state.

    Parameters
    ----------
    learner
        Made by the same method, with the same settings; changed in place.
    state
        Of :func:`state_of`.

    Raises
    ------
    FileFormatError
        If the state is that of another learner.
    """
    _Reader().value(state, learner, type(learner).__name__)


class _Writer:
    """Walks through attributes; an object that occurs twice is written once."""

    def __init__(self) -> None:
        self.seen: dict[int, int] = {}
        self.held: list[Any] = []  # so that no address is used twice

    def value(self, value: Any, where: str) -> Any:
        if isinstance(value, PLAIN):
            return value
        if isinstance(value, (list, tuple)):
            return {
                "kind": type(value).__name__,
                "items": [self.value(v, f"{where}[{k}]") for k, v in enumerate(value)],
            }
        if isinstance(value, Mapping):
            pairs = [[self.value(k, where), self.value(v, f"{where}[{k!r}]")] for k, v in value.items()]
            return {"kind": "dict", "pairs": pairs}
        if isinstance(value, (set, frozenset)):
            return {"kind": "set", "items": [self.value(v, where) for v in sorted(value)]}
        if isinstance(value, np.random.Generator):
            return {"kind": "generator", "state": self.value(value.bit_generator.state, where)}
        if type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach"):
            return {"kind": "tensor", "array": value.detach().cpu().numpy().copy()}
        if type(value).__module__.startswith(HOME) and hasattr(value, "__dict__"):
            return self._object(value, where)
        if callable(value):
            return {"kind": "as made"}
        return self._part_of_a_network(value, where)

    def _object(self, value: Any, where: str) -> Any:
        if id(value) in self.seen:
            return {"kind": "again", "number": self.seen[id(value)]}
        self.seen[id(value)] = len(self.held)
        self.held.append(value)
        name = f"{type(value).__module__.removeprefix(HOME)}.{type(value).__qualname__}"
        attributes = {k: self.value(v, f"{where}.{k}") for k, v in vars(value).items()}
        return {"kind": "object", "class": name, "attributes": attributes}

    @staticmethod
    def _part_of_a_network(value: Any, where: str) -> Any:
        from spikesim.files.codec import known

        if known(type(value).__name__) is type(value):
            return {"kind": "value", "value": value}
        raise UnsupportedError(
            [
                f"{where} is a {type(value).__module__}.{type(value).__qualname__}, which a file cannot hold, so this "
                "learner cannot go on after an interruption; keep numbers, arrays and networks, or run it without a "
                "checkpoint"
            ]
        )


class _Reader:
    """Fills attributes; takes from the learner that is there what the file does not hold."""

    def __init__(self) -> None:
        self.made: list[Any] = []

    def value(self, stored: Any, there: Any, where: str) -> Any:
        if not isinstance(stored, Mapping):
            return stored
        kind = stored.get("kind")
        if kind in ("list", "tuple", "set"):
            return self._items(kind, stored["items"], there if isinstance(there, (list, tuple)) else (), where)
        if kind == "dict":
            before = there if isinstance(there, Mapping) else {}
            keys = [self.value(k, None, where) for k, _ in stored["pairs"]]
            values = [v for _, v in stored["pairs"]]
            return {k: self.value(v, before.get(k), f"{where}[{k!r}]") for k, v in zip(keys, values, strict=True)}
        if kind == "generator":
            return self._generator(self.value(stored["state"], None, where), where)
        if kind == "tensor":
            import torch

            return torch.as_tensor(np.array(stored["array"]))
        if kind == "value":
            return stored["value"]
        return self._object(kind, stored, there, where)

    def _items(self, kind: str, stored: Sequence[Any], before: Sequence[Any], where: str) -> Any:
        found = [self.value(v, before[k] if k < len(before) else None, f"{where}[{k}]") for k, v in enumerate(stored)]
        return found if kind == "list" else tuple(found) if kind == "tuple" else set(found)

    def _object(self, kind: Any, stored: Mapping[str, Any], there: Any, where: str) -> Any:
        if kind == "again" and 0 <= stored["number"] < len(self.made):
            return self.made[stored["number"]]
        if kind == "as made":
            if not callable(there):
                raise FileFormatError(f"{where}: a function was there when the state was written, found {there!r}")
            return there
        if kind != "object":
            raise FileFormatError(f"{where}: a state of an unknown kind {str(kind)[:40]!r}")
        expected = _class(str(stored["class"]), where)
        target = there if type(there) is expected else object.__new__(expected)
        self.made.append(target)
        attributes, before = stored["attributes"], dict(vars(target))
        found = {k: self.value(v, before.get(k), f"{where}.{k}") for k, v in attributes.items()}
        vars(target).clear()
        vars(target).update(found)
        return target

    @staticmethod
    def _generator(state: Any, where: str) -> np.random.Generator:
        if not isinstance(state, dict) or state.get("bit_generator") != "PCG64":
            raise FileFormatError(f"{where}: a generator of an unknown kind")
        generator = np.random.default_rng()
        generator.bit_generator.state = state
        return generator


def _class(name: str, where: str) -> type:
    """Return a class of this folder that is loaded already; nothing else is made, and nothing is imported."""
    module, _, last = name.rpartition(".")
    home = sys.modules.get(HOME + module)
    found = getattr(home, last, None)
    if not isinstance(found, type) or found.__module__ != HOME + module:
        raise FileFormatError(f"{where}: {name!r} is no class of spikesim.continual; upgrade spikesim")
    return found
