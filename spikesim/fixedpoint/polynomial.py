"""Polynomials: what the events of a plasticity rule must be for the chip to compute them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Monomial = tuple[str, ...]  # sorted names; a power repeats its name


class NotPolynomial(Exception):
    """An event does something else than add and multiply."""


@dataclass(frozen=True)
class Polynomial:
    """Coefficients by monomial; the constant has the empty one.

    Examples
    --------
    >>> x, y = Polynomial.of("x"), Polynomial.of("y")
    >>> (x + y).times(x.plus(-1.0)).terms
    {('x', 'x'): 1.0, ('x',): -1.0, ('x', 'y'): 1.0, ('y',): -1.0}
    """

    terms: Mapping[Monomial, float]

    @staticmethod
    def of(value: str | float) -> Polynomial:
        """Return an unknown by its name, or a number."""
        if isinstance(value, str):
            return Polynomial({(value,): 1.0})
        return Polynomial({(): float(value)} if value else {})

    @property
    def number(self) -> float | None:
        """The value if no unknown is in it, else None."""
        return self.terms.get((), 0.0) if not any(self.terms) else None

    def __add__(self, other: Polynomial) -> Polynomial:
        found = dict(self.terms)
        for monomial, c in other.terms.items():
            found[monomial] = found.get(monomial, 0.0) + c
        return Polynomial({m: c for m, c in found.items() if c})

    def plus(self, number: float) -> Polynomial:
        """Add a number."""
        return self + Polynomial.of(number)

    def times(self, other: Polynomial | float) -> Polynomial:
        """Multiply."""
        factor = other if isinstance(other, Polynomial) else Polynomial.of(other)
        found = Polynomial({})
        for a, c in self.terms.items():
            found += Polynomial({tuple(sorted(a + b)): c * d for b, d in factor.terms.items()})
        return found

    def put(self, values: Mapping[str, Polynomial]) -> Polynomial:
        """Replace unknowns by polynomials; those that are not named stay."""
        found = Polynomial({})
        for monomial, c in self.terms.items():
            part = Polynomial.of(c)
            for name in monomial:
                part = part.times(values.get(name, Polynomial.of(name)))
            found += part
        return found


def _of_numbers(name: str, function: Callable[..., Any]) -> Callable[..., Polynomial]:
    def apply(*arguments: Polynomial) -> Polynomial:
        numbers = [a.number for a in arguments]
        if any(n is None for n in numbers):
            raise NotPolynomial(f"it uses {name!r} of a trace, a state or the weight")
        return Polynomial.of(float(function(*numbers)))

    return apply


def _divide(a: Polynomial, b: Polynomial) -> Polynomial:
    if not b.number:
        raise NotPolynomial("it divides by a trace, a state or the weight")
    return a.times(1.0 / b.number)


_NUMBERS: dict[str, Callable[..., Any]] = {
    "abs": np.abs, "floor": np.floor, "sqrt": np.sqrt, "exp": np.exp, "log": np.log, "tanh": np.tanh,
    "not": np.logical_not, "min": min, "max": max, "gt": np.greater, "ge": np.greater_equal, "lt": np.less,
    "le": np.less_equal, "eq": np.equal, "and": np.logical_and, "or": np.logical_or, "spike": lambda x: x > 0,
    "where": lambda c, a, b: a if c else b,
}  # fmt: skip
OPERATIONS: dict[str, Callable[..., Polynomial]] = {
    **{name: _of_numbers(name, f) for name, f in _NUMBERS.items()},
    "const": Polynomial.of,
    "add": Polynomial.__add__,
    "sub": lambda a, b: a + b.times(-1.0),
    "neg": lambda a: a.times(-1.0),
    "mul": Polynomial.times,
    "div": _divide,
    "detach": lambda a: a,
}
