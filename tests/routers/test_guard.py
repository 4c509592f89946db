"""The guard: one pair is the default, and is left only on paired evidence; all numbers are worked out by hand."""

from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded import Compass, row, table_of

from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.utility.guard import (
    DEFAULT_CONFIDENCE,
    FAMILIAR_CONFIDENCE,
    PairedOutcomes,
    confidence_for,
    most_accurate,
)
from langchain_atlas.testing import FakeEncoder
from langchain_atlas.trajectory import Constraints, Query

NAN = float("nan")
STEADY, SPECIAL = Pair("steady"), Pair("special")


class TestMostAccurate:
    def test_the_pair_that_is_right_most_often(self) -> None:
        assert most_accurate(np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [0.0, 1.0, 1.0]])) == 1

    def test_of_equals_the_first(self) -> None:
        assert most_accurate(np.array([[0.0, 1.0, 1.0], [0.0, 1.0, 1.0]])) == 1

    def test_one_that_was_run_on_easy_queries_only_is_not_taken_for_a_good_one(self) -> None:
        """Raw means are 0.875, 0.5 and 1.0; on the four queries that all did, all are right."""
        good = [1, 1, 1, 1, 1, 1, 1, 0]
        weak = [1, 1, 1, 1, 0, 0, 0, 0]
        easy = [1, 1, 1, 1, NAN, NAN, NAN, NAN]
        scores = np.array([good, weak, easy], dtype=float).T
        assert int(np.argmax(np.nanmean(scores, axis=0))) == 2
        assert most_accurate(scores) == 0

    @pytest.mark.parametrize(("ahead", "chosen"), [(2, 0), (3, 1)])
    def test_one_that_was_run_on_fewer_must_be_ahead_by_more_than_luck(self, ahead: int, chosen: int) -> None:
        """Ahead on n of the four queries that both did: n less 1.645 roots of n is -0.33 for 2, and 0.15 for 3."""
        often = [0.0] * ahead + [1.0] * (8 - ahead)
        rarely = [1.0] * 4 + [NAN] * 4
        assert most_accurate(np.array([often, rarely]).T) == chosen

    @pytest.mark.parametrize(("recorded", "chosen"), [(4, 1), (3, 0)])
    def test_it_must_be_recorded_on_half_as_many_queries_as_any(self, recorded: int, chosen: int) -> None:
        often = [0.0] * 8
        rarely = [1.0] * recorded + [NAN] * (8 - recorded)
        assert most_accurate(np.array([often, rarely], dtype=float).T) == chosen

    def test_one_that_was_never_recorded_is_never_it(self) -> None:
        assert most_accurate(np.array([[NAN, 0.0], [NAN, 0.0]])) == 1


# Of the two pairs in two clusters, as in `table` below:
#             queries   special right and steady wrong   the other way round
# cluster 0      6                   4                            0
# cluster 1     10                   0                            6
FEW, MANY = 6, 10
STEADY_SCORES = [0, 0, 0, 0, 1, 1] + [1] * 10
SPECIAL_SCORES = [1, 1, 1, 1, 1, 1] + [0] * 6 + [1] * 4
SCORES = np.array([STEADY_SCORES, SPECIAL_SCORES], dtype=float).T
ROWS = np.array([[0]] * FEW + [[1]] * MANY)
# special less steady: mean -2 / 16, variance 10 / 16 - (2 / 16)^2
WITHIN = 10 / 16 - (2 / 16) ** 2
# how much the clusters differ beyond luck, each weighed by its outcomes
BETWEEN = (6 * ((4 / 6 + 2 / 16) ** 2 - WITHIN / 6) + 10 * ((-6 / 10 + 2 / 16) ** 2 - WITHIN / 10)) / 16
VARIANCE = [1 / (6 / WITHIN + 1 / BETWEEN), 1 / (10 / WITHIN + 1 / BETWEEN)]


