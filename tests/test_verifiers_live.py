"""The benchmark of checks: what its ways of asking do, how it judges, and that live and replay give the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from langchain_atlas import Pair, Query
from langchain_atlas.local.models import installed_models
from langchain_atlas.trajectory import START, Decision, Observation, Trajectory, Verdict

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import verifiers_live
from code_tasks import TASKS
from verifiers_live import InTurn, errs, recorded

ROOT = Path(__file__).parents[1]
ORDER = [Pair("first", "none"), Pair("second", "none"), Pair("third", "none")]
DOUBLE = next(task for task in TASKS if task.name == "double")


def asked(*answers: tuple[str, str]) -> Trajectory:
    """Return a trajectory of calls in turn, each with an answer and a verdict."""
    trajectory = START
    for pair, (answer, status) in zip(ORDER, answers, strict=False):
        seen = Observation(pair=pair, answer=answer, verdict=Verdict(status=status))  # type: ignore[arg-type]
        trajectory = trajectory.then(Decision(kind="route", pair=pair), seen)
    return trajectory


def test_the_first_answer_that_passes_is_given_and_no_more_are_asked() -> None:
    decision = InTurn(ORDER, checked=True).decide(Query(text="q"), asked(("a", "failed"), ("b", "passed")))
    assert (decision.kind, decision.answer, decision.source) == ("answer", "b", 1)


def test_after_a_failed_check_the_next_is_asked() -> None:
    decision = InTurn(ORDER, checked=True).decide(Query(text="q"), asked(("a", "failed")))
    assert (decision.kind, decision.pair) == ("route", ORDER[1])


def test_when_none_passes_the_first_answer_is_given() -> None:
    every = asked(("a", "failed"), ("b", "failed"), ("c", "unknown"))
    assert InTurn(ORDER, checked=True).decide(Query(text="q"), every).answer == "a"


def test_without_a_check_all_are_asked_and_the_answers_that_agree_win() -> None:
    router, query = InTurn(ORDER, checked=False), Query(text="What is it?")
    assert router.decide(query, asked(("1", "passed"), ("2", "failed"))).kind == "route"
    assert router.decide(query, asked(("1", "passed"), ("2", "failed"), ("2", "failed"))).answer == "2"


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("def double(n):\n    return n * 2", 1.0),
        ("def double(n):\n    return 6 if n == 3 else 0", 0.0),  # it gives the examples and no more
        ("I can't.", 0.0),
        (None, 0.0),
    ],
)
def test_an_answer_is_judged_by_results_that_it_was_not_shown(answer: str | None, score: float) -> None:
    assert DOUBLE.score(answer) == score


def test_every_task_shows_its_examples_and_hides_its_others() -> None:
    for task in TASKS:
        text = task.query().text
        assert all(f"{task.name}({given})\n{result}" in text for given, result in task.examples.items())
        assert not any(f"{task.name}({given})" in text for given in task.hidden)


def test_how_often_the_check_errs() -> None:
    right, learned = "def double(n):\n    return n + n", "def double(n):\n    return {3: 6, 0: 0}.get(n)"
    table = recorded([DOUBLE], [asked((right, "passed"), (learned, "passed"), ("def double(n):\n    pass", "failed"))])
    assert errs(table) == {"wrong_that_passed": 0.5, "right_that_failed": 0.0}


@pytest.mark.slow
@pytest.mark.skipif(
    set(verifiers_live.ANSWERED_BY) - set(installed_models()) != set(), reason="needs the extra 'local'"
)
def test_live_and_in_replay_the_same_tasks_are_solved(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = [sys.executable, str(ROOT / "benchmarks/verifiers_live.py"), "--most", "1", "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, timeout=900)
    code = json.loads(out.read_text())["code"]
    assert code["tasks"] == 1
    for way, live in code["live"].items():
        assert live["accuracy"] == code["replay"][way]["accuracy"], way
        assert live["calls"] == code["replay"][way]["calls"], way
