"""Nearest neighbours: the numbers, worked out by hand, and the guards."""

import math
from typing import Any

import pytest
from recorded import Compass, kinds_of_query, row, table_of

from langchain_atlas.errors import SettingError
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.learned.knn import KNNRouter
from langchain_atlas.testing import FakeEncoder
from langchain_atlas.testing.conformance import RouterConformance
from langchain_atlas.trajectory import Constraints, Decision, Query

SMALL, LARGE = Pair("small"), Pair("large")

# Five logged queries by direction. The neighbours of a query at 0 degrees are a, b and c, in this order: 0, 10 and 20
# degrees away. d lies at 90 degrees, which is sqrt(2) away, and e at 180.
ROUND = {"a": 0.0, "b": 10.0, "c": -20.0, "d": 90.0, "e": 180.0, "east": 0.0, "south": -90.0}
#            a  b  c  d  e
# small      1  0  -  0  0     $ 1 2 - 3 4
# large      1  1  1  0  1     $ 4 4 4 4 4


def compass_table() -> OutcomeTable:
    small = {"a": (1, 1), "b": (0, 2), "d": (0, 3), "e": (0, 4)}
    large = {"a": 1, "b": 1, "c": 1, "d": 0, "e": 1}
    return table_of(
        *(row(name, "small", score, cost) for name, (score, cost) in small.items()),
        *(row(name, "large", score, 4.0) for name, score in large.items()),
    )


def neighbours(**settings: Any) -> KNNRouter:
    chosen = {"n_neighbours": 3, "min_outcomes": 2, "strength": 2.0, "cost_weight": 0.0, **settings}
    return KNNRouter(Compass(ROUND), **chosen).fit(compass_table())


def both(decision: Decision) -> dict[Pair, Any]:
    assert decision.chosen is not None
    assert decision.runner_up is not None
    return {candidate.pair: candidate for candidate in (decision.chosen, decision.runner_up)}


class TestNeighbours:
    def test_numbers_worked_by_hand(self) -> None:
        decision = neighbours().decide(Query(text="east"))
        # Overall, each pair leaning on the pool's mean (1/4 + 4/5) / 2 = 0.525 counted twice:
        # small (1 + 1.05) / 6 = 0.341667, large (4 + 1.05) / 7 = 0.721429.
        # Here: small 1 of 2, large 3 of 3, and the overall record twice more.
        expected = both(decision)
        assert expected[SMALL].expected_success == pytest.approx((1 + 2 * 0.341667) / 4, abs=1e-5)
        assert expected[LARGE].expected_success == pytest.approx((3 + 2 * 0.721429) / 5, abs=1e-5)
        # Costs: small's overall mean 2.5 and here 1 and 2, so (1 + 2 + 5) / 4.
        assert expected[SMALL].expected_cost_usd == pytest.approx(2.0)
        assert expected[LARGE].expected_cost_usd == pytest.approx(4.0)
        assert (expected[SMALL].evidence, expected[LARGE].evidence) == (2, 3)
        assert decision.rule == "nearest-neighbours"
        assert decision.distance == pytest.approx(0, abs=1e-3)
        low, high = expected[LARGE].interval
        assert 0 < low < expected[LARGE].expected_success < high < 1

    def test_utility_scales_costs_by_the_highest_overall(self) -> None:
        expected = both(neighbours(cost_weight=0.5, strength=0).decide(Query(text="east")))
        assert expected[SMALL].utility == pytest.approx(0.5 * 0.5 - 0.5 * 1.5 / 4)
        assert expected[LARGE].utility == pytest.approx(0.5 * 1.0 - 0.5 * 4 / 4)

    def test_a_pair_with_too_little_evidence_is_ranked_last(self) -> None:
        # Of the two nearest, a and b, both pairs have two outcomes; of a, b, c small still has two, large three.
        router = neighbours(min_outcomes=3, cost_weight=1)
        decision = router.decide(Query(text="east"))
        assert decision.pair == LARGE  # small is cheaper, but has two outcomes there
        assert neighbours(min_outcomes=2, cost_weight=1).decide(Query(text="east")).pair == SMALL

    def test_a_pair_ranked_last_is_still_there_when_no_other_is_allowed(self) -> None:
        query = Query(text="east", constraints=Constraints(max_cost_usd=3))
        assert neighbours(min_outcomes=3).decide(query).pair == SMALL

    def test_falls_back_to_the_best_overall_where_no_neighbour_is_near(self) -> None:
        # South is 70 degrees from c, 2 sin(35 degrees) = 1.147 away, and further from the others.
        decision = neighbours(max_distance=1.1).decide(Query(text="south"))
        assert (decision.pair, decision.rule) == (LARGE, "best-overall: too far")
        assert both(decision)[LARGE].expected_success == pytest.approx(0.721429, abs=1e-5)
        assert both(decision)[LARGE].evidence == 5
        near = neighbours(max_distance=1.2, min_outcomes=1).decide(Query(text="south"))
        assert near.rule == "nearest-neighbours"
        assert near.distance == pytest.approx(2 * math.sin(math.radians(35)), abs=1e-4)

    def test_falls_back_to_the_best_overall_where_outcomes_are_few(self) -> None:
        assert neighbours(min_outcomes=4).decide(Query(text="east")).rule == "best-overall: too few outcomes"

    def test_the_guard_looks_at_the_pairs_that_may_be_asked(self) -> None:
        query = Query(text="east", constraints=Constraints(pairs=frozenset({SMALL})))
        decision = neighbours(min_outcomes=3).decide(query)
        assert (decision.pair, decision.rule) == (SMALL, "best-overall: too few outcomes")

    def test_neighbours_are_no_more_than_there_are_queries(self) -> None:
        decision = neighbours(n_neighbours=100, max_distance=2).decide(Query(text="east"))
        assert both(decision)[LARGE].evidence == 5

    def test_equally_near_neighbours_are_taken_by_id(self) -> None:
        rows = [row(f"q{at}", "small", float(at == 0)) for at in range(4)]
        router = KNNRouter(Compass({"q0": 0.0}), n_neighbours=1, min_outcomes=1, strength=0).fit(
            table_of(*reversed(rows))
        )
        chosen = router.decide(Query(text="q3")).chosen
        assert chosen is not None
        assert chosen.expected_success == 1  # that of q0

    def test_an_unknown_cost_stays_unknown(self) -> None:
        table = table_of(row("a", "small", 1.0), row("a", "large", 1.0, 2.0))
        router = KNNRouter(Compass({"a": 0.0}), min_outcomes=1, cost_weight=0.5).fit(table)
        expected = both(router.decide(Query(text="a")))
        assert expected[SMALL].expected_cost_usd is None
        assert expected[SMALL].utility == expected[LARGE].utility  # it counts as the highest

    def test_settings_change_without_a_fit(self) -> None:
        router = neighbours().configure(min_outcomes=4)
        assert router.decide(Query(text="east")).rule == "best-overall: too few outcomes"
        with pytest.raises(SettingError, match="n_neighbours is 0"):
            router.configure(n_neighbours=0)


class TestConformanceOfNeighbours(RouterConformance):
    def make_router(self) -> Router:
        return KNNRouter(FakeEncoder(), n_neighbours=6).fit(kinds_of_query())

    def encoder(self) -> FakeEncoder:
        return FakeEncoder()
