"""The functions that an expression may call, by name. Those of whole numbers know their size before they compute."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

from langchain_atlas.errors import InvalidInputError
from langchain_atlas.tools.arithmetic import (
    CERTAIN_DIGITS,
    WORKING_DIGITS,
    absolute,
    add,
    ceiling,
    constant,
    divide,
    floor,
    integer,
    is_long,
    is_negative,
    is_zero,
    magnitude,
    modulo,
    multiply,
    power,
    rational,
    refuse_magnitude,
    refuse_zero,
    round_half_up,
    settle,
    subtract,
)

_PLAUSIBLE_POWER = 5
"""Digits before the point of the logarithm of a number within the bounds, unless its base is close to 1."""

_SHOWN_DIGITS = 15
"""Digits of a result that have to be right."""

_LARGE = 10**9
"""Sizes of factorials are estimated in floats, which are good far beyond this; nothing this large is computed."""


def factorial(value: Any) -> Any:
    """The product of the integers from 1 to `value`."""
    number = integer(value, "the argument of factorial", minimum=0)
    refuse_magnitude(_factorial_digits(min(number, _LARGE)))
    return rational(math.factorial(number))


def binomial(total: Any, chosen: Any) -> Any:
    """In how many ways `chosen` things can be picked from `total`."""
    n = integer(total, "the first argument of binomial", minimum=0)
    k = integer(chosen, "the second argument of binomial", minimum=0)
    k = min(k, n - k)
    if k < 0:
        return rational(0)
    if n <= _LARGE:
        refuse_magnitude(_factorial_digits(n) - _factorial_digits(k) - _factorial_digits(n - k))
    elif k:
        # (n over k) lies between (n / k)**k and n**k.
        refuse_magnitude(min(k, _LARGE) * (math.log10(n) - math.log10(k)))
    return rational(math.comb(n, k))


def permutations(total: Any, chosen: Any) -> Any:
    """In how many orders `chosen` things can be picked from `total`."""
    n = integer(total, "the first argument of perm", minimum=0)
    k = integer(chosen, "the second argument of perm", minimum=0)
    if k > n:
        return rational(0)
    if n <= _LARGE:
        refuse_magnitude(_factorial_digits(n) - _factorial_digits(n - k))
    elif k:
        # n! / (n - k)! is at least (n / e)**k.
        refuse_magnitude(min(k, _LARGE) * (math.log10(n) - math.log10(math.e)))
    return rational(math.perm(n, k))


def _factorial_digits(number: int) -> float:
    return math.lgamma(number + 1) / math.log(10)


def exponential(value: Any) -> Any:
    """E to the value."""
    return power(constant("e"), value)


def square_root(value: Any) -> Any:
    """The non-negative square root."""
    if is_negative(value):
        raise InvalidInputError("the square root of a negative number is not real")
    return power(value, rational(1, 2))


def root(value: Any, degree: Any) -> Any:
    """The real root of the given whole degree; odd roots of negative numbers are negative."""
    n = integer(degree, "the degree of root", minimum=1)
    if is_negative(value) and n % 2:
        return -power(-value, rational(1, n))
    return power(value, rational(1, n))


def logarithm(value: Any, base: Any = None) -> Any:
    """The natural logarithm, or the one to `base`; exact for powers of the base.

    Raises:
        InvalidInputError: when `value` or `base` is not positive, or `base` is 1.
    """
    for number in (value,) if base is None else (value, base):
        if is_zero(number) or is_negative(number):
            raise InvalidInputError("a logarithm needs a positive number")
    if base is None:
        return _elementary("log", value)
    refuse_zero(base - 1)
    quotient = divide(logarithm(value), logarithm(base))
    if base.is_Rational and value.is_Rational:
        nearest = round_half_up(quotient)
        if is_zero(nearest) or magnitude(nearest) < _PLAUSIBLE_POWER:
            try:
                return nearest if power(base, nearest) == value else quotient
            except InvalidInputError:  # the power is out of bounds, so it isn't the value, which is within
                return quotient
    return quotient


def _elementary(name: str, value: Any) -> Any:
    """One of sympy's functions of one real argument."""
    import sympy

    function = getattr(sympy, name)
    if value.is_Rational and is_long(value):
        # Exactly this number, but without the simplifications of sympy, which take it apart.
        return settle(function(value, evaluate=False).evalf(WORKING_DIGITS))
    return settle(function(value))


