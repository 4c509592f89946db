"""The alpha for a budget: chosen on held-out queries, within it, or refused with a reason."""

import copy

import numpy as np
import pyarrow as pa
import pytest
from recorded import kinds_of_query, row, table_of

from langchain_atlas.encoders import Encoder
from langchain_atlas.errors import OutcomeError, SettingError
from langchain_atlas.evaluation.budget import choose_alpha, rounded_up
from langchain_atlas.evaluation.crossfit import N_FOLDS, HeldOut, parts
from langchain_atlas.evaluation.runs import run_router
from langchain_atlas.execution.replay import ReplayExecutor
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.pool import Pair
from langchain_atlas.routers.cluster import ClusterRouter
from langchain_atlas.routers.neighbours import NeighbourRouter


@pytest.fixture(scope="module")
def table() -> OutcomeTable:
    """Return 54 queries of three kinds, each of which wants another pair; the pairs cost 1, 2 and 4 dollars."""
    rows = [
        {**each, "query_id": f"{each['query_id']}-{copy}", "query": f"{each['query']} {copy} {each['query_id']} {copy}"}
        for copy in ("one", "two", "three")
        for each in kinds_of_query().table.to_pylist()
    ]
    return OutcomeTable.from_rows(rows, "the table")


@pytest.fixture
def router(encoder: Encoder) -> ClusterRouter:
    return ClusterRouter(encoder, n_clusters=3)


def without_costs(table: OutcomeTable, *pairs: str) -> OutcomeTable:
    costs = [None if f"{row['model']}@@{row['tool']}" in pairs else row["cost_usd"] for row in table.table.to_pylist()]
    place = table.table.column_names.index("cost_usd")
    return OutcomeTable(table.table.set_column(place, "cost_usd", pa.array(costs, pa.float64())), "the table")


class TestChoice:
    def test_is_what_held_out_queries_say(self, router: ClusterRouter, table: OutcomeTable) -> None:
        """Fitted and replayed by hand, part by part."""
        choice = choose_alpha(router, table, 2.0)
        names, fold = np.array(table.query_ids), parts(np.arange(54))
        score, cost = np.full((2, 54), np.nan)
        for part in range(N_FOLDS):
            held = fold == part
            fitted = copy.copy(router).fit(table.select(query_ids=names[~held].tolist())).configure(alpha=choice.alpha)
            runs = run_router(fitted, ReplayExecutor(table.select(query_ids=names[held].tolist())))
            score[held], cost[held] = runs.score, runs.cost
        assert choice.accuracy == pytest.approx(score.mean())
        assert choice.cost_usd_per_1k == pytest.approx(1000 * cost.mean())
        assert choice.n_queries == 54

    @pytest.mark.parametrize("budget", [1.0, 1.2, 1.5, 2.0, 3.0, 100.0])
    @pytest.mark.parametrize("kind", [ClusterRouter, NeighbourRouter])
    def test_is_the_most_accurate_within_the_budget(
        self, kind: type[ClusterRouter | NeighbourRouter], budget: float, encoder: Encoder, table: OutcomeTable
    ) -> None:
        choice = choose_alpha(kind(encoder), table, budget)
        assert choice.cost_usd_per_1k <= budget * (1 + 1e-9)
        within = [entry for entry in choice.tried if entry.cost_usd_per_1k <= budget * (1 + 1e-9)]
        assert choice.accuracy == max(entry.accuracy for entry in within)
        alike = [entry.cost_usd_per_1k for entry in within if entry.accuracy == choice.accuracy]
        assert choice.cost_usd_per_1k == min(alike)
        assert [entry.alpha for entry in choice.tried] == sorted({entry.alpha for entry in choice.tried})
        assert choice.accuracy_ci95[0] <= choice.accuracy <= choice.accuracy_ci95[1]
        assert choice.cost_usd_per_1k_ci95[0] <= choice.cost_usd_per_1k <= choice.cost_usd_per_1k_ci95[1]

    def test_more_money_is_never_less_right(self, router: ClusterRouter, table: OutcomeTable) -> None:
        poor, rich = (choose_alpha(router, table, budget) for budget in (1.0, 100.0))
        assert poor.accuracy < rich.accuracy
        assert poor.alpha > rich.alpha

    def test_leaves_the_router_as_it_is(self, router: ClusterRouter, table: OutcomeTable) -> None:
        choose_alpha(router, table, 2.0)
        assert router.alpha == 0.5
        assert not hasattr(router, "statistics_")

    def test_is_the_same_again_and_tells_how_far_it_is(self, router: ClusterRouter, table: OutcomeTable) -> None:
        told: list[tuple[int, int]] = []
        first = choose_alpha(router, table, 1.5, progress=lambda done, total: told.append((done, total)))
        assert first == choose_alpha(router, table, 1.5)
        assert [done for done, _ in told] == list(range(1, len(told) + 1))
        assert len(told) <= told[0][1]

    def test_copies_of_a_query_are_held_out_together(self, encoder: Encoder) -> None:
        """Twenty queries that have nothing in common, each three times: only who sees a copy knows the answer."""
        copies = table_of(
            *(
                row(
                    f"{word}-{copy}", pair, float((word % 2 == 0) == (pair == "even@@none")), 0.001, query=f"word{word}"
                )
                for word in range(20)
                for copy in range(3)
                for pair in ("even@@none", "odd@@none")
            )
        )
        router = NeighbourRouter(encoder, n_neighbours=1, min_outcomes=1, strength=0.0, max_distance=2.0)
        plain = HeldOut.fit(router, copies, parts(np.arange(60)), lambda: None).at(0.0).score.mean()
        assert plain > 0.9
        assert choose_alpha(router, copies, 100.0).accuracy < 0.8


