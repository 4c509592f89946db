"""Exploration draws pairs by how good they may be, says with which probability, and keeps to its budget."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from recorded import Compass, row, table_of

from langchain_atlas import ClusterRouter, Constraints, ExploringRouter, Pair, Query
from langchain_atlas.errors import SettingError
from langchain_atlas.routers.baselines import SinglePairRouter
from langchain_atlas.testing import RouterConformance
from langchain_atlas.trajectory import START, Decision, Observation

GOOD, UNSURE = Pair("good"), Pair("unsure")


def fitted(times: int, cost_usd: float = 0.001) -> ClusterRouter:
    """Fit a router on a pair that is right in three of four cases, and one that is in two."""
    rows = []
    for number in range(4 * times):
        rows.append(row(f"q{number}", str(GOOD), float(number % 4 > 0), 0.001))
        rows.append(row(f"q{number}", str(UNSURE), float(number % 4 > 1), cost_usd))
    return ClusterRouter.as_in_paper(Compass({"q0": 0.0}), n_clusters=1, cost_weight=0.0).fit(table_of(*rows))


def exploring(times: int = 1, *, cost_usd: float = 0.001, **budgets: Any) -> ExploringRouter:
    return ExploringRouter(fitted(times, cost_usd), **{"budget_usd": 1e9, "budget_points": 1e9, "seed": 0, **budgets})


def drawn(router: ExploringRouter, number: int = 400) -> Counter[Pair | None]:
    return Counter(router.decide(Query(text="q0")).pair for _ in range(number))


def test_draws_less_the_more_is_known() -> None:
    few, many = drawn(exploring(1)), drawn(exploring(100))
    assert few[UNSURE] > 40
    assert many[UNSURE] < 10 < few[UNSURE]


def test_says_with_which_probability() -> None:
    router = exploring(1)
    decided = [router.decide(Query(text="q0")) for _ in range(2000)]
    share = sum(one.pair == UNSURE for one in decided) / len(decided)
    told = [one.propensity if one.pair == UNSURE else 1 - (one.propensity or 0) for one in decided]
    assert sum(told) / len(told) == pytest.approx(share, abs=0.04)
    # What is weighted by it is unbiased: the mean weight of a pair is 1.
    weights = sum(1 / one.propensity for one in decided if one.pair == UNSURE and one.propensity) / len(decided)
    assert weights == pytest.approx(1, abs=0.1)


def test_keeps_to_the_dollars() -> None:
    router = exploring(1, cost_usd=0.003, budget_usd=0.0205)
    assert drawn(router)[UNSURE] == 10, "each costs 0.002 more"
    assert router.explored["usd"] == pytest.approx(0.02)
    assert router.decide(Query(text="q0")).propensity == 1


def test_keeps_to_the_points() -> None:
    router = exploring(1, budget_points=1.0)
    drawn(router, 600)
    assert router.explored["explored"] > 0
    assert router.explored["points"] <= 1.0 * router.explored["queries"]


def test_keeps_to_what_the_query_allows() -> None:
    router = exploring(1)
    only = Query(text="q0", constraints=Constraints(pairs=frozenset({GOOD})))
    assert {router.decide(only).pair for _ in range(50)} == {GOOD}
    cheap = Query(text="q0", constraints=Constraints(max_cost_usd=0.002))
    dear = exploring(1, cost_usd=0.003)
    assert {dear.decide(cheap).pair for _ in range(50)} == {GOOD}


def test_explores_the_first_step_only() -> None:
    router = exploring(1)
    after = START.then(Decision(kind="route", pair=GOOD), Observation(pair=GOOD, answer="42"))
    assert {router.decide(Query(text="q0"), after).kind for _ in range(20)} == {"answer"}


def test_refuses_what_can_not_explore() -> None:
    with pytest.raises(SettingError, match="only one that compares pairs by utility can explore"):
        ExploringRouter(SinglePairRouter(GOOD), budget_usd=1, budget_points=1)
    with pytest.raises(SettingError, match="budget_usd is -1"):
        exploring(budget_usd=-1)


class TestWithoutABudget(RouterConformance):
    def make_router(self) -> ExploringRouter:
        return exploring(2, budget_usd=0, budget_points=0)

    def queries(self) -> list[Query]:
        return [Query(text="q0"), Query(text="q1")]

    def encoder(self) -> Compass:
        return Compass({"q0": 0.0})
