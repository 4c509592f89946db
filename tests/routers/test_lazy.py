"""A router that is made at first use."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from recorded import kinds_of_query

from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.lazy import LazyRouter
from langchain_atlas.testing import FakeEncoder, RouterConformance, ScriptedRouter
from langchain_atlas.trajectory import Query

if TYPE_CHECKING:
    from langchain_atlas.encoders import Encoder
    from langchain_atlas.routers.base import Router


class TestOnceMade(RouterConformance):
    """It is the router that was made."""

    def make_router(self) -> Router:
        router = LazyRouter(lambda: ClusterRouter(FakeEncoder(), n_clusters=3).fit(kinds_of_query()))
        router.decide(Query(text="Why?"))
        return router

    def encoder(self) -> Encoder:
        return FakeEncoder()


def test_nothing_is_made_before_it_is_asked() -> None:
    made: list[Router] = []

    def make() -> Router:
        made.append(ScriptedRouter("a@@none"))
        return made[0]

    router = LazyRouter(make)
    restricted = router.restrict([Pair("a")])
    assert (router.pairs, restricted.pairs, made) == ((), (), [])
    with ThreadPoolExecutor(8) as threads:
        decisions = list(threads.map(router.decide, [Query(text=str(number)) for number in range(8)]))
    assert {decision.pair for decision in decisions} == {Pair("a")}
    assert len(made) == 1
    assert restricted.decide(Query(text="hi")).pair == Pair("a")
    assert len(made) == 1


async def test_what_could_not_be_made_is_tried_again() -> None:
    tries = iter([OSError("no such folder"), None])

    def make() -> Router:
        if (error := next(tries)) is not None:
            raise error
        return ScriptedRouter("a@@none")

    router = LazyRouter(make)
    with pytest.raises(OSError, match="no such folder"):
        await router.adecide(Query(text="hi"))
    assert (await router.adecide(Query(text="hi"))).pair == Pair("a")


def test_what_it_streams_is_what_the_router_streams() -> None:
    router = LazyRouter(lambda: ScriptedRouter("a@@none"))
    assert not router.takes_first_answer, "nobody knows yet"
    router.decide(Query(text="hi"))
    assert router.takes_first_answer
