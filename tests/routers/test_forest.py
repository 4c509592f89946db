"""The forest: a second opinion beside the clusters, by single words and directions of what is seen of a query."""

import dataclasses
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from recorded import row, table_of

from langchain_atlas.errors import SettingError
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.pool.pool import Pair
from langchain_atlas.query_features import QueryFeatures
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.cluster.trees import Forest
from langchain_atlas.testing import FakeEncoder
from langchain_atlas.trajectory import Query

LONG, SHORT = "the same words again and again " * 4, "the same words"


def by_length(n_queries: int = 120, **scores: float) -> OutcomeTable:
    """Return a table where the cheap pair solves short queries only, and the dear one all."""
    rows = []
    for number in range(n_queries):
        long = number % 2
        text = f"{LONG if long else SHORT} {number % 7}"
        rows += [
            row(f"q{number}", "cheap", float(not long), 0.1, query=text),
            row(f"q{number}", "dear", 1.0, 1.0, query=text),
        ]
    return table_of(*rows, *(row("q0", pair, score, query=f"{SHORT} 0") for pair, score in scores.items()))


def one_cluster(**settings: Any) -> ClusterRouter:
    """Return a router that can't tell queries apart by their cluster, as there is but one."""
    return ClusterRouter(
        FakeEncoder(), **{"n_clusters": 1, "n_refinements": 0, "cost_weight": 0.2, "guard": 0.0, **settings}
    )


def estimates_of(router: ClusterRouter, text: str) -> NDArray[np.float64]:
    """Return what forest and ridge regression say of each pair, shape [2, n_pairs]."""
    ((_, estimates),) = router._prepare([Query(text=text)])
    assert estimates is not None
    return estimates


def mean(cluster: float, others: NDArray[np.float64], weight: float) -> float:
    """Return the mean of the three, where the other two lean on the cluster by what they lack of `weight`."""
    return (cluster + sum((1 - weight) * cluster + weight * float(other) for other in others)) / 3


def expected(router: ClusterRouter, text: str) -> float:
    chosen = router.decide(Query(text=text)).chosen
    assert chosen is not None
    return chosen.expected_success


class TestOpinion:
    def test_it_tells_the_hard_from_the_easy_within_one_cluster(self) -> None:
        router = one_cluster(cost_weight=0.3).fit(by_length())
        assert router.decide(Query(text=f"{SHORT} 3")).pair == Pair("cheap")
        assert router.decide(Query(text=f"{LONG} 3")).pair == Pair("dear")

    def test_without_it_a_cluster_says_the_same_of_all(self) -> None:
        router = one_cluster(n_trees=0).fit(by_length())
        assert router.forest_ is None
        assert router.decide(Query(text=f"{SHORT} 3")).pair == router.decide(Query(text=f"{LONG} 3")).pair

    @pytest.mark.parametrize("settings", [{"n_trees": 0}, {"view": "text"}])
    def test_it_can_be_turned_off(self, settings: dict[str, Any]) -> None:
        assert one_cluster(**settings).fit(by_length()).forest_ is None

    def test_the_router_of_the_paper_has_none(self) -> None:
        assert ClusterRouter.as_in_paper(FakeEncoder()).fit(by_length()).forest_ is None

    def test_few_queries_have_none(self) -> None:
        assert one_cluster().fit(by_length(98)).forest_ is None
        assert one_cluster().fit(by_length(100)).forest_ is not None

    def test_it_counts_the_more_the_more_it_learned_from(self) -> None:
        router = one_cluster(strength=0.0, cost_weight=1.0).fit(by_length())
        others = estimates_of(router, f"{LONG} 3")[:, 0]
        assert others[0] < 0.2
        # Half of the cluster's outcomes were right; of 120 outcomes, at 20 the others count half.
        assert expected(router, f"{LONG} 3") == pytest.approx(mean(0.5, others, 120 / 140))

    def test_a_pair_of_few_outcomes_leans_on_its_cluster(self) -> None:
        router = one_cluster(strength=0.0).fit(by_length(rare=1.0)).restrict([Pair("rare")])
        others = estimates_of(router, f"{LONG} 3")[:, 0]
        assert expected(router, f"{LONG} 3") == pytest.approx(mean(1.0, others, 1 / 21))

    def test_it_counts_less_as_fresh_outcomes_come_in(self) -> None:
        router = one_cluster(strength=0.0, cost_weight=1.0).fit(by_length())
        others = estimates_of(router, f"{LONG} 3")[:, 0]
        router.partial_fit(table_of(*(row(f"n{at}", "cheap", 1.0, 0.1, query=f"{LONG} 3") for at in range(360))))
        # A quarter of 480 outcomes were learned from, and 420 were right.
        assert expected(router, f"{LONG} 3") == pytest.approx(mean(420 / 480, others, 120 / 140 / 4))

    def test_of_a_new_pair_it_says_nothing(self) -> None:
        router = one_cluster(strength=0.0, cost_weight=0.0).fit(by_length())
        router = router.add_pairs(table_of(*(row(f"n{at}", "new", float(at > 0), 0.1, query=SHORT) for at in range(4))))
        alone = router.restrict([Pair("new")])
        assert expected(alone, LONG) == 0.75

    def test_a_restricted_router_keeps_it(self) -> None:
        router = one_cluster(strength=0.0, cost_weight=1.0).fit(by_length(other=0.0))
        both = router.restrict([Pair("dear"), Pair("cheap")])
        assert expected(both, f"{LONG} 3") == expected(router.restrict([Pair("cheap")]), f"{LONG} 3")

    def test_a_pair_that_was_not_recorded_everywhere_is_no_hindrance(self) -> None:
        router = one_cluster(cost_weight=0.0).fit(by_length(rare=1.0))
        assert 0 <= expected(router.restrict([Pair("rare")]), LONG) <= 1

    def test_it_is_saved(self, tmp_path: Path) -> None:
        router = one_cluster().fit(by_length())
        router = router.add_pairs(table_of(row("n", "new", 1.0)))
        router.save(tmp_path / "router")
        again = Router.load(tmp_path / "router", FakeEncoder())
        queries = [Query(text=text) for text in (LONG, SHORT, "", "something else: 3.5%")]
        assert again.decide_batch(queries) == router.decide_batch(queries)
        for query, decision in zip(queries, again.decide_batch(queries), strict=True):
            assert decision.chosen is not None
            assert expected(again, query.text) == pytest.approx(decision.chosen.expected_success, abs=1e-8)

    @pytest.mark.parametrize("value", [-1, 2.5, True])
    def test_a_bad_number_is_refused(self, value: Any) -> None:
        with pytest.raises(SettingError, match="n_trees is"):
            ClusterRouter(FakeEncoder(), n_trees=value)