def hyperbolic_sine(value: Any) -> Any:
    """Half the difference of e to the value and e to its negative."""
    return divide(subtract(exponential(value), exponential(-value)), rational(2))


def hyperbolic_cosine(value: Any) -> Any:
    """Half the sum of e to the value and e to its negative."""
    return divide(add(exponential(value), exponential(-value)), rational(2))


def truncate(value: Any) -> Any:
    """The whole part, as Python's ``int``."""
    return -floor(-value) if is_negative(value) else floor(value)


def sine(value: Any) -> Any:
    """The sine of an angle in radians."""
    return _periodic("sin", value)


def cosine(value: Any) -> Any:
    """The cosine of an angle in radians."""
    return _periodic("cos", value)


def tangent(value: Any) -> Any:
    """The tangent of an angle in radians."""
    return _periodic("tan", value)


def _periodic(name: str, angle: Any) -> Any:
    if not angle.is_Rational and magnitude(angle) > CERTAIN_DIGITS - _SHOWN_DIGITS:
        raise InvalidInputError(f"the {name} of an inexact angle this large is not known")
    return _elementary(name, angle)


def _inverse(name: str) -> Callable[[Any], Any]:
    """An inverse trigonometric function; symbolic for short rationals, a float for other arguments."""

    def apply(value: Any) -> Any:
        # Given a symbolic form, sympy compares parts of it that can't be compared.
        return _elementary(name, value if value.is_Rational else value.evalf(WORKING_DIGITS))

    return apply


def _of_integers(name: str, combine: Callable[..., int]) -> Callable[..., Any]:
    def apply(*values: Any) -> Any:
        return settle(rational(combine(*(integer(value, f"an argument of {name}") for value in values))))

    return apply


def _smallest(*values: Any) -> Any:
    return reduce(lambda best, value: value if is_negative(subtract(value, best)) else best, values)


def _largest(*values: Any) -> Any:
    return reduce(lambda best, value: value if is_negative(subtract(best, value)) else best, values)


def _total(*values: Any) -> Any:
    return reduce(add, values)


def _mean(*values: Any) -> Any:
    return divide(_total(*values), rational(len(values)))


@dataclass(frozen=True)
class Function:
    """A function that an expression may call."""

    apply: Callable[..., Any]
    """From values to a value."""

    fewest: int = 1
    """The smallest number of arguments."""

    most: int = 1
    """The largest number of arguments."""


_MANY = 1_000

FUNCTIONS: dict[str, Function] = {
    "abs": Function(absolute),
    "acos": Function(_inverse("acos")),
    "asin": Function(_inverse("asin")),
    "atan": Function(_inverse("atan")),
    "binomial": Function(binomial, 2, 2),
    "cbrt": Function(lambda value: root(value, rational(3))),
    "ceil": Function(ceiling),
    "cos": Function(cosine),
    "cosh": Function(hyperbolic_cosine),
    "degrees": Function(lambda value: multiply(value, divide(rational(180), constant("pi")))),
    "exp": Function(exponential),
    "factorial": Function(factorial),
    "floor": Function(floor),
    "gcd": Function(_of_integers("gcd", math.gcd), 1, _MANY),
    "lcm": Function(_of_integers("lcm", math.lcm), 1, _MANY),
    "ln": Function(logarithm),
    "log": Function(logarithm, 1, 2),
    "log10": Function(lambda value: logarithm(value, rational(10))),
    "log2": Function(lambda value: logarithm(value, rational(2))),
    "max": Function(_largest, 1, _MANY),
    "mean": Function(_mean, 1, _MANY),
    "min": Function(_smallest, 1, _MANY),
    "mod": Function(modulo, 2, 2),
    "perm": Function(permutations, 2, 2),
    "pow": Function(power, 2, 2),
    "radians": Function(lambda value: multiply(value, divide(constant("pi"), rational(180)))),
    "root": Function(root, 2, 2),
    "round": Function(round_half_up, 1, 2),
    "sin": Function(sine),
    "sinh": Function(hyperbolic_sine),
    "sqrt": Function(square_root),
    "sum": Function(_total, 1, _MANY),
    "tan": Function(tangent),
    "tanh": Function(lambda value: divide(hyperbolic_sine(value), hyperbolic_cosine(value))),
    "trunc": Function(truncate),
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
