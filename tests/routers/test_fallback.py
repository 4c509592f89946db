"""A pair that stands in for a router that fails."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
from langgraph.errors import GraphInterrupt
from recorded import kinds_of_query

from langchain_atlas.errors import ConstraintError
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.fallback import FallbackRouter
from langchain_atlas.testing import FakeEncoder, RouterConformance
from langchain_atlas.trajectory import START, Constraints, Decision, Observation, Query, Trajectory

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_atlas.encoders import Encoder

A, B = Pair("a"), Pair("b", "search")
QUERY = Query(text="Why?")


class Broken(Router):
    """Fails in the way it is told."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        del query, trajectory
        raise self.error


@pytest.fixture(params=["sync", "async"])
def decide(request: pytest.FixtureRequest) -> Callable[..., Decision]:
    if request.param == "sync":
        return lambda router, *arguments: router.decide(*arguments)
    return lambda router, *arguments: asyncio.run(router.adecide(*arguments))


def seen(*observations: Observation) -> Trajectory:
    trajectory = START
    for observation in observations:
        trajectory = trajectory.then(Decision(kind="route", pair=observation.pair), observation)
    return trajectory


def test_is_asked_where_the_router_fails(decide: Callable[..., Decision], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        decision = decide(FallbackRouter(Broken(OSError("no such file")), A), QUERY)
    assert (decision.kind, decision.pair, decision.rule) == ("route", A, "router-failed")
    assert decision.reason == "The router failed (OSError: no such file). a@@none is asked instead."
    (logged,) = caplog.records
    assert logged.getMessage() == "The router failed; a@@none stands in for it."
    assert logged.exc_info is not None, "the log tells where it failed"


def test_an_answer_that_is_there_is_given(decide: Callable[..., Decision]) -> None:
    router = FallbackRouter(Broken(OSError("gone")), A)
    decision = decide(router, QUERY, seen(Observation(pair=B, answer="Because.")))
    assert (decision.kind, decision.answer, decision.source) == ("answer", "Because.", 0)
    assert decision.rule == "router-failed"


def test_is_asked_after_another_pair_failed(decide: Callable[..., Decision]) -> None:
    router = FallbackRouter(Broken(OSError("gone")), A)
    assert decide(router, QUERY, seen(Observation(pair=B, error="Timeout: 60 s"))).pair == A


def test_is_asked_once(decide: Callable[..., Decision]) -> None:
    router = FallbackRouter(Broken(OSError("gone")), A)
    decision = decide(router, QUERY, seen(Observation(pair=A, error="Timeout: 60 s")))
    assert (decision.kind, decision.answer) == ("answer", None)


def test_is_not_asked_where_the_query_does_not_allow_it(decide: Callable[..., Decision]) -> None:
    query = Query(text="Why?", constraints=Constraints(pairs=frozenset({B})))
    with pytest.raises(OSError, match="gone"):
        decide(FallbackRouter(Broken(OSError("gone")), A), query)
    assert decide(FallbackRouter(Broken(OSError("gone")), B), query).pair == B


@pytest.mark.parametrize("error", [ConstraintError("too dear"), GraphInterrupt()])
def test_what_is_no_failure_goes_through(decide: Callable[..., Decision], error: Exception) -> None:
    with pytest.raises(type(error)):
        decide(FallbackRouter(Broken(error), A), QUERY)


def test_stands_in_for_an_encoder_that_fails(decide: Callable[..., Decision]) -> None:
    class Flaky(FakeEncoder):
        fails = False

        def _encode(self, texts: list[str]) -> Any:
            if self.fails:
                raise RuntimeError("out of memory")
            return super()._encode(texts)

    encoder = Flaky(cache_size=0)
    router = FallbackRouter(ClusterRouter(encoder, n_clusters=3).fit(kinds_of_query()), A)
    assert decide(router, QUERY).rule != "router-failed"
    encoder.fails = True
    decision = decide(router, QUERY)
    assert decision.pair == A
    assert "RuntimeError: out of memory" in decision.reason


class TestOfARouterThatDoesNotFail(RouterConformance):
    """It is then that router."""

    def make_router(self) -> Router:
        return FallbackRouter(ClusterRouter(FakeEncoder(), n_clusters=3).fit(kinds_of_query()), Pair("large"))

    def encoder(self) -> Encoder:
        return FakeEncoder()

    def test_settings_reach_it(self) -> None:
        router = self.make_router().configure(cost_weight=0.7)
        assert isinstance(router, FallbackRouter)
        assert router.settings["cost_weight"] == 0.7
        assert router.pair == Pair("large")
