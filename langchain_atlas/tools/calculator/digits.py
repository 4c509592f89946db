"""How many digits of a number are asked for, and how a number is written with them."""

import math
import re
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact

from langchain_atlas.errors import InvalidInputError
from langchain_atlas.tools.calculator.reals import Real, nearest

SIGNIFICANT_DIGITS = 12
"""Digits shown of a number whose decimals do not end."""

MAX_EXACT_DIGITS = 50
"""A fraction whose decimals end is shown in full up to this many significant digits."""

MAX_PRECISION = 50
"""Decimals, or significant digits, that can be asked for."""

_LARGEST_PLAIN_EXPONENT = 15
_SMALLEST_PLAIN_EXPONENT = -7

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


def find_rounding(text: str) -> tuple[str, Rounding | None]:
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


def write(value: Real, rounding: Rounding | None = None) -> str:
    """A value in digits.

    Args:
        value: the number.
        rounding: the digits asked for; by default all of a number that ends, and `SIGNIFICANT_DIGITS` of others.

    Returns:
        Decimal notation; scientific notation when the value is inexact and very large or small.

    Raises:
        InvalidInputError: when the digits asked for are not known.
    """
    if rounding is None:
        return _shown(value)
    if rounding.significant:
        return _plain(_significant(value, rounding.digits)) if not value.is_zero else _fixed(value, rounding.digits - 1)
    return _fixed(value, rounding.digits)


def _shown(value: Real) -> str:
    if value.exact is not None:
        above, below = int(value.exact.p), int(value.exact.q)
        if below == 1:
            return str(above)
        exact = Context(prec=MAX_EXACT_DIGITS)
        number = exact.divide(Decimal(above), Decimal(below))
        if not exact.flags[Inexact]:
            return _plain(number.normalize(exact), smallest=-20)
    return _plain(_significant(value, SIGNIFICANT_DIGITS).normalize(Context(prec=SIGNIFICANT_DIGITS)))


def _plain(number: Decimal, smallest: int = _SMALLEST_PLAIN_EXPONENT) -> str:
    """Decimal notation where it is short, scientific notation beyond."""
    if smallest < number.adjusted() < _LARGEST_PLAIN_EXPONENT:
        return f"{number:f}"
    return f"{number:e}"


def _fixed(value: Real, decimals: int) -> str:
    """The value with exactly so many decimals."""
    scaled = nearest(value, decimals)
    if decimals < 0:
        return str(scaled * 10**-decimals)
    digits = str(abs(scaled)).rjust(decimals + 1, "0")
    sign = "-" if scaled < 0 else ""
    whole, fraction = digits[: len(digits) - decimals], digits[len(digits) - decimals :]
    return f"{sign}{whole}.{fraction}" if decimals else f"{sign}{whole}"


def _significant(value: Real, count: int) -> Decimal:
    """The value with exactly so many digits from the first that is not zero; it must not be zero."""
    decimals = count - 1 - math.floor(value.size)
    # The estimate can be off by one near a power of ten, and rounding can carry into a new digit.
    for places in (decimals, decimals - 1, decimals + 1):
        whole = nearest(value, places)
        if len(str(abs(whole))) == count:
            break
    return Decimal(whole).scaleb(-places, Context(prec=MAX_PRECISION + 1, Emax=10**6, Emin=-(10**6)))
