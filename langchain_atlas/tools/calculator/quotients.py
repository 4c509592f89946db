"""Quotients of two polynomials in one unknown: what the sides of an equation are made of."""

from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Union

from langchain_atlas.errors import InvalidInputError
from langchain_atlas.tools.calculator.reals import Real, bounded, integer

MAX_DEGREE = 12
"""Highest power of the unknown."""

Polynomial = tuple[Real, ...]
"""Coefficients by power, from 0; the last is not zero, and no coefficients at all is the polynomial zero."""

Value = Union[Real, "Quotient"]
"""What an expression gives, without and with an unknown."""


@dataclass(frozen=True)
class Quotient:
    """One polynomial divided by another."""

    above: Polynomial
    """The numerator."""

    below: Polynomial = field(default_factory=lambda: (Real.of(1),))
    """The denominator, never zero."""

    @classmethod
    def of(cls, value: Value) -> "Quotient":
        """A value as a quotient."""
        return value if isinstance(value, Quotient) else cls(_trimmed([value]))

    def __add__(self, other: "Quotient") -> "Quotient":
        if _same(self.below, other.below):
            return Quotient(_sum(self.above, other.above), self.below)
        above = _sum(_product(self.above, other.below), _product(other.above, self.below))
        return Quotient(above, _product(self.below, other.below))

    def __neg__(self) -> "Quotient":
        return Quotient(tuple(-coefficient for coefficient in self.above), self.below)

    def __sub__(self, other: "Quotient") -> "Quotient":
        return self + -other

    def __mul__(self, other: "Quotient") -> "Quotient":
        return Quotient(_product(self.above, other.above), _product(self.below, other.below))

    def __truediv__(self, other: "Quotient") -> "Quotient":
        if not other.above:
            raise InvalidInputError("division by zero")
        if len(other.above) == len(other.below) == 1:
            return self * Quotient((other.below[0] / other.above[0],))
        return self * Quotient(other.below, other.above)

    def __pow__(self, other: "Quotient") -> "Quotient":
        if len(other.above) > 1 or len(other.below) > 1:
            raise InvalidInputError("the unknown can't stand in an exponent here; take a logarithm of both sides first")
        times = integer(value_at(other.above, Real.of(0)), "the exponent of an unknown")
        if abs(times) > MAX_DEGREE:
            raise InvalidInputError(f"an unknown can be raised to {MAX_DEGREE} at most, not {times}")
        result = one = Quotient.of(Real.of(1))
        for _ in range(abs(times)):
            result *= self
        return result if times >= 0 else one / result


def unknown() -> Quotient:
    """The unknown itself."""
    return Quotient((Real.of(0), Real.of(1)))


def value_at(polynomial: Polynomial, place: Real) -> Real:
    """The value of a polynomial at a place, by Horner's rule."""
    total = Real.of(0)
    for coefficient in reversed(polynomial):
        total = total * place + coefficient
    return total


def _same(left: Polynomial, right: Polynomial) -> bool:
    pairs = zip_longest(left, right, fillvalue=Real.of(0))
    return all(a is b or (a.exact is not None and a.exact == b.exact) for a, b in pairs)


def _sum(left: Polynomial, right: Polynomial) -> Polynomial:
    return _trimmed([a + b for a, b in zip_longest(left, right, fillvalue=Real.of(0))])


def _product(left: Polynomial, right: Polynomial) -> Polynomial:
    if len(left) + len(right) - 2 > MAX_DEGREE:
        raise InvalidInputError(f"the equation has a power of its unknown above {MAX_DEGREE}")
    total = [Real.of(0)] * max(len(left) + len(right) - 1, 0)
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            total[i + j] += a * b
    return _trimmed(total)


def _trimmed(coefficients: list[Real]) -> Polynomial:
    while coefficients and coefficients[-1].is_zero:
        coefficients.pop()
    return tuple(map(bounded, coefficients))