# and how uncertain the difference over all clusters is, from sixteen outcomes
OVERALL = WITHIN / 16


def paired(distances: Any = None) -> PairedOutcomes:
    return PairedOutcomes.of(SCORES, ROWS, (2,), np.zeros(16) if distances is None else distances)


class TestPairedOutcomes:
    def test_sums(self) -> None:
        found = paired()
        assert found.default == 0
        np.testing.assert_array_equal(found.count, [[6, 6], [10, 10]])
        np.testing.assert_array_equal(found.total, [[0, 4], [0, -6]])
        np.testing.assert_array_equal(found.squares, [[0, 4], [0, 6]])

    def test_only_queries_on_which_both_are_recorded_are_compared(self) -> None:
        scores = np.array([[1, 0.5], [1, NAN], [NAN, 1], [1, 1], [0.5, 0.25]])
        found = PairedOutcomes.of(scores, np.zeros((5, 1), dtype=np.int64), (1,), np.zeros(5))
        assert found.default == 0
        np.testing.assert_array_equal(found.count, [[4, 3]])
        np.testing.assert_array_equal(found.total, [[0, -0.75]])
        np.testing.assert_array_equal(found.squares, [[0, 0.25 + 0.0625]])

    def test_every_clustering_has_rows_of_its_own(self) -> None:
        rows = np.column_stack([ROWS[:, 0], np.full(16, 2)])
        found = PairedOutcomes.of(SCORES, rows, (2, 1), np.zeros(16))
        np.testing.assert_array_equal(found.total[:, 1], [4, -6, -2])
        np.testing.assert_array_equal(found.count[:, 1], [6, 10, 16])

    def test_a_difference_is_uncertain_by_how_few_it_rests_on_and_how_much_clusters_differ(self) -> None:
        assert pytest.approx(0.2998698) == BETWEEN
        estimates = np.array([[0.5, 0.5]])
        for cluster in (0, 1):
            assert paired().variance([cluster], None, estimates) == pytest.approx([0.0, VARIANCE[cluster] + OVERALL])
        assert pytest.approx([0.0758672, 0.0506456], abs=1e-6) == VARIANCE

    def test_clusterings_are_averaged(self) -> None:
        rows = np.column_stack([ROWS[:, 0], ROWS[:, 0] + 2])
        twice = PairedOutcomes.of(SCORES, rows, (2, 2), np.zeros(16))
        estimates = np.array([[0.5, 0.5]])
        assert twice.variance([0, 3], None, estimates)[1] == pytest.approx((VARIANCE[0] + VARIANCE[1]) / 2 + OVERALL)

    def test_estimates_that_disagree_count_less(self) -> None:
        """Three estimates of the difference, 0.1, 0.3 and 0.5: their variance is 0.08 / 3."""
        estimates = np.array([[0.4, 0.5], [0.4, 0.7], [0.4, 0.9]])
        found = paired().variance([0], None, estimates)
        assert found == pytest.approx([0.0, VARIANCE[0] / 3 + 0.08 / 3 + OVERALL])

    def test_clusters_of_fewer_than_five_do_not_tell_how_much_clusters_differ(self) -> None:
        """Cluster 0 has four outcomes now, special ahead on three; how far it is apart is not looked at."""
        scores, rows = SCORES[[0, 1, 2, 4, *range(6, 16)]], ROWS[[0, 1, 2, 4, *range(6, 16)]]
        found = PairedOutcomes.of(scores, rows, (2,), np.zeros(14))
        # Over both clusters: 3 less 6, of 14; nine of them differ.
        mean, within = -3 / 14, 9 / 14 - (3 / 14) ** 2
        surplus = (-6 / 10 - mean) ** 2 - within / 10
        variance = found.variance([1], None, np.array([[0.5, 0.5]]))[1]
        assert variance == pytest.approx(1 / (10 / within + 1 / surplus) + within / 14)

    def test_pairs_that_never_differed_are_still_not_sure(self) -> None:
        """The variance of one outcome is taken to be 0.01 at least, and that between clusters 0.0001."""
        scores = np.ones((16, 2))
        found = PairedOutcomes.of(scores, ROWS, (2,), np.zeros(16))
        assert found.variance([0], None, np.ones((1, 2)))[1] == pytest.approx(1 / (6 / 0.01 + 1 / 1e-4) + 0.01 / 16)

    def test_a_query_beyond_the_usual_is_less_certain(self) -> None:
        """Distances 0 to 15: half lie below 7.5, and 95% below 14.25."""
        found = paired(np.arange(16.0))
        assert found.distances == pytest.approx((7.5, 14.25))
        for distance, beyond in ((None, 0.0), (0.0, 0.0), (7.5, 0.0), (14.25, 1.0), (21.0, 2.0)):
            assert found.beyond(distance) == pytest.approx(beyond)
        near = found.variance([0], 3.0, np.array([[0.5, 0.5]]))
        far = found.variance([0], 21.0, np.array([[0.5, 0.5]]))
        assert near == pytest.approx([0.0, VARIANCE[0] + OVERALL])
        assert far == pytest.approx([0.0, VARIANCE[0] + OVERALL + 3 * BETWEEN])

    def test_one_pair_alone_has_nothing_to_be_uncertain_of(self) -> None:
        alone = PairedOutcomes.of(SCORES[:, :1], ROWS, (2,), np.zeros(16))
        assert alone.variance([0], 1.0, np.array([[0.5]])).tolist() == [0.0]

    def test_more_outcomes_add_up_and_new_pairs_stand_last(self) -> None:
        more = np.array([[1, 0, 0.5], [NAN, 1, 1], [0, NAN, 1]])
        found = paired().plus(more, np.array([[0], [0], [1]]))
        assert found.default == 0
        np.testing.assert_array_equal(found.count, [[7, 7, 1], [11, 10, 1]])
        np.testing.assert_array_equal(found.total, [[0, 3, -0.5], [0, -6, 1]])
        np.testing.assert_array_equal(found.squares, [[0, 5, 0.25], [0, 6, 1]])

    def test_what_is_added_in_two_goes_is_what_is_learned_in_one(self) -> None:
        """Of the last thirteen alone steady is the most accurate too, so that both compare with the same pair."""
        early, late = slice(3, 16), slice(0, 3)
        joined = PairedOutcomes.of(SCORES[early], ROWS[early], (2,), np.zeros(13)).plus(SCORES[late], ROWS[late])
        for name, sums in paired().arrays().items():
            np.testing.assert_array_equal(joined.arrays()[name], sums)

    def test_the_default_is_kept_where_it_is_among_the_pairs(self) -> None:
        found = paired().with_pairs(np.array([1, 0]))
        assert found.default == 1
        np.testing.assert_array_equal(found.total, [[4, 0], [-6, 0]])
        np.testing.assert_array_equal(found.count, [[6, 6], [10, 10]])

    def test_where_the_default_is_left_out_the_best_of_the_others_takes_its_place(self) -> None:
        """By way of the old default: differences add up, as do their squares, and the fewer outcomes count.

        Behind it by a quarter and by two thirds, the second is the next best.
        """
        old = PairedOutcomes(
            default=0,
            count=np.array([[5.0, 4.0, 3.0]]),
            total=np.array([[0.0, -1.0, -2.0]]),
            squares=np.array([[0.0, 1.0, 2.5]]),
            sizes=(1,),
            distances=(0.0, 1.0),
        )
        found = old.with_pairs(np.array([2, 1]))
        assert found.default == 1
        np.testing.assert_array_equal(found.count, [[3, 4]])
        np.testing.assert_array_equal(found.total, [[-1, 0]])
        assert found.squares[0, 0] == 3.5
        assert found.variance([0], None, np.array([[0.5, 0.5]]))[1] == 0.0

    @pytest.mark.parametrize(("count", "default"), [(2.0, 0), (1.0, 1)])
    def test_one_that_was_hardly_compared_does_not_take_its_place(self, count: float, default: int) -> None:
        """Behind by a quarter on four queries, or ahead on so few."""
        old = PairedOutcomes(
            default=0,
            count=np.array([[5.0, 4.0, count]]),
            total=np.array([[0.0, -1.0, count]]),
            squares=np.array([[0.0, 1.0, count]]),
            sizes=(1,),
            distances=(0.0, 1.0),
        )
        assert old.with_pairs(np.array([2, 1])).default == default

    def test_a_new_pair_has_nothing_to_show_and_never_becomes_the_default(self) -> None:
        kept = paired().with_pairs(np.array([0, -1, 1]))
        assert kept.default == 0
        np.testing.assert_array_equal(kept.count, [[6, 0, 6], [10, 0, 10]])
        assert paired().with_pairs(np.array([-1, 1])).default == 1

    def test_arrays_and_back(self) -> None:
        before = paired(np.arange(16.0)).plus(SCORES, ROWS)
        after = PairedOutcomes.from_arrays(before.arrays(), before.default, before.sizes, before.distances)
        estimates = np.array([[0.4, 0.5], [0.4, 0.7]])
        assert after.variance([1], 20.0, estimates).tolist() == before.variance([1], 20.0, estimates).tolist()


