"""What of a query is looked at: context items, shape, fit, and the cross-fitted directions of the outcomes."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from recorded import CALLER, TALKER, Compass, offer, offers, row, table_of

from langchain_atlas.pool.pool import Pair
from langchain_atlas.query_features import SHAPE_FEATURES, Featurizer, QueryFeatures, context_items, filled, shape_of
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.testing import FakeEncoder
from langchain_atlas.trajectory import Query

NAN = math.nan
WEATHER = {"name": "get_weather", "description": "Weather of a city", "parameters": {"type": "object"}}


class TestContextItems:
    @pytest.mark.parametrize(
        ("context", "items"),
        [
            (json.dumps([WEATHER, {"name": "add"}]), ["get_weather: Weather of a city", "add"]),
            (json.dumps([{"type": "function", "function": WEATHER}]), ["get_weather: Weather of a city"]),
            (json.dumps(WEATHER), ["get_weather: Weather of a city"]),
            (json.dumps({"type": "function", "function": {"name": "add"}}), ["add"]),
            (json.dumps([{"description": "Only described"}]), ["Only described"]),
            (json.dumps([{"name": "", "description": None, "id": 3}]), ['{"name": "", "description": null, "id": 3}']),
            (json.dumps([{"function": "a text"}]), ['{"function": "a text"}']),
            (json.dumps([{"titel": "grün"}]), ['{"titel": "grün"}']),
            (json.dumps(["first document", " second "]), ["first document", "second"]),
            (json.dumps(["", "  ", "third"]), ["third"]),
            (json.dumps([7, None, ["a"]]), ["7", "null", '["a"]']),
            ("A plain passage, of two\nlines.", ["A plain passage, of two\nlines."]),
            ("  padded  ", ["padded"]),
            ('"a JSON text"', ["a JSON text"]),
            ("42", ["42"]),
            ('[{"name": "broken', ['[{"name": "broken']),
            ("[" * 5000, ["[" * 1000]),
            ("1" * 5000, ["1" * 1000]),  # more digits than Python turns into a number
            ("[]", []),
            ("", []),
            (" \n\t", []),
            (None, []),
        ],
    )
    def test_a_context_is_parted(self, context: str | None, items: list[str]) -> None:
        assert context_items(context) == items

    def test_no_more_than_the_first_32_count(self) -> None:
        assert context_items(json.dumps([f"item {number}" for number in range(40)])) == [f"item {n}" for n in range(32)]

    def test_a_long_item_is_cut(self) -> None:
        assert context_items(json.dumps([" " + "x" * 2000, "y"])) == ["x" * 1000, "y"]

    def test_half_a_surrogate_pair_is_replaced(self) -> None:
        # "\ud83d" is the first half of an emoji; tokenizers refuse a text with it.
        assert context_items(r'["smile \ud83d", {"name": "\ude00"}, "\ud83d\ude00"]') == ["smile ?", "?", "😀"]

    def test_a_list_too_deep_to_be_written_again_is_a_text(self) -> None:
        for depth in range(700, 1100):
            (item,) = context_items("[" * depth + "]" * depth)
            assert item in [("[" * some + "]" * some)[:1000] for some in (depth - 1, depth)]

    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(),
            lambda part: (
                st.lists(part) | st.dictionaries(st.sampled_from(["name", "function", "description", "x"]), part)
            ),
        )
    )
    def test_any_json_gives_short_texts(self, value: object) -> None:
        for written in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
            items = context_items(written)
            assert len(items) <= 32
            for item in items:
                assert 0 < len(item) <= 1000
                item.encode()

    @given(st.text())
    def test_so_does_any_text(self, text: str) -> None:
        assert all(0 < len(item) <= 1000 for item in context_items(text))


def sight_of(*texts: str) -> QueryFeatures:
    return QueryFeatures.of([Query(text=text) for text in texts], FakeEncoder())


class TestSight:
    COMPASS = Compass({"east": 0.0, "near": 60.0, "far": 180.0})

    def look(self, *contexts: list[str] | None) -> QueryFeatures:
        queries = [Query(text="east", context=None if items is None else json.dumps(items)) for items in contexts]
        return QueryFeatures.of(queries, self.COMPASS)

    def test_the_context_is_seen_by_its_mean_and_by_the_item_that_fits_best(self) -> None:
        # near is (0.5, sqrt(0.75)), far (-1, 0): their mean is (-0.25, 0.4330127); near has cosine 0.5 with east.
        seen = self.look(["far", "near"], None, ["far"])
        np.testing.assert_allclose(seen.text, [[1, 0]] * 3, atol=1e-6)
        np.testing.assert_allclose(seen.context, [[-0.25, 0.4330127], [0, 0], [-1, 0]], atol=1e-6)
        np.testing.assert_allclose(seen.best, [[0.5, 0.8660254], [0, 0], [-1, 0]], atol=1e-6)
        np.testing.assert_allclose(seen.fit, [[0.5], [0], [-1]], atol=1e-6)
        np.testing.assert_allclose(seen.items, [[math.log(3)], [0], [math.log(2)]])

    def test_texts_and_items_go_through_the_encoder_at_once(self) -> None:
        compass = Compass({"east": 0.0, "near": 60.0, "far": 180.0})
        QueryFeatures.of([Query(text="east", context=offer("near")), Query(text="near", context="far")], compass)
        assert compass.passes == [["east", "near", "f0: near", "far"]]

    def test_the_shape_of_a_text(self) -> None:
        # 20 characters, 5 words, the numbers "3,000" and "4.", one line more, two ends of sentences, three capitals,
        # three symbols; 4 characters a word.
        logarithms = [math.log(21), math.log(6), math.log(3), math.log(2), math.log(3)]
        (shape,) = sight_of("Add 3,000 and 4.\nOK?").shape
        np.testing.assert_allclose(shape, [*logarithms, 10 * 3 / 20, 10 * 3 / 20, 4 / 3])

    def test_the_shape_of_nothing(self) -> None:
        np.testing.assert_allclose(sight_of("").shape, [[0, 0, 0, 0, 0, 0, 0, 1 / 3]])

    @given(st.text())
    def test_every_text_has_a_finite_shape(self, text: str) -> None:
        assert np.isfinite(sight_of(text).shape).all()


class TestVectors:
    def test_its_parts_stand_side_by_side(self) -> None:
        # Two texts of one word, of 2 and 4 letters: of the eight parts of the shape, the length and the length of words
        # vary, each by one standard deviation up or down; the others tell nothing.
        compass = Compass({"ab": 0.0, "abcd": 90.0, "near": 60.0})
        seen = QueryFeatures.of([Query(text="ab", context='["near"]'), Query(text="abcd")], compass)
        view, vectors = Featurizer.learn(seen, np.zeros((2, 2)), n_directions=3, seed=0)
        assert view.directions.shape[1] == 0
        low, high = [-0.1, 0, 0, 0, 0, 0, 0, -0.1], [0.1, 0, 0, 0, 0, 0, 0, 0.1]
        # text, context, 2 * fit, 0.3 * log(1 + items), 0.1 * shape
        expected = [[1, 0, 0.5, 0.8660254, 1, 0.3 * math.log(2), *low], [0, 1, 0, 0, 0, 0, *high]]
        np.testing.assert_allclose(vectors, expected, atol=1e-6)
        np.testing.assert_array_equal(view.vectors(seen), vectors)
        assert view.dimension(2) == vectors.shape[1]

    def test_a_part_of_the_shape_counts_three_deviations_at_most(self) -> None:
        view, _ = Featurizer.learn(sight_of("ab", "abcd"), np.zeros((2, 2)), n_directions=0, seed=0)
        (long,) = view.vectors(sight_of("a" * 500))
        (short,) = view.vectors(sight_of(""))
        np.testing.assert_allclose(long[-8:], [0.3, 0, 0, 0, 0, 0, 0, 0.3])
        # Nothing: log(1) = 0 is more than three deviations from log(3) and log(5); 1/3 is two from 2/3 and 4/3.
        np.testing.assert_allclose(short[-8:], [-0.3, 0, 0, 0, 0, 0, 0, -0.2])

    @pytest.mark.parametrize("n_queries", [1, 2, 13, 99, 100, 101])
    def test_what_never_varied_tells_nothing(self, n_queries: int) -> None:
        # The mean of 13 equal numbers is not quite that number: the deviation must not be what rounding left.
        seen = sight_of(*["abc def"] * n_queries)
        view, vectors = Featurizer.learn(seen, np.tile([0.0, 1.0], (n_queries, 1)), n_directions=2, seed=0)
        np.testing.assert_array_equal(view.spread, np.zeros(8))
        assert np.isfinite(vectors).all()
        other = view.vectors(sight_of("ANOTHER text; of 3 lines\n\n!"))
        assert np.isfinite(other).all()
        np.testing.assert_array_equal(other[:, 130:138], np.zeros((1, 8)))  # after 64 + 64 + 1 + 1

    def test_one_by_one_and_all_at_once_are_the_same(self) -> None:
        table = offers()
        encoder = FakeEncoder()
        view, _ = Featurizer.learn(
            QueryFeatures.of(table.queries, encoder), table.matrix("score"), n_directions=2, seed=0
        )
        assert view.directions.shape[1] == 2
        queries = [
            *table.queries[:7],
            Query(text=""),
            Query(text="open", context=offer("a", "b", "open")),
            Query(text="1"),
        ]
        together = view.vectors(QueryFeatures.of(queries, encoder))
        apart = [view.vectors(QueryFeatures.of([query], FakeEncoder()))[0] for query in queries]
        np.testing.assert_allclose(apart, together, rtol=0, atol=1e-12)

    def test_the_same_text_with_other_functions_is_another_query(self) -> None:
        queries = [Query(text="open the door", context=offer(text)) for text in ("open door", "sell piano")]
        _, vectors = Featurizer.learn(
            QueryFeatures.of(queries, FakeEncoder()), np.zeros((2, 2)), n_directions=0, seed=0
        )
        assert np.linalg.norm(vectors[0] - vectors[1]) > 1

    def test_the_order_of_the_functions_does_not_matter(self) -> None:
        items = [f"{name}{number}" for name in "abc" for number in range(5)]
        queries = [Query(text="a1 c2", context=json.dumps(some)) for some in (items, items[::-1])]
        _, vectors = Featurizer.learn(
            QueryFeatures.of(queries, FakeEncoder()), np.zeros((2, 2)), n_directions=0, seed=0
        )
        np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)


class TestFilled:
    @pytest.mark.parametrize(
        ("scores", "expected"),
        [
            # Nothing missing: nothing changes.
            ([[1, 0], [0, 1]], [[1, 0], [0, 1]]),
            # The first pair's level is 0.5. The two agree on the first query, so luck counts as a quarter of an
            # outcome, and the first query is 0.4 easier than usual: (0.5 + 0.4) / 2.25; the second 0.5 / 1.25 = 0.4
            # harder. The second pair only ran on the easy one: its level is 1 - 0.4. The third query gets the levels.
            ([[1, 1], [0, NAN], [NAN, NAN]], [[1, 1], [0, 0.2], [0.5, 0.6]]),
            # Of one pair's outcomes nobody can tell ease from luck: 0.5 / 1001 either way.
            ([[1, NAN], [0, NAN]], [[1, 0.0005], [0, -0.0005]]),
            ([[NAN, NAN]], [[0, 0]]),
        ],
    )
    def test_an_empty_cell_is_the_pairs_level_moved_by_the_querys_ease(
        self, scores: list[list[float]], expected: list[list[float]]
    ) -> None:
        np.testing.assert_allclose(filled(np.array(scores, dtype=float)), expected, atol=1e-4)


def wordy(n_queries: int, seed: int) -> tuple[list[str], NDArray[np.bool_]]:
    """Return texts of ten words that matter to nobody and one that does, and whether it is ``please``."""
    random = np.random.default_rng(seed)
    polite = np.arange(n_queries) % 2 == 0
    texts = [
        " ".join(
            random.permutation([*(f"{word}{random.integers(2)}" for word in "abcdefghij"), "please" if kind else "now"])
        )
        for kind in polite
    ]
    return texts, polite


def directions(view: Featurizer, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the last part of some vectors: what outcomes they predict."""
    assert view.directions.shape[1] > 0
    return vectors[:, -view.directions.shape[1] :]


