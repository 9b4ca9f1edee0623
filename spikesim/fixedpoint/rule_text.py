"""The text of a learning rule, read by a small parser of our own: a sum of products, and nothing else.

::

    sum       =  [+|-] product  { (+|-) product }
    product   =  factor { * factor }
    factor    =  constant | x0 | y0 | uK | variable | ( variable [(+|-) constant] ) | sgn( variable [(+|-) constant] )
    variable  =  x1 x2 y1 y2 y3 w d t
    constant  =  whole number | 2^k | whole number * 2^k

Each product holds one *dependency*, which says when it acts: ``x0`` (the source has spiked in this epoch), ``y0`` (the
target has) or ``uK`` (in every ``2^K``-th epoch).

Source of the grammar and of the widths: lava-nc 0.10.0, ``lava.magma.core.learning``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DEPENDENCIES = ("x0", "y0", "u")
TRACES = ("x1", "x2", "y1", "y2", "y3")
SYNAPTIC = ("w", "d", "t")
VARIABLES = ("x0", "y0", *TRACES, *SYNAPTIC)
# Bits of a factor in the chip's multiplier, without its sign for those that have none.
WIDTHS = {"x0": 1, "y0": 1, **dict.fromkeys(TRACES, 7), **dict.fromkeys(SYNAPTIC, 9)}
MANTISSA_BITS, ACCUMULATOR_BITS = 4, 15
MANTISSA_HIGH, EXPONENT_LOW, EXPONENT_HIGH = 7, -7, 8

_TOKEN = re.compile(r"\s*(?:(?P<number>\d+)|(?P<name>[a-z]+\d*)|(?P<sign>[-+*^()]))")


class RuleSyntaxError(Exception):
    """What is wrong with the text of a rule, as one sentence."""


@dataclass(frozen=True)
class Factor:
    """``variable + constant``, or its sign."""

    variable: str
    constant: float = 0.0
    sign: bool = False

    def __str__(self) -> str:
        inner = self.variable + (f"{self.constant:+g}" if self.constant else "")
        if self.sign:
            return f"sgn({inner})"
        return f"({inner})" if self.constant else inner


@dataclass(frozen=True)
class Product:
    """``mantissa 2^exponent`` times the dependency times the factors.

    Parameters
    ----------
    dependency
        ``"x0"``, ``"y0"`` or ``"u"``.
    mantissa, exponent
        The scale.
    factors
        What it is multiplied with, in this order.
    period
        K of ``uK``: the product acts in every ``2^K``-th epoch; None for the other dependencies.
    """

    dependency: str
    mantissa: int
    exponent: int
    factors: tuple[Factor, ...]
    period: int | None = None

    def __str__(self) -> str:
        dependency = self.dependency if self.period is None else f"u{self.period}"
        return "*".join([f"{self.mantissa}*2^{self.exponent}", dependency, *map(str, self.factors)])

    @property
    def lost_bits(self) -> int:
        """Bits that the fixed-point arithmetic drops: a wide product counts as divided by ``2^lost_bits``.

        A product of factors of together more than 11 bits is shifted right to fit into the 15-bit accumulator, and
        never shifted back (lava-nc 0.10.0, ``LearningRuleApplierBitApprox``).
        """
        width = sum(WIDTHS[f.variable] for f in self.factors) + MANTISSA_BITS
        return max(0, width - ACCUMULATOR_BITS)


def parse(text: str) -> tuple[Product, ...]:
    """Read a sum of products.

    Parameters
    ----------
    text
        For example ``"2^-2*x1*y0 - 2^-2*y1*x0"``.

    Raises
    ------
    RuleSyntaxError
        If it is not one.

    Examples
    --------
    >>> [str(p) for p in parse("2^-2 * x1 * y0 - 3 * u2 * (w - 4)")]
    ['1*2^-2*y0*x1', '-3*2^0*u2*(w-4)']
    """
    return _Parser(text).sum()


def sum_text(products: tuple[Product, ...]) -> str:
    """Write products as text that Lava reads, too.

    >>> sum_text(parse("y0*x1 - x0*y1"))
    '1*2^0*y0*x1-1*2^0*x0*y1'
    """
    return "+".join(map(str, products)).replace("+-", "-")


class _Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str) -> None:
        self.tokens: list[str] = []
        self.place = at = 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            if found is None:
                raise RuleSyntaxError(f"{text[at:].strip()[:1]!r} has no meaning in a learning rule")
            self.tokens.append(found.group().strip())
            at = found.end()
        self.tokens.append("")  # the end

    def peek(self) -> str:
        return self.tokens[self.place]

    def take(self) -> str:
        self.place += 1
        return self.tokens[self.place - 1]

    def accept(self, *wanted: str) -> str:
        return self.take() if self.peek() in wanted else ""

    def expect(self, wanted: str) -> None:
        if self.take() != wanted:
            found = self.tokens[self.place - 1] or "the end"
            raise RuleSyntaxError(f"{wanted!r} was expected, found {found!r}")

    def sum(self) -> tuple[Product, ...]:
        products = [self.product(self.accept("+", "-"))]
        while self.peek():
            operator = self.take()
            if operator not in ("+", "-"):
                raise RuleSyntaxError(f"'+', '-' or '*' was expected, found {operator!r}")
            products.append(self.product(operator))
        return tuple(products)

    def product(self, operator: str) -> Product:
        begin = self.place
        scale = [-1 if operator == "-" else 1, 0]  # mantissa and exponent
        events: list[str] = []
        factors: list[Factor] = []
        self.factor(scale, events, factors)
        while self.accept("*"):
            self.factor(scale, events, factors)
        written = " ".join(self.tokens[begin : self.place])
        if not events:
            raise RuleSyntaxError(f"the product {written!r} has no x0, y0 or uK; say when it acts, for example with u0")
        if any(e.startswith("u") for e in events[1:]):
            raise RuleSyntaxError(f"the product {written!r} has a second dependency; uK must stand alone or first")
        others = tuple(Factor(e) for e in events[1:])
        period = int(events[0][1:]) if events[0].startswith("u") else None
        return Product("u" if period is not None else events[0], *_normal(*scale), (*others, *factors), period)

    def factor(self, scale: list[int], events: list[str], factors: list[Factor]) -> None:
        token = self.peek()
        if token == "(":
            self.take()
            self.bracket(scale, factors)
        elif token == "sgn":
            self.take()
            self.expect("(")
            inner = self.shifted()
            if inner[0] < 0 or inner[1].variable not in SYNAPTIC:
                raise RuleSyntaxError("sgn() takes w, d or t, optionally plus or minus a constant")
            factors.append(Factor(inner[1].variable, inner[1].constant, True))
        elif token.isdigit() or token in ("+", "-"):
            self.scale_by(scale, self.constant())
        elif token in ("x0", "y0"):
            events.append(self.take())
        elif re.fullmatch(r"u\d", token):
            events.append(self.take())
        elif token in VARIABLES:
            factors.append(Factor(self.take()))
        else:
            known = "x0, y0, u0 .. u9, x1, x2, y1, y2, y3, w, d, t"
            raise RuleSyntaxError(
                f"a factor was expected, found {token or 'the end'!r}; known are {known} and constants"
            )

    def bracket(self, scale: list[int], factors: list[Factor]) -> None:
        """Read what follows an opening bracket: a constant, or a variable with a constant."""
        if self.tokens[self.place].lstrip("+-").isdigit() or self.peek() in ("+", "-"):
            mark = self.place
            constant = self.constant() if self.tokens[self.place + (self.peek() in ("+", "-"))].isdigit() else None
            if constant is not None and self.accept(")"):
                self.scale_by(scale, constant)
                return
            self.place = mark
        sign, factor = self.shifted()
        scale[0] *= sign
        factors.append(factor)

    def shifted(self) -> tuple[int, Factor]:
        """Read ``[-] variable [+- constant] )`` in either order; a minus of the variable is pulled out."""
        variable, sign, constant = "", 1, 0.0
        for turn in range(2):
            operator = self.accept("+", "-")
            if turn and not operator:
                break
            minus = -1 if operator == "-" else 1
            if self.peek().isdigit():
                mantissa, exponent = self.constant()
                constant += minus * mantissa * 2.0**exponent
            elif self.peek() in VARIABLES and not variable:
                variable, sign = self.take(), minus
            else:
                raise RuleSyntaxError(f"a bracket holds one variable and at most one constant, found {self.peek()!r}")
        self.expect(")")
        if not variable:
            raise RuleSyntaxError("a bracket of two constants; write their sum")
        return sign, Factor(variable, sign * constant)

    def constant(self) -> tuple[int, int]:
        """Read ``[+-] number``, ``2^k`` or ``number * 2^k``."""
        sign = -1 if self.accept("+", "-") == "-" else 1
        if not self.peek().isdigit():
            raise RuleSyntaxError(f"a number was expected, found {self.peek() or 'the end'!r}")
        number = int(self.take())
        if self.peek() == "^":
            return sign, self.power(number)
        if self.peek() == "*" and self.tokens[self.place + 1 : self.place + 3] == ["2", "^"]:
            self.take()
            return sign * number, self.power(int(self.take()))
        return sign * number, 0

    def power(self, base: int) -> int:
        self.expect("^")
        if base != 2:
            raise RuleSyntaxError(f"only powers of 2 are constants, found {base}^")
        sign = -1 if self.accept("+", "-") == "-" else 1
        if not self.peek().isdigit():
            raise RuleSyntaxError("a whole exponent was expected after 2^")
        return sign * int(self.take())

    @staticmethod
    def scale_by(scale: list[int], constant: tuple[int, int]) -> None:
        scale[0] *= constant[0]
        scale[1] += constant[1]


def _normal(mantissa: int, exponent: int) -> tuple[int, int]:
    """Move factors of 2 from a mantissa that is too large, or to an exponent that is too small, as far as they go."""
    while (
        mantissa
        and mantissa % 2 == 0
        and ((abs(mantissa) > MANTISSA_HIGH and exponent < EXPONENT_HIGH) or exponent < EXPONENT_LOW)
    ):
        mantissa, exponent = mantissa // 2, exponent + 1
    return mantissa, exponent
