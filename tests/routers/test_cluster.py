"""The cluster router: section 2 of the paper, with and without shrinkage; all numbers are worked out by hand.

Most tests here are of one clustering of texts; what several clusterings and the richer view add is tested in
test_clusterings.py and test_views.py.
"""

import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.cluster
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded import KINDS, Compass, row, table_of

from langchain_atlas.encoders import Encoder
from langchain_atlas.errors import ConstraintError, PoolError, SettingError
from langchain_atlas.loop.turns import solve
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.pool.pool import Pair, Pool
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.cluster.router import Cluster, ClusterRouter
from langchain_atlas.testing import FakeEncoder, ScriptedExecutor
from langchain_atlas.trajectory import START, Candidate, Constraints, Decision, Observation, Query, Trajectory

CHEAP, DEAR = Pair("cheap"), Pair("dear")

# Four queries to the east and four to the north; the router makes a cluster of each.
#        east: right, mean cost    north: right, mean cost
# cheap        1 of 4, $0.001            3 of 4, $0.001
# dear         3 of 4, $0.004            4 of 4, $0.003
EAST, NORTH = ["e1", "e2", "e3", "e4"], ["n1", "n2", "n3", "n4"]
DIRECTIONS = {**dict.fromkeys(EAST, 0.0), **dict.fromkeys(NORTH, 90.0), "between": 60.0, "west": 180.0}
RIGHT = {"cheap": [1, 0, 0, 0, 1, 1, 1, 0], "dear": [1, 1, 1, 0, 1, 1, 1, 1]}
COST = {"cheap": [0.001] * 8, "dear": [0.004] * 4 + [0.003] * 4}


def two_clusters() -> OutcomeTable:
    return table_of(
        *(
            row(name, model, RIGHT[model][at], COST[model][at], domain="east" if name in EAST else "north", latency_s=2)
            for at, name in enumerate((*EAST, *NORTH))
            for model in ("cheap", "dear")
        )
    )


def in_paper(**settings: Any) -> ClusterRouter:
    """Return a router as in the paper: one clustering of texts, no shrinkage unless asked for."""
    return ClusterRouter.as_in_paper(Compass(DIRECTIONS), **settings)


def shrunk(**settings: Any) -> ClusterRouter:
    """Return a router of one clustering of texts, with a shrinkage of 10 outcomes unless asked otherwise."""
    return ClusterRouter(
        Compass(DIRECTIONS), n_refinements=0, view="text", **{"strength": 10.0, "guard": 0.0, **settings}
    )


def fitted(**settings: Any) -> ClusterRouter:
    """Return a router of the two clusters, as in the paper."""
    return in_paper(**settings).fit(two_clusters())


BOTH = pytest.mark.parametrize("make", [ClusterRouter, ClusterRouter.as_in_paper], ids=["full", "as in paper"])
"""Of both the default router and the paper's."""

Make = Callable[..., ClusterRouter]


def ask(text: str, **fields: Any) -> Query:
    limits = {name: fields.pop(name) for name in ("max_cost_usd", "max_latency_s", "pairs") if name in fields}
    return Query(text=text, constraints=Constraints(**limits), **fields)


def chosen(decision: Decision) -> Candidate:
    assert decision.chosen is not None
    return decision.chosen


def after(decision: Decision, **seen: Any) -> Trajectory:
    """Return the trajectory after the decided pair was run."""
    assert decision.pair is not None
    return START.then(decision, Observation(pair=decision.pair, **seen))


