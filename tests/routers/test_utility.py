"""Limits hold for the whole trajectory: what failed calls used is taken off."""

import pytest
from recorded import Compass, row, table_of

from langchain_atlas import ClusterRouter, Constraints, Decision, Observation, Pair, Query, Trajectory

FIRST, SECOND = Pair("first", "none"), Pair("second", "none")


@pytest.fixture
def router() -> ClusterRouter:
    """Give a router of two pairs: one is right and costs 4 tenths of a cent, one is wrong and costs 2."""
    rows = [row(f"q{n}", str(pair), score, cost) for n in range(4) for pair, score, cost in PAIRS]
    return ClusterRouter.as_in_paper(Compass({"q0": 0.0}), n_clusters=1, cost_weight=0.0).fit(table_of(*rows))


PAIRS = ((FIRST, 1.0, 0.004), (SECOND, 0.0, 0.002))


def after_a_failure(cost_usd: float | None) -> Trajectory:
    seen = Observation(pair=FIRST, error="Timeout: too slow", cost_usd=cost_usd, latency_s=1.0)
    return Trajectory().then(Decision(kind="route", pair=FIRST), seen)


def asked(limit: float) -> Query:
    return Query(text="q0", constraints=Constraints(max_cost_usd=limit))


def test_the_next_pair_is_tried_while_both_fit(router: ClusterRouter) -> None:
    assert router.decide(asked(0.006), after_a_failure(0.004)).pair == SECOND  # 0.004 + 0.002


def test_it_is_not_when_the_failed_call_used_too_much(router: ClusterRouter) -> None:
    decision = router.decide(asked(0.0059), after_a_failure(0.004))
    assert decision.kind == "answer"
    assert "0.004 already spent" in decision.reason


@pytest.mark.parametrize(("limit", "kind"), [(0.006, "route"), (0.0059, "answer")])
def test_a_failed_call_of_unknown_cost_counts_as_was_expected(router: ClusterRouter, limit: float, kind: str) -> None:
    assert router.decide(asked(limit), after_a_failure(None)).kind == kind
