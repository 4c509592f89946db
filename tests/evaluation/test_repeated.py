"""Several trajectories of each query: pass@k and self-consistency."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from langchain_atlas import Pair, Query
from langchain_atlas.errors import SettingError
from langchain_atlas.evaluation.replay.repeated import pass_at_k, repeat
from langchain_atlas.execution.replay import ReplayExecutor
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.routers.base import Router
from langchain_atlas.trajectory import START, Decision, Trajectory, last_answer

PAIRS = (Pair("good"), Pair("bad"), Pair("worse"))


class Turning(Router):
    """Calls the pairs of a list in turn, whatever the query."""

    def __init__(self, *pairs: Pair) -> None:
        self._next = itertools.cycle(pairs)

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        del query
        if trajectory.observations:
            return last_answer(trajectory, rule="", reason="")
        return Decision(kind="route", pair=next(self._next))


def executor() -> ReplayExecutor:
    answers = {"good": ("42", 1.0), "bad": ("41", 0.0), "worse": ("40", 0.0)}
    return ReplayExecutor(
        OutcomeTable.from_rows(
            [
                {"query_id": "q", "query": "6*7?", "domain": "sums", "model": name, "tool": "none", "score": score,
                 "response": answer, "cost_usd": 0.001}
                for name, (answer, score) in answers.items()
            ]
        )
    )  # fmt: skip


def test_pass_at_k_by_hand() -> None:
    """Of 4 trajectories 1 is right: one of two drawn is it in 3 of 6 draws."""
    np.testing.assert_allclose(pass_at_k(np.array([0, 1, 2, 4]), 4, 2), [0, 3 / 6, 5 / 6, 1])
    np.testing.assert_allclose(pass_at_k(np.array([0, 1, 2, 4]), 4, 1), [0, 1 / 4, 2 / 4, 1])
    np.testing.assert_allclose(pass_at_k(np.array([0, 1, 2, 4]), 4, 4), [0, 1, 1, 1])


def test_the_answer_of_most_is_taken() -> None:
    good, bad, worse = PAIRS
    result = repeat(Turning(good, bad, good, worse), executor(), samples=4)
    assert result.self_consistency.value == 1
    assert {k: one.value for k, one in result.pass_at.items()} == pytest.approx({1: 2 / 4, 2: 5 / 6, 4: 1})
    assert result.cost_usd_per_1k == pytest.approx(4)
    result = repeat(Turning(bad, good, bad), executor(), samples=3)
    assert result.self_consistency.value == 0
    assert result.pass_at[3].value == 1


def test_the_number_of_samples_is_checked() -> None:
    with pytest.raises(SettingError, match="samples is 0"):
        repeat(Turning(*PAIRS), executor(), samples=0)
    with pytest.raises(SettingError, match="k is 5; it must be a whole number from 1 to 4"):
        pass_at_k(np.array([1]), 4, 5)