EAST, NORTH = [f"e{number}" for number in range(FEW)], [f"n{number}" for number in range(MANY)]
# A few degrees apart, so that there is a usual distance to the centres.
DEGREES = {name: at - 2.5 for at, name in enumerate(EAST)} | {name: 85.5 + at for at, name in enumerate(NORTH)}
COMPASS = {**DEGREES, "south": -80.0, "west": 180.0}


def table(times: int = 1) -> OutcomeTable:
    """Make the outcomes of `SCORES` so many times: cluster 0 is the east, cluster 1 the north."""
    return table_of(
        *(
            row(f"{name}-{copy}", str(pair), float(scores[at]), 0.001, query=name)
            for copy in range(times)
            for at, name in enumerate((*EAST, *NORTH))
            for pair, scores in ((STEADY, STEADY_SCORES), (SPECIAL, SPECIAL_SCORES))
        )
    )


def router(times: int = 1, **settings: Any) -> ClusterRouter:
    """Return a router of one clustering of texts without shrinkage, so that sums are those of `SCORES`."""
    made = ClusterRouter(
        Compass(COMPASS), n_clusters=2, n_refinements=0, view="text", strength=0.0, **{"cost_weight": 0.0, **settings}
    )
    return made.fit(table(times))


def ask(text: str, **fields: Any) -> Query:
    return Query(text=text, **fields)


