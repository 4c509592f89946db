"""The one loop: decide, act, until there is an answer."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from langchain_atlas.errors import ConstraintError, PoolError, SettingError
from langchain_atlas.execution.base import Executor
from langchain_atlas.loop.limits.trajectory_limits import MAX_TURNS
from langchain_atlas.loop.turns import asolve, solve
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.base import Router, last_answer
from langchain_atlas.testing import ScriptedExecutor, ScriptedRouter
from langchain_atlas.trajectory import START, Candidate, Constraints, Decision, Observation, Query, Trajectory

A, B = Pair("a"), Pair("b", "python")
THINK = Decision(kind="think", answer="Hm.")

Solve = Callable[..., Trajectory]


def solve_async(*args: object, **settings: object) -> Trajectory:
    return asyncio.run(asolve(*args, **settings))  # type: ignore[arg-type]


@pytest.fixture(params=[solve, solve_async], ids=["sync", "async"])
def solving(request: pytest.FixtureRequest) -> Solve:
    """Return the loop, in each of its two forms."""
    form: Solve = request.param
    return form


def kinds(trajectory: Trajectory) -> list[str]:
    return [step.decision.kind for step in trajectory.steps]


def test_one_call_then_the_answer(solving: Solve) -> None:
    trajectory = solving("2+2?", ScriptedRouter(A), ScriptedExecutor({"a@@none": "4"}))
    assert kinds(trajectory) == ["route", "answer"]
    assert trajectory.done
    assert trajectory.answer == "4"
    assert trajectory.answered_by == Observation(pair=A, answer="4")


def test_a_text_and_a_query_are_the_same_ask(solving: Solve) -> None:
    executor = ScriptedExecutor({"a@@none": "4"})
    by_text = solving("2+2?", ScriptedRouter(A), executor)
    assert solving(Query(text="2+2?"), ScriptedRouter(A), executor) == by_text
    assert executor.calls == [(A, Query(text="2+2?"))] * 2


def test_a_router_may_answer_without_a_call(solving: Solve) -> None:
    executor = ScriptedExecutor({})
    trajectory = solving("2+2?", ScriptedRouter(Decision(kind="answer", answer="4")), executor)
    assert trajectory.answer == "4"
    assert executor.calls == []


def test_a_thought_is_a_turn_without_a_call(solving: Solve) -> None:
    executor = ScriptedExecutor({"a@@none": "4"})
    trajectory = solving("2+2?", ScriptedRouter(THINK, A), executor)
    assert kinds(trajectory) == ["think", "route", "answer"]
    assert trajectory.steps[0].observation is None
    assert len(executor.calls) == 1


def test_the_router_sees_what_the_calls_returned(solving: Solve) -> None:
    seen: list[Trajectory] = []

    class Watching(Router):
        def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
            del query
            seen.append(trajectory)
            if trajectory.calls < 2:
                return Decision(kind="route", pair=A if trajectory.calls == 0 else B)
            return last_answer(trajectory, rule="enough", reason="Enough.")

    trajectory = solving("2+2?", Watching(), ScriptedExecutor({"a@@none": "5", "b@@python": "4"}))
    assert [[found.answer for found in earlier.observations] for earlier in seen] == [[], ["5"], ["5", "4"]]
    assert trajectory.answer == "4"


def test_a_pair_is_asked_what_the_router_decided(solving: Solve) -> None:
    executor = ScriptedExecutor({"a@@none": "4"})
    query = Query(text="2+2?", id="q", context="sums")
    solving(query, ScriptedRouter(Decision(kind="route", pair=A, input="Add 2 and 2: now.")), executor)
    assert executor.calls == [(A, Query(text="Add 2 and 2: now.", id="q", context="sums"))]


class TestTurnLimit:
    def test_the_default_is_the_papers(self) -> None:
        assert MAX_TURNS == 4

    @pytest.mark.parametrize("turns", [1, 2, 3, 4])
    def test_the_latest_answer_is_given_when_turns_are_used_up(self, solving: Solve, turns: int) -> None:
        executor = ScriptedExecutor(lambda pair, _: f"answer of {pair.model}")
        router = ScriptedRouter(*[A, B] * 5)
        trajectory = solving("2+2?", router, executor, max_turns=turns)
        assert len(executor.calls) == turns
        assert len(router.queries) == turns + 1  # the router is asked which answer to give, and wants another call
        assert kinds(trajectory) == ["route"] * turns + ["answer"]
        last = trajectory.steps[-1].decision
        assert last.rule == "turn-limit"
        assert last.source == turns - 1
        assert trajectory.answer == ("answer of a" if turns % 2 else "answer of b")

    def test_thoughts_count(self, solving: Solve) -> None:
        trajectory = solving("2+2?", ScriptedRouter(*[THINK] * 9), ScriptedExecutor({}))
        assert kinds(trajectory) == ["think"] * 4 + ["answer"]
        assert trajectory.answer is None
        assert "No call returned an answer" in trajectory.steps[-1].decision.reason

    def test_the_router_says_which_answer_is_given_when_turns_are_used_up(self, solving: Solve) -> None:
        first = Decision(kind="answer", answer="answer of a", source=0, rule="mine")
        executor = ScriptedExecutor(lambda pair, _: f"answer of {pair.model}")
        trajectory = solving("2+2?", ScriptedRouter(A, B, first), executor, max_turns=2)
        assert trajectory.steps[-1].decision.rule == "mine"
        assert trajectory.answer == "answer of a"

    def test_an_answer_in_the_last_turn_is_the_routers_own(self, solving: Solve) -> None:
        own = Decision(kind="answer", answer="4", rule="mine")
        trajectory = solving("2+2?", ScriptedRouter(THINK, own), ScriptedExecutor({}), max_turns=2)
        assert trajectory.steps[-1].decision.rule == "mine"

    @pytest.mark.parametrize("turns", [0, -1])
    def test_there_is_at_least_one_turn(self, solving: Solve, turns: int) -> None:
        executor = ScriptedExecutor({"a@@none": "4"})
        with pytest.raises(SettingError, match=f"max_turns is {turns}; a loop needs at least 1"):
            solving("2+2?", ScriptedRouter(A), executor, max_turns=turns)
        assert executor.calls == []


class TestFailures:
    def test_a_failed_call_is_seen_and_an_earlier_answer_given(self, solving: Solve) -> None:
        executor = ScriptedExecutor({"a@@none": "4", "b@@python": TimeoutError("60 s")})
        trajectory = solving("2+2?", ScriptedRouter(A, B), executor)
        assert trajectory.observations[1].error == "TimeoutError: 60 s"
        assert trajectory.answer == "4"
        assert trajectory.answered_by == Observation(pair=A, answer="4")

    def test_when_every_call_fails_there_is_no_answer(self, solving: Solve) -> None:
        trajectory = solving("2+2?", ScriptedRouter(A), ScriptedExecutor({"a@@none": TimeoutError("60 s")}))
        assert trajectory.done
        assert trajectory.answer is None
        assert trajectory.answered_by is None

    def test_an_empty_answer_is_an_answer(self, solving: Solve) -> None:
        trajectory = solving("2+2?", ScriptedRouter(A), ScriptedExecutor({"a@@none": ""}))
        assert trajectory.answer == ""

    def test_a_router_that_cannot_decide_says_so(self, solving: Solve) -> None:
        query = Query(text="2+2?", constraints=Constraints(pairs=frozenset({B})))
        with pytest.raises(ConstraintError):
            solving(query, ScriptedRouter(A), ScriptedExecutor({}))

    def test_a_pair_that_nobody_can_run_is_a_mistake(self, solving: Solve) -> None:
        with pytest.raises(PoolError, match="told nothing of pair 'a@@none'"):
            solving("2+2?", ScriptedRouter(A), ScriptedExecutor({"b@@python": "4"}))


async def test_the_async_loop_does_not_block_the_others() -> None:
    """Two queries whose calls each wait for the other to begin: only side by side do they end."""
    both_run = threading.Barrier(2)

    class Meeting(Executor):
        def run(self, pair: Pair, query: Query) -> Observation:
            both_run.wait(timeout=30)
            return Observation(pair=pair, answer=query.text)

    done = await asyncio.gather(*(asolve(text, ScriptedRouter(A), Meeting()) for text in ("one", "two")))
    assert [trajectory.answer for trajectory in done] == ["one", "two"]


class TestDollarLimit:
    """Of any router's decision; `ScriptedRouter` minds no limit."""

    QUERY = Query(text="2 + 2?", constraints=Constraints(max_cost_usd=0.01))

    def test_after_a_call_of_which_nothing_is_known_no_further_one_is_made(self, solving: Solve) -> None:
        executor = ScriptedExecutor({"small@@none": "4", "large@@none": "5"})

        trajectory = solving(self.QUERY, ScriptedRouter("small@@none", "large@@none"), executor)

        assert [str(pair) for pair, _ in executor.calls] == ["small@@none"]
        assert trajectory.answer == "4"
        assert "What a call took is not known" in trajectory.steps[-1].decision.reason

    def test_a_call_of_unknown_cost_counts_as_was_expected_for_each_of_its_model_calls(self, solving: Solve) -> None:
        small, large = Pair.parse("small@@none"), Pair.parse("large@@none")
        expected = Candidate(pair=small, expected_success=0.9, expected_cost_usd=0.004)
        told = {str(small): Observation(pair=small, answer="4", model_calls=3), str(large): "5"}
        executor = ScriptedExecutor(told)
        first = Decision(kind="route", pair=small, chosen=expected, rule="scripted")

        trajectory = solving(self.QUERY, ScriptedRouter(first, large), executor)

        assert [pair for pair, _ in executor.calls] == [small]
        assert "0.012 dollars of 0.01 are used" in trajectory.steps[-1].decision.reason
