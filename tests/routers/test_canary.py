"""A canary sends a share to the candidate, keeps threads together, and rolls back by itself."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda

from langchain_atlas import Canary, Pair, Query, Router, asolve, solve
from langchain_atlas.errors import ArtifactError, InvalidInputError, SettingError
from langchain_atlas.testing import RouterConformance, ScriptedExecutor, ScriptedRouter
from langchain_atlas.trajectory import START, Decision

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_core.runnables import RunnableConfig

    from langchain_atlas import Trajectory

A, B = Pair("a"), Pair("b")
QUERIES = [Query(text="?", id=f"q{number}") for number in range(400)]
ANSWERS = ScriptedExecutor(lambda pair, _: pair.model)


def canary(**settings: Any) -> Canary:
    return Canary(ScriptedRouter(A), ScriptedRouter(B), **settings)


class Broken(ScriptedRouter):
    """Raises at every decision."""

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        del query, trajectory
        raise OSError("no such file")


class Alternatives(ScriptedRouter):
    """Chooses from two pairs."""

    def __init__(self, first: Pair, pairs: tuple[Pair, ...] = (A, B)) -> None:
        super().__init__(*pairs)
        self.first, self.allowed = first, pairs

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        wanted = query.constraints.pairs
        left = [pair for pair in (self.first, *self.allowed) if pair in self.allowed]
        left = [pair for pair in left if wanted is None or pair in wanted] or left
        self._script = ScriptedRouter(left[0])._script
        return super().decide(query, trajectory)

    def restrict(self, pairs: Any) -> Any:
        super().restrict(self.allowed)
        from langchain_atlas.routers.base import shared_pairs

        return Alternatives(self.first, shared_pairs(self.allowed, pairs))


class TestCanary(RouterConformance):
    """It is a router as any other; here the candidate decides about half of the queries."""

    def make_router(self) -> Router:
        return Canary(Alternatives(A), Alternatives(B), share=0.5)


class TestCanaryOfABrokenCandidate(RouterConformance):
    """The live router stands in."""

    def make_router(self) -> Router:
        return Canary(ScriptedRouter(A), Broken(A), share=0.5)


def chosen(router: Router, queries: list[Query] = QUERIES) -> list[Pair | None]:
    return [router.decide(query).pair for query in queries]


def test_the_share_is_as_told_and_every_way_to_decide_agrees() -> None:
    router = canary(share=0.2)
    pairs = chosen(router)
    assert 50 < pairs.count(B) < 110
    assert chosen(canary(share=0.2)) == pairs, "another process draws the same"
    assert chosen(canary(share=0.2, salt="other")) != pairs
    assert [decision.pair for decision in router.decide_batch(QUERIES)] == pairs
    assert [asyncio.run(router.adecide(query)).pair for query in QUERIES[:40]] == pairs[:40]


def test_a_thread_stays_with_its_router() -> None:
    router = canary(share=0.3)

    def ask(query: Query, config: RunnableConfig) -> str | None:
        del config
        return solve(query, router, ANSWERS).answer

    async def aask(query: Query, config: RunnableConfig) -> str | None:
        del config
        return (await asolve(query, router, ANSWERS)).answer

    step = RunnableLambda(ask, aask)
    drawn = set()
    for thread in range(30):
        config: RunnableConfig = {"configurable": {"thread_id": f"t{thread}"}}
        answers = {step.invoke(query, config) for query in QUERIES[:5]}
        answers.add(asyncio.run(step.ainvoke(QUERIES[0], config)))
        assert len(answers) == 1
        drawn |= answers
    assert drawn == {"a", "b"}


def test_a_conversation_without_ids_stays_with_its_router() -> None:
    router = canary(share=0.5)
    for number in range(20):
        first = Query(text=f"Hello {number}")
        later = Query(text="And then?", history=(HumanMessage(first.text),))
        assert router.decide(first).pair == router.decide(later).pair


def feed(router: Canary, live: float, candidate: float, queries: int, seed: int = 0) -> int:
    """Record outcomes with these mean scores; return after how many the canary ended, or how many there were."""
    rng = np.random.default_rng(seed)
    for number in range(queries):
        query = Query(text="?", id=f"{seed}-{number}")
        mean = candidate if router.decide(query).pair == B else live
        if router.record(query, score=float(rng.random() < mean)) != "running":
            return number + 1
    return queries


def test_a_worse_candidate_is_rolled_back_and_an_equal_one_is_not() -> None:
    for seed in range(10):
        router = canary(share=0.2, salt=str(seed))
        assert feed(router, 0.8, 0.5, 3000, seed) < 3000
        assert router.status == "rolled back"
        assert set(chosen(router)) == {A}
        assert router.pairs == (A,)
    ended = []
    for seed in range(20):
        router = canary(share=0.2, salt=str(seed))
        feed(router, 0.7, 0.7, 1000, seed)
        ended.append(router.status)
    assert ended.count("rolled back") <= 2


def test_it_is_promoted_when_told_and_says_when_it_may_be() -> None:
    router = canary(share=0.5, loss=0.2)
    feed(router, 0.6, 0.9, 1000)
    report = router.report()
    assert (report.status, report.may_be_promoted) == ("running", True)
    assert "loses less than 20 points and may be promoted" in str(report)
    router.promote()
    assert set(chosen(router)) == {B}
    assert router.pairs == (B,)
    assert router.router.pairs == (B,)
    assert router.restrict([B]).decide(QUERIES[0]).pair == B
    assert router.record(QUERIES[0], score=0.0) == "promoted"
    assert router.report().late == 1
    router.roll_back()
    assert set(chosen(router)) == {A}


def test_outcomes_are_taken_by_query_id_and_decision() -> None:
    router = Canary(Alternatives(A), Alternatives(B), share=0.5)
    decision = router.decide(QUERIES[0])
    router.decide(QUERIES[1])
    router.decide(QUERIES[2])
    for of in (QUERIES[0], "q1", QUERIES[2], decision.model_copy()):
        if isinstance(of, Decision):
            with pytest.raises(InvalidInputError, match="knows no query by"):
                router.record(of, score=1.0)
        else:
            router.record(of, score=1.0)
    router.record("q1", score=0.0)
    report = router.report()
    assert (report.recorded_live + report.recorded_candidate, report.repeated) == (3, 1)
    fresh = Canary(_Fresh(A), _Fresh(B), share=0.5)
    decisions = [fresh.decide(query) for query in QUERIES[:20]]
    for one in decisions:
        fresh.record(one, score=1.0)
    assert fresh.report().recorded_candidate == sum(one.pair == B for one in decisions)


class _Fresh(ScriptedRouter):
    """Makes a new decision every time, as routers that learned do."""

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        return super().decide(query, trajectory).replace()


def test_a_decision_that_was_returned_for_several_queries_is_refused() -> None:
    router = canary(share=0.5)
    decisions = [router.decide(query) for query in QUERIES[:4]]
    with pytest.raises(InvalidInputError, match="knows no query by"):
        router.record(decisions[0], score=1.0)


def test_outcomes_of_another_process_are_taken_by_key() -> None:
    here, there = canary(share=0.5), canary(share=0.5)
    arms = [here.decide(query).pair for query in QUERIES[:50]]
    for query in QUERIES[:50]:
        there.record(key=str(query.id), score=1.0)
    assert there.report().recorded_candidate == arms.count(B)
    with pytest.raises(InvalidInputError, match="give key= with the thread's id"):
        there.record("q1", score=1.0)


@pytest.mark.parametrize("score", [None, 1.5, float("nan"), "1"])
def test_a_score_that_is_none_is_refused(score: Any) -> None:
    router = canary()
    router.decide(QUERIES[0])
    with pytest.raises(InvalidInputError, match="must be a number from 0 to 1"):
        router.record("q0", score=score)


def test_a_candidate_that_raises_is_stood_in_for() -> None:
    router = Canary(ScriptedRouter(A), Broken(B), share=0.5)
    assert set(chosen(router)) == {A}
    assert {decision.pair for decision in router.decide_batch(QUERIES)} == {A}
    assert asyncio.run(asolve(QUERIES[0], router, ANSWERS)).answer == "a"
    report = router.report()
    assert report.stood_in > 200
    assert report.candidate > 100, "its outcomes stay its own"


def test_a_restart_goes_on_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "canary.json"
    router = canary(share=0.3, path=path)
    feed(router, 0.8, 0.8, 50)
    router.close()
    again = canary(share=0.3, path=path)
    assert again.report() == router.report()
    assert json.loads(path.read_text())["state"]["status"] == "running"
    feed(again, 0.9, 0.3, 3000, seed=1)
    assert again.status == "rolled back"
    assert canary(share=0.3, path=path).status == "rolled back", "a rollback is written at once"
    with pytest.raises(ArtifactError, match="settings"):
        canary(share=0.2, path=path)
    kept = json.loads(path.read_text())
    del kept["state"]["sums"]
    path.write_text(json.dumps(kept))
    with pytest.raises(ArtifactError, match="is not a canary's state"):
        canary(share=0.3, path=path)


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"share": 0.0}, "share is 0.0"), ({"loss": 0.0}, "loss is 0.0"), ({"error": 1}, "error is")],
)
def test_a_setting_that_can_not_be_is_refused_at_once(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingError, match=named):
        canary(**settings)
