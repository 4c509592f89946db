"""Quotients of two polynomials in one unknown: what the sides of an equation are made of.

The operations take plain values too (see `arithmetic`), and give one back where the unknown does not occur.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from langchain_atlas.errors import InvalidInputError
from langchain_atlas.tools import arithmetic

MAX_DEGREE = 12
"""Highest power of the unknown."""

Polynomial = tuple[Any, ...]
"""Coefficients by power, from 0; the last is not zero, and no coefficients at all is the polynomial zero."""


@dataclass(frozen=True)
class Quotient:
    """One polynomial divided by another."""

    above: Polynomial
    """The numerator."""

    below: Polynomial
    """The denominator, never zero."""


def unknown() -> Quotient:
    """The unknown itself."""
    one = arithmetic.rational(1)
    return Quotient((arithmetic.rational(0), one), (one,))


def of(value: Any) -> Quotient:
    """A value as a quotient."""
    return value if isinstance(value, Quotient) else Quotient(_trimmed([value]), (arithmetic.rational(1),))


def add(left: Any, right: Any) -> Any:
    """Left plus right."""
    if not _any_unknown(left, right):
        return arithmetic.add(left, right)
    a, b = of(left), of(right)
    if a.below == b.below:
        return Quotient(_sum(a.above, b.above), a.below)
    return Quotient(_sum(_product(a.above, b.below), _product(b.above, a.below)), _product(a.below, b.below))


def negate(value: Any) -> Any:
    """Zero minus the value."""
    if not isinstance(value, Quotient):
        return -value
    return Quotient(tuple(-coefficient for coefficient in value.above), value.below)


def subtract(left: Any, right: Any) -> Any:
    """Left minus right."""
    return add(left, negate(right)) if _any_unknown(left, right) else arithmetic.subtract(left, right)


def multiply(left: Any, right: Any) -> Any:
    """Left times right."""
    if not _any_unknown(left, right):
        return arithmetic.multiply(left, right)
    a, b = of(left), of(right)
    return Quotient(_product(a.above, b.above), _product(a.below, b.below))


def divide(left: Any, right: Any) -> Any:
    """Left divided by right.

    Raises:
        InvalidInputError: when `right` is zero.
    """
    if not _any_unknown(left, right):
        return arithmetic.divide(left, right)
    if not isinstance(right, Quotient):
        return Quotient(tuple(arithmetic.divide(part, right) for part in left.above), left.below)
    a, b = of(left), of(right)
    if not b.above:
        raise InvalidInputError("division by zero")
    return Quotient(_product(a.above, b.below), _product(a.below, b.above))


def power(base: Any, exponent: Any) -> Any:
    """Base to the exponent; with the unknown in the base, the exponent is a whole number."""
    if not _any_unknown(base, exponent):
        return arithmetic.power(base, exponent)
    if isinstance(exponent, Quotient):
        raise InvalidInputError("the unknown can't stand in an exponent here; take a logarithm of both sides first")
    times = arithmetic.integer(exponent, "the exponent of an unknown")
    if abs(times) > MAX_DEGREE:
        raise InvalidInputError(f"an unknown can be raised to {MAX_DEGREE} at most, not {times}")
    result: Any = arithmetic.rational(1)
    for _ in range(abs(times)):
        result = multiply(result, base)
    return result if times >= 0 else divide(arithmetic.rational(1), result)


def known_only(name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
    """An operation that refuses the unknown.

    Args:
        name: what it is called in the message.
        operation: from values to a value.
    """

    def apply(*values: Any) -> Any:
        if _any_unknown(*values):
            raise InvalidInputError(
                f"the unknown can't stand inside {name}; equations are read with + - * / ^ and brackets around it"
            )
        return operation(*values)

    return apply


def value_at(polynomial: Polynomial, place: Any) -> Any:
    """The value of a polynomial at a place, by Horner's rule."""
    total: Any = arithmetic.rational(0)
    for coefficient in reversed(polynomial):
        total = arithmetic.add(arithmetic.multiply(total, place), coefficient)
    return total


def _any_unknown(*values: Any) -> bool:
    return any(isinstance(value, Quotient) for value in values)


def _sum(left: Polynomial, right: Polynomial) -> Polynomial:
    zero = arithmetic.rational(0)
    return _trimmed([arithmetic.add(a, b) for a, b in zip_longest(left, right, fillvalue=zero)])


def _product(left: Polynomial, right: Polynomial) -> Polynomial:
    if len(left) + len(right) - 2 > MAX_DEGREE:
        raise InvalidInputError(f"the equation has a power of its unknown above {MAX_DEGREE}")
    total: list[Any] = [arithmetic.rational(0)] * max(len(left) + len(right) - 1, 0)
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            total[i + j] = arithmetic.add(total[i + j], arithmetic.multiply(a, b))
    return _trimmed(total)


def _trimmed(coefficients: list[Any]) -> Polynomial:
    while coefficients and arithmetic.is_zero(coefficients[-1]):
        coefficients.pop()
    return tuple(coefficients)
