"""What people and models write around an expression, and for its signs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_atlas.errors import InvalidInputError
from langchain_atlas.tools.calculator import evaluate


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (r"\frac{3}{4} + \frac{1}{4}", "1"),
        (r"\dfrac{\frac{1}{2}}{4}", "0.125"),
        (r"\frac12", "0.5"),
        (r"2 \times 3 \cdot 4 \div 6", "4"),
        (r"\sqrt{3^{2} + 4^{2}}", "5"),
        (r"\sqrt[3]{8}", "2"),
        (r"\left(2+3\right)\cdot 4", "20"),
        (r"$\frac{1}{2}$", "0.5"),
        (r"\(2^{10}\)", "1024"),
        (r"10{,}000 \times 10\%", "1000"),
        (r"10\,000 + 1", "10001"),
        ("5 \u00d7 10\u00b3", "5000"),
        (r"5 \times 10^{3}", "5000"),
        (r"\sin(\pi/2)", "1"),
        (r"\log_{10}(100)", "2"),
        (r"\frac{x^{2}}{3} = 12", "x = -6 or x = 6"),
    ],
)
def test_latex(expression: str, expected: str) -> None:
    assert evaluate(expression) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("$5 * 3", "15"),
        ("$1,200.50 + $300", "1500.5"),
        ("20% of €50", "10"),
        ("5€ * 3", "15"),
        ("$5 + $5", "10"),
        ("-$5 + $20", "15"),
    ],
)
def test_amounts_of_one_currency(expression: str, expected: str) -> None:
    assert evaluate(expression) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("What is 20% of 50?", "10"),
        ("calculate: 3*4", "12"),
        ("= 3*4", "12"),
        ("`3*4`", "12"),
        ("'3*4'", "12"),
        ("round 22/7 to 2 decimals", "3.14"),
        ("22/7 (2 decimal places)", "3.14"),
        ("1234.5 to the nearest ten", "1230"),
        ("-1250 to the nearest hundred", "-1300"),
        ("1234.5 to the nearest dollar", "1235"),
        ("15 percent of 80", "12"),
        ("10 divided by 4", "2.5"),
        ("2 to the power of 10", "1024"),
        ("(2+3) squared", "25"),
        ("[2+3]*4", "20"),
        ("|2-5| + |-4|", "7"),
        ("math.sqrt(16) + np.mean([1, 2, 3])", "6"),
        ("sum([1,2,3]) + max([4, 5])", "11"),
        ("arcsin(1) * 2 - pi", "0"),
        ("comb(5, 2) + int(-3.7) + avg(1, 3)", "9"),
        ("sinh(0) + cosh(0) + tanh(0)", "1"),
        ("sin(30°) + cos(60 degrees)", "1"),
        ("log_2(8)", "3"),
        ("solve for x: 2x + 3 = 7", "x = 2"),
        ("Find y if 3y + 5 = 20", "y = 5"),
    ],
)
def test_words_and_signs(expression: str, expected: str) -> None:
    assert evaluate(expression) == expected


@pytest.mark.parametrize("expression", ["180° - 60°", r"\frac{1}{2", r"\int_0^1 x", "||", "$", "`", '"', "solve for x"])
def test_what_is_not_understood_is_refused(expression: str) -> None:
    with pytest.raises(InvalidInputError):
        evaluate(expression)


_PIECES = st.sampled_from(
    [
        *(r"\frac", "{", "}", r"\sqrt", "[", "]", r"\times", "\\", "$", "€", "|", "`", "'", "°", " squared"),
        *(
            "sin(",
            "log_2",
            "what is ",
            "round ",
            " to 2 decimals",
            "find x",
            "percent",
            "math.",
            "1",
            "2,000",
            "%",
            "+",
        ),
        *("(", ")", "x", "=", "^", " ", ".", "5"),
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_PIECES, max_size=25).map("".join))
def test_any_pieces_give_an_answer_or_the_one_error(expression: str) -> None:
    try:
        answer = evaluate(expression)
    except InvalidInputError:
        return
    assert answer
