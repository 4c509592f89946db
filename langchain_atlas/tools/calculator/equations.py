"""Equations in one unknown: read as two expressions, solved for the real numbers that satisfy them."""

import re
from itertools import accumulate
from typing import NamedTuple

from flint import fmpq_poly

from langchain_atlas.errors import InvalidInputError
from langchain_atlas.tools.calculator.functions import CONSTANTS, FUNCTIONS, square_root
from langchain_atlas.tools.calculator.parser import parse
from langchain_atlas.tools.calculator.quotients import Polynomial, Quotient, value_at
from langchain_atlas.tools.calculator.reals import Real, bounded, length
from langchain_atlas.tools.calculator.roots import real_roots
from langchain_atlas.tools.calculator.tokens import WORDS, tokenize

MAX_COEFFICIENT_DIGITS = 100
"""Digits of the coefficients of an equation above the second degree."""

_SOLVE = re.compile(r"\s*(?:please\s+)?solve\b(?:\s+(?:the\s+)?equation\b)?\s*:?\s*", re.IGNORECASE)
_SOLVE_FOR = re.compile(
    r"\s*(?:please\s+)?(?:solve\s+for|find)\s+([A-Za-z])\b\s*(?::|,|(?:in|if|when|where|given|such\s+that)\b)?\s*",
    re.IGNORECASE,
)
_UNKNOWN = r"([A-Za-z])\s*"
_FOR = re.compile(rf"\s*(?:,|\bfor\b)\s*{_UNKNOWN}\Z", re.IGNORECASE)
_IN_BRACKETS = re.compile(r"\((.*)\)\s*\Z", re.DOTALL)
_EQ = re.compile(r"\s*Eq\s*\((.*)\)\s*\Z", re.DOTALL)
_EQUALS = re.compile(r"={1,2}")


class Equation(NamedTuple):
    """An equation as written: the expressions before and after its sign, and the letter that is sought."""

    left: str
    right: str
    unknown: str


def find_equation(text: str) -> Equation | None:
    """The equation in a text, such as ``2x+3=7``, ``solve x^2 = 4`` or ``solve(x**2 - 4, x)``; none if it holds none.

    Raises:
        InvalidInputError: when it has several signs of equality, no unknown, or several unknowns.
    """
    text = text.strip().rstrip("?").rstrip()
    asked_for = _SOLVE_FOR.match(text)
    asked = asked_for or _SOLVE.match(text)
    if not asked and "=" not in text.rstrip("=").rstrip() and not _EQ.match(text):
        return None
    text = text[asked.end() :] if asked else text
    if asked and (brackets := _IN_BRACKETS.match(text)) and _closes_at_end(text):
        text = brackets[1]
    named = _FOR.search(text)
    text = text[: named.start()] if named else text
    sides = _sides(text)
    letters = sorted({letter for side in sides for letter in _letters(side)})
    wanted = named[1] if named else asked_for[1] if asked_for else None
    if len(letters) != 1 or wanted not in {None, letters[0]}:
        found = ", ".join(letters) or "none; to compute one side, leave out '=' and the other"
        raise InvalidInputError(f"an equation needs one unknown, a letter such as x; this one has {found}")
    return Equation(*sides, letters[0])


def _sides(text: str) -> tuple[str, str]:
    """The two expressions that an equation sets equal; the second is 0 where none is written."""
    if match := _EQ.match(text):
        return _split_at_comma(match[1])
    sides = _EQUALS.split(text)
    if len(sides) == 1:
        return text, "0"
    if len(sides) > 2:  # noqa: PLR2004
        raise InvalidInputError(f"an equation has one '=', not {len(sides) - 1}")
    return sides[0], sides[1]


def _split_at_comma(text: str) -> tuple[str, str]:
    """Split at the first comma outside parentheses."""
    for place, (character, depth) in enumerate(zip(text, _depths(text), strict=True)):
        if character == "," and depth == 0:
            return text[:place], text[place + 1 :]
    raise InvalidInputError("Eq takes two expressions, as in Eq(x^2, 4)")


def _closes_at_end(text: str) -> bool:
    """Whether the parenthesis that a text begins with is closed by its last character."""
    depths = _depths(text.rstrip())
    return 0 in depths and depths.index(0) == len(depths) - 1


def _depths(text: str) -> list[int]:
    """How many parentheses are open after each character."""
    return list(accumulate((character == "(") - (character == ")") for character in text))


def _letters(side: str) -> set[str]:
    """The single letters in an expression that have no other meaning; ``x`` is an unknown here, not a product."""
    names = {token.text for token in tokenize(side) if token.kind == "name"}
    taken = {*CONSTANTS, *FUNCTIONS, *(WORDS.keys() - {"x"})}
    return {name for name in names if len(name) == 1 and name.lower() not in taken}


def solve_equation(equation: Equation) -> list[Real] | None:
    """The real values that satisfy an equation, in rising order; none if every value does.

    Raises:
        InvalidInputError: when a side can't be read, or is no quotient of polynomials of bounded degree.
    """
    left, right = (parse(side, unknown=equation.unknown) for side in (equation.left, equation.right))
    quotient = Quotient.of(left) - Quotient.of(right)
    if not quotient.above:
        return None
    above, below = _without_common_factors(quotient)
    return [bounded(root) for root in _roots(above) if not value_at(below, root).is_zero]


def _without_common_factors(quotient: Quotient) -> tuple[Polynomial, Polynomial]:
    """A numerator with the roots that the denominator does not have, and a denominator that may have others."""
    above, below = _fractions(quotient.above), _fractions(quotient.below)
    if above is None or below is None:
        return quotient.above, quotient.below
    while (common := above.gcd(below)).degree() > 0:
        above //= common
    return tuple(map(Real.of, above.coeffs())), (Real.of(1),)


def _fractions(polynomial: Polynomial) -> fmpq_poly | None:
    exact = [coefficient.exact for coefficient in polynomial if coefficient.exact is not None]
    return fmpq_poly(exact) if len(exact) == len(polynomial) else None


def _roots(polynomial: Polynomial) -> list[Real]:
    """The real roots in rising order."""
    match polynomial:
        case (_,):
            return []
        case (constant, slope):
            return [-constant / slope]
        case (constant, slope, square):
            return _quadratic(constant, slope, square)
        case _:
            return _isolated(polynomial)


def _quadratic(constant: Real, slope: Real, square: Real) -> list[Real]:
    discriminant = slope * slope - Real.of(4) * square * constant
    double = square + square
    if discriminant.is_negative:
        return []
    if discriminant.is_zero:
        return [-slope / double]
    spread = square_root(discriminant)
    spread = -spread if square.is_negative else spread
    return [(-slope - spread) / double, (-slope + spread) / double]


def _isolated(polynomial: Polynomial) -> list[Real]:
    """The real roots of a polynomial with short fractions as coefficients."""
    fractions = _fractions(polynomial)
    if fractions is None or max(length(part) for part in fractions.coeffs()) > MAX_COEFFICIENT_DIGITS:
        raise InvalidInputError(
            "above the second degree the coefficients of an equation must be fractions of at most "
            f"{MAX_COEFFICIENT_DIGITS} digits"
        )
    return real_roots(fractions)
