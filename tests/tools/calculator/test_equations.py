"""Equations for one unknown, and the digits that an expression asks for."""

import time
from fractions import Fraction

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_atlas.errors import InvalidInputError
from langchain_atlas.tools.calculator import Calculator, evaluate


@pytest.mark.parametrize(
    ("equation", "expected"),
    [
        ("solve 2x+3=7", "x = 2"),
        ("2x + 3 = 7?", "x = 2"),
        ("x^2 = 4", "x = -2 or x = 2"),
        ("x\u00b2 \u2212 5x + 6 = 0", "x = 2 or x = 3"),
        ("solve(x**2 - 4, x)", "x = -2 or x = 2"),
        ("solve(Eq(x**2, 2), x)", "x = -1.41421356237 or x = 1.41421356237"),
        ("x == 5*3", "x = 15"),
        ("solve 5y - 3 = 2y + 9 for y", "y = 4"),
        ("(1,000x) = 2,500", "x = 2.5"),
        ("x(x+1) = 6", "x = -3 or x = 2"),
        ("1/x = 4", "x = 0.25"),
        ("3x = 1", "x = 0.333333333333"),
        ("x^3 - 6x^2 + 11x - 6 = 0", "x = 1 or x = 2 or x = 3"),
        ("x^11*(x-1) = 0", "x = 0 or x = 1"),
        ("(x-1/3)^12 = 0", "x = 0.333333333333"),
        ("1000*(1+x/100)^10 = 2000 to 2 decimals", "x = -207.18 or x = 7.18"),
        ("sqrt(2)*x = 2", "x = 1.41421356237"),
        ("x^2 + 1 = 0", "no real x is a solution"),
        ("x + 1 = x", "no real x is a solution"),
        ("2x = x + x", "every x is a solution"),
        ("(x^2-1)/(x-1) = 0", "x = -1"),
        ("(x^3-2)*(x-1)/(x-1)^2 = 0", "x = 1.25992104989"),
        ("(x-sqrt(2))/(x^2-2) = 0", "no real x is a solution"),
        ("x^2 - 10^60*x + 1 = 0", "x = 1e-60 or x = 1e+60"),
        ("x^12 = 2*(10^45*x-1)^2", "x = -1071773462.54 or x = 1e-45 or x = 1e-45 or x = 1071773462.54"),
        ("x^3 = 10^99", "x = 1000000000000000000000000000000000"),
        ("x^3 = 2 to 50 digits", "x = 1.2599210498948731647672106072782283505702514647015"),
    ],
)
def test_equations_are_solved(equation: str, expected: str) -> None:
    assert evaluate(equation) == expected


@pytest.mark.parametrize(
    ("equation", "message"),
    [
        ("2+2 = 4", "needs one unknown.*has none"),
        ("y = 2x + 1", "this one has x, y"),
        ("x = 1 = 2", "one '=', not 2"),
        ("solve 3x = 6 for y", "this one has x"),
        ("sin(x) = 1", "can't stand inside sin"),
        ("2^x = 8", "take a logarithm"),
        ("x! = 6", "inside a factorial"),
        ("x^0.5 = 3", "must be a whole number"),
        ("x^13 = 1", "12 at most"),
        ("(" * 30 + "x" + "^2)" * 30 + "=1", "above 12"),
        ("(x^7)*(x^7) = 1", "above 12"),
        ("1/(x-x) = 1", "division by zero"),
        ("(x+1e50)^4 = 3", "at most 100 digits"),
        ("sqrt(2)*x^3 = 1", "must be fractions"),
        ("10^-3999*x = 10^3999", "too large"),
        ("10^3999*x = 10^-3999*sqrt(2)", "too small"),
        ("1/2x = 3", "two ways"),
    ],
)
def test_what_cannot_be_solved_is_said(equation: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        evaluate(equation)


@pytest.mark.parametrize(
    "equation",
    [
        "x^12 - 10^99*x + 1 = 0",
        "*".join(f"(x-{number})" for number in range(12)) + "=0",
        "+".join(f"x^{power}/{10**15 + power}" for power in range(1, 13)) + "=1/3",
        "+".join(["x*x"] * 90) + "=7",
    ],
    ids=lambda text: text[:20],
)
def test_the_hardest_equations_are_short(equation: str) -> None:
    evaluate("x^3 = 2")
    started = time.perf_counter()
    assert "x = " in evaluate(equation)
    assert time.perf_counter() - started < 5


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-50, 50), min_size=1, max_size=5, unique=True))
def test_the_roots_of_a_product_are_found(places: list[int]) -> None:
    equation = "*".join(f"(x - ({place}))" for place in places)
    assert evaluate(f"{equation} = 0") == " or ".join(f"x = {place}" for place in sorted(places))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-9, 9), min_size=3, max_size=8).filter(lambda parts: parts[-1] != 0))
