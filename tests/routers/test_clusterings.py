"""Several clusterings side by side: how they are made, numbered and averaged; all numbers are worked out by hand."""

import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import sklearn.cluster
from hypothesis import given
from hypothesis import strategies as st
from recorded import Compass, offers, row, table_of
from scipy.special import betainc

from langchain_atlas.outcomes import OutcomeMatrix, OutcomeTable
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.cluster.kmeans import Clusterings
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.cluster.statistics import ClusterStatistics, natural_strength, overall_success
from langchain_atlas.testing import FakeEncoder
from langchain_atlas.trajectory import Candidate, Constraints, Decision, Query

CHEAP, DEAR = Pair("cheap"), Pair("dear")

# Twelve queries to the east and twelve to the north. With a cluster of all, and beside it a clustering in two:
#        all: right, mean cost    east: right, mean cost    north: right, mean cost
# cheap      12 of 24, $0.001         3 of 12, $0.001           9 of 12, $0.001
# dear       21 of 24, $0.0035        9 of 12, $0.004          12 of 12, $0.003
# U = (1 - cost_weight) * share right - cost_weight * cost / $0.004
EAST, NORTH = [f"e{number}" for number in range(12)], [f"n{number}" for number in range(12)]
DIRECTIONS = {**dict.fromkeys(EAST, 0.0), **dict.fromkeys(NORTH, 90.0), "between": 60.0, "west": 180.0}
RIGHT = {"cheap": (3, 9), "dear": (9, 12)}
COST = {"cheap": (0.001, 0.001), "dear": (0.004, 0.003)}


def two_directions() -> OutcomeTable:
    return table_of(
        *(
            row(name, model, float(number < RIGHT[model][at]), COST[model][at], domain=domain, latency_s=2)
            for at, (domain, names) in enumerate({"east": EAST, "north": NORTH}.items())
            for number, name in enumerate(names)
            for model in ("cheap", "dear")
        )
    )


def coarse_and_fine(**settings: Any) -> ClusterRouter:
    """Return a router with a cluster of all queries, and beside it a clustering in two."""
    settings = {"n_clusters": 1, "n_refinements": 1, "strength": 0.0, "guard": 0.0, **settings}
    router = ClusterRouter(Compass(DIRECTIONS), view="text", **settings).fit(two_directions())
    assert router.clusterings_.sizes == (1, 2)
    return router


def ask(text: str, *pairs: Pair, **fields: Any) -> Query:
    limits = Constraints(pairs=frozenset(pairs) or None, max_cost_usd=fields.pop("max_cost_usd", None))
    return Query(text=text, constraints=limits, **fields)


def chosen(decision: Decision) -> Candidate:
    assert decision.chosen is not None
    return decision.chosen


def compass_points(n_queries: int, n_directions: int) -> tuple[Compass, OutcomeTable]:
    """Return queries that are spread evenly over a number of directions, and their encoder."""
    degrees = {f"q{number}": 360 * (number % n_directions) / n_directions for number in range(n_queries)}
    return Compass(degrees), table_of(*(row(name, "a", 1.0) for name in degrees))


class TestCentres:
    CENTRES = Clusterings(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]), (1, 3))

    def test_rows_are_numbered_through(self) -> None:
        assert self.CENTRES.parts == (slice(0, 1), slice(1, 4))
        assert Clusterings(np.zeros((9, 2)), (2, 3, 4)).parts == (slice(0, 2), slice(2, 5), slice(5, 9))
        assert Clusterings(np.zeros((2, 2)), (2,)).parts == (slice(0, 2),)

    def test_distances_are_those_to_every_centre(self) -> None:
        found = self.CENTRES.distances(np.array([[3.0, 4.0], [1.0, 0.0]]))
        # sqrt(3^2 + 4^2), sqrt(2^2 + 4^2), sqrt(3^2 + 3^2), sqrt(4^2 + 4^2)
        expected = [[5, math.sqrt(20), math.sqrt(18), math.sqrt(32)], [1, 0, math.sqrt(2), 2]]
        np.testing.assert_allclose(found, expected, atol=1e-7)

    def test_the_nearest_of_each_clustering(self) -> None:
        distances = np.array([[9.0, 3.0, 2.0, 4.0], [0.0, 1.0, 5.0, 5.0], [0.0, 7.0, 6.0, 5.0]])
        np.testing.assert_array_equal(self.CENTRES.nearest(distances), [[0, 2], [0, 1], [0, 3]])

    @given(
        st.lists(st.integers(-50, 50), min_size=3, max_size=3), st.lists(st.integers(-50, 50), min_size=3, max_size=3)
    )
    def test_a_distance_is_the_length_of_the_difference(self, one: list[int], other: list[int]) -> None:
        found = Clusterings(np.array([one], dtype=float), (1,)).distances(np.array([other], dtype=float))
        np.testing.assert_allclose(found, [[math.dist(one, other)]], atol=1e-5)


