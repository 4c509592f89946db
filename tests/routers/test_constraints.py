"""One rule for limits: what is feasible, worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from langchain_atlas.errors import ConstraintError
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.constraints import feasible
from langchain_atlas.trajectory import START, Constraints, Decision, Observation, Query, Trajectory

CHEAP, DEAR, UNPRICED, STRANGER = Pair("cheap"), Pair("dear"), Pair("unpriced"), Pair("stranger")
PAIRS = (CHEAP, DEAR, UNPRICED)
COST = np.array([0.001, 0.004, math.nan])
LATENCY = np.array([2.0, 1.0, 0.5])


def after(*calls: tuple[Pair, float | None, float | None]) -> Trajectory:
    trajectory = START
    for pair, cost, latency in calls:
        seen = Observation(pair=pair, error="OSError: no", cost_usd=cost, latency_s=latency)
        trajectory = trajectory.then(Decision(kind="route", pair=pair), seen)
    return trajectory


def allowed(trajectory: Trajectory = START, **limits: object) -> list[Pair]:
    query = Query(text="?", constraints=Constraints(**limits))  # type: ignore[arg-type]
    found = feasible(query, trajectory, PAIRS, COST, LATENCY).allowed
    return [pair for pair, may in zip(PAIRS, found, strict=True) if may]


def test_without_a_limit_all_that_the_query_allows_are_feasible() -> None:
    assert allowed() == list(PAIRS)
    assert allowed(pairs=[DEAR, STRANGER]) == [DEAR]


def test_a_limit_leaves_what_is_expected_to_fit_and_nothing_unknown() -> None:
    assert allowed(max_cost_usd=0.004) == [CHEAP, DEAR]
    assert allowed(max_cost_usd=0.0039) == [CHEAP]
    assert allowed(max_latency_s=1.0) == [DEAR, UNPRICED]
    assert allowed(max_cost_usd=0.004, max_latency_s=1.0) == [DEAR]


def test_what_was_spent_is_taken_off() -> None:
    spent = after((CHEAP, 0.002, 1.5))
    assert allowed(spent, max_cost_usd=0.006) == [CHEAP, DEAR]  # 0.002 + 0.004
    assert allowed(spent, max_cost_usd=0.0059) == [CHEAP]
    assert allowed(spent, max_latency_s=2.5) == [DEAR, UNPRICED]  # 1.5 + 1


@pytest.mark.parametrize(("limit", "left"), [(0.008, [CHEAP, DEAR]), (0.0079, [CHEAP]), (0.0049, [])])
def test_an_unknown_cost_counts_as_was_expected(limit: float, left: list[Pair]) -> None:
    assert allowed(after((DEAR, None, 1.0)), max_cost_usd=limit) == left  # 0.004 + 0.004, 0.004 + 0.001


@pytest.mark.parametrize(("limit", "left"), [(0.006, [CHEAP, DEAR]), (0.0059, [CHEAP]), (0.0029, [])])
def test_an_unknown_cost_counts_for_each_call_of_the_model(limit: float, left: list[Pair]) -> None:
    seen = Observation(pair=CHEAP, error="EmptyAnswer: ", cost_usd=None, latency_s=1.0, model_calls=2)
    trajectory = START.then(Decision(kind="route", pair=CHEAP), seen)
    assert allowed(trajectory, max_cost_usd=limit) == left  # 2 x 0.001, and 0.004 or 0.001
    assert allowed(trajectory, max_latency_s=3.0) == list(PAIRS), "how long the run took is known"


@pytest.mark.parametrize("pair", [UNPRICED, STRANGER])
def test_where_nothing_was_expected_nothing_is_left(pair: Pair) -> None:
    assert allowed(after((pair, None, 0.1)), max_cost_usd=100.0) == []
    assert allowed(after((pair, 0.001, 0.1)), max_cost_usd=100.0) == [CHEAP, DEAR]
    assert allowed(after((pair, None, 0.1)), max_latency_s=100.0) == list(PAIRS)


def test_infinite_is_unknown_too() -> None:
    query = Query(text="?", constraints=Constraints(max_cost_usd=1.0))
    unknown = np.array([0.001, np.inf, np.inf])
    assert feasible(query, START, PAIRS, unknown, LATENCY).allowed.tolist() == [True, False, False]
    assert not feasible(query, after((DEAR, None, 1.0)), PAIRS, unknown, LATENCY).allowed.any()


@pytest.mark.parametrize(
    ("trajectory", "limits", "reason"),
    [
        (START, {"max_cost_usd": 0.0005}, r"within 0\.0005 dollars; the least is 0\.001\. Raise the limit"),
        (after((CHEAP, 0.002, 1.0)), {"max_cost_usd": 0.002}, r"after 0\.002 already spent; the least is 0\.003"),
        (after((STRANGER, None, 1.0)), {"max_cost_usd": 9.0}, "calls of unknown use; the least is unknown for every"),
        (START, {"max_cost_usd": 9.0, "pairs": [UNPRICED]}, "the least is unknown for every pair"),
        (START, {"pairs": [STRANGER]}, "allows none of the router's pairs"),
    ],
)
def test_it_says_why_nothing_is_left(trajectory: Trajectory, limits: dict[str, object], reason: str) -> None:
    query = Query(text="?", constraints=Constraints(**limits))  # type: ignore[arg-type]
    with pytest.raises(ConstraintError, match=reason):
        feasible(query, trajectory, PAIRS, COST, LATENCY).checked()
