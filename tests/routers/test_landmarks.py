"""Landmarks: a second opinion beside the clusters, and the finer shape of queries by which they are placed."""

import math
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
from langchain_atlas.pool import Pair
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.cluster import ClusterRouter
from langchain_atlas.routers.details import details
from langchain_atlas.routers.landmarks import Landmarks
from langchain_atlas.routers.views import Sight
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
    return ClusterRouter(FakeEncoder(), **{"n_clusters": 1, "n_refinements": 0, "alpha": 0.2, **settings})


def expected(router: ClusterRouter, text: str) -> float:
    chosen = router.decide(Query(text=text)).chosen
    assert chosen is not None
    return chosen.expected_success


class TestOpinion:
    def test_it_tells_the_hard_from_the_easy_within_one_cluster(self) -> None:
        router = one_cluster(alpha=0.3).fit(by_length())
        assert router.decide(Query(text=f"{SHORT} 3")).pair == Pair("cheap")
        assert router.decide(Query(text=f"{LONG} 3")).pair == Pair("dear")

    def test_without_it_a_cluster_says_the_same_of_all(self) -> None:
        router = one_cluster(n_landmarks=0).fit(by_length())
        assert router.landmarks_ is None
        assert router.decide(Query(text=f"{SHORT} 3")).pair == router.decide(Query(text=f"{LONG} 3")).pair

    @pytest.mark.parametrize("settings", [{"n_landmarks": 0}, {"view": "text"}])
    def test_it_can_be_turned_off(self, settings: dict[str, Any]) -> None:
        assert one_cluster(**settings).fit(by_length()).landmarks_ is None

    def test_the_router_of_the_paper_has_none(self) -> None:
        assert ClusterRouter.as_in_paper(FakeEncoder()).fit(by_length()).landmarks_ is None

    def test_few_queries_have_none(self) -> None:
        assert one_cluster().fit(by_length(98)).landmarks_ is None
        assert one_cluster().fit(by_length(100)).landmarks_ is not None

    def test_it_counts_two_fifths_and_the_cluster_three(self) -> None:
        router = one_cluster(strength=0.0, alpha=1.0).fit(by_length())
        assert router.landmarks_ is not None
        assert router.view_ is not None
        ((_, opinion),) = router._prepare([Query(text=f"{LONG} 3")])
        assert opinion is not None
        assert opinion[0] < 0.2
        assert expected(router, f"{LONG} 3") == pytest.approx((3 * 0.5 + 2 * opinion[0]) / 5)  # half of all were right

    def test_it_counts_less_as_fresh_outcomes_come_in(self) -> None:
        router = one_cluster(strength=0.0, alpha=1.0).fit(by_length())
        ((_, opinion),) = router._prepare([Query(text=f"{LONG} 3")])
        assert opinion is not None
        router.partial_fit(table_of(*(row(f"n{at}", "cheap", 1.0, 0.1, query=f"{LONG} 3") for at in range(360))))
        # A quarter of 480 outcomes were learned from, and 420 were right.
        assert expected(router, f"{LONG} 3") == pytest.approx((9 * 420 / 480 + opinion[0]) / 10)

    def test_of_a_new_pair_it_says_nothing(self) -> None:
        router = one_cluster(strength=0.0, alpha=0.0).fit(by_length())
        router.add_pairs(table_of(*(row(f"n{at}", "new", float(at > 0), 0.1, query=SHORT) for at in range(4))))
        alone = router.restrict([Pair("new")])
        assert expected(alone, LONG) == 0.75

    def test_a_restricted_router_keeps_it(self) -> None:
        router = one_cluster(strength=0.0, alpha=1.0).fit(by_length(other=0.0))
        both = router.restrict([Pair("dear"), Pair("cheap")])
        assert expected(both, f"{LONG} 3") == expected(router.restrict([Pair("cheap")]), f"{LONG} 3")

    def test_a_pair_that_was_not_recorded_everywhere_is_no_hindrance(self) -> None:
        router = one_cluster(alpha=0.0).fit(by_length(rare=1.0))
        assert 0 <= expected(router.restrict([Pair("rare")]), LONG) <= 1

    def test_it_is_saved(self, tmp_path: Path) -> None:
        router = one_cluster().fit(by_length())
        router.add_pairs(table_of(row("n", "new", 1.0)))
        router.save(tmp_path / "router")
        again = Router.load(tmp_path / "router", FakeEncoder())
        queries = [Query(text=text) for text in (LONG, SHORT, "", "something else: 3.5%")]
        assert again.decide_batch(queries) == router.decide_batch(queries)
        for query, decision in zip(queries, again.decide_batch(queries), strict=True):
            assert decision.chosen is not None
            assert expected(again, query.text) == pytest.approx(decision.chosen.expected_success, abs=1e-8)

    @pytest.mark.parametrize("value", [-1, 2.5, True])
    def test_a_bad_number_is_refused(self, value: Any) -> None:
        with pytest.raises(SettingError, match="n_landmarks is"):
            ClusterRouter(FakeEncoder(), n_landmarks=value)


class TestLandmarks:
    def test_noise_is_not_learned(self) -> None:
        random = np.random.default_rng(0)
        found, seen = random.normal(size=(200, 28)), random.normal(size=(200, 5))
        scores = (random.random((200, 3)) < 0.6).astype(float)
        learned = Landmarks.learn(found, seen, scores, 50, seed=0)
        apart = np.abs(learned.success(found, random.normal(size=(200, 5))) - scores.mean(axis=0))
        assert apart.mean() < 0.03

    def test_far_from_all_landmarks_the_means_remain(self) -> None:
        found = np.ones((100, 28))
        seen = np.linspace(0, 1, 100)[:, None]
        learned = Landmarks.learn(found, seen, (seen > 0.5).astype(float), 20, seed=0)
        assert learned.success(found[:1], np.array([[100.0]]))[0, 0] == pytest.approx(0.5, abs=1e-6)
        low, high = learned.success(found[:2], np.array([[0.1], [0.9]]))[:, 0]
        assert low < 0.1
        assert high > 0.9


def details_of(query: Query) -> NDArray[np.float64]:
    found: NDArray[np.float64] = details([query], Sight.of([query], FakeEncoder()))[0]
    return found


class TestDetails:
    def test_of_a_text(self) -> None:
        # Two different numbers, the larger 1200.5; capitals Ann, Bob, How; two sentences, the last of two words;
        # five words, all different.
        found = details_of(Query(text="Ann owes Bob 1,200.5 and 7. How much?"))
        numbers = [math.log(3), math.log(1201.5), 1.0, math.log(4), math.log(3), math.log(3), 1.0]
        np.testing.assert_allclose(found[8:15], numbers)

    def test_of_a_context(self) -> None:
        context = '[{"name": "f", "parameters": {"type": "dict"}}, {"name": "g"}]'
        found = details_of(Query(text="", context=context))
        # Two items; the keys name, parameters, type, name; one type; the length by item.
        expected_counts = [2, math.log(5), math.log(3), 1, math.log1p(len(context) / 2)]
        np.testing.assert_allclose(found[-5:], expected_counts)

    @given(st.text(), st.text() | st.none())
    def test_whatever_is_asked_they_are_finite(self, text: str, context: str | None) -> None:
        assert np.isfinite(details_of(Query(text=text, context=context))).all()

    def test_even_of_a_number_without_end(self) -> None:
        assert np.isfinite(details_of(Query(text="9" * 5000))).all()
