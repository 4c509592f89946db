"""How many digits of a number are asked for, and how a number is written with them."""

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, Inexact
from typing import Any

from langchain_atlas.errors import InvalidInputError
from langchain_atlas.tools import arithmetic

SIGNIFICANT_DIGITS = 12
"""Digits shown of a number whose decimals do not end."""

MAX_EXACT_DIGITS = 50
"""A fraction whose decimals end is shown in full up to this many significant digits."""

MAX_PRECISION = 50
"""Decimals, or significant digits, that can be asked for."""

_LARGEST_PLAIN_EXPONENT = 15
_SMALLEST_PLAIN_EXPONENT = -7

_MOST_DIGITS = 200
"""Digits to which a symbolic value is computed; larger values are rounded as floats are."""

_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_NEAREST = {
    "integer": 0,
    "whole number": 0,
    "unit": 0,
    "dollar": 0,
    "tenth": 1,
    "cent": 2,
    "hundredth": 2,
    "thousandth": 3,
}
_NEAREST |= {"ten": -1, "hundred": -2, "thousand": -3, "million": -6}
_REQUEST = re.compile(
    r"[\s,]*\(?\s*(?:(?:rounded|round|correct|accurate|precise)\s+)?"
    r"(?:(?:(?:to|with|at)\s+|(?<=\())(?P<count>[0-9]{1,4}|" + "|".join(_WORDS) + r")[\s-]+"
    r"(?:(?P<decimals>decimals?(?:\s+(?:places?|digits?))?|d\.?\s?p\.?|places?)"
    r"|significant(?:\s+(?:digits?|figures?))?|sig\.?\s?(?:figs?|digits?)\.?|s\.?\s?f\.?|digits?)"
    r"|to\s+the\s+nearest\s+(?P<nearest>" + "|".join(_NEAREST) + r"))\s*\)?\s*[.?]*\s*\Z",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Rounding:
    """How many digits of a number are asked for."""

    digits: int
    """Their number; below zero for tens, hundreds and so on."""

    significant: bool = False
    """Whether they are counted from the first that is not zero, rather than from the point."""

    @classmethod
    def of(cls, decimals: int | None, significant: int | None) -> "Rounding | None":
        """What two arguments ask for; nothing if both are left out.

        Raises:
            InvalidInputError: when both are given, or one is out of range.
        """
        if decimals is not None and significant is not None:
            raise InvalidInputError(f"give precision or significant_digits, not both ({decimals!r}, {significant!r})")
        if decimals is not None and not 0 <= decimals <= MAX_PRECISION:
            raise InvalidInputError(f"precision must be from 0 to {MAX_PRECISION} decimals, not {decimals!r}")
        if significant is not None and not 1 <= significant <= MAX_PRECISION:
            raise InvalidInputError(f"significant_digits must be from 1 to {MAX_PRECISION}, not {significant!r}")
        if significant is not None:
            return cls(significant, significant=True)
        return None if decimals is None else cls(decimals)


def find(text: str) -> tuple[str, Rounding | None]:
    """Split a request such as ``to 2 decimals`` or ``to 5 significant digits`` off the end of an expression.

    Returns:
        The text before it, and what it asks for; the whole text and nothing if it ends without a request.

    Raises:
        InvalidInputError: when more digits are asked for than can be given.
    """
    # Its parts are matched from the end of the text, which spares a search at every place of a long one.
    start = max(len(text) - 80, 0)
    match = _REQUEST.search(text, start)
    if match is None:
        return text, None
    rest = text[: match.start()]
    if match["nearest"]:
        return rest, Rounding(_NEAREST[" ".join(match["nearest"].lower().split())])
    word = match["count"].lower()
    count = _WORDS.index(word) if word in _WORDS else int(word)
    return rest, Rounding.of(count, None) if match["decimals"] else Rounding.of(None, count)


def write(value: Any, rounding: Rounding | None = None) -> str:
    """A value in digits.

    Args:
        value: a sympy number.
        rounding: the digits asked for; by default all of a number that ends, and `SIGNIFICANT_DIGITS` of others.

    Returns:
        Decimal notation; scientific notation when the value is inexact and very large or small.

    Raises:
        InvalidInputError: when the digits asked for are not known.
    """
    if rounding is None:
        return _shown(value)
    value = _rational(value)
    return _significant(value, rounding.digits) if rounding.significant else _fixed(value, rounding.digits)


def _rational(value: Any) -> Any:
    """A fraction that has more than the digits asked for in common with a symbolic value; others as they are."""
    import sympy

    if value.is_Rational or value.has(sympy.Float):
        return value
    digits = max(int(arithmetic.magnitude(value)), 0) + MAX_PRECISION + 15
    return sympy.Rational(str(value.evalf(digits))) if digits <= _MOST_DIGITS else value


def _shown(value: Any) -> str:
    if value.is_Integer:
        return str(int(value))
    if value.is_Rational:
        exact = Context(prec=MAX_EXACT_DIGITS)
        number = exact.divide(Decimal(value.p), Decimal(value.q))
        if not exact.flags[Inexact]:
            return _plain(number.normalize(exact), smallest=-20)
    rounding = Context(prec=SIGNIFICANT_DIGITS, rounding=ROUND_HALF_UP)
    if value.is_Rational:
        number = rounding.divide(Decimal(value.p), Decimal(value.q))
    else:
        number = rounding.create_decimal(str(value.evalf(2 * SIGNIFICANT_DIGITS)))
    return _plain(number.normalize(rounding))


def _plain(number: Decimal, smallest: int = _SMALLEST_PLAIN_EXPONENT) -> str:
    """Decimal notation where it is short, scientific notation beyond."""
    if smallest < number.adjusted() < _LARGEST_PLAIN_EXPONENT:
        return f"{number:f}"
    return f"{number:e}"


def _fixed(value: Any, decimals: int) -> str:
    """The value with exactly so many decimals."""
    if decimals < 0:
        return _shown(arithmetic.round_half_up(value, arithmetic.rational(decimals)))
    scaled = arithmetic.round_half_up(arithmetic.multiply(value, arithmetic.rational(10**decimals)))
    digits = str(abs(int(scaled))).rjust(decimals + 1, "0")
    sign = "-" if scaled < 0 else ""
    whole, fraction = digits[: len(digits) - decimals], digits[len(digits) - decimals :]
    return f"{sign}{whole}.{fraction}" if decimals else f"{sign}{whole}"


def _significant(value: Any, count: int) -> str:
    """The value with exactly so many digits from the first that is not zero."""
    if arithmetic.is_zero(value):
        return _fixed(value, count - 1)
    decimals = count - 1 - int(arithmetic.floor(arithmetic.magnitude(value)))
    # The estimate can be off by one near a power of ten, and rounding can carry into a new digit.
    for places in (decimals, decimals - 1, decimals + 1):
        whole = int(arithmetic.round_half_up(_scaled(value, places)))
        if len(str(abs(whole))) == count:
            break
    number = Decimal(whole).scaleb(-places, Context(prec=MAX_PRECISION + 1, Emax=10**6, Emin=-(10**6)))
    return _plain(number)


def _scaled(value: Any, places: int) -> Any:
    """The value times ten to the power of `places`, without a detour over numbers that are out of bounds."""
    scale = arithmetic.rational(10 ** abs(places))
    return arithmetic.multiply(value, scale) if places >= 0 else arithmetic.divide(value, scale)
