"""The functions that an expression may call, by name. Those of whole numbers know their size before they compute."""

import math
import operator
from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

from flint import arb, fmpq

from langchain_atlas.errors import InvalidInputError
from langchain_atlas.tools.calculator.reals import (
    MAX_DIGITS,
    MAX_WHOLE_DIGITS,
    Real,
    bounded,
    floor,
    function,
    inexact,
    integer,
    length,
    nearest,
    refuse_long,
    refuse_size,
)

_LARGE = 10**9
"""Factors beyond this are out of bounds, however small the others; it keeps estimates within what floats can hold."""

MAX_POWER = 4 * MAX_DIGITS
"""Powers and roots above this are inexact; that of 2, the smallest, has too many digits from 13288 on."""

CONSTANTS: dict[str, Callable[[], Real]] = {
    "pi": lambda: inexact(arb.pi),
    "e": lambda: inexact(arb.const_e),
    "tau": lambda: inexact(lambda: 2 * arb.pi()),
}


def factorial(value: Real) -> Real:
    """The product of the integers from 1 to `value`."""
    number = integer(value, "the argument of factorial", minimum=0)
    return _orders(number, number)


def permutations(total: Real, chosen: Real) -> Real:
    """In how many orders `chosen` things can be picked from `total`."""
    return _orders(*_counts("perm", total, chosen))


def _orders(n: int, k: int) -> Real:
    if 0 < k <= n:
        # n! / (n - k)! is at least (n / e)**k.
        refuse_size(min(k, _LARGE) * (math.log10(n) - math.log10(math.e)))
    return Real.of(math.perm(n, k))


def binomial(total: Real, chosen: Real) -> Real:
    """In how many ways `chosen` things can be picked from `total`."""
    n, k = _counts("binomial", total, chosen)
    k = min(k, n - k)
    if k < 0:
        return Real.of(0)
    if k:
        # (n over k) is at least (n / k)**k.
        refuse_size(min(k, _LARGE) * (math.log10(n) - math.log10(k)))
    return Real.of(math.comb(n, k))


def _counts(name: str, total: Real, chosen: Real) -> tuple[int, int]:
    n = integer(total, f"the first argument of {name}", minimum=0)
    return n, integer(chosen, f"the second argument of {name}", minimum=0)


def exponential(value: Real) -> Real:
    """E to the value."""
    refuse_size(float(value) / math.log(10))
    return function(arb.exp, value)


def power(base: Real, exponent: Real) -> Real:
    """Base to the exponent.

    Raises:
        InvalidInputError: when the result is too large, complex, or a negative power of zero.
    """
    if base.is_zero:
        if exponent.is_negative:
            raise InvalidInputError("division by zero")
        return Real.of(int(exponent.is_zero))
    if base.is_negative:
        if exponent.exact is None or exponent.exact.q != 1:
            raise InvalidInputError("a negative number to a fractional power is not real; for odd roots use root(x, n)")
        result = power(-base, exponent)
        return -result if int(exponent.exact.p) % 2 else result
    if base.radical is not None and exponent.exact is not None:
        radicand, degree = base.radical
        base, exponent = Real.of(radicand), Real.of(degree * exponent.exact)
    fractions = None if base.exact is None or exponent.exact is None else (base.exact, exponent.exact)
    exact = _exact_power(*fractions) if fractions else None
    if exact is not None:
        return Real.of(exact)
    result = function(arb.sqrt, base) if exponent.exact == fmpq(1, 2) else exponential(logarithm(base) * exponent)
    result.radical = fractions
    return result


def _exact_power(base: fmpq, exponent: fmpq) -> fmpq | None:
    """A positive fraction to a fraction, where that is a fraction of no more than `MAX_DIGITS` digits."""
    degree = int(exponent.q)
    if base == 1:
        return base
    if abs(exponent) > int(MAX_DIGITS / length(base)) + 1 or degree > MAX_POWER:
        return None
    above, below = base.p.root(degree), base.q.root(degree)
    exact = above**degree == base.p and below**degree == base.q
    return fmpq(above, below) ** int(exponent.p) if exact else None


def square_root(value: Real) -> Real:
    """The non-negative square root."""
    if value.is_negative:
        raise InvalidInputError("the square root of a negative number is not real")
    return power(value, Real.of(fmpq(1, 2)))


def root(value: Real, degree: Real) -> Real:
    """The real root of the given whole degree; odd roots of negative numbers are negative."""
    n = integer(degree, "the degree of root", minimum=1)
    if value.is_negative and n % 2:
        return -root(-value, degree)
    return power(value, Real.of(fmpq(1, n)))


def logarithm(value: Real, base: Real | None = None) -> Real:
    """The natural logarithm, or the one to `base`; exact for powers of the base.

    Raises:
        InvalidInputError: when `value` or `base` is not positive, or `base` is 1.
    """
    if value.is_zero or value.is_negative:
        raise InvalidInputError("a logarithm needs a positive number")
    if base is None:
        return function(arb.log, value)
    quotient = logarithm(value) / logarithm(base)
    estimate = float(quotient)
    if quotient.exact is None and base.exact is not None and value.exact is not None and abs(estimate) < MAX_POWER:
        # Where the numbers are too long for their logarithms to tell.
        whole = fmpq(round(estimate))
        return Real.of(whole) if _exact_power(base.exact, whole) == value.exact else quotient
    return quotient