def standing(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return numbers freed of where they start and of their unit, the first of them positive."""
    deviations = (values - values.mean()) / values.std()
    return deviations * np.sign(deviations[0])


class TestDirections:
    TEXTS, POLITE = wordy(200, seed=0)
    SCORES = np.stack([POLITE, ~POLITE], axis=1).astype(float)

    def learn(
        self, scores: NDArray[np.float64] = SCORES, n_directions: int = 2, seed: int = 0
    ) -> tuple[Featurizer, NDArray[np.float64]]:
        view, vectors = Featurizer.learn(sight_of(*self.TEXTS[: len(scores)]), scores, n_directions, seed)
        return view, vectors

    @pytest.mark.parametrize(
        ("n_queries", "n_pairs", "asked", "made"),
        [(99, 4, 3, 0), (100, 4, 3, 3), (200, 4, 3, 3), (200, 4, 0, 0), (200, 1, 3, 0), (200, 2, 3, 2), (200, 4, 1, 1)],
    )
    def test_how_many_there_are(self, n_queries: int, n_pairs: int, asked: int, made: int) -> None:
        scores = np.random.default_rng(0).random((n_queries, n_pairs))
        view, vectors = self.learn(scores, asked)
        assert view.directions.shape[1] == made
        # Seen are text, context, product and difference of 64 numbers each, the fit, the count, eight of the shape.
        assert view.directions.shape[0] == (4 * 64 + 10 + 1 if made else 1)
        assert vectors.shape == (n_queries, 2 * 64 + 10 + made)
        assert view.dimension(64) == view.vectors(sight_of("new")).shape[1] == vectors.shape[1]

    def test_together_they_weigh_the_same_whatever_the_outcomes(self) -> None:
        for scores in (self.SCORES, 0.01 * self.SCORES, np.random.default_rng(0).random((200, 5))):
            found = directions(*self.learn(scores))
            np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-9)
            assert found.var(axis=0).sum() == pytest.approx(0.7**2)

    def test_the_first_is_the_one_along_which_outcomes_vary_most(self) -> None:
        found = directions(*self.learn(np.random.default_rng(0).random((200, 5)), 4))
        assert (np.diff(found.var(axis=0)) <= 0).all()

    def test_they_tell_what_decides_of_new_queries_too(self) -> None:
        view, vectors = self.learn()
        texts, polite = wordy(300, seed=1)
        for values, kind in (
            (directions(view, vectors)[:, 0], self.POLITE),
            (directions(view, view.vectors(sight_of(*texts)))[:, 0], polite),
        ):
            assert abs(np.corrcoef(values, kind)[0, 1]) > 0.95

    def test_a_querys_own_outcomes_have_no_part_in_its_direction(self) -> None:
        # The second pair never varies, so the only direction is the first pair's prediction, in other units. The
        # outcome of one query changes the predictions of the four other fifths, and so the unit; but that query, and
        # those predicted together with it, keep their standing to one another exactly.
        scores = np.stack([self.POLITE, np.ones(200)], axis=1).astype(float)
        fifths = [np.random.default_rng(7).permutation(200)[fold::5] for fold in range(5)]
        changed = scores.copy()
        query = fifths[2][0]
        changed[query, 0] = 1 - changed[query, 0]
        before, after = (directions(*self.learn(some, 1, seed=7))[:, 0] for some in (scores, changed))
        for fold, members in enumerate(fifths):
            same = np.allclose(standing(before[members]), standing(after[members]), rtol=0, atol=1e-9)
            assert same == (fold == 2)

    @pytest.mark.parametrize("seed", range(4))
    def test_so_chance_is_not_taken_for_a_rule(self, seed: int) -> None:
        # Outcomes by the throw of a coin: fitted to all, a direction recalls each query's own; cross-fitted, it can't.
        coin = np.random.default_rng(seed).integers(0, 2, 200).astype(float)
        view, vectors = self.learn(np.stack([coin, np.ones(200)], axis=1), 1)
        recalled = directions(view, view.vectors(sight_of(*self.TEXTS)))[:, 0]
        predicted = directions(view, vectors)[:, 0]
        sign = np.sign(np.corrcoef(recalled, coin)[0, 1])  # a direction may point either way
        assert sign * np.corrcoef(recalled, coin)[0, 1] > 0.15
        assert sign * np.corrcoef(predicted, coin)[0, 1] < 0.1

    def test_the_seed_parts_the_queries(self) -> None:
        (_, one), (_, same), (_, other) = (self.learn(seed=seed) for seed in (1, 1, 2))
        np.testing.assert_array_equal(one, same)
        assert not np.allclose(np.abs(one), np.abs(other))

    @pytest.mark.parametrize("value", [NAN, 0.0, 1.0, 0.3])
    def test_outcomes_that_do_not_vary_give_no_direction(self, value: float) -> None:
        view, vectors = self.learn(np.full((200, 3), value))
        for found in (vectors, view.vectors(sight_of("new", ""))):
            assert np.abs(directions(view, found)).max() < 1e-5

    def test_missing_outcomes_are_no_hindrance(self) -> None:
        scores = self.SCORES.copy()
        scores[np.random.default_rng(0).random(scores.shape) < 0.4] = NAN
        view, vectors = self.learn(scores)
        assert np.isfinite(vectors).all()
        assert abs(np.corrcoef(directions(view, vectors)[:, 0], self.POLITE)[0, 1]) > 0.9


OFFERS = offers()


def rightly(router: ClusterRouter, queries: list[Query], right: list[Pair]) -> float:
    """Return the share of queries that got the right pair."""
    return float(
        np.mean([decision.pair == pair for decision, pair in zip(router.decide_batch(queries), right, strict=True)])
    )


class TestRouting:
    """What the view is for: the pair that is right depends on what the text does not say."""

    NEW = tuple((action, thing) for action in ("polish", "hide", "carry") for thing in ("lamp", "clock", "stove"))

    def test_the_context_alone_decides(self) -> None:
        full = ClusterRouter(FakeEncoder(), cost_weight=0.0, guard=0.0).fit(OFFERS)
        known = list(OFFERS.queries)
        right = [CALLER if (query.id or "").endswith("True") else TALKER for query in known]
        assert rightly(full, known, right) == 1.0
        new = [Query(text=f"{action} the {thing}", context=offer(f"{action} {thing}")) for action, thing in self.NEW]
        unfit = [query.replace(context=offer("open door")) for query in new]
        assert rightly(full, [*new, *unfit], [CALLER] * 9 + [TALKER] * 9) == 1.0

    @pytest.mark.parametrize("settings", [{"view": "text"}, {"view": "text", "n_refinements": 0, "strength": 0.0}])
    def test_which_a_router_of_texts_cannot_know(self, settings: dict[str, object]) -> None:
        router = ClusterRouter(FakeEncoder(), cost_weight=0.0, guard=0.0, **settings).fit(OFFERS)  # type: ignore[arg-type]
        known = list(OFFERS.queries)
        for one, other in zip(known[::2], known[1::2], strict=True):
            assert one.text == other.text
            assert one.context != other.context
            assert router.decide(one).pair == router.decide(other).pair
        right = [CALLER if (query.id or "").endswith("True") else TALKER for query in known]
        assert rightly(router, known, right) == 0.5

    def test_directions_bring_out_what_decides(self) -> None:
        texts, polite = wordy(120, seed=0)
        scored = zip(texts, polite, strict=True)
        rows = [
            row(f"q{at}", pair, float(kind == (pair == "kind")), query=text)
            for at, (text, kind) in enumerate(scored)
            for pair in ("kind", "blunt")
        ]
        new, kinds = wordy(200, seed=1)
        queries, right = [Query(text=text) for text in new], [Pair("kind" if kind else "blunt") for kind in kinds]
        with_directions, without = (
            ClusterRouter(
                FakeEncoder(), n_clusters=8, n_refinements=0, cost_weight=0.0, guard=0.0, n_directions=count, n_trees=0
            ).fit(table_of(*rows))
            for count in (3, 0)
        )
        assert rightly(with_directions, queries, right) > 0.97
        assert rightly(without, queries, right) < 0.9

    def test_a_batch_is_decided_like_one_by_one(self) -> None:
        router = ClusterRouter(FakeEncoder()).fit(OFFERS)
        queries = [*OFFERS.queries[:20], Query(text="open", context="a door"), Query(text="")]
        for together, alone in zip(router.decide_batch(queries), map(router.decide, queries), strict=True):
            assert (together.pair, together.cluster, together.rule) == (alone.pair, alone.cluster, alone.rule)
            assert together.distance == pytest.approx(alone.distance, abs=1e-6)


class TestSaved:
    def test_the_view_comes_back(self, tmp_path: Path) -> None:
        table = offers()
        router = ClusterRouter(FakeEncoder(), n_clusters=3).fit(table)
        router.save(tmp_path / "router")
        again = Router.load(tmp_path / "router", FakeEncoder())
        assert isinstance(again, ClusterRouter)
        assert router.view_ is not None
        assert again.view_ is not None
        assert router.view_.directions.shape[1] == 2
        for name, array in router.view_.arrays().items():
            np.testing.assert_array_equal(again.view_.arrays()[name], array)
        queries = [*table.queries, Query(text="open", context="a door"), Query(text="", context=offer("open", "door"))]
        assert again.decide_batch(queries) == router.decide_batch(queries)
        np.testing.assert_array_equal(again.place(queries), router.place(queries))

    def test_so_does_one_without_directions(self, tmp_path: Path) -> None:
        table = offers(10)
        router = ClusterRouter(FakeEncoder()).fit(table)
        router.save(tmp_path / "router")
        again = Router.load(tmp_path / "router", FakeEncoder())
        assert isinstance(again, ClusterRouter)
        assert again.view_ is not None
        assert again.view_.directions.shape == (1, 0)
        assert again.decide_batch(table.queries) == router.decide_batch(table.queries)

    def test_a_router_of_texts_has_none(self, tmp_path: Path) -> None:
        ClusterRouter(FakeEncoder(), view="text").fit(offers(10)).save(tmp_path / "router")
        again = Router.load(tmp_path / "router", FakeEncoder())
        assert isinstance(again, ClusterRouter)
        assert again.view_ is None
        assert again.view == "text"


@given(st.text())
def test_characters_are_counted_alike_in_any_script(text: str) -> None:
    kinds = dict(zip(SHAPE_FEATURES, shape_of(text), strict=True))
    length = max(len(text), 1)
    symbols = sum(not character.isalnum() and not character.isspace() for character in text)
    assert kinds["symbols"] == pytest.approx(10 * symbols / length)
    assert kinds["capitals"] == pytest.approx(10 * sum(map(str.isupper, text)) / length)
    assert kinds["length"] == pytest.approx(math.log1p(len(text)))