class TestClusterRouter:
    def test_it_has_the_most_accurate_pair_for_its_default(self) -> None:
        made = router()
        assert made.pairs[made.paired_.default] == STEADY
        assert made.settings["guard"] == DEFAULT_CONFIDENCE == 0.85

    def test_the_bar_is_worked_out_by_hand(self) -> None:
        """In the east special is ahead by 4 / 6, with a standard error of 0.3376: 1.97 of them, which is 97.6%."""
        errors = (4 / 6) / (VARIANCE[0] + OVERALL) ** 0.5
        bar = NormalDist().cdf(errors)
        assert bar == pytest.approx(0.9759, abs=1e-3)
        made = router()
        for guard, pair in ((0.0, SPECIAL), (0.85, SPECIAL), (bar - 0.001, SPECIAL), (bar + 0.001, STEADY)):
            assert made.configure(guard=guard).decide(ask("e2")).pair == pair, guard

    def test_it_stays_where_few_outcomes_favour_another_and_leaves_where_many_do(self) -> None:
        strict = {"guard": 0.995}
        assert router(times=1, **strict).decide(ask("e2")).pair == STEADY
        assert router(times=10, **strict).decide(ask("e2")).pair == SPECIAL
        for times in (1, 10):  # where the default is better it is asked anyway
            assert router(times=times, **strict).decide(ask("n4")).pair == STEADY

    def test_the_decision_says_so(self) -> None:
        decision = router(guard=0.995).decide(ask("e2"))
        assert decision.rule == "guard"
        assert decision.reason.startswith(
            f"Stays with {STEADY}: the 6 paired outcomes near here do not tell {STEADY} and {SPECIAL} apart. "
        )
        assert decision.runner_up is not None
        assert decision.runner_up.pair == SPECIAL
        assert decision.chosen is not None
        assert decision.chosen.expected_success == pytest.approx(2 / 6)  # what is told is what is expected

    def test_only_where_it_made_the_difference(self) -> None:
        made = router(guard=0.995)
        assert made.decide(ask("n4")).rule == "nearest-cluster"
        assert router(times=10, guard=0.995).decide(ask("e2")).rule == "nearest-cluster"

    @pytest.mark.parametrize("guard", [0.0, 0.2, 0.5])
    def test_up_to_a_half_there_is_no_guard(self, guard: float) -> None:
        decision = router(guard=guard).decide(ask("e2"))
        assert (decision.pair, decision.rule) == (SPECIAL, "nearest-cluster")

    def test_far_from_everything_it_stays_and_says_so(self) -> None:
        """South is as far from the east as the north is; the east is the nearer one, and special is better there."""
        made = router()
        assert made.decide(ask("e2")).pair == SPECIAL
        decision = made.decide(ask("south"))
        assert made.configure(guard=0.0).decide(ask("south")).pair == SPECIAL
        assert (decision.pair, decision.rule) == (STEADY, "guard")
        assert decision.reason.startswith(f"Stays with {STEADY}: the query is far from all that was logged. ")

    @pytest.mark.parametrize("guard", [0.0, 0.85, 0.995])
    def test_saved_and_loaded_it_decides_the_same(self, guard: float, tmp_path: Path) -> None:
        made = router(guard=guard)
        made = made.add_pairs(table_of(row("e1", "new", 1.0), row("e2", "new", 1.0), row("e1", "steady", 0.0)))
        made.save(tmp_path / "router")
        loaded = Router.load(tmp_path / "router", Compass(COMPASS))
        assert isinstance(loaded, ClusterRouter)
        assert loaded.paired_.default == made.paired_.default == 0
        assert loaded.paired_.distances == made.paired_.distances
        queries = [ask(name) for name in (*EAST, *NORTH, "west")]
        assert loaded.decide_batch(queries) == made.decide_batch(queries)

    def test_what_comes_in_later_counts(self) -> None:
        made = router(guard=0.995)
        assert made.decide(ask("e2")).pair == STEADY
        made.partial_fit(table(9))
        assert made.decide(ask("e2")).pair == SPECIAL
        assert made.paired_.count[:, 1].sum() == 160

    def test_a_new_pair_must_prove_itself(self) -> None:
        """Right on two of three queries where the default is right on one: more, but not more than luck makes."""
        made, new = router(guard=0.95), Pair("new")
        probes = {"e0": (0.0, 1.0), "e1": (0.0, 1.0), "e4": (1.0, 0.0)}
        made = made.add_pairs(
            table_of(
                *(
                    row(name, str(pair), score)
                    for name, scores in probes.items()
                    for pair, score in zip((STEADY, new), scores, strict=True)
                )
            )
        )
        asked = ask("e2", constraints=Constraints(pairs=frozenset({STEADY, new})))
        assert made.configure(guard=0.0).decide(asked).pair == new
        decision = made.decide(asked)
        assert (decision.pair, decision.rule) == (STEADY, "guard")
        assert "the 3 paired outcomes near here" in decision.reason

    def test_a_router_without_its_default_gets_a_new_one(self) -> None:
        rows = [*table().table.to_pylist(), *(row(f"{name}-0", "third", 0.0, query=name) for name in EAST)]
        made = ClusterRouter(Compass(COMPASS), n_clusters=2, n_refinements=0, view="text", cost_weight=0.0).fit(
            OutcomeTable.from_rows(rows)
        )
        left = made.restrict([SPECIAL, Pair("third")])
        assert left.pairs[left.paired_.default] == SPECIAL
        assert left.decide(ask("n4")).pair == SPECIAL
        assert made.pairs[made.paired_.default] == STEADY
        kept = made.restrict([STEADY, Pair("third")])
        assert kept.pairs[kept.paired_.default] == STEADY

    def test_best_of_a_cluster_is_guarded_too(self) -> None:
        made = router(guard=0.995)
        cluster = int(made.place([ask("e2")])[0])
        assert made.best(cluster).pair == STEADY
        assert made.configure(guard=0.0).best(cluster).pair == SPECIAL

    @pytest.mark.parametrize("guard", [-0.1, 1.0, 1.5, "much", True, None, float("nan")])
    def test_a_confidence_is_below_one(self, guard: Any) -> None:
        with pytest.raises(ValueError, match=r"guard is .*; it must be a number from 0 to below 1"):
            router().configure(guard=guard)

    @given(seed=st.integers(0, 10_000), guard=st.floats(0.5, 0.999))
    def test_it_changes_nothing_where_the_default_is_the_best_anyway(self, seed: int, guard: float) -> None:
        """And where it changes anything, the default is asked, or a pair of which more is known."""
        generator = np.random.default_rng(seed)
        names = [*EAST, *NORTH]
        rows = [
            row(name, model, float(generator.random() < 0.6), float(generator.integers(1, 9)) / 1000)
            for name in names
            for model in ("a", "b", "c")
            if model == "a" or generator.random() < 0.8
        ]
        made = ClusterRouter(
            Compass(COMPASS), n_clusters=2, n_refinements=1, view="text", cost_weight=float(generator.random()) / 3
        ).fit(table_of(*rows))
        default = made.pairs[made.paired_.default]
        guarded, bare = made.configure(guard=guard), made.configure(guard=0.0)
        for name in ("e1", "n7", "west"):
            free, kept = bare.decide(ask(name)), guarded.decide(ask(name))
            if free.pair == default:
                assert kept.pair == default
                assert kept.rule != "guard"
            if kept.rule == "guard":
                assert kept.pair == default != free.pair


