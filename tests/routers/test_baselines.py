"""The simplest routers: one pair, and a pair by chance."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from langchain_atlas.errors import ConstraintError, PoolError, SettingError
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.baselines import RandomRouter, SinglePairRouter
from langchain_atlas.routers.saved.artifact import read_artifact
from langchain_atlas.trajectory import START, Constraints, Observation, Query

A, B, C = Pair("a"), Pair("b", "search"), Pair("c")
ROUTERS: list[Router] = [SinglePairRouter(A), RandomRouter([A, B, C])]


def only(*pairs: Pair) -> Query:
    return Query(text="Why?", constraints=Constraints(pairs=frozenset(pairs)))


@pytest.mark.parametrize("router", ROUTERS, ids=lambda router: router.kind)
class TestBoth:
    def test_route_once_then_answer(self, router: Router) -> None:
        query = Query(text="Why?")
        first = router.decide(query)
        assert first.kind == "route"
        assert first.pair in router.pairs
        assert first.reason
        assert first.pair is not None
        seen = START.then(first, Observation(pair=first.pair, answer="Because."))
        last = router.decide(query, seen)
        assert (last.kind, last.answer, last.source) == ("answer", "Because.", 0)

    def test_a_failed_call_leaves_the_answer_empty(self, router: Router) -> None:
        first = router.decide(Query(text="Why?"))
        assert first.pair is not None
        seen = START.then(first, Observation(pair=first.pair, error="Timeout: 60 s"))
        last = router.decide(Query(text="Why?"), seen)
        assert (last.kind, last.answer, last.source) == ("answer", None, None)

    def test_batch_and_async_decide_alike(self, router: Router) -> None:
        queries = [Query(text=f"Why {n}?") for n in range(20)]
        expected = [router.decide(query) for query in queries]
        assert router.decide_batch(queries) == expected
        assert asyncio.run(router.adecide(queries[0])) == expected[0]

    def test_keep_to_the_allowed_pairs(self, router: Router) -> None:
        assert router.decide(only(A)).pair == A
        with pytest.raises(ConstraintError, match="a@@none"):
            router.decide(only(Pair("other")))

    @pytest.mark.parametrize("limits", [{"max_cost_usd": 0.01}, {"max_latency_s": 1.0}])
    def test_promise_no_cost_that_they_do_not_know(self, router: Router, limits: dict[str, float]) -> None:
        with pytest.raises(ConstraintError, match="knows neither"):
            router.decide(Query(text="Why?", constraints=Constraints(**limits)))

    def test_restrict(self, router: Router) -> None:
        assert router.restrict([A, Pair("other")]).pairs == (A,)
        assert router.restrict([str(A), "other"]).pairs == (A,)
        with pytest.raises(PoolError, match=r"share no pair: the router knows a@@none.*, the pool has other@@none"):
            router.restrict([Pair("other")])
        with pytest.raises(PoolError, match=r"in a list, and one too: \['a@@none'\]"):
            router.restrict("a@@none")

    def test_come_back_from_what_was_saved(self, router: Router, tmp_path: Path) -> None:
        router.save(tmp_path / "router")
        artifact = read_artifact(tmp_path / "router")
        assert artifact.kind == router.kind
        assert isinstance(router, SinglePairRouter | RandomRouter)
        again = type(router).from_artifact(artifact, None)
        queries = [Query(text=f"Why {n}?") for n in range(20)]
        assert again.pairs == router.pairs
        assert again.decide_batch(queries) == router.decide_batch(queries)

    def test_are_loaded_from_their_folder_like_any_router(self, router: Router, tmp_path: Path) -> None:
        router.save(tmp_path / "router")
        again = Router.load(tmp_path / "router")
        queries = [Query(text=f"Why {n}?") for n in range(20)]
        assert type(again) is type(router)
        assert again.decide_batch(queries) == router.decide_batch(queries)


def test_a_pair_may_be_written() -> None:
    assert SinglePairRouter("b@@search").pairs == (B,)
    assert RandomRouter(["b@@search", A, "a@@none"]).pairs == (B, A)
    with pytest.raises(PoolError):
        SinglePairRouter("b@@search@@more")


def test_chance_is_even_and_depends_on_text_and_seed_alone() -> None:
    queries = [Query(text=f"Question number {n}") for n in range(3000)]
    router = RandomRouter([A, B, C], seed=1)
    first = [decision.pair for decision in router.decide_batch(queries)]
    assert [decision.pair for decision in RandomRouter([A, B, C], seed=1).decide_batch(queries)] == first
    assert all(900 < count < 1100 for count in Counter(first).values())
    other = [decision.pair for decision in router.configure(seed=2).decide_batch(queries)]
    assert sum(x == y for x, y in zip(first, other, strict=True)) == pytest.approx(1000, abs=100)


def test_a_random_router_needs_pairs_and_a_whole_seed() -> None:
    with pytest.raises(PoolError, match="at least one pair"):
        RandomRouter([])
    with pytest.raises(SettingError, match="whole number"):
        RandomRouter([A], seed=0.5)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="whole number"):
        RandomRouter([A]).configure(seed="x")
