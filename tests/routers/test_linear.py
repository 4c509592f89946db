"""Linear models: the numbers, worked out by hand."""

import pytest
from recorded import Compass, kinds_of_query, row, table_of

from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.learned.linear import LinearRouter
from langchain_atlas.testing import FakeEncoder
from langchain_atlas.testing.conformance import RouterConformance
from langchain_atlas.trajectory import Query

SMALL, LARGE = Pair("small"), Pair("large")


class TestLinear:
    def test_ridge_worked_by_hand(self) -> None:
        # Vectors (1, 0) and (0, 1), scores 1 and 0. Centred they are (1, -1)/2 and its opposite, with one direction of
        # variance 1: weights (1, -1) / 2 / (1 + penalty), and the mean 1/2 in the middle.
        table = table_of(row("east", "small", 1.0), row("north", "small", 0.0))
        router = LinearRouter(Compass({"east": 0.0, "north": 90.0, "between": 45.0}), penalty=1).fit(table)
        found = [router.decide(Query(text=text)).chosen for text in ("east", "north", "between")]
        assert [chosen and chosen.expected_success for chosen in found] == pytest.approx([0.75, 0.25, 0.5])

    def test_an_estimate_stays_a_probability(self) -> None:
        table = table_of(row("east", "small", 1.0), row("north", "small", 0.0))
        router = LinearRouter(Compass({"east": 0.0, "north": 90.0, "beyond": -45.0}), penalty=0.001).fit(table)
        chosen = router.decide(Query(text="beyond")).chosen
        assert chosen is not None
        assert chosen.expected_success == 1

    def test_a_pair_is_fitted_on_the_queries_it_was_run_on(self) -> None:
        # `large` has what `small` has in the test above, and nothing on a query where `small` was right.
        table = table_of(
            row("east", "large", 1.0), row("north", "large", 0.0),
            row("east", "small", 0.0), row("north", "small", 0.0), row("west", "small", 1.0),
        )  # fmt: skip
        router = LinearRouter(Compass({"east": 0.0, "north": 90.0, "west": 180.0}), penalty=1, cost_weight=0).fit(table)
        chosen = router.decide(Query(text="east")).chosen
        assert chosen is not None
        assert (chosen.pair, chosen.expected_success) == (LARGE, pytest.approx(0.75))

    def test_logistic_where_a_pair_was_always_right(self) -> None:
        table = table_of(*(row(name, "small", 1.0) for name in ("east", "north", "west")))
        router = LinearRouter(Compass({"east": 0.0, "north": 90.0, "west": 180.0}), logistic=True).fit(table)
        chosen = router.decide(Query(text="east")).chosen
        assert chosen is not None
        assert chosen.expected_success == pytest.approx(3.5 / 4)

    def test_logistic_takes_a_score_as_so_much_of_a_success(self) -> None:
        table = table_of(row("east", "small", 0.9), row("west", "small", 0.1))
        encoder = Compass({"east": 0.0, "west": 180.0, "north": 90.0})
        router = LinearRouter(encoder, logistic=True, penalty=1e-4).fit(table)
        found = [router.decide(Query(text=text)).chosen for text in ("east", "west", "north")]
        assert [chosen and chosen.expected_success for chosen in found] == pytest.approx([0.9, 0.1, 0.5], abs=1e-2)


class TestConformanceOfAnEstimate(RouterConformance):
    def make_router(self) -> Router:
        return LinearRouter(FakeEncoder()).fit(kinds_of_query())

    def encoder(self) -> FakeEncoder:
        return FakeEncoder()
