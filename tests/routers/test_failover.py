"""A call that fails is followed by others while there are pairs that may answer: other providers first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from provider import reach, serve
from recorded import Compass, row, table_of

from langchain_atlas import (
    ClusterRouter,
    Constraints,
    Decision,
    LiveExecutor,
    Observation,
    Pair,
    Pool,
    Query,
    Trajectory,
    create_atlas_graph,
    solve,
)
from langchain_atlas.loop.suiting import elsewhere
from langchain_atlas.testing import Failure, ScriptedExecutor

if TYPE_CHECKING:
    from fixture_types import Reach, Serve

__all__ = ["reach", "serve"]

NAMES = ("a", "b", "c", "d", "e", "f", "g")
"""Models, the best first."""


def fitted(*names: str, **settings: Any) -> ClusterRouter:
    rows = [
        row(f"q{number}", f"{name}@@none", 1.0 if number >= place else 0.0, 0.001)
        for number in range(len(names))
        for place, name in enumerate(names)
    ]
    return ClusterRouter.as_in_paper(Compass({"q0": 0.0}), n_clusters=1, cost_weight=0.0, **settings).fit(
        table_of(*rows)
    )


def down_but(*up: str) -> ScriptedExecutor:
    return ScriptedExecutor(lambda pair, _: f"from {pair.model}" if pair.model in up else ConnectionError("down"))


def called(executor: ScriptedExecutor) -> str:
    return "".join(pair.model for pair, _ in executor.calls)


class TestFailover:
    def test_goes_on_while_healthy_pairs_are_left(self) -> None:
        executor = down_but("f", "g")
        trajectory = solve("q0", fitted(*NAMES), executor)
        assert (trajectory.answer, called(executor)) == ("from f", "abcdef")

    def test_goes_on_in_the_graph_too(self) -> None:
        graph = create_atlas_graph(fitted(*NAMES), down_but("g")).compile()
        assert graph.invoke({"messages": [("user", "q0")]})["messages"][-1].text == "from g"

    def test_ends_where_all_failed(self) -> None:
        executor = down_but()
        trajectory = solve("q0", fitted(*NAMES), executor)
        assert (trajectory.answer, called(executor)) == (None, "abcdefg")
        assert trajectory.steps[-1].decision.rule == "failovers-used"

    def test_is_bounded_where_that_is_asked_for(self) -> None:
        executor = down_but("g")
        assert solve("q0", fitted(*NAMES, failovers=2), executor).answer is None
        assert called(executor) == "abc"
        assert fitted(*NAMES, failovers=2).configure(failovers=None).settings["failovers"] is None

    def test_keeps_to_the_pairs_that_the_query_allows(self) -> None:
        executor = down_but("a", "b")
        allowed = Constraints(pairs=frozenset({Pair("c"), Pair("d")}))
        assert solve(Query(text="q0", constraints=allowed), fitted(*NAMES), executor).answer is None
        assert called(executor) == "cd"

    def test_goes_to_another_provider_before_the_failed_ones_other_models(self, serve: Serve, reach: Reach) -> None:
        down, up = serve(Failure(503, "overloaded")), serve(lambda body: f"from {body['model']}")
        models = [reach(down, name) for name in "abcd"] + [reach(up, "e")]
        executor = LiveExecutor(Pool(models=tuple(models)), retries=0)
        trajectory = solve("q0", fitted(*"abcde"), executor)
        assert [seen.pair.model for seen in trajectory.observations] == ["a", "e"]
        assert trajectory.answer == "from e"

    def test_comes_back_to_the_failed_provider_where_no_other_is_left(self, serve: Serve, reach: Reach) -> None:
        server = serve(lambda body: "from c" if body["model"] == "c" else Failure(503, "overloaded"))
        executor = LiveExecutor(Pool(models=tuple(reach(server, name) for name in "abc")), retries=0)
        assert solve("q0", fitted(*"abc"), executor).answer == "from c"

    @pytest.mark.parametrize(("status", "avoided"), [(400, 0), (404, 0), (401, 2), (429, 2), (500, 2)])
    def test_tells_a_failure_of_the_provider_from_one_of_the_request(
        self, serve: Serve, reach: Reach, status: int, avoided: int
    ) -> None:
        server = serve(Failure(status))
        executor = LiveExecutor(Pool(models=tuple(reach(server, name) for name in "ab")), retries=0)
        query, pair = Query(text="q0"), Pair("a")
        trajectory = Trajectory().then(Decision(kind="route", pair=pair), executor.run(pair, query))
        assert len(elsewhere(query, trajectory, fitted(*"ab"), executor).avoid) == avoided


def test_the_same_pair_failing_again_and_again_uses_turns() -> None:
    class Stubborn(ClusterRouter):
        def decide(self, query: Query, trajectory: Trajectory = Trajectory()) -> Decision:  # noqa: B008, ARG002
            return Decision(kind="route", pair=Pair("a"))

    executor = down_but()
    router = Stubborn.as_in_paper(Compass({"q0": 0.0}), n_clusters=1)
    assert solve("q0", router, executor, max_turns=3).answer is None
    assert called(executor) == "aaaa"  # the first failure is none of the three turns


def test_an_observation_of_old_is_no_providers_failure() -> None:
    seen = Observation(pair=Pair("a"), error="Timeout: 60 s")
    trajectory = Trajectory().then(Decision(kind="route", pair=Pair("a")), seen)
    query = Query(text="q0")
    assert elsewhere(query, trajectory, fitted("a", "b"), down_but()) is query