class TestConfidence:
    def test_many_queries_of_many_kinds_ask_for_less(self) -> None:
        assert confidence_for([f"kind {number % 6}" for number in range(300)]) == FAMILIAR_CONFIDENCE
        assert confidence_for([f"kind {number % 6}" for number in range(299)]) == DEFAULT_CONFIDENCE
        assert confidence_for([f"kind {number % 5}" for number in range(3000)]) == DEFAULT_CONFIDENCE
        # A kind of nine queries is none yet.
        assert (
            confidence_for(["kind 0"] * 9 + [f"kind {1 + number % 5}" for number in range(900)]) == DEFAULT_CONFIDENCE
        )

    @pytest.mark.parametrize(
        ("settings", "found"), [({}, FAMILIAR_CONFIDENCE), ({"guard": 0.9}, 0.9), ({"guard": 0.85}, 0.85)]
    )
    def test_what_somebody_set_stays(self, settings: dict[str, Any], found: float) -> None:
        table = table_of(*(row(f"q{at}", "a", float(at % 2), domain=f"kind {at % 6}") for at in range(300)))
        assert ClusterRouter(FakeEncoder(), n_trees=0, **settings).fit(table).guard == found
        assert ClusterRouter(FakeEncoder(), n_trees=0).configure(**settings).fit(table).guard == found