def _hyperbolic(operation: Callable[[arb], arb]) -> Callable[[Real], Real]:
    """A function whose digits are those of e to its argument; ``tanh(1000)`` is 1 to 868 digits."""
    grows = operation is not arb.tanh

    def apply(value: Real) -> Real:
        refuse_size(abs(float(value)) / math.log(10) if grows else 0)
        return function(operation, value, extra=abs(float(value)))

    return apply


def _of_angle(name: str, operation: Callable[[arb], arb]) -> Callable[[Real], Real]:
    def apply(angle: Real) -> Real:
        if angle.exact is None and angle.size > MAX_WHOLE_DIGITS:
            raise InvalidInputError(f"the {name} of an inexact angle this large is not known")
        if name == "tan" and function(arb.cos, angle).is_zero:
            raise InvalidInputError("the result is undefined: a division by zero or a pole of a function")
        return function(operation, angle)

    return apply


def _inverse(operation: Callable[[arb], arb]) -> Callable[[Real], Real]:
    """The inverse of a sine or a cosine."""

    def apply(value: Real) -> Real:
        if (Real.of(1) - abs(value)).is_negative:
            raise InvalidInputError("the result is not a real number")
        return function(operation, value)

    return apply


def rounded(value: Real, decimals: Real | None = None) -> Real:
    """Round to a number of decimals, ties away from zero as taught in school.

    Args:
        value: what to round.
        decimals: an integer from -`MAX_DIGITS` to `MAX_DIGITS`; none for a whole number.
    """
    places = 0 if decimals is None else integer(decimals, "the number of decimals")
    if abs(places) > MAX_DIGITS:
        raise InvalidInputError(f"can't round to {places} decimals; the most is {MAX_DIGITS}")
    unit = Real.of(fmpq(10) ** -places)
    refuse_long(value / unit)
    return Real.of(nearest(value / unit)) * unit


def _of_integers(name: str, combine: Callable[[int, int], int]) -> Callable[..., Real]:
    def apply(*values: Real) -> Real:
        whole = [integer(value, f"an argument of {name}") for value in values]
        # One after the other, so that a result that grows is refused before it is long.
        return reduce(lambda a, b: bounded(Real.of(combine(integer(a, name), b))), whole, Real.of(combine(*whole[:1])))

    return apply


def _total(*values: Real) -> Real:
    return reduce(lambda a, b: bounded(a + b), values)


class NamedFunction(NamedTuple):
    """A function that an expression may call, with the fewest and the most arguments that it takes."""

    apply: Callable[..., Real]
    fewest: int = 1
    most: int = 1


_MANY = 1_000

FUNCTIONS: dict[str, NamedFunction] = {
    "abs": NamedFunction(abs),
    "acos": NamedFunction(_inverse(arb.acos)),
    "asin": NamedFunction(_inverse(arb.asin)),
    "atan": NamedFunction(lambda value: function(arb.atan, value)),
    "binomial": NamedFunction(binomial, 2, 2),
    "cbrt": NamedFunction(lambda value: root(value, Real.of(3))),
    "ceil": NamedFunction(lambda value: -floor(-value)),
    "cos": NamedFunction(_of_angle("cos", arb.cos)),
    "cosh": NamedFunction(_hyperbolic(arb.cosh)),
    "degrees": NamedFunction(lambda value: value * Real.of(180) / CONSTANTS["pi"]()),
    "exp": NamedFunction(exponential),
    "factorial": NamedFunction(factorial),
    "floor": NamedFunction(floor),
    "gcd": NamedFunction(_of_integers("gcd", math.gcd), 1, _MANY),
    "lcm": NamedFunction(_of_integers("lcm", math.lcm), 1, _MANY),
    "ln": NamedFunction(logarithm),
    "log": NamedFunction(logarithm, 1, 2),
    "log10": NamedFunction(lambda value: logarithm(value, Real.of(10))),
    "log2": NamedFunction(lambda value: logarithm(value, Real.of(2))),
    "max": NamedFunction(lambda *values: reduce(lambda a, b: b if (a - b).is_negative else a, values), 1, _MANY),
    "mean": NamedFunction(lambda *values: _total(*values) / Real.of(len(values)), 1, _MANY),
    "min": NamedFunction(lambda *values: reduce(lambda a, b: b if (b - a).is_negative else a, values), 1, _MANY),
    "mod": NamedFunction(operator.mod, 2, 2),
    "perm": NamedFunction(permutations, 2, 2),
    "pow": NamedFunction(power, 2, 2),
    "radians": NamedFunction(lambda value: value * CONSTANTS["pi"]() / Real.of(180)),
    "root": NamedFunction(root, 2, 2),
    "round": NamedFunction(rounded, 1, 2),
    "sin": NamedFunction(_of_angle("sin", arb.sin)),
    "sinh": NamedFunction(_hyperbolic(arb.sinh)),
    "sqrt": NamedFunction(square_root),
    "sum": NamedFunction(_total, 1, _MANY),
    "tan": NamedFunction(_of_angle("tan", arb.tan)),
    "tanh": NamedFunction(_hyperbolic(arb.tanh)),
    "trunc": NamedFunction(lambda value: -floor(-value) if value.is_negative else floor(value)),
}

ALIASES = {
    "arccos": "acos",
    "arcsin": "asin",
    "arctan": "atan",
    "average": "mean",
    "avg": "mean",
    "ceiling": "ceil",
    "comb": "binomial",
    "int": "trunc",
    "ncr": "binomial",
    "npr": "perm",
}
"""Other names of functions."""
