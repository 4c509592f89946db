"""Exact arithmetic with bounds: the operations a calculator may perform, each safe on its own.

A value is a sympy number. It is an exact rational as long as it can be, a short symbolic form of short rationals
after that (so that ``sqrt(2)**2`` is 2 and ``cos(pi/3)`` is 1/2), and a float of `WORKING_DIGITS` digits where the
form would grow long. Every operation estimates the size of its result before it computes it, and every result is
real and finite.
"""

import math
from typing import Any

from langchain_atlas.errors import InvalidInputError

MAX_DIGITS = 4_000
"""Numbers above 10**4000, or nearer to zero than its inverse, are refused: Python prints integers up to 4300 digits."""

WORKING_DIGITS = 60
"""Significant digits of values that are no longer exact."""

CERTAIN_DIGITS = WORKING_DIGITS - 15
"""How many digits of an inexact value may be lost to cancellation, with enough left to show."""

_ZERO_DIGITS = 80
"""Parts that cancel to so many digits are equal; sympy computes up to 100 by default."""

MAX_SYMBOLIC_OPERATIONS = 25
"""A symbolic value with more operations becomes a float: sympy's work grows with the form, not with the number."""

MAX_SYMBOLIC_DIGITS = 30
"""Symbolic forms hold no rationals of more digits than this: sympy factors what it finds below a root."""

CONSTANTS = ("pi", "e", "tau")


def rational(numerator: int, denominator: int = 1) -> Any:
    """The exact quotient of two integers, as a value."""
    import sympy

    return sympy.Rational(numerator, denominator)


def constant(name: str) -> Any:
    """The value of a name in `CONSTANTS`."""
    import sympy

    return {"pi": sympy.pi, "e": sympy.E, "tau": 2 * sympy.pi}[name]


def add(left: Any, right: Any) -> Any:
    """Left plus right."""
    left, right = _compatible(left, right)
    return _certain(settle(left + right), left)


def subtract(left: Any, right: Any) -> Any:
    """Left minus right."""
    left, right = _compatible(left, right)
    return _certain(settle(left - right), left)


def _certain(total: Any, part: Any) -> Any:
    """A sum, unless its parts cancel so far that rounding is all that is left.

    Raises:
        InvalidInputError: when they do.
    """
    if total.is_Float and not is_zero(part) and magnitude(total) < magnitude(part) - CERTAIN_DIGITS:
        raise InvalidInputError(
            f"two inexact numbers that agree in {CERTAIN_DIGITS} digits were subtracted; the difference is not known"
        )
    return total


def _compatible(left: Any, right: Any) -> tuple[Any, Any]:
    """Two operands, made such that sympy combines them in short time."""
    return (left, right) if left.is_Rational and right.is_Rational else (short(left), short(right))


def short(value: Any) -> Any:
    """The value itself, or a float in place of a long rational."""
    return value.evalf(WORKING_DIGITS) if value.is_Rational and is_long(value) else value


def is_long(number: Any) -> bool:
    """Whether a rational has more digits than a symbolic form may hold."""
    return max(digits_of(number.p), digits_of(number.q)) > MAX_SYMBOLIC_DIGITS


def multiply(left: Any, right: Any) -> Any:
    """Left times right."""
    left, right = _compatible(left, right)
    return settle(left * right)


def divide(left: Any, right: Any) -> Any:
    """Left divided by right; exact for rationals.

    Raises:
        InvalidInputError: when `right` is zero.
    """
    refuse_zero(right)
    left, right = _compatible(left, right)
    return settle(left / right)


def floor_divide(left: Any, right: Any) -> Any:
    """The largest integer not above left / right, as Python's ``//``."""
    return floor(divide(left, right))


def modulo(left: Any, right: Any) -> Any:
    """What is left of `left` after whole multiples of `right`; it has the sign of `right`, as in Python."""
    return subtract(left, multiply(right, floor_divide(left, right)))


def power(base: Any, exponent: Any) -> Any:
    """Base to the exponent, exact where the result fits in `MAX_DIGITS` digits.

    Raises:
        InvalidInputError: when the result is too large, complex, or a negative power of zero.
    """
    if is_zero(base):
        if is_negative(exponent):
            refuse_zero(base)
        return rational(1 if is_zero(exponent) else 0)
    if not exponent.is_Integer and is_negative(base):
        raise InvalidInputError("a negative number to a fractional power is not real; for odd roots use root(x, n)")
    refuse_magnitude(exponent.evalf(15) * magnitude(base))
    if base.is_Rational and exponent.is_Integer:
        # A power of an integer within the bounds fits; one of a fraction may be long and yet near to 1.
        size = max(digits_of(base.p), digits_of(base.q))
        fits = abs(base.p) == base.q or abs(exponent.p) <= 2 * MAX_DIGITS / size
        return settle(base**exponent) if fits else _inexact_power(base, exponent)
    if base.is_Rational and exponent.is_Rational:
        return settle(_rational_power(base, exponent))
    return settle(short(base) ** short(exponent))


def _rational_power(base: Any, exponent: Any) -> Any:
    """A positive rational to a fractional power: exact when both parts have the root, symbolic when small."""
    import sympy

    if exponent.q <= MAX_DIGITS * 4:
        numerator, whole = sympy.integer_nthroot(base.p, exponent.q)
        denominator, also_whole = sympy.integer_nthroot(base.q, exponent.q)
        if whole and also_whole:
            return power(rational(numerator, denominator), sympy.Integer(exponent.p))
    if is_long(base) or is_long(exponent) or abs(exponent.p) > MAX_SYMBOLIC_OPERATIONS:
        return _inexact_power(base, exponent)
    return base**exponent