def grown(texts: list[str], scores: NDArray[np.float64], seen: NDArray[np.float64] | None = None) -> Forest:
    return Forest.learn(texts, np.zeros((len(texts), 3)) if seen is None else seen, scores, 20, seed=0)


@cache
def some() -> Forest:
    texts = [f"{'left' if number % 2 else 'right'} or {number % 7}" for number in range(100)]
    return grown(texts, np.random.default_rng(0).integers(0, 2, (100, 2)).astype(float))


class TestForest:
    def test_a_single_word_is_enough(self) -> None:
        texts = [f"how much is {'square' if number % 2 else 'half'} of {number % 11}" for number in range(100)]
        odd = np.arange(100) % 2
        learned = grown(texts, np.stack([odd, 1 - odd], axis=1).astype(float))
        success = learned.success(["the square of it", "the half of it"], np.zeros((2, 3)))
        np.testing.assert_allclose(success, [[1, 0], [0, 1]], atol=0.1)

    def test_so_is_a_direction_of_what_is_seen(self) -> None:
        seen = np.linspace(-1, 1, 100)[:, None] * [1.0, 0.0, 2.0]
        right = (seen[:, 0] > 0).astype(float)
        learned = grown(["the same"] * 100, np.stack([right, 1 - right], axis=1), seen)
        low, high = learned.success(["the same"] * 2, seen[[5, 95]])
        assert low[0] < 0.2
        assert high[0] > 0.8

    def test_what_is_hard_for_all_alike_parts_nothing(self) -> None:
        hard = (np.arange(100) % 2).astype(float)
        texts = ["easy" if score else "hard" for score in hard]
        learned = grown(texts, np.stack([hard, hard], axis=1))
        np.testing.assert_allclose(learned.success(["easy"], np.zeros((1, 3))), 0.5)

    def test_a_leaf_holds_the_mean_score_of_its_queries(self) -> None:
        scores = np.random.default_rng(0).random((150, 2))
        learned = grown(["one word"] * 150, scores)  # nothing to part them by: one leaf in every tree
        np.testing.assert_allclose(learned.success(["other"], np.zeros((1, 3)))[0], scores.mean(axis=0), rtol=1e-6)

    def test_what_was_not_recorded_is_filled_in_from_0_to_1(self) -> None:
        scores = np.ones((100, 3))
        scores[1:, 0] = np.nan  # one outcome, and right; elsewhere the others say whether the query is easy
        scores[50:, 1:] = 0
        records = grown([f"{'left' if number < 50 else 'right'}" for number in range(100)], scores).records
        assert records.min() >= 0
        assert records.max() <= 1

    def test_it_agrees_with_the_trees_of_scikit_learn(self) -> None:
        from sklearn.ensemble import ExtraTreesRegressor

        from langchain_atlas.routers.cluster import trees

        random = np.random.default_rng(1)
        texts = [" ".join(random.choice(["alpha", "beta", "gamma", "delta"], 6)) for _ in range(300)]
        seen, scores = random.normal(size=(300, 5)), random.random((300, 4))
        learned = Forest.learn(texts, seen, scores, 7, seed=3)
        order = np.random.default_rng(3).permutation(300)
        features = trees._features(texts, seen, learned.projection)
        common = np.argsort(-(features[:, 5:] > 0).sum(axis=0), kind="stable")[:400]
        features = features[:, [*range(5), *(5 + np.sort(common))]]
        trees = ExtraTreesRegressor(7, min_samples_leaf=5, max_features=0.3, max_depth=24, random_state=3).fit(
            features[order], (scores - scores.mean(axis=1, keepdims=True))[order]
        )
        success = learned.success(texts, seen)
        np.testing.assert_allclose(success - success.mean(axis=1, keepdims=True), trees.predict(features), atol=1e-6)

    def test_many_queries_at_once_are_as_one_by_one(self) -> None:
        random = np.random.default_rng(2)
        texts = [f"{number % 13} apples and {number % 5} pears" for number in range(120)]
        seen = random.normal(size=(120, 30))
        learned = grown(texts, random.random((120, 3)), seen)
        alone = [learned.success([text], seen[row : row + 1])[0] for row, text in enumerate(texts)]
        np.testing.assert_array_equal(learned.success(texts, seen), alone)

    @given(st.lists(st.text(), max_size=3))
    def test_whatever_is_asked_there_is_an_estimate(self, texts: list[str]) -> None:
        success = some().success(texts, np.zeros((len(texts), 3)))
        assert success.shape == (len(texts), 2)
        assert ((success >= 0) & (success <= 1)).all()

    def test_no_word_is_kept(self) -> None:
        assert all(array.dtype.kind in "if" for array in some().arrays().values())

    @pytest.mark.parametrize(
        ("name", "change"),
        [
            ("children", np.zeros_like),  # goes round in circles
            ("children", lambda array: array + 10**6),
            ("roots", lambda array: array - 10**6),
            ("features", lambda array: array + 10**6),
            ("thresholds", lambda array: array[1:]),
            ("counts", lambda array: array[1:]),
        ],
    )
    def test_arrays_that_do_not_fit_are_noticed(self, name: str, change: Any) -> None:
        assert some().fits(3, 2)
        assert not dataclasses.replace(some(), **{name: change(getattr(some(), name))}).fits(3, 2)