class TestClustering:
    @pytest.fixture
    def asked_of_kmeans(self, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
        """Return the settings of every k-means that is run."""
        calls: list[dict[str, Any]] = []
        real = sklearn.cluster.KMeans

        class Watched(real):  # type: ignore[misc, valid-type]
            def fit(self, vectors: Any, *args: Any, **kwargs: Any) -> Any:
                calls.append({**self.get_params(), "vectors": np.array(vectors)})
                return super().fit(vectors, *args, **kwargs)

        monkeypatch.setattr(sklearn.cluster, "KMeans", Watched)
        return calls

    def test_it_is_the_papers(self, asked_of_kmeans: list[dict[str, Any]], outcomes: OutcomeTable) -> None:
        ClusterRouter.as_in_paper(FakeEncoder(), random_state=5).fit(outcomes)
        assert len(asked_of_kmeans) == 1
        used = asked_of_kmeans[0]
        names = ("n_clusters", "init", "max_iter", "n_init", "algorithm", "random_state")
        assert {name: used[name] for name in names} == {
            "n_clusters": 8,
            "init": "k-means++",
            "max_iter": 1000,
            "n_init": "auto",
            "algorithm": "elkan",
            "random_state": 5,
        }
        np.testing.assert_array_equal(used["vectors"], FakeEncoder().encode([query.text for query in outcomes.queries]))

    def test_every_query_counts_once_however_many_pairs_were_run_on_it(
        self, asked_of_kmeans: list[dict[str, Any]]
    ) -> None:
        fitted()
        assert asked_of_kmeans[0]["vectors"].shape == (8, 2)

    def test_nothing_but_fit_clusters(self, asked_of_kmeans: list[dict[str, Any]]) -> None:
        router = fitted()
        router.configure(cost_weight=0.9).decide(ask("e1", cost_weight=0.1))
        router.partial_fit(two_clusters())
        router = router.add_pairs(table_of(row("e1", "new", 1.0)))
        router.restrict([CHEAP])
        assert len(asked_of_kmeans) == 1

    def test_clusters_know_their_size_and_where_they_come_from(self) -> None:
        table = table_of(row("e1", "cheap", 1.0, domain="a"), row("e2", "cheap", 1.0, domain="b"),
                         row("e3", "cheap", 1.0, domain="b"), row("n1", "cheap", 1.0, domain="c"))  # fmt: skip
        router = in_paper().fit(table)
        assert set(router.clusters_) == {Cluster(queries=3, label="b"), Cluster(queries=1, label="c")}

    def test_a_query_goes_to_the_nearest_centre(self) -> None:
        router = fitted()
        north = router.decide(ask("n1")).cluster
        decision = router.decide(ask("between"))
        assert decision.cluster == north
        # 60 degrees is 30 from north: 2 * sin(15 degrees) = 0.5176.
        assert decision.distance == pytest.approx(2 * math.sin(math.radians(15)), abs=1e-4)
        assert router.decide(ask("n1")).distance == pytest.approx(0, abs=1e-3)

    @BOTH
    def test_the_same_seed_makes_the_same_router(self, make: Make, outcomes: OutcomeTable) -> None:
        one, other = (make(FakeEncoder(), random_state=3).fit(outcomes) for _ in range(2))
        assert frozen(one) == frozen(other)
        assert one.decide_batch(outcomes.queries) == other.decide_batch(outcomes.queries)


class TestEquation:
    @pytest.mark.parametrize(
        ("cost_weight", "text", "best", "utility", "second"),
        [
            # Cost over the pool's highest, $0.004: cheap 0.25 and 0.25, dear 1 and 0.75.
            # U = (1 - cost_weight) * share right - cost_weight * scaled cost
            (0.0, "e1", DEAR, 0.75, 0.25),
            (0.2, "e1", DEAR, 0.8 * 0.75 - 0.2 * 1.0, 0.8 * 0.25 - 0.2 * 0.25),  # 0.40 and 0.15
            (0.5, "e1", CHEAP, 0.5 * 0.25 - 0.5 * 0.25, 0.5 * 0.75 - 0.5 * 1.0),  # 0 and -0.125
            (1.0, "e1", CHEAP, -0.25, -1.0),
            (0.0, "n1", DEAR, 1.0, 0.75),
            (0.2, "n1", DEAR, 0.8 * 1.0 - 0.2 * 0.75, 0.8 * 0.75 - 0.2 * 0.25),  # 0.65 and 0.55
            (0.5, "n1", CHEAP, 0.5 * 0.75 - 0.5 * 0.25, 0.5 * 1.0 - 0.5 * 0.75),  # 0.25 and 0.125
        ],
    )
    @pytest.mark.parametrize("given_by", ["constructor", "configure", "query"])
    def test_the_highest_utility_wins(
        self, *, cost_weight: float, text: str, best: Pair, utility: float, second: float, given_by: str
    ) -> None:
        if given_by == "constructor":
            decision = fitted(cost_weight=cost_weight).decide(ask(text))
        elif given_by == "configure":
            decision = fitted(cost_weight=0.77).configure(cost_weight=cost_weight).decide(ask(text))
        else:
            decision = fitted(cost_weight=0.77).decide(ask(text, cost_weight=cost_weight))
        assert decision.pair == best
        assert chosen(decision).utility == pytest.approx(utility)
        assert decision.runner_up is not None
        assert decision.runner_up.pair == (DEAR if best == CHEAP else CHEAP)
        assert decision.runner_up.utility == pytest.approx(second)

    def test_half_and_half_is_the_default(self) -> None:
        for router in (ClusterRouter(FakeEncoder()), ClusterRouter.as_in_paper(FakeEncoder())):
            assert router.cost_weight == 0.5
            assert router.n_clusters == 8

    def test_as_in_paper_is_one_clustering_of_texts_without_shrinkage(self) -> None:
        router = ClusterRouter.as_in_paper(FakeEncoder(), n_clusters=3, failovers=2)
        assert (router.n_refinements, router.view, router.strength) == (0, "text", 0.0)
        assert (router.n_clusters, router.failovers) == (3, 2)
        assert ClusterRouter.as_in_paper(FakeEncoder(), strength=3.0).strength == 3.0

    def test_configure_leaves_the_router_as_it_was(self) -> None:
        router = fitted(cost_weight=0.0)
        assert router.configure(cost_weight=1.0).decide(ask("e1")).pair == CHEAP
        assert router.decide(ask("e1")).pair == DEAR
        assert router.settings["cost_weight"] == 0.0

    def test_latency_can_be_part_of_the_price(self) -> None:
        table = table_of(
            row("e1", "slow", 1.0, 0.001, latency_s=10.0),
            row("e1", "quick", 0.5, 0.004, latency_s=2.0),
        )
        # cost_weight 0.5, all of the price is latency: slow 0.5 * 1 - 0.5 * 1 = 0; quick 0.25 - 0.5 * 0.2 = 0.15.
        # Half of it:   slow 0.5 - 0.5 * (0.5 * 0.25 + 0.5 * 1)   = 0.1875
        #               quick 0.25 - 0.5 * (0.5 * 1 + 0.5 * 0.2)  = -0.05
        # None of it:   slow 0.5 - 0.5 * 0.25 = 0.375.
        router = in_paper().fit(table)
        for share, model, utility in ((1.0, "quick", 0.15), (0.5, "slow", 0.1875), (0.0, "slow", 0.375)):
            decision = router.configure(latency_share=share).decide(ask("e1"))
            assert decision.pair == Pair(model)
            assert chosen(decision).utility == pytest.approx(utility)

    def test_an_unknown_cost_counts_as_the_highest_and_stays_unknown(self) -> None:
        table = table_of(
            row("e1", "unpriced", 1.0, None), row("e1", "cheap", 0.8, 0.001), row("e1", "dear", 0.5, 0.004)
        )
        # At 0.5: unpriced 0.5 - 0.5 = 0; cheap 0.4 - 0.125 = 0.275. If it counted as free it would win with 0.5.
        router = in_paper().fit(table)
        assert router.decide(ask("e1")).pair == CHEAP
        decision = router.decide(ask("e1", pairs=[Pair("unpriced")]))
        assert chosen(decision).utility == pytest.approx(0.0)
        assert chosen(decision).expected_cost_usd is None
        assert "at unknown cost" in decision.reason

    def test_of_equals_the_first_recorded_wins(self) -> None:
        router = shrunk().fit(table_of(row("e1", "b", 1.0), row("e1", "a", 1.0)))
        assert router.decide(ask("e1")).pair == Pair("b")


class TestEvidence:
    def test_a_decision_explains_itself(self) -> None:
        router = fitted(cost_weight=0.0)
        decision = router.decide(ask("e1"))
        assert (decision.kind, decision.rule) == ("route", "nearest-cluster")
        found = chosen(decision)
        assert (found.pair, found.expected_success, found.evidence, found.utility) == (DEAR, 0.75, 4, 0.75)
        assert (found.expected_cost_usd, found.expected_latency_s) == (pytest.approx(0.004), pytest.approx(2.0))
        where = f"In cluster {decision.cluster} (east), from 4 outcomes there, dear@@none is expected to solve 75% ("
        assert decision.reason.startswith(where)
        assert decision.reason.endswith("at $4 per 1000. The cluster's own record decides.")

    def test_expectations_are_shrunk_to_the_pairs_overall_record(self) -> None:
        # See test_statistics.py: with a strength of 10, east: cheap 0.5029762, dear 0.7648810.
        decision = fitted(cost_weight=0.0, strength=10.0).decide(ask("e1"))
        assert chosen(decision).expected_success == pytest.approx(0.7648810, abs=1e-6)
        assert decision.runner_up is not None
        assert decision.runner_up.expected_success == pytest.approx(0.5029762, abs=1e-6)

    def test_strength_can_be_changed_without_fitting(self) -> None:
        decision = fitted(strength=0.0, cost_weight=0.0).configure(strength=10.0).decide(ask("e1"))
        assert chosen(decision).expected_success == pytest.approx(0.7648810, abs=1e-6)

    def test_without_one_it_is_taken_from_the_data_each_time_it_is_fitted(self) -> None:
        assert ClusterRouter(FakeEncoder()).strength is None
        # Cheap is right on all 20 of one cluster's queries and none of the other's: a record elsewhere is worth least.
        apart = [row(f"{side}{at}", "cheap", float(side == "e")) for side in "en" for at in range(20)]
        # Right on half of either's: its record over all is worth most.
        alike = [row(f"{side}{at}", "cheap", float(at % 2)) for side in "en" for at in range(20)]
        compass = Compass({f"{side}{at}": 90.0 * (side == "n") for side in "en" for at in range(20)})
        router = ClusterRouter(compass, n_refinements=0, view="text").fit(table_of(*alike))
        assert (router.strength, router.natural_strength_) == (None, 100.0)
        # By strength 1, to the east: (20 + 0.5) / 21.
        decision = router.fit(table_of(*apart)).decide(ask("e1"))
        assert (router.strength, router.natural_strength_) == (None, 1.0)
        assert chosen(decision).expected_success == pytest.approx(20.5 / 21)
        other = router.configure(strength=20.0)
        assert chosen(other.decide(ask("e1"))).expected_success == pytest.approx(30 / 40)
        assert other.configure(strength=None).decide(ask("e1")) == decision

    @pytest.mark.parametrize(
        ("scores", "low", "high"),
        [
            # 1 right, 1 wrong: Beta(1, 1), which is even over [0, 1].
            ([1, 0], 0.025, 0.975),
            # 2 right, 1 wrong: Beta(2, 1), whose distribution function is x^2: square roots of 0.025 and 0.975.
            ([1, 1, 0], math.sqrt(0.025), math.sqrt(0.975)),
            # 1 right, 2 wrong: the mirror of it.
            ([1, 0, 0], 1 - math.sqrt(0.975), 1 - math.sqrt(0.025)),
        ],
    )
    def test_the_interval_holds_95_percent_of_the_belief(self, scores: list[float], low: float, high: float) -> None:
        table = table_of(*(row(name, "cheap", score) for name, score in zip(EAST, scores, strict=False)))
        decision = in_paper().fit(table).decide(ask("e1"))
        assert chosen(decision).interval == pytest.approx((low, high))

    def test_the_prior_narrows_the_interval(self) -> None:
        # One pair, right 1 of 2: with strength 2 the belief is Beta(1 + 1, 1 + 1), the distribution function
        # 3x^2 - 2x^3; at 0.0942993 it is 0.025.
        table = table_of(row("e1", "cheap", 1.0), row("e2", "cheap", 0.0))
        decision = shrunk(strength=2.0).fit(table).decide(ask("e1"))
        low, high = chosen(decision).interval or (0.0, 0.0)
        assert 3 * low**2 - 2 * low**3 == pytest.approx(0.025)
        assert (low, high) == (pytest.approx(0.0942993, abs=1e-6), pytest.approx(1 - 0.0942993, abs=1e-6))

    def test_what_never_failed_is_still_not_sure(self) -> None:
        table = table_of(row("e1", "cheap", 1.0), row("e1", "dear", 0.0))
        decision = shrunk().fit(table).decide(ask("e1", cost_weight=0))
        assert chosen(decision).expected_success < 1
        low, high = chosen(decision).interval or (0.0, 0.0)
        assert 0 < low < chosen(decision).expected_success < high < 1

    def test_best_tells_a_clusters_pair(self) -> None:
        router = fitted(cost_weight=0.2)
        for text in ("e1", "n1"):
            decision = router.decide(ask(text))
            assert decision.cluster is not None
            assert router.best(decision.cluster) == decision.chosen


class TestConstraints:
    def test_only_allowed_pairs_are_asked(self) -> None:
        decision = fitted(cost_weight=0.0).decide(ask("e1", pairs=[CHEAP, Pair("stranger")]))
        assert decision.pair == CHEAP
        assert decision.runner_up is None

    def test_none_of_the_routers_pairs_allowed(self) -> None:
        with pytest.raises(ConstraintError, match="knows none of the pairs that the query allows: x@@none, y@@none"):
            fitted().decide(ask("e1", pairs=[Pair("y"), Pair("x")]))
        with pytest.raises(ConstraintError, match="allows no pair; the router has 2: "):
            fitted().decide(ask("e1", pairs=[]))

    @pytest.mark.parametrize(
        ("text", "limit", "pair"),
        [("e1", 0.004, DEAR), ("e1", 0.0039, CHEAP), ("n1", 0.003, DEAR), ("n1", 0.001, CHEAP)],
    )
    def test_the_expected_cost_there_stays_within_the_limit(self, text: str, limit: float, pair: Pair) -> None:
        assert fitted(cost_weight=0.0).decide(ask(text, max_cost_usd=limit)).pair == pair

    def test_no_pair_is_cheap_enough(self) -> None:
        with pytest.raises(ConstraintError, match=r"within 0\.0005 dollars; the least is 0\.001\. Raise the limit"):
            fitted().decide(ask("e1", max_cost_usd=0.0005))

    def test_no_pair_is_fast_enough(self) -> None:
        with pytest.raises(ConstraintError, match="within 1 seconds; the least is 2"):
            fitted().decide(ask("e1", max_latency_s=1))
        assert fitted(cost_weight=0.0).decide(ask("e1", max_latency_s=2)).pair == DEAR

    def test_what_is_unknown_cannot_be_expected_to_stay_within_a_limit(self) -> None:
        table = table_of(row("e1", "unpriced", 1.0), row("e1", "cheap", 0.0, 0.001))
        router = shrunk(cost_weight=0.0).fit(table)
        assert router.decide(ask("e1")).pair == Pair("unpriced")
        assert router.decide(ask("e1", max_cost_usd=1.0)).pair == CHEAP
        with pytest.raises(ConstraintError, match="unknown for every pair"):
            router.decide(ask("e1", max_cost_usd=1.0, pairs=[Pair("unpriced")]))

    def test_the_least_is_that_of_the_allowed_pairs(self) -> None:
        with pytest.raises(ConstraintError, match=r"the least is 0\.004"):
            fitted().decide(ask("e1", max_cost_usd=0.002, pairs=[DEAR]))

    def test_all_limits_hold_at_once(self) -> None:
        table = table_of(
            row("e1", "slow", 1.0, 0.001, latency_s=9.0),
            row("e1", "dear", 1.0, 0.009, latency_s=1.0),
            row("e1", "fair", 0.0, 0.002, latency_s=2.0),
        )
        router = shrunk().fit(table)
        assert router.decide(ask("e1", max_cost_usd=0.005, max_latency_s=5)).pair == Pair("fair")
        with pytest.raises(ConstraintError, match="within 1 seconds; the least is 2"):
            router.decide(ask("e1", max_cost_usd=0.005, max_latency_s=1))


class TestFallback:
    def table(self) -> OutcomeTable:
        """Outcomes of pair a to the east and the north, of b to the west only, of c without a score."""
        return table_of(
            row("e1", "a", 1.0, domain="east"),
            row("n1", "a", 1.0, domain="north"),
            row("west", "b", 0.25, domain="west"),
            row("e1", "c", None, domain="east"),
        )

    def test_a_cluster_without_outcomes_of_the_allowed_pairs_gives_way_to_the_nearest_that_has_some(self) -> None:
        router = in_paper().fit(self.table())
        decision = router.decide(ask("between", pairs=[Pair("b")]))
        assert decision.rule == "nearby-cluster"
        assert decision.cluster is not None
        assert router.clusters_[decision.cluster].label == "west"
        # 60 degrees is 120 from west: 2 * sin(60 degrees) = the square root of 3.
        assert decision.distance == pytest.approx(math.sqrt(3), abs=1e-4)
        assert (decision.pair, chosen(decision).expected_success) == (Pair("b"), 0.25)
        assert "(west)" in decision.reason

    def test_without_any_outcome_the_overall_record_decides(self) -> None:
        router = in_paper().fit(self.table())
        decision = router.decide(ask("between", pairs=[Pair("c")]))
        assert decision.rule == "best-overall"
        assert decision.pair == Pair("c")
        assert chosen(decision).evidence == 0
        # As good as the others: the mean of a (2 of 2) and b (0.25 of 1), 0.625.
        assert chosen(decision).expected_success == pytest.approx(0.625)
        assert "the overall records, as no cluster has outcomes" in decision.reason


class TestFailover:
    TABLE = table_of(
        row("e1", "a@@x", 1.0, 0.001),
        row("e1", "a@@y", 0.9, 0.001),
        row("e1", "b@@x", 0.5, 0.001),
        row("e1", "c@@x", 0.1, 0.001),
    )

    def router(self, **settings: Any) -> ClusterRouter:
        return in_paper(**settings).fit(self.TABLE)

    def test_it_asks_one_pair_and_gives_its_answer(self) -> None:
        router, query = self.router(), ask("e1")
        first = router.decide(query)
        last = router.decide(query, after(first, answer="4"))
        assert (first.pair, last.kind, last.answer, last.source) == (Pair("a", "x"), "answer", "4", 0)
        assert last.rule == "routed-once"

    def test_a_failed_call_is_followed_by_the_next_best_of_another_model(self) -> None:
        router, query = self.router(), ask("e1")
        failed = after(router.decide(query), error="Timeout: 60 s")
        second = router.decide(query, failed)
        assert second.pair == Pair("b", "x")  # not a@@y, which is better: the model may be what is down
        assert second.rule == "failover, nearest-cluster"

    def test_the_failed_models_other_tools_come_when_no_other_model_is_left(self) -> None:
        router, query = self.router(), ask("e1", pairs=[Pair("a", "x"), Pair("a", "y")])
        failed = after(router.decide(query), error="Timeout: 60 s")
        assert router.decide(query, failed).pair == Pair("a", "y")

    @pytest.mark.parametrize(
        ("failovers", "pairs"),
        [
            (0, ["a@@x"]),
            (1, ["a@@x", "b@@x"]),
            (3, ["a@@x", "b@@x", "c@@x", "a@@y"]),
            (9, ["a@@x", "b@@x", "c@@x", "a@@y"]),
        ],
    )
    def test_as_many_other_pairs_are_tried_as_asked(self, failovers: int, pairs: list[str]) -> None:
        executor = ScriptedExecutor(lambda *_: TimeoutError("60 s"))
        trajectory = solve(ask("e1"), self.router(failovers=failovers), executor, max_turns=20)
        assert [str(pair) for pair, _ in executor.calls] == pairs
        last = trajectory.steps[-1].decision
        assert (last.kind, last.answer, last.rule) == ("answer", None, "failovers-used")

    def test_a_failover_that_no_limit_allows_ends_in_an_answer_not_in_an_exception(self) -> None:
        table = table_of(row("e1", "cheap", 1.0, 0.001), row("e1", "dear", 1.0, 0.004))
        router = shrunk().fit(table)
        executor = ScriptedExecutor({"cheap@@none": TimeoutError("60 s")})
        trajectory = solve(ask("e1", max_cost_usd=0.002), router, executor)
        last = trajectory.steps[-1].decision
        assert (last.kind, last.rule) == ("answer", "failovers-used")
        assert "No pair is expected to stay within 0.002 dollars" in last.reason


class TestLearning:
    def test_fresh_outcomes_change_the_decision(self) -> None:
        router = fitted(cost_weight=0.0)
        assert router.decide(ask("e1")).pair == DEAR
        # cheap, 1 of 4, is right 5 times more: 6 of 9 = 0.667. dear, 3 of 4, is wrong 4 times more: 3 of 8 = 0.375.
        fresh = [row(name, "cheap", 1.0) for name in (*EAST, "e1")] + [row(name, "dear", 0.0) for name in EAST]
        fresh[4]["query_id"] = "once more"
        assert router.partial_fit(table_of(*fresh)) is router
        decision = router.decide(ask("e1"))
        assert decision.pair == CHEAP
        assert (chosen(decision).expected_success, chosen(decision).evidence) == (pytest.approx(6 / 9), 9)

    @settings(max_examples=20)
    @given(st.lists(st.integers(0, 15), max_size=8, unique=True))
    def test_it_is_the_same_as_to_have_known_all_along(self, later: list[int]) -> None:
        rows = two_clusters().table.to_pylist()
        # e1 and n1 stay with the first part, and with them both clusters.
        later = [at for at in later if rows[at]["query"] not in ("e1", "n1")]
        early = table_of(*(found for at, found in enumerate(rows) if at not in later))
        router = shrunk().fit(early)
        if later:
            router.partial_fit(table_of(*(rows[at] for at in later)))
        whole = shrunk().fit(two_clusters())
        for text in ("e1", "n1"):
            mine, other = router.decide(ask(text)), whole.decide(ask(text))
            for name, array in router.statistics_.with_pairs(whole.pairs).arrays().items():
                np.testing.assert_allclose(array[mine.cluster], whole.statistics_.arrays()[name][other.cluster])
            assert mine.pair == other.pair
            assert chosen(mine).evidence == chosen(other).evidence
            assert chosen(mine).utility == pytest.approx(chosen(other).utility)
            assert chosen(mine).interval == pytest.approx(chosen(other).interval)

    def test_a_new_pair_is_refused_by_partial_fit(self) -> None:
        router = fitted()
        with pytest.raises(PoolError, match="Pair 'new@@none' is new to this router; add it with 'add_pairs'"):
            router.partial_fit(table_of(row("e1", "new", 1.0)))
        assert router.pairs == (CHEAP, DEAR)

    def test_a_new_pair_joins_with_a_few_probes(self) -> None:
        router = fitted(cost_weight=0.0)
        probes = [row("e1", "new", 1.0, 0.002), row("e2", "new", 1.0, 0.002)]
        before, router = router, router.add_pairs(table_of(*probes))
        assert before.pairs == (CHEAP, DEAR)  # a new router
        assert router.pairs == (CHEAP, DEAR, Pair("new"))
        east, north = router.decide(ask("e1")), router.decide(ask("n1"))
        assert (east.pair, chosen(east).evidence) == (Pair("new"), 2)
        # To the north there is no outcome of it: with strength 0, its record of 2 of 2 is all that is known; dear, 4 of
        # 4 there, comes first of the two.
        assert north.pair == DEAR
        assert north.runner_up is not None
        assert (north.runner_up.pair, north.runner_up.expected_success, north.runner_up.evidence) == (
            Pair("new"),
            1.0,
            0,
        )

    def test_a_lucky_probe_is_not_believed(self) -> None:
        # new is right 1 of 1. The others' means are 0.5 and 0.875, new's 1: 0.7916667 over all.
        # With strength 10: overall (1 + 7.916667) / 11 = 0.8106061. The east is 0.0833333 harder than usual, and new
        # lacks 3 of its 4 queries: 0.8106061 - 0.0833333 * 3 / 14 = 0.7927489; (1 + 7.927489) / 11 = 0.8115899.
        router = fitted(strength=10.0).add_pairs(table_of(row("e1", "new", 1.0)))
        decision = router.decide(ask("e1", pairs=[Pair("new")]))
        assert chosen(decision).expected_success == pytest.approx(0.8115899, abs=1e-6)

    def test_a_changed_copy_learns_for_itself(self) -> None:
        router = fitted(cost_weight=0.0)
        copy = router.configure(cost_weight=0.5)
        copy = copy.add_pairs(table_of(row("e1", "new", 1.0)))
        assert router.pairs == (CHEAP, DEAR)
        assert copy.pairs == (CHEAP, DEAR, Pair("new"))


class TestRestrict:
    def test_only_these_pairs_are_left(self) -> None:
        router = fitted(cost_weight=0.0)
        small = router.restrict([CHEAP, Pair("stranger")])
        assert small.pairs == (CHEAP,)
        assert small.decide(ask("e1")).pair == CHEAP
        assert router.pairs == (CHEAP, DEAR)
        assert router.decide(ask("e1")).pair == DEAR

    def test_costs_are_scaled_over_the_pairs_that_are_left(self) -> None:
        # cheap alone is the highest of its pool: cost_weight 0.5, east: 0.5 * 0.25 - 0.5 * 1 = -0.375.
        decision = fitted(cost_weight=0.5).restrict([CHEAP]).decide(ask("e1"))
        assert chosen(decision).utility == pytest.approx(-0.375)

    def test_a_pool_will_do(self) -> None:
        pool = Pool(models=({"name": "dear"}, {"name": "other"}))  # type: ignore[arg-type]
        assert fitted().restrict(pool).pairs == (DEAR,)

    def test_no_common_pair(self) -> None:
        with pytest.raises(
            PoolError, match="share no pair: the router knows cheap@@none, dear@@none, the pool has x@@none"
        ):
            fitted().restrict([Pair("x")])


class TestBatch:
    QUERIES = (
        ask("e1"),
        ask("n1", cost_weight=0.0),
        ask("between", pairs=[DEAR]),
        ask("west", max_cost_usd=0.001),
        ask("e2", max_latency_s=3),
    )

    @settings(max_examples=20)
    @given(st.lists(st.sampled_from(QUERIES), max_size=6))
    def test_it_decides_like_one_by_one(self, queries: list[Query]) -> None:
        router = fitted(cost_weight=0.2, strength=3.0)
        assert router.decide_batch(queries) == [router.decide(query) for query in queries]

    @BOTH
    def test_the_encoder_is_asked_once(self, make: Make) -> None:
        compass = Compass(DIRECTIONS)
        router = make(compass).fit(table_of(row("e1", "cheap", 1.0), row("n1", "cheap", 1.0)))
        compass.passes.clear()
        router.decide_batch([ask("e2"), ask("n2"), ask("west")])
        assert compass.passes == [["e2", "n2", "west"]]

    async def test_the_async_decision_is_the_same(self) -> None:
        router = fitted()
        assert await router.adecide(ask("e1")) == router.decide(ask("e1"))


def frozen(router: ClusterRouter) -> dict[str, Any]:
    """Return everything a router holds, as values that can be compared."""
    return {
        "settings": dict(router.settings),
        "pairs": router.pairs,
        "clusters": router.clusters_,
        "repeats": router.statistics_.repeats,
        "natural strength": router.natural_strength_,
        "sizes": router.clusterings_.sizes,
        "centres": router.clusterings_.centres.tolist(),
        **{name: array.tolist() for name, array in router.statistics_.arrays().items()},
        **{name: array.tolist() for name, array in (router.view_.arrays() if router.view_ else {}).items()},
    }


def test_decisions_do_not_change_the_router() -> None:
    router = fitted()
    before = frozen(router)
    router.decide_batch(TestBatch.QUERIES)
    router.decide(ask("e1"), after(router.decide(ask("e1")), error="Timeout: 60 s"))
    router.restrict([DEAR]).configure(cost_weight=1.0, strength=3.0).decide(ask("e1"))
    with pytest.raises(ConstraintError):
        router.decide(ask("e1", max_cost_usd=0))
    assert frozen(router) == before


class TestSmallTables:
    @BOTH
    def test_one_query_and_one_pair(self, make: Make) -> None:
        router = make(FakeEncoder()).fit(table_of(row("q", "only", 1.0)))
        decision = router.decide(Query(text="Something else entirely?"))
        assert decision.pair == Pair("only")
        assert decision.runner_up is None
        assert len(router.clusters_) == 1

    @BOTH
    def test_more_clusters_than_queries(self, make: Make) -> None:
        router = make(Compass(DIRECTIONS), n_clusters=50).fit(two_clusters())
        assert sorted(router.clusters_, key=lambda cluster: cluster.label) == [Cluster(4, "east"), Cluster(4, "north")]

    @BOTH
    def test_no_score_at_all(self, make: Make) -> None:
        router = make(FakeEncoder()).fit(table_of(row("q", "a", None, 0.002), row("q", "b", None, 0.001)))
        decision = router.decide(Query(text="q"))
        assert (decision.pair, decision.rule) == (Pair("b"), "best-overall")  # the cheaper of two unknowns

    @BOTH
    @settings(max_examples=30)
    @given(
        st.lists(
            st.tuples(
                st.integers(0, 5), st.sampled_from("abc"), st.floats(0, 1) | st.none(), st.floats(0, 9) | st.none()
            ),
            min_size=1,
            max_size=12,
        ),
        st.integers(1, 9),
        st.floats(0, 1),
    )
    def test_whatever_the_table_a_decision_is_one_of_its_pairs(
        self, make: Make, runs: list[tuple[int, str, float | None, float | None]], n_clusters: int, cost_weight: float
    ) -> None:
        table = table_of(*(row(f"q{at}", model, score, cost) for at, model, score, cost in runs))
        encoder = Compass({f"q{at}": 50.0 * at for at in range(6)})
        router = make(encoder, n_clusters=n_clusters, cost_weight=cost_weight).fit(table)
        for decision in router.decide_batch([Query(text=f"q{at}") for at in range(6)]):
            assert decision.pair in table.pairs
            assert 0 <= chosen(decision).expected_success <= 1
            assert math.isfinite(chosen(decision).utility or 0.0)


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"n_clusters": 0}, "n_clusters is 0; it must be a whole number from 1"),
            ({"n_clusters": 2.5}, "n_clusters is 2.5"),
            ({"n_clusters": True}, "n_clusters is True"),
            ({"n_refinements": -1}, "n_refinements is -1; it must be a whole number from 0 to 5"),
            ({"n_refinements": 6}, "n_refinements is 6; it must be a whole number from 0 to 5"),
            ({"n_refinements": 1.0}, "n_refinements is 1.0"),
            ({"n_directions": -1}, "n_directions is -1; it must be a whole number from 0"),
            ({"n_directions": False}, "n_directions is False"),
            ({"view": "fulll"}, "view is 'fulll'; it must be 'full' or 'text'"),
            ({"view": None}, "view is None"),
            ({"random_state": -1}, "random_state is -1; it must be a whole number from 0 to 4294967295"),
            ({"random_state": None}, "random_state is None"),
            ({"cost_weight": 1.1}, "cost_weight is 1.1; it must be a number from 0 to 1"),
            ({"cost_weight": -0.1}, "cost_weight is -0.1"),
            ({"cost_weight": "half"}, "cost_weight is 'half'"),
            ({"cost_weight": True}, "cost_weight is True"),
            ({"cost_weight": math.nan}, "cost_weight is nan"),
            ({"latency_share": 2}, "latency_share is 2; it must be a number from 0 to 1"),
            ({"strength": -1}, "strength is -1; it must be a number from 0"),
            ({"strength": math.inf}, "strength is inf"),
            ({"failovers": -1}, "failovers is -1; it must be a whole number from 0"),
            ({"failovers": 1.5}, "failovers is 1.5; it must be a whole number from 0"),
        ],
    )
    def test_a_bad_one_is_refused_at_construction_and_when_changed(
        self, settings: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(SettingError, match=message):
            ClusterRouter(FakeEncoder(), **settings)
        if next(iter(settings)) in ClusterRouter(FakeEncoder()).settings:
            with pytest.raises(SettingError, match=message):
                ClusterRouter(FakeEncoder()).configure(**settings)

    def test_an_unknown_one_is_named_with_the_valid_ones(self) -> None:
        with pytest.raises(SettingError, match=r"ClusterRouter has no setting 'alhpa'. Did you mean 'alpha'"):
            fitted().configure(alhpa=0.5)

    @pytest.mark.parametrize("settings", [{"n_clusters": 3}, {"n_refinements": 1}, {"view": "full"}])
    def test_what_shapes_the_clusters_cannot_be_changed_without_fitting(self, settings: dict[str, Any]) -> None:
        with pytest.raises(SettingError, match=f"has no setting '{next(iter(settings))}'"):
            fitted().configure(**settings)


class TestSaved:
    @BOTH
    def test_it_decides_as_before(self, make: Make, tmp_path: Path, outcomes: OutcomeTable, encoder: Encoder) -> None:
        router = make(encoder, n_clusters=3, cost_weight=0.3, strength=2.5, failovers=2, latency_share=0.1).fit(
            outcomes
        )
        router.save(tmp_path / "router")
        again = Router.load(tmp_path / "router", FakeEncoder())
        assert isinstance(again, ClusterRouter)
        assert frozen(again) == frozen(router)
        queries = [*outcomes.queries, Query(text="hello numbers of the harbour"), Query(text="")]
        assert again.decide_batch(queries) == router.decide_batch(queries)

    @BOTH
    @pytest.mark.parametrize(
        "change",
        [
            lambda router: router.restrict([Pair("d"), Pair("a"), Pair("c")]),
            lambda router: router.partial_fit(table_of(row("e1", "d", 1.0, 0.7), row("n1", "b", 0.0))),
            lambda router: router.add_pairs(table_of(row("n1", "new", 1.0, 0.2))),
            lambda router: router.configure(cost_weight=0.1, strength=1.5),
        ],
        ids=["restricted", "taught", "extended", "configured"],
    )
    def test_so_does_a_changed_one(
        self, make: Make, tmp_path: Path, change: Callable[[ClusterRouter], ClusterRouter]
    ) -> None:
        scores, costs = {"a": 0.1, "b": 0.2, "c": 0.9, "d": 0.4}, {"a": 0.5, "b": 0.1, "c": 0.3, "d": 0.2}
        east = [row("e1", name, scores[name], costs[name]) for name in scores]
        table = table_of(*east, row("n1", "c", 0.0), row("n1", "a", 1.0), row("west", "d", 1.0, 0.1))
        router = change(make(Compass(DIRECTIONS), strength=None).fit(table))
        router.save(tmp_path / "router")
        again = Router.load(tmp_path / "router", Compass(DIRECTIONS))
        assert isinstance(again, ClusterRouter)
        assert frozen(again) == frozen(router)
        queries = [ask("e1"), ask("n1"), ask("west"), ask("between", cost_weight=0.0)]
        assert again.decide_batch(queries) == router.decide_batch(queries)

    def test_a_loaded_router_goes_on_learning(self, tmp_path: Path) -> None:
        fitted(cost_weight=0.0).save(tmp_path / "router")
        again = Router.load(tmp_path / "router", Compass(DIRECTIONS))
        assert isinstance(again, ClusterRouter)
        again = again.add_pairs(table_of(row("e1", "new", 1.0)))
        assert again.decide(ask("e1")).pair == Pair("new")


class TestThreads:
    @staticmethod
    def run(*work: Callable[[], None]) -> None:
        """Do all at once, and raise what any of them raised."""
        failures: list[BaseException] = []

        def guarded(task: Callable[[], None]) -> None:
            try:
                task()
            except BaseException as error:  # noqa: BLE001  # raised again in the test's own thread
                failures.append(error)

        threads = [threading.Thread(target=guarded, args=(task,)) for task in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    def test_eight_threads_decide_while_the_router_learns(self) -> None:
        router = fitted(cost_weight=0.0)
        learned = threading.Event()

        def decide() -> None:
            evidence = 0
            while not learned.is_set():
                decision = router.decide(ask("e1"))
                assert decision.pair == DEAR
                assert chosen(decision).expected_success == pytest.approx(0.75)  # never half of an update
                assert (chosen(decision).evidence or 0) >= evidence  # and never back
                evidence = chosen(decision).evidence or 0

        def learn() -> None:
            try:
                for _ in range(60):
                    router.partial_fit(two_clusters())
            finally:
                learned.set()

        self.run(learn, *[decide] * 8)
        assert chosen(router.decide(ask("e1"))).evidence == 4 * 61

    def test_pairs_may_join_while_others_decide(self) -> None:
        router = joined = fitted(cost_weight=0.0)
        learned = threading.Event()

        def decide() -> None:
            while not learned.is_set():
                assert router.decide(ask("e1")).pair == DEAR
                assert router.decide_batch([ask("n1"), ask("west")])[0].pair == DEAR

        def learn() -> None:
            nonlocal joined
            try:
                for number in range(40):
                    joined = joined.add_pairs(table_of(row("e1", f"new{number}", 0.0), row("n1", f"new{number}", 0.0)))
            finally:
                learned.set()

        self.run(learn, *[decide] * 8)
        assert (len(router.pairs), len(joined.pairs)) == (2, 42)

    @pytest.mark.parametrize(("refinements", "clusterings"), [(0, 1), (2, 3)])
    def test_nothing_is_lost_when_two_threads_learn(self, refinements: int, clusterings: int) -> None:
        router = fitted(n_refinements=refinements)
        self.run(*[lambda: [router.partial_fit(two_clusters()) for _ in range(30)] and None] * 4)
        assert router.statistics_.count.sum() == clusterings * 16 * (1 + 4 * 30)


class TestRouting:
    @BOTH
    @pytest.mark.parametrize("kind", KINDS)
    def test_each_kind_of_query_gets_its_pair(
        self, make: Make, kind: str, outcomes: OutcomeTable, encoder: Encoder
    ) -> None:
        best, words, sentence = KINDS[kind]
        router = make(encoder, n_clusters=3, cost_weight=0.1, guard=0.0).fit(outcomes)
        decision = router.decide(Query(text=sentence.format("something new")))
        assert str(decision.pair) == best
        assert decision.cluster is not None
        assert router.clusters_[decision.cluster] == Cluster(queries=len(words), label=kind)

    @BOTH
    def test_real_data_is_routed_better_than_at_random(self, make: Make, shared_data: Path) -> None:
        table = OutcomeTable.load(shared_data / "routerdc.parquet")
        ids = list(dict.fromkeys(table.query_ids))
        train, test = table.select(query_ids=ids[::4]), table.select(query_ids=ids[1::4])
        router = make(FakeEncoder(256), cost_weight=0.0, n_clusters=16).fit(train)
        scores = test.matrix("score", router.pairs)
        taken = [router.pairs.index(decision.pair) for decision in router.decide_batch(test.queries) if decision.pair]
        assert scores[np.arange(len(scores)), taken].mean() > scores.mean() + 0.05