class TestFit:
    @pytest.fixture
    def asked_of_kmeans(self, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
        """Return the settings of every k-means that is run."""
        calls: list[dict[str, Any]] = []
        real = sklearn.cluster.KMeans

        class Watched(real):  # type: ignore[misc, valid-type]
            def fit(self, *args: Any, **kwargs: Any) -> Any:
                calls.append(self.get_params())
                return super().fit(*args, **kwargs)

        monkeypatch.setattr(sklearn.cluster, "KMeans", Watched)
        return calls

    @pytest.mark.parametrize(
        ("seed", "seeds"), [(5, [5, 6, 7, 8, 9, 10]), (2**32 - 2, [2**32 - 2, 2**32 - 1, 0, 1, 2, 3])]
    )
    def test_each_is_the_papers_k_means_from_another_start(
        self, asked_of_kmeans: list[dict[str, Any]], seed: int, seeds: list[int]
    ) -> None:
        compass, table = compass_points(60, 60)
        ClusterRouter(compass, n_clusters=2, random_state=seed).fit(table)
        assert [used["random_state"] for used in asked_of_kmeans] == seeds
        assert [used["n_clusters"] for used in asked_of_kmeans] == [2, 4, 4, 4, 6, 6]
        for used in asked_of_kmeans:
            found = [used[name] for name in ("init", "n_init", "max_iter", "algorithm")]
            assert found == ["k-means++", "auto", 1000, "elkan"]

    @pytest.mark.parametrize(
        ("n_queries", "n_directions", "settings", "sizes"),
        [
            # Two and three times as many as the first, which has eight.
            (240, 240, {}, (8, 16, 16, 16, 24, 24)),
            # Ten queries a cluster: 200 queries make 20 at most, 130 make 13, and fewer than 80 no more than the first.
            (200, 200, {}, (8, 16, 16, 16, 20, 20)),
            (130, 130, {}, (8, 13, 13, 13, 13, 13)),
            (50, 50, {}, (8, 8, 8, 8, 8, 8)),
            # There are no more clusters than different queries.
            (240, 10, {}, (8, 10, 10, 10, 10, 10)),
            (240, 3, {}, (3, 3, 3, 3, 3, 3)),
            (1, 1, {}, (1, 1, 1, 1, 1, 1)),
            # As many of them as asked.
            (240, 240, {"n_refinements": 0}, (8,)),
            (240, 240, {"n_refinements": 1}, (8, 16)),
            (240, 240, {"n_refinements": 4}, (8, 16, 16, 16, 24)),
            (240, 240, {"n_clusters": 1}, (1, 2, 2, 2, 3, 3)),
            (60, 60, {"n_clusters": 20}, (20, 20, 20, 20, 20, 20)),
        ],
    )
    def test_how_many_clusters_there_are(
        self, n_queries: int, n_directions: int, settings: dict[str, Any], sizes: tuple[int, ...]
    ) -> None:
        compass, table = compass_points(n_queries, n_directions)
        router = ClusterRouter(compass, view="text", **settings).fit(table)
        assert router.clusterings_.sizes == sizes
        assert router.clusterings_.centres.shape == (sum(sizes), 2)
        assert router.statistics_.count.shape == (sum(sizes), 1)
        assert router.statistics_.repeats == len(sizes)

    def test_the_first_is_the_one_that_would_stand_alone(self) -> None:
        compass, table = compass_points(120, 120)
        alone = ClusterRouter.as_in_paper(compass, n_clusters=4).fit(table)
        several = ClusterRouter.as_in_paper(compass, n_clusters=4, n_refinements=5).fit(table)
        np.testing.assert_array_equal(several.clusterings_.centres[:4], alone.clusterings_.centres)
        np.testing.assert_array_equal(several.place(table.queries), alone.place(table.queries))
        assert several.clusters_ == alone.clusters_

    def test_the_others_differ(self) -> None:
        compass, table = compass_points(120, 120)
        centres = ClusterRouter(compass, n_clusters=4, view="text").fit(table).clusterings_.centres
        assert not np.allclose(centres[4:12], centres[12:20])

    def test_every_query_counts_once_in_each(self) -> None:
        compass, table = compass_points(120, 120)
        router = ClusterRouter(compass, n_clusters=4, view="text").fit(table)
        for part in router.clusterings_.parts:
            assert router.statistics_.count[part].sum() == 120


class TestStacked:
    """Statistics of several clusterings, one below the other."""

    TABLE = table_of(
        row("q1", "a", 1.0, 0.001, latency_s=1.0),
        row("q1", "b", 0.0, 0.004, latency_s=2.0),
        row("q2", "a", 0.5, None, latency_s=3.0),
        row("q3", "b", 1.0, 0.006, latency_s=4.0),
    )

    def stacked(self) -> ClusterStatistics:
        # All three are in cluster 0; beside it, q1 is in cluster 1, and q2 and q3 are in cluster 2.
        return ClusterStatistics.of(OutcomeMatrix.of(self.TABLE), np.array([[0, 1], [0, 2], [0, 2]]), 3)

    def test_outcomes_add_up_in_each(self) -> None:
        sums = self.stacked()
        assert sums.repeats == 2
        np.testing.assert_array_equal(sums.count, [[2, 2], [1, 1], [1, 1]])
        np.testing.assert_array_equal(sums.success, [[1.5, 1], [1, 0], [0.5, 1]])
        np.testing.assert_array_equal(sums.cost_count, [[1, 2], [1, 1], [0, 1]])
        np.testing.assert_allclose(sums.cost, [[0.001, 0.010], [0.001, 0.004], [0, 0.006]])
        np.testing.assert_allclose(sums.latency, [[4, 6], [1, 2], [3, 4]])

    @pytest.mark.parametrize("strength", [0.0, 4.0])
    def test_an_overall_record_counts_an_outcome_once(self, strength: float) -> None:
        # a: 1.5 of 2, b: 1 of 2; their mean is 0.625. With strength 4, a: (1.5 + 2.5) / 6, b: (1 + 2.5) / 6.
        expected = [0.75, 0.5] if strength == 0 else [4 / 6, 3.5 / 6]
        alone = ClusterStatistics.of(OutcomeMatrix.of(self.TABLE), np.array([0, 0, 0]), 1)
        np.testing.assert_allclose(overall_success(alone, strength), expected)
        np.testing.assert_allclose(overall_success(self.stacked(), strength), expected)

    def test_a_cell_leans_on_the_overall_record_as_with_one_clustering(self) -> None:
        # Strength 4. a where q1 is: (1 + 4 * 4/6) / 5 = 0.7333; b there: (0 + 4 * 3.5/6) / 5 = 0.4667.
        found = self.stacked().estimates(4.0)
        np.testing.assert_allclose(found.success[1], [(1 + 16 / 6) / 5, (14 / 6) / 5])

    def test_sums_and_choices_keep_the_number_of_clusterings(self) -> None:
        sums = self.stacked()
        assert (sums + sums).repeats == 2
        assert sums.with_pairs((Pair("b"), Pair("new"))).repeats == 2
        np.testing.assert_allclose(overall_success(sums + sums, 0.0), [0.75, 0.5])


class TestNaturalStrength:
    """How many outcomes a pair's overall record is worth, by analysis of variance."""

    @staticmethod
    def of(count: list[list[float]], success: list[list[float]], *sizes: int) -> float:
        counts, pairs = np.array(count, dtype=float), tuple(Pair(name) for name in "abc"[: len(count[0])])
        sums = {"success": np.array(success, dtype=float), "cost": 0 * counts, "latency": 0 * counts}
        counted = {"count": counts, "cost_count": counts, "latency_count": counts}
        return natural_strength(ClusterStatistics(pairs=pairs, **sums, **counted, repeats=len(sizes)), sizes)

    def test_it_is_twice_the_variance_within_over_that_between(self) -> None:
        # 8 of 10 right here, 2 of 10 there. Within: (10 * 0.16 + 10 * 0.16) / 18 = 0.1777778.
        # Between: (10 * 0.09 + 10 * 0.09) / 1 = 1.8, less that, over the usual count of 10: 0.1622222.
        assert self.of([[10], [10]], [[8], [2]], 2) == pytest.approx(2 * 0.1777778 / 0.1622222, rel=1e-6)

    def test_it_is_the_mean_over_pairs_and_clusterings(self) -> None:
        # Pair b: 6 of 10 and 2 of 10. Within: (2.4 + 1.6) / 18 = 0.2222222; between: (0.8 - 0.2222222) / 10.
        one = 2 * (0.1777778 + 0.2222222) / (0.1622222 + 0.0577778)
        assert self.of([[10, 10], [10, 10]], [[8, 6], [2, 2]], 2) == pytest.approx(one, rel=1e-6)
        assert self.of([[10], [10], [10], [10]], [[8], [2], [6], [2]], 2, 2) == pytest.approx(one, rel=1e-6)

    def test_it_is_1_to_100(self) -> None:
        assert self.of([[10], [10]], [[10], [0]], 2) == 1.0  # no variance within
        assert self.of([[10], [10]], [[5], [5]], 2) == 100.0  # none between

    @pytest.mark.parametrize(
        ("count", "success"),
        [([[10]], [[5]]), ([[0], [0]], [[0], [0]]), ([[1], [1]], [[1], [0]]), ([[9], [0]], [[3], [0]])],
    )
    def test_where_clusters_cannot_be_compared_the_overall_record_counts_most(
        self, count: list[list[float]], success: list[list[float]]
    ) -> None:
        assert self.of(count, success, len(count)) == 100.0


class TestAverage:
    def test_expectations_are_the_means_over_the_clusterings(self) -> None:
        # cheap: (12/24 + 3/12) / 2 = 0.375, at $0.001, which is 0.25 of the highest mean cost, $0.004.
        # dear: (21/24 + 9/12) / 2 = 0.8125, at (0.0035 + 0.004) / 2 = $0.00375, scaled (0.875 + 1) / 2 = 0.9375.
        # cost_weight 0.2: cheap 0.8 * 0.375 - 0.2 * 0.25 = 0.25; dear 0.8 * 0.8125 - 0.2 * 0.9375 = 0.4625.
        decision = coarse_and_fine(cost_weight=0.2).decide(ask("e1"))
        found = chosen(decision)
        assert (decision.pair, found.expected_success) == (DEAR, pytest.approx(0.8125))
        assert (found.expected_cost_usd, found.expected_latency_s) == (pytest.approx(0.00375), pytest.approx(2.0))
        assert found.utility == pytest.approx(0.4625)
        assert decision.runner_up is not None
        assert decision.runner_up.expected_success == pytest.approx(0.375)
        assert decision.runner_up.utility == pytest.approx(0.25)

    def test_the_evidence_and_the_place_are_those_of_the_first(self) -> None:
        decision = coarse_and_fine(cost_weight=0.0).decide(ask("e1"))
        assert (decision.rule, decision.cluster, chosen(decision).evidence) == ("nearest-cluster", 0, 24)
        # The first centre is the mean of (1, 0) and (0, 1): half the square root of 2 from either.
        assert decision.distance == pytest.approx(math.sqrt(0.5), abs=1e-6)
        assert decision.reason.startswith("In cluster 0 (east), from 24 outcomes there, dear@@none is expected")

    @pytest.mark.parametrize(
        ("text", "cost_weight", "first", "averaged", "gap"),
        [
            # How far the utility of dear is above that of cheap, by the equation at the head of this file:
            #   all: 0.375 - cost_weight; east: 0.5 - 1.25 * cost_weight; north: 0.25 - 0.75 * cost_weight.
            ("e1", 0.38, CHEAP, DEAR, (-0.005 + 0.025) / 2),
            ("n1", 0.36, DEAR, CHEAP, (0.015 - 0.020) / 2),
        ],
    )
    def test_the_average_may_decide_otherwise_than_the_first(
        self, *, text: str, cost_weight: float, first: Pair, averaged: Pair, gap: float
    ) -> None:
        router = coarse_and_fine(cost_weight=cost_weight)
        assert router.best(0).pair == first
        decision = router.decide(ask(text))
        assert decision.pair == averaged
        assert decision.runner_up is not None
        lead = (chosen(decision).utility or 0) - (decision.runner_up.utility or 0)
        assert lead == pytest.approx(abs(gap))

    def test_shrinkage_goes_on_in_each_clustering(self) -> None:
        # Strength 10. Records: cheap 0.5, dear 0.875, mean 0.6875; each leans on that as on 10 outcomes:
        #   cheap: (12 + 6.875) / 34 = 0.5551471, dear: (21 + 6.875) / 34 = 0.8198529.
        # dear in the cluster of all: (21 + 8.198529) / 34 = 0.8587803; to the east (9 + 8.198529) / 22 = 0.7817513.
        decision = coarse_and_fine(cost_weight=0.0, strength=10.0).decide(ask("e1"))
        assert chosen(decision).expected_success == pytest.approx((0.8587803 + 0.7817513) / 2, abs=1e-6)

    def test_the_interval_is_about_the_expectation(self) -> None:
        # The belief has the mean 0.8125, and as many counts as the clusters' mean, (24 + 12) / 2 = 18: Beta(14.625,
        # 3.375). The mean of the counts would be Beta((21 + 9) / 2, (3 + 3) / 2), whose mean is 0.833.
        low, high = chosen(coarse_and_fine(cost_weight=0.0).decide(ask("e1"))).interval or (0.0, 0.0)
        assert betainc(14.625, 3.375, low) == pytest.approx(0.025)
        assert betainc(14.625, 3.375, high) == pytest.approx(0.975)
        assert low < 0.8125 < high

    def test_the_expectation_lies_in_the_interval_where_the_clusters_are_of_unlike_size(self) -> None:
        # Of 90 queries to the east all are right, of 10 to the north none: north's belief is half of the first
        # cluster's 0.9 and half of 0. The mean of the counts would be about 0.82.
        degrees = {**{f"e{at}": 0.0 for at in range(90)}, **{f"n{at}": 90.0 for at in range(10)}}
        table = table_of(*(row(name, "a", float(name[0] == "e")) for name in degrees))
        settings = {"n_clusters": 1, "n_refinements": 1, "view": "text", "strength": 0.0}
        decision = ClusterRouter(Compass(degrees), guard=0.0, **settings).fit(table).decide(ask("n0"))  # type: ignore[arg-type]
        low, high = chosen(decision).interval or (0.0, 0.0)
        assert chosen(decision).expected_success == pytest.approx(0.45)
        assert low < 0.45 < high

    def test_a_limit_holds_for_the_mean_cost(self) -> None:
        router = coarse_and_fine(cost_weight=0.0)
        assert router.decide(ask("e1", max_cost_usd=0.00376)).pair == DEAR
        assert router.decide(ask("e1", max_cost_usd=0.00374)).pair == CHEAP

    def test_best_tells_of_the_cluster_alone(self) -> None:
        best = coarse_and_fine(cost_weight=0.0).best(0)
        assert (best.pair, best.expected_success, best.evidence) == (DEAR, pytest.approx(0.875), 24)


class TestFallback:
    @staticmethod
    def router(n_clusters: int, n_refinements: int) -> ClusterRouter:
        """Return a router that saw pair a everywhere, b to the west only, at a quarter, and c without a score."""
        table = table_of(
            *(row(name, "a", 1.0, domain="east") for name in EAST),
            *(row(name, "a", 1.0, domain="north") for name in NORTH),
            *(
                row(f"w{at}", pair, score, domain="west")
                for at in range(12)
                for pair, score in (("a", 0.0), ("b", 0.25))
            ),
            row("e1", "c", None, domain="east"),
        )
        compass = Compass({**DIRECTIONS, **{f"w{at}": 180.0 for at in range(12)}})
        return ClusterRouter(
            compass, n_clusters=n_clusters, n_refinements=n_refinements, view="text", strength=0.0, cost_weight=0.0
        ).fit(table)

    def test_each_clustering_goes_to_its_nearest_with_outcomes(self) -> None:
        router = self.router(3, 2)
        assert router.clusterings_.sizes == (3, 3, 3)
        decision = router.decide(ask("between", Pair("b")))
        assert decision.rule == "nearby-cluster"
        assert decision.cluster is not None
        assert router.clusters_[decision.cluster].label == "west"
        # 60 degrees is 120 from west: 2 * sin(60 degrees) = the square root of 3.
        assert decision.distance == pytest.approx(math.sqrt(3), abs=1e-4)
        assert (chosen(decision).expected_success, chosen(decision).evidence) == (0.25, 12)
        assert "(west)" in decision.reason

    def test_the_first_clustering_names_the_rule(self) -> None:
        # The cluster of all has outcomes of b; to the east beside it there are none, so that the west speaks there.
        router = self.router(1, 4)
        assert router.clusterings_.sizes == (1, 2, 2, 2, 3)
        fine = router.restrict([Pair("b")])
        decision = fine.decide(ask("e1", Pair("b")))
        assert (decision.rule, decision.cluster) == ("nearest-cluster", 0)
        assert chosen(decision).expected_success == pytest.approx(0.25)

    def test_where_no_cluster_has_outcomes_the_overall_records_decide(self) -> None:
        for router in (self.router(3, 2), self.router(1, 4)):
            decision = router.decide(ask("between", Pair("c")))
            assert (decision.rule, decision.pair) == ("best-overall", Pair("c"))
            assert chosen(decision).evidence == 0
            # As good as the others here, where queries are easier than in the west: above the mean of a (24 of 36) and
            # b (0.25), and below a's record in the east, which is a's merit in part.
            assert (24 / 36 + 0.25) / 2 < chosen(decision).expected_success < 0.9
            assert "the overall records, as no cluster has outcomes" in decision.reason


class TestLearning:
    def test_fresh_outcomes_count_once_in_each_clustering(self) -> None:
        router = coarse_and_fine()
        router = router.add_pairs(
            table_of(row("e1", "new", 1.0, 0.002), row("n1", "new", 0.0, 0.002), row("e2", "new", 1.0))
        )
        east, north = 1 + int(router.clusterings_.centres[1, 0] < 0.5), 1 + int(router.clusterings_.centres[1, 0] > 0.5)
        np.testing.assert_array_equal(router.statistics_.count[[0, east, north], 2], [3, 2, 1])
        np.testing.assert_array_equal(router.statistics_.success[[0, east, north], 2], [2, 2, 0])
        # Over all, new is right 2 of 3 times, a little more as it ran more in the harder cluster; counted in both
        # clusterings it would be 4 of 6. The others' records are 0.5 and 0.875. With strength 10: (2 + 6.8) / 13.
        assert overall_success(router.statistics_, 0.0)[2] == pytest.approx(2 / 3, abs=0.03)
        assert overall_success(router.statistics_, 10.0)[2] == pytest.approx((2 + 6.8) / 13, abs=0.01)
        assert router.statistics_.repeats == 2

    @pytest.mark.parametrize("strength", [0.0, 7.0])
    def test_overall_records_are_those_of_one_clustering(self, strength: float) -> None:
        fresh = table_of(row("e1", "new", 1.0), row("n3", "cheap", 0.5, 0.01), row("between", "dear", 0.0))
        one = coarse_and_fine().add_pairs(fresh)
        other = ClusterRouter.as_in_paper(Compass(DIRECTIONS)).fit(two_directions()).add_pairs(fresh)
        expected = overall_success(other.statistics_, strength)
        np.testing.assert_allclose(overall_success(one.statistics_, strength), expected)

    def test_a_new_pair_is_averaged_like_the_others(self) -> None:
        # To the east new is right 2 of 2, over all 2 of 3: (1 + 2/3) / 2.
        router = coarse_and_fine(cost_weight=0.0)
        router = router.add_pairs(table_of(row("e1", "new", 1.0), row("n1", "new", 0.0), row("e2", "new", 1.0)))
        decision = router.decide(ask("e1"))
        assert (decision.pair, chosen(decision).expected_success) == (Pair("new"), pytest.approx(5 / 6))
        assert chosen(decision).evidence == 3

    def test_the_clusters_stay_where_they_are(self) -> None:
        router = coarse_and_fine()
        before = router.clusterings_
        router.partial_fit(table_of(row("west", "cheap", 1.0)))
        assert router.clusterings_ is before
        assert router.clusters_[0].queries == 24

    @pytest.mark.parametrize("view", ["full", "text"])
    def test_to_learn_everything_twice_doubles_the_sums(self, view: Literal["full", "text"]) -> None:
        table = offers()
        once = ClusterRouter(FakeEncoder(), view=view).fit(table).statistics_
        router = ClusterRouter(FakeEncoder(), view=view).fit(table).partial_fit(table)
        for name, array in router.statistics_.arrays().items():
            np.testing.assert_allclose(array.sum(axis=0), 2 * once.arrays()[name].sum(axis=0))
            if view == "text":  # the full view placed these queries by predictions made from the others, and now by all
                np.testing.assert_allclose(array, 2 * once.arrays()[name])
        np.testing.assert_allclose(overall_success(router.statistics_, 0.0), overall_success(once, 0.0))


class TestRestrict:
    def test_the_clusterings_are_kept(self) -> None:
        small = coarse_and_fine(cost_weight=0.0).restrict([DEAR])
        assert small.statistics_.repeats == 2
        assert small.clusterings_.sizes == (1, 2)
        np.testing.assert_allclose(overall_success(small.statistics_, 0.0), [0.875])
        # With strength 24, dear leans on the mean of all pairs, which is its own record: 0.875; to the east,
        # (9 + 21) / 36 = 0.8333.
        decision = small.configure(strength=24.0).decide(ask("e1"))
        assert chosen(decision).expected_success == pytest.approx((0.875 + 30 / 36) / 2)

    def test_costs_are_scaled_over_the_pairs_that_are_left(self) -> None:
        # cheap costs the same everywhere, so it is the highest of its pool: 0.5 * 0.375 - 0.5 * 1.
        assert chosen(coarse_and_fine().restrict([CHEAP]).decide(ask("e1"))).utility == pytest.approx(-0.3125)


class TestSaved:
    def test_all_clusterings_come_back(self, tmp_path: Path) -> None:
        router = coarse_and_fine(cost_weight=0.2).add_pairs(table_of(row("e1", "new", 1.0)))
        router.save(tmp_path / "router")
        again = Router.load(tmp_path / "router", Compass(DIRECTIONS))
        assert isinstance(again, ClusterRouter)
        assert again.clusterings_.sizes == (1, 2)
        assert again.statistics_.repeats == 2
        assert again.n_refinements == 1
        np.testing.assert_array_equal(again.clusterings_.centres, router.clusterings_.centres)
        queries = [ask("e1"), ask("n1"), ask("west"), ask("between", CHEAP)]
        assert again.decide_batch(queries) == router.decide_batch(queries)