class TestSpeed:
    @given(st.integers(0, 2**32 - 1))
    def test_one_query_reaches_the_leaves_that_a_step_at_a_time_reaches(self, seed: int) -> None:
        forest, draw = one_forest(), np.random.default_rng(seed)
        values = draw.choice([-0.5, -0.1, 0.0, 0.1, 0.5, 1.0, 3.0], int(forest.features.max()) + 1).astype(np.float32)
        at = forest.roots
        for _ in range(len(forest.features)):
            right = values.astype(np.float64)[forest.features[at]] > forest.thresholds[at]
            at = forest.children[at, right.astype(int)]
            if (at >= len(forest.features) - len(forest.records)).all():
                break
        leaves = at - (len(forest.features) - len(forest.records))
        assert forest._leaves_of_one(values)[0].tolist() == leaves.tolist()
        assert forest._leaves(np.tile(values, 2), len(values)).tolist() == [leaves.tolist()] * 2

    @pytest.mark.parametrize("size", [32, 64, 20])
    def test_features_without_those_of_a_context_give_the_same_estimates(self, size: int) -> None:
        router = ClusterRouter(FakeEncoder(size), n_clusters=3, guard=0.85).fit(by_length())
        assert router.view_ is not None
        assert router.forest_ is not None
        assert router.ridge_ is not None
        texts = ["What is 2 + 2?", LONG, "Größe: 3 °C;\nÄhnlich?", ""]
        features = QueryFeatures.of([Query(text=text) for text in texts], router.encoder)
        whole, short = router.view_.seen(features), router.view_.seen(features, short=True)
        assert short.shape[1] == whole.shape[1] - (0 if size % 32 else 3 * size)
        for estimate in (
            lambda seen: router.forest_.success(texts, seen),
            router.ridge_.success,
            lambda seen: router.view_.vectors(features, seen),
        ):
            np.testing.assert_allclose(estimate(short), estimate(whole), rtol=1e-12, atol=1e-12)


@cache
def one_forest() -> Forest:
    forest = one_cluster().fit(by_length()).forest_
    assert forest is not None
    return forest
