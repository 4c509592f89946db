"""Scorers give the scores that a person would, and refuse settings and answers that they can't use."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_atlas.errors import OutcomeError, SettingError
from langchain_atlas.evaluation.scoring.scorers import SCORERS, NumericScorer, Scorer, build_scorer, score


@pytest.mark.parametrize(
    ("answer", "expected", "right"),
    [
        ("Paris", "Paris", 1.0),
        ("  paris.\n", "Paris", 1.0),
        ("sail   301", "sail 301", 1.0),
        ("Paris, France", "Paris", 0.0),
        ("", "Paris", 0.0),
        ("765", 765, 1.0),
        ("TRUE", True, 1.0),
        ("no", ["nope", "no"], 1.0),
        ("caf\u00e9", "cafe\u0301", 1.0),
        ("?", "!", 0.0),
    ],
)
def test_exact(answer: str, expected: Any, right: float) -> None:
    assert score("exact", answer, expected) == right


def test_exact_can_mind_case_and_punctuation() -> None:
    assert score({"kind": "exact", "ignore_case": False}, "paris", "Paris") == 0.0
    assert score({"kind": "exact", "ignore_end_punctuation": False}, "Paris.", "Paris") == 0.0


@pytest.mark.parametrize(
    ("answer", "expected", "right"),
    [
        ("It was built in 1874, I think.", "1874", 1.0),
        ("Keeper Osric\nPell lived there", ["Osric Pell", "Pell"], 1.0),
        ("the PELL family", "pell", 1.0),
        ("the Pells", "Pell", 0.0),
        ("nobody", ["Osric", "Pell"], 0.0),
        ("17.5 metres", "17", 0.0),
        ("1,234 steps", "234", 0.0),
        ("172 steps.", 172, 1.0),
        ("written in C++ (old)", "C++", 1.0),
        ("a{}b", "{}", 0.0),
    ],
)
def test_contains(answer: str, expected: Any, right: float) -> None:
    assert score("contains", answer, expected) == right


@pytest.mark.parametrize(
    ("answer", "right"),
    [("Socks.", 1), ("shoes and socks", 1), ("a hat, a pair of socks", 0), ("a HAT", 0), ("a hatter's socks", 1)],
)
def test_contains_unless_something_else_stands_there_too(answer: str, right: float) -> None:
    scorer = {"kind": "contains", "unless": ["hat", "a scarf"]}
    assert score(scorer, answer, ["socks", "shoes"]) == right


def test_contains_refuses_an_exception_that_the_answer_itself_is() -> None:
    with pytest.raises(OutcomeError, match=r"'sea turtle'.* contains 'turtle' from 'unless'"):
        score({"kind": "contains", "unless": ["turtle"]}, "a whale", ["whale", "sea turtle"])
    with pytest.raises(SettingError, match="unless"):
        build_scorer({"kind": "contains", "unless": [" "]})


def test_contains_can_mind_case() -> None:
    assert score({"kind": "contains", "ignore_case": False}, "the bath", "Bath") == 0.0


@pytest.mark.parametrize(
    ("answer", "expected", "right"),
    [
        ("First 3, then 4, so the answer is 7.", 7, 1.0),
        ("It is 1,234,567.5 dollars", 1234567.5, 1.0),
        ("1,234", "1,234", 1.0),
        ("-5", -5, 1.0),
        ("\u22125", -5, 1.0),
        ("10-5", 5, 1.0),
        ("f(2)-5", 5, 1.0),
        ("= -$12.50", -12.5, 1.0),
        ("about .5", 0.5, 1.0),
        ("1.2e-3", 0.0012, 1.0),
        ("3 x 10^8 m", 3e8, 1.0),
        (r"$3 \times 10^{-2}$", 0.03, 1.0),
        ("45%", 45, 1.0),
        ("45 %", 0.45, 1.0),
        ("45 percent", "45%", 1.0),
        ("0.45", "45%", 1.0),
        ("4500%", "45%", 0.0),
        ("**42**", 42, 1.0),
        (r"\boxed{42}", 42, 1.0),
        ("model v2 of GPT4", 4, 0.0),
        ("version 1.2.3", 3, 0.0),
        ("none", 0, 0.0),
        ("", 0, 0.0),
        ("1e999", 1, 0.0),
        ("7", 8, 0.0),
    ],
)
def test_numeric(answer: str, expected: Any, right: float) -> None:
    assert score("numeric", answer, expected) == right


def test_numeric_tolerance_is_absolute_below_one_and_relative_above() -> None:
    scorer = NumericScorer(tolerance=0.01)
    assert scorer.score("0.209", 0.2) == 1.0  # 0.009 <= 0.01 * 1
    assert scorer.score("0.211", 0.2) == 0.0  # 0.011 > 0.01 * 1
    assert scorer.score("201.9", 200) == 1.0  # 1.9 <= 0.01 * 200
    assert scorer.score("202.1", 200) == 0.0  # 2.1 > 0.01 * 200


def test_numeric_settings() -> None:
    assert score({"kind": "numeric", "which": "first"}, "7, since 3 + 4", 7) == 1.0
    assert score({"kind": "numeric", "fractions": True}, "It is 3/4.", 0.75) == 1.0
    assert score({"kind": "numeric", "fractions": True}, "-1/3", "-1/3") == 1.0
    assert score({"kind": "numeric", "fractions": True}, "1/0", 0) == 0.0
    assert score("numeric", "It is 3/4.", 4) == 1.0


@pytest.mark.parametrize(
    ("answer", "expected", "right"),
    [
        ("法国的首都是巴黎。", "巴黎", 1.0),
        ("一共500元", "500", 1.0),
        ("一共５００元", 500, 1.0),
        ("一共1500元", "500", 0.0),
        ("在1,234巴黎", "234", 0.0),
        ("我爱Python语言", "python", 1.0),
        ("我爱Pythonic语言", "python", 0.0),
        ("東京タワーです", "タワー", 1.0),
        ("กรุงเทพมหานคร", "กรุงเทพ", 1.0),
        ("ก่อน", "ก", 0.0),
        ("ພາສາລາວ", "ລາວ", 1.0),
        ("수도는 서울입니다", "서울", 1.0),
        ("대서울입니다", "서울", 0.0),
        ("किताब", "क", 0.0),
        ("दिल्ली भारत", "भारत", 1.0),
        ("cafe\u0301s", "caf", 0.0),
        ("I \u2764\ufe0f it", "\u2764", 1.0),
    ],
)
def test_contains_finds_words_of_scripts_without_spaces_and_numbers_beside_them(
    answer: str, expected: Any, right: float
) -> None:
    assert score("contains", answer, expected) == right


@pytest.mark.parametrize("answer", ["巴黎。", "巴黎\uff01", "  巴黎…"])
def test_exact_leaves_out_what_ends_a_sentence_in_any_script(answer: str) -> None:
    assert score("exact", answer, "巴黎") == 1.0


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("10{,}000", 10_000),
        (r"10\,000", 10_000),
        (r"10{\,}000\,000.5", 10_000_000.5),
        (r"10,\!000", 10_000),
        ("10\u202f000", 10_000),
        ("10'000", 10_000),
        ("10_000", 10_000),
        ("1,00,000", 100_000),
        (r"0.000\,001", 0.000001),
        (r"1{.}5", 1.5),
        ("5 \u00d7 10\u00b3", 5_000),
        ("5 \u00d7 10\u207b\u00b3", 0.005),
        (r"5 \times 10^{3}", 5_000),
        ("10\u00b3", 1_000),
        ("10^6", 1_000_000),
        (r"\frac{1}{2}", 0.5),
        (r"-\dfrac{3}{4}", -0.75),
        (r"\frac12", 0.5),
        (r"1\frac{1}{2}", 1.5),
        (r"\tfrac{1.5}{2}", 0.75),
        ("1\u00bd", 1.5),
        ("3\u20444", 0.75),
        (r"\boxed{\frac{1}{2}}", 0.5),
        ("一共500元", 500),
        ("\uff15\uff10\uff10\uff05", "500%"),
        ("\u0665\u0660\u0660\u066b\u0665", 500.5),
        ("\u0967\u0968\u0969", 123),
        (r"\$10{,}000.50", 10_000.5),
        ("7\u00b2", 7),
        ("2^10", 10),
        ("in 2019\u00a0500 people", 500),
    ],
)
def test_numeric_reads_numbers_of_latex_and_of_other_scripts(answer: str, expected: Any) -> None:
    assert score("numeric", answer, expected) == 1.0


@pytest.mark.parametrize("answer", [r"\frac{1}{0}", "\u00b2", "v10\u00b3", "10^99999"])
def test_numeric_finds_no_number_where_there_is_none(answer: str) -> None:
    assert score({"kind": "numeric", "tolerance": 1e300}, answer, 0) == 0.0


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15, places=3))
def test_numeric_reads_back_every_way_of_writing_a_number(number: Decimal) -> None:
    for text in (f"{number}", f"{number:,}", f"{number:e}", f"So it is {number:,}.", f"{number}%"):
        assert NumericScorer(tolerance=1e-9).score(text, float(number)) == 1.0


@given(st.text(), st.booleans())
def test_any_answer_has_a_score_from_0_to_1(answer: str, fractions: bool) -> None:
    for scorer in (NumericScorer(fractions=fractions), build_scorer("exact"), build_scorer("contains")):
        assert scorer.score(answer, "12") in (0.0, 1.0)


TESTS = "assert double(3) == 6\nassert double(0) == 0"
RIGHT = "def double(x):\n    return 2 * x\n"


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        (RIGHT, 1.0),
        (f"Here it is:\n```python\n{RIGHT}```\nHope it helps.", 1.0),
        (f"```\n{RIGHT}```", 1.0),
        (RIGHT.replace("2 * x", "x ** 2"), 0.0),
        ("def double(x): return", 0.0),
        ("I can't do that.", 0.0),
        ("while True: pass", 0.0),
        ("", 0.0),
    ],
)
def test_python_tests(answer: str, right: float) -> None:
    assert score("python_tests", answer, TESTS) == right
    assert score("python_tests", answer, TESTS.splitlines()) == right


@pytest.fixture
def judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    tmp_path.joinpath("a_judge_of_mine.py").write_text(
        "def half(answer, expected): return 0.5 if answer == expected['text'] else False\n"
        "def beyond(answer, expected): return 1.5\n"
        "def nothing(answer, expected): return None\n"
        "def broken(answer, expected): return 1 / 0\n"
        "number = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "a_judge_of_mine"
    import sys

    sys.modules.pop("a_judge_of_mine", None)


def test_function_says_the_score(judge: str) -> None:
    scorer = build_scorer({"kind": "function", "name": f"{judge}:half"})
    assert scorer.score("x", {"text": "x"}) == 0.5
    assert scorer.score("y", {"text": "x"}) == 0.0


@pytest.mark.parametrize(("name", "problem"), [("beyond", "1.5"), ("nothing", "None"), ("broken", "ZeroDivisionError")])
def test_function_that_gives_no_score_is_an_error(judge: str, name: str, problem: str) -> None:
    with pytest.raises(OutcomeError, match=rf"a_judge_of_mine:{name}.*{problem}"):
        score({"kind": "function", "name": f"{judge}:{name}"}, "x", "y")


@pytest.mark.parametrize(
    ("scorer", "problem"),
    [
        ("numerc", "Did you mean 'numeric'"),
        (7, "7 is not a scorer"),
        ({"tolerance": 1}, "is not a scorer"),
        ({"kind": "numeric", "tolerence": 1}, "Did you mean 'tolerance'"),
        ({"kind": "numeric", "tolerance": -1}, "tolerance.*-1"),
        ({"kind": "numeric", "tolerance": float("nan")}, "tolerance.*finite"),
        ({"kind": "numeric", "which": "middle"}, "which.*'middle'"),
        ({"kind": ["numeric"]}, "Unknown scorer"),
        ({"kind": "function"}, "needs the field 'name'"),
        ({"kind": "function", "name": "no_such_module:f"}, "no_such_module"),
        ({"kind": "function", "name": "math"}, "package.module:attribute"),
        ({"kind": "function", "name": "math:nothing"}, "nothing"),
        ({"kind": "function", "name": "math:pi"}, "is not a function"),
    ],
)
def test_a_bad_scorer_is_refused_when_it_is_made(scorer: Any, problem: str) -> None:
    with pytest.raises(SettingError, match=problem):
        build_scorer(scorer)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("exact", None),
        ("exact", {"a": 1}),
        ("exact", []),
        ("exact", " "),
        ("contains", ["a", None]),
        ("contains", ["a", [""]]),
        ("numeric", "four"),
        ("numeric", True),
        ("numeric", None),
        ("numeric", [4]),
        ("numeric", float("inf")),
        ("numeric", "4 or 5"),
        ("numeric", "3/4"),
        ("python_tests", "double(2)"),
        ("python_tests", "assert double("),
        ("python_tests", 4),
        ("python_tests", ["assert True", 4]),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(kind: str, expected: Any) -> None:
    with pytest.raises(OutcomeError, match=kind):
        build_scorer(kind).check(expected)


@pytest.mark.parametrize("kind", [kind for kind in SCORERS if kind != "function"])
def test_scorers_come_back_from_json(kind: str) -> None:
    scorer = build_scorer(kind)
    assert isinstance(scorer, Scorer)
    assert build_scorer(scorer.to_json()) == scorer
