"""Equations in one unknown: read as two expressions, solved for the real numbers that satisfy them."""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from langchain_atlas.errors import InvalidInputError
from langchain_atlas.tools import arithmetic, expressions, functions, quotients, roots
from langchain_atlas.tools.tokens import WORDS, tokenize

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


@dataclass(frozen=True)
class Equation:
    """An equation as written."""

    left: str
    """The expression before the sign."""

    right: str
    """The expression after it."""

    unknown: str
    """The letter that stands for what is sought."""


@dataclass(frozen=True)
class Solution:
    """What satisfies an equation."""

    unknown: str
    """The letter of the equation."""

    roots: tuple[Any, ...] = ()
    """The real values that satisfy it, in rising order."""

    always: bool = False
    """Whether every value does."""


def find(text: str) -> Equation | None:
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
    depth = 0
    for place, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            return text[:place], text[place + 1 :]
    raise InvalidInputError("Eq takes two expressions, as in Eq(x^2, 4)")


def _closes_at_end(text: str) -> bool:
    """Whether the parenthesis that a text begins with is closed by its last character."""
    depth = 0
    for place, character in enumerate(text.rstrip()):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return place == len(text.rstrip()) - 1
    return False


def _letters(side: str) -> set[str]:
    """The single letters in an expression that have no other meaning; ``x`` is an unknown here, not a product."""
    names = {token.text for token in tokenize(side) if token.kind == "name"}
    taken = {*arithmetic.CONSTANTS, *functions.FUNCTIONS, *(WORDS.keys() - {"x"})}
    return {name for name in names if len(name) == 1 and name.lower() not in taken}


def solve(equation: Equation) -> Solution:
    """The real values that satisfy an equation.

    Exact where roots of polynomials up to the second degree allow it, to `arithmetic.WORKING_DIGITS` digits beyond.

    Raises:
        InvalidInputError: when a side can't be read, or is no quotient of polynomials of bounded degree.
    """
    left, right = (expressions.parse(side, unknown=equation.unknown) for side in (equation.left, equation.right))
    difference = quotients.of(quotients.subtract(left, right))
    if not difference.above:
        return Solution(equation.unknown, always=True)
    found = [
        root for root in _roots(difference.above) if not arithmetic.is_zero(quotients.value_at(difference.below, root))
    ]
    return Solution(equation.unknown, tuple(sorted(found, key=lambda root: root.evalf(arithmetic.WORKING_DIGITS))))


def _roots(polynomial: quotients.Polynomial) -> list[Any]:
    match polynomial:
        case (_,):
            return []
        case (constant, slope):
            return [arithmetic.divide(-constant, slope)]
        case (constant, slope, square):
            return _quadratic(constant, slope, square)
        case _:
            return _isolated(polynomial)


def _quadratic(constant: Any, slope: Any, square: Any) -> list[Any]:
    four, two = arithmetic.rational(4), arithmetic.rational(2)
    product = arithmetic.multiply(four, arithmetic.multiply(square, constant))
    discriminant = arithmetic.subtract(arithmetic.power(slope, two), product)
    double = arithmetic.multiply(two, square)
    if arithmetic.is_zero(discriminant):
        return [arithmetic.divide(-slope, double)]
    if arithmetic.is_negative(discriminant):
        return []
    spread = functions.square_root(discriminant)
    return [arithmetic.divide(combine(-slope, spread), double) for combine in (arithmetic.add, arithmetic.subtract)]


def _isolated(polynomial: quotients.Polynomial) -> list[Any]:
    """The real roots of a polynomial with short rational coefficients."""
    rational = all(coefficient.is_Rational for coefficient in polynomial)
    if not rational or any(_digits(coefficient) > MAX_COEFFICIENT_DIGITS for coefficient in polynomial):
        raise InvalidInputError(
            "above the second degree the coefficients of an equation must be fractions of at most "
            f"{MAX_COEFFICIENT_DIGITS} digits"
        )
    found = roots.real_roots([Fraction(int(coefficient.p), int(coefficient.q)) for coefficient in polynomial])
    return [roots.as_value(root, arithmetic.WORKING_DIGITS) for root in found]


def _digits(coefficient: Any) -> float:
    return max(arithmetic.digits_of(coefficient.p), arithmetic.digits_of(coefficient.q))
