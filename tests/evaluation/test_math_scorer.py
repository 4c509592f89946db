"""Mathematics is compared by what it says, and what a model wrote can't hurt the process that compares it."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from langchain_atlas.errors import MissingExtraError, OutcomeError
from langchain_atlas.evaluation.scoring.mathematics import prover
from langchain_atlas.evaluation.scoring.mathematics.prover import Prover
from langchain_atlas.evaluation.scoring.scorers import build_scorer, score


@pytest.mark.parametrize(
    ("answer", "expected", "right"),
    [
        ("The answer is $\\frac{1}{2}$.", "0.5", 1.0),
        ("She has 9 left. #### no\n#### 18", "48 / 2 = 24, and so on.\n#### 18", 1.0),
        ("#### Step 1\n7 + 11\n#### 18", 18, 1.0),
        ("so \\boxed{\\frac{3}{4}}, as in step 7", "3/4", 1.0),
        ("<think>it is \\boxed{5}</think> It is \\boxed{7}.", "5", 0.0),
        ("<think>it is 7</think> It is \\boxed{5}.", "5", 1.0),
        ("The answer is 18 dollars.", "18", 1.0),
        ("\\boxed{x^2+2x+1}", "(x+1)^2", 1.0),
        ("\\boxed{x+2}", "x+1", 0.0),
        ("\\boxed{2\\sqrt{2}}", "\\sqrt{8}", 1.0),
        ("Final answer: **42**", 42, 1.0),
        ("the set is $\\{2,1\\}$", "\\{1,2\\}", 1.0),
        ("x = 3", "3", 1.0),
        ("$(-\\infty, 3]$", "x \\le 3", 1.0),
        ("\\boxed{50\\%}", "0.5", 1.0),
        ("It costs $5 and $6", "6", 1.0),
        ("I get 1,234.", 1234, 1.0),
        ("6", "5", 0.0),
        ("I do not know", "3", 0.0),
        ("", "3", 0.0),
        ("\\boxed{", "3", 0.0),
    ],
)
def test_results_are_equal_when_they_mean_the_same(answer: str, expected: Any, right: float) -> None:
    assert score("math", answer, expected) == right


@pytest.mark.parametrize("expected", ["", None, True, ["1"], {"a": 1}, float("nan")])
def test_what_is_no_mathematics_is_refused(expected: Any) -> None:
    with pytest.raises(OutcomeError, match="Scorer 'math' needs a number, or mathematics"):
        score("math", "1", expected)


def test_a_tower_of_powers_costs_its_limit_and_no_more() -> None:
    scorer = build_scorer({"kind": "math", "timeout_s": 1})
    assert scorer.score("\\boxed{9^{9^{9^{9}}}}", "x+1") == 0.0
    assert scorer.score("\\boxed{1+x}", "x+1") == 1.0, "the next comparison works"


def test_python_in_an_answer_is_never_run() -> None:
    attack = "\\boxed{__import__('os').system('exit 7')}"
    assert score("math", attack, "x+1") == 0.0
    assert score("math", "$1+x$", "x+1") == 1.0


def test_a_process_that_dies_is_replaced() -> None:
    prover = Prover()
    assert prover.equal("x+1", "1+x")
    assert prover._process is not None
    prover._process.kill()
    prover._process.wait()
    assert not prover.equal("x+2", "2+x"), "what can't be compared is not equal"
    assert prover.equal("x+3", "3+x")
    prover.close()


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prover, "find_spec", lambda _: None)
    prover.shared_prover.cache_clear()
    try:
        with pytest.raises(MissingExtraError, match=r"langchain-atlas\[math\]"):
            build_scorer("math")
    finally:
        prover.shared_prover.cache_clear()


def test_computer_algebra_is_not_loaded_into_this_process() -> None:
    assert score("math", "$x+1$", "1+x") == 1.0
    assert "math_verify" not in sys.modules


@pytest.mark.parametrize(
    ("kind", "answer", "expected", "right"),
    [
        ("numeric", "I add 3.\n#### 18", 18, 1.0),
        ("numeric", "\\boxed{18} (see step 3)", 18, 1.0),
        ("numeric", "18", "3 + 15 = 18\n#### 18", 1.0),
        ("numeric", "#### Step 3\nso 18", 18, 1.0),
        ("numeric", "\\boxed{none}, or 18", 18, 1.0),
        ("exact", "It must be\n#### Paris", "Paris", 1.0),
        ("exact", "So \\boxed{B}.", "B", 1.0),
        ("exact", "So B.", "B", 0.0),
    ],
)
def test_marked_results_count_for_other_scorers_too(kind: str, answer: str, expected: Any, right: float) -> None:
    assert score(kind, answer, expected) == right