def test_the_roots_of_a_polynomial_are_all_found(parts: list[int]) -> None:
    polynomial = sympy.Poly(parts[::-1], sympy.Symbol("x"))
    answer = evaluate("+".join(f"({part})*x^{power}" for power, part in enumerate(parts)) + "=0 to 30 digits")
    found = [sympy.Rational(root.removeprefix("x = ")) for root in answer.split(" or ") if root.startswith("x = ")]
    assert found == sorted(found)
    expected = [low for (low, _), _ in polynomial.intervals(eps=sympy.Rational(1, 10**60))]
    assert len(found) == len(expected)
    for root, exact in zip(found, expected, strict=True):
        assert abs(root - exact) <= abs(exact) / 10**29


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("2/3 to 2 decimals", "0.67"),
        ("2/3, rounded to two decimal places", "0.67"),
        ("sqrt(2) to 5 significant digits", "1.4142"),
        ("pi to 50 digits", "3.1415926535897932384626433832795028841971693993751"),
        ("1234567 to 2 significant figures", "1200000"),
        ("9.996 to 3 s.f.", "10.0"),
        ("0.0099999 to 2 sig figs", "0.010"),
        ("-5 to 3 sf", "-5.00"),
        ("0 to 3 sf", "0.00"),
        ("exp(100) to 3 significant digits", "2.69e+43"),
        ("10^300/7 to 5 sf", "1.4286e+299"),
        ("123.456 to the nearest tenth", "123.5"),
        ("2.5 to the nearest whole number", "3"),
        ("sqrt(2)*10^20 to 30 dp", "141421356237309504880.168872420969807856967187537695"),
    ],
)
def test_digits_asked_for_in_words(expression: str, expected: str) -> None:
    assert evaluate(expression) == expected


def test_digits_asked_for_in_arguments() -> None:
    assert Calculator().invoke({"expression": "1/7", "significant_digits": 3}) == "0.143"
    assert evaluate("2/3 to 2 decimals", precision=2) == "0.67"
    with pytest.raises(InvalidInputError, match="other digits than"):
        evaluate("2/3 to 2 decimals", precision=3)
    with pytest.raises(InvalidInputError, match="not both"):
        evaluate("2/3", precision=3, significant_digits=2)
    with pytest.raises(InvalidInputError, match="from 1 to 50, not 0"):
        evaluate("2/3", significant_digits=0)
    with pytest.raises(InvalidInputError, match="from 0 to 50 decimals, not 999"):
        evaluate("2/3 to 999 decimals")


@settings(max_examples=200, deadline=None)
@given(st.fractions(), st.integers(1, 30))
def test_significant_digits_are_nearest(value: object, digits: int) -> None:
    shown = evaluate(f"{value}", significant_digits=digits)
    exact = Fraction(str(value))
    error = abs(Fraction(shown) - exact)
    assert error <= abs(exact) * Fraction(5, 10**digits)