class TestRefusals:
    @pytest.mark.parametrize("budget", [0, -1.5, float("nan"), float("inf"), True, "2"])
    def test_of_what_is_no_budget(self, budget: float, router: ClusterRouter, table: OutcomeTable) -> None:
        with pytest.raises(SettingError, match=r"budget is .*; it must be a number above 0, in dollars for 1000"):
            choose_alpha(router, table, budget)

    def test_of_less_than_the_cheapest_pair_costs(self, router: ClusterRouter, table: OutcomeTable) -> None:
        with pytest.raises(SettingError, match=r"budget is 0\.5 .* cheapest pair, small@@calculator, costs 1\."):
            choose_alpha(router, table, 0.5)

    def test_of_a_table_without_costs(self, router: ClusterRouter, table: OutcomeTable) -> None:
        bare = without_costs(table, *map(str, table.pairs))
        with pytest.raises(OutcomeError, match=r"the table has no costs, so nobody .* 'cost_usd'"):
            choose_alpha(router, bare, 2.0)

    def test_of_a_pair_without_costs(self, router: ClusterRouter, table: OutcomeTable) -> None:
        """Its calls would cost nobody knows what; left out of the mean they would look free."""
        part = without_costs(table, "large@@none")
        with pytest.raises(OutcomeError, match="has no costs of large@@none, so nobody"):
            choose_alpha(router, part, 2.0)
        assert choose_alpha(router, part.select(pairs=[p for p in table.pairs if p != Pair("large")]), 2.0)

    def test_of_too_few_queries(self, router: ClusterRouter, table: OutcomeTable) -> None:
        few = table.select(query_ids=table.query_ids[:9])
        with pytest.raises(OutcomeError, match=r"has 9 different queries with a score.* takes 10"):
            choose_alpha(router, few, 2.0)

    def test_of_a_table_without_scores(self, router: ClusterRouter, table: OutcomeTable) -> None:
        place = table.table.column_names.index("score")
        bare = OutcomeTable(table.table.set_column(place, "score", pa.nulls(len(table), pa.float64())))
        with pytest.raises(OutcomeError, match="has no score"):
            choose_alpha(router, bare, 2.0)


def test_a_budget_of_what_is_shown_will_do() -> None:
    assert [rounded_up(value) for value in (0.0019741, 1.0, 12.341, 1999.0)] == [0.00198, 1.0, 12.4, 2000.0]