def _inexact_power(base: Any, exponent: Any) -> Any:
    import sympy

    # Unevaluated, so that sympy picks the working precision that the exponent needs.
    return settle(sympy.Pow(base, exponent, evaluate=False).evalf(WORKING_DIGITS))


def absolute(value: Any) -> Any:
    """The value without its sign."""
    return -value if is_negative(value) else value


def floor(value: Any) -> Any:
    """The largest integer not above `value`."""
    import sympy

    if value.is_Rational:
        return sympy.Integer(value.p // value.q)
    whole_digits = 0 if is_zero(value) else max(0, int(magnitude(value)))
    if whole_digits > CERTAIN_DIGITS:
        raise InvalidInputError(f"an inexact number above 10**{CERTAIN_DIGITS} can't be rounded to a whole one")
    digits = whole_digits + 20
    nearest = sympy.Integer(round(value.evalf(digits)))
    # A value that is an integer in disguise is recognised by its difference.
    difference = value - nearest
    return nearest - 1 if is_negative(difference) and not is_zero(difference) else nearest


def ceiling(value: Any) -> Any:
    """The smallest integer not below `value`."""
    return -floor(-value)


def round_half_up(value: Any, decimals: Any = None) -> Any:
    """Round to a number of decimals, ties away from zero as taught in school.

    Args:
        value: what to round.
        decimals: an integer value from -`MAX_DIGITS` to `MAX_DIGITS`; none for a whole number.
    """
    places = 0 if decimals is None else integer(decimals, "the number of decimals")
    if abs(places) > MAX_DIGITS:
        raise InvalidInputError(f"can't round to {places} decimals; the most is {MAX_DIGITS}")
    scale = rational(10) ** places
    whole = floor(absolute(value) * scale + rational(1, 2))
    return settle((-whole if is_negative(value) else whole) / scale)


def settle(value: Any) -> Any:
    """Bring a result into bounds: real, finite, of bounded size and of bounded form.

    Raises:
        InvalidInputError: when it is undefined, complex or too large.
    """
    import sympy

    if value.is_Rational:
        if max(digits_of(value.p), digits_of(value.q)) <= MAX_DIGITS:
            return value
        refuse_magnitude(digits_of(value.p) - digits_of(value.q))
        return value.evalf(WORKING_DIGITS)
    estimate = value.evalf(15)
    if not (estimate.is_Float or estimate.is_Rational):
        if estimate.is_finite:
            raise InvalidInputError("the result is not a real number")
        raise InvalidInputError("the result is undefined: a division by zero or a pole of a function")
    if is_zero(value):
        return rational(0)
    refuse_magnitude(magnitude(estimate))
    form_is_long = value.count_ops() > MAX_SYMBOLIC_OPERATIONS or any(map(is_long, value.atoms(sympy.Rational)))
    return value.evalf(WORKING_DIGITS) if form_is_long or value.has(sympy.Float) else value


def magnitude(value: Any) -> Any:
    """The decimal logarithm of the absolute value of a number that is not zero, as a sympy float.

    A float of Python would turn the logarithm of a number very close to 1 into zero.
    """
    import sympy

    size = absolute(value)
    if abs((size - 1).evalf(15)) < rational(1, 10**15):
        # The first term of the series; sympy's own logarithm overflows here.
        return (size - 1).evalf(15) / math.log(10)
    # Unevaluated, or sympy would look for factors first.
    return sympy.log(size, evaluate=False).evalf(15) / math.log(10)


def digits_of(number: int) -> float:
    """About how many decimal digits an integer has, without printing it."""
    return abs(number).bit_length() * math.log10(2)


def is_negative(value: Any) -> bool:
    """Whether a value is below zero."""
    return bool(value.evalf(15) < 0)


def is_zero(value: Any) -> bool:
    """Whether a value is zero, also when its form does not show it."""
    from sympy.core.evalf import PrecisionExhausted

    if value.is_Rational or value.is_Float:
        return bool(value == 0)
    try:
        return bool(value.evalf(5, strict=True) == 0)
    except PrecisionExhausted:
        # Zero, or a form whose accuracy sympy can't vouch for. A sum that is zero is tiny beside its largest part.
        largest = max(absolute(part).evalf(15) for part in (value.args if value.is_Add else (rational(1),)))
        return bool(absolute(value.evalf(15)) < largest * rational(1, 10**_ZERO_DIGITS))


def refuse_zero(value: Any) -> None:
    """Raise `InvalidInputError` for a divisor that is zero."""
    if is_zero(value):
        raise InvalidInputError("division by zero")


def refuse_magnitude(digits: Any) -> None:
    """Raise `InvalidInputError` for a result of that many digits, before or after the point, if they are too many."""
    if abs(digits) > MAX_DIGITS:
        size = "large" if digits > 0 else "small"
        raise InvalidInputError(f"the result is too {size}: the calculator stops at {MAX_DIGITS} digits")


def integer(value: Any, role: str, minimum: int | None = None) -> int:
    """The Python integer of a value.

    Raises:
        InvalidInputError: when it is not whole, or below the minimum.
    """
    if not value.is_Rational:
        whole = floor(value)
        value = whole if is_zero(value - whole) else value
    if not value.is_Integer or (minimum is not None and value < minimum):
        wanted = "a whole number" if minimum is None else f"a whole number of at least {minimum}"
        raise InvalidInputError(f"{role} must be {wanted}")
    return int(value)
