"""The Python tool keeps names within one run of a pair, and between runs of a trajectory where that is asked."""

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage

from langchain_atlas.execution.live import LiveExecutor
from langchain_atlas.loop.turns import asolve, solve
from langchain_atlas.pool.pool import Model, Pair, Pool, Tool
from langchain_atlas.routers.base import Router, last_answer
from langchain_atlas.tools.python.sessions import tool_sessions
from langchain_atlas.trajectory import Decision, Observation, Query, Trajectory


class Scripted(GenericFakeChatModel):
    def bind_tools(self, tools: object, **options: object) -> "Scripted":  # type: ignore[override]
        del tools, options
        return self


def call(code: str) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": "python", "args": {"code": code}, "id": code, "type": "tool_call"}])


def executor(*, stateful: bool) -> LiveExecutor:
    replies = [call("x = 20"), call("x + 1"), AIMessage("21"), call("x"), AIMessage("gone")]
    pool = Pool(
        models=(Model(name="m", litellm="openai/m"),),
        tools=(Tool(name="python", use="python", arguments={"stateful": stateful}),),
    )
    return LiveExecutor(pool, chat_models={"m": Scripted(messages=iter(replies))})


def traces(observation: Observation) -> list[str]:
    return [str(trace.output or trace.error) for trace in observation.tool_trace]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_names_last_for_one_run(asynchronous: bool) -> None:
    live = executor(stateful=True)
    (pair,) = live.pairs
    query = Query(text="?")
    first = await live.arun(pair, query) if asynchronous else live.run(pair, query)
    assert traces(first)[1] == "21"
    second = await live.arun(pair, query) if asynchronous else live.run(pair, query)
    assert "NameError" in traces(second)[0]


def test_names_last_where_the_scope_is_opened_further_out() -> None:
    live = executor(stateful=True)
    (pair,) = live.pairs
    with tool_sessions():
        live.run(pair, Query(text="?"))
        assert traces(live.run(pair, Query(text="?"))) == ["20"]


class AskTwice(Router):
    """Asks its pair twice, then answers."""

    def decide(self, query: Query, trajectory: Trajectory) -> Decision:
        del query
        (pair,) = self.known
        if len(trajectory.steps) < 2:
            return Decision(kind="route", pair=pair)
        return last_answer(trajectory, rule="test", reason="Asked twice.")

    known: tuple[Pair, ...] = ()


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_names_last_for_a_trajectory(asynchronous: bool) -> None:
    live, router = executor(stateful=True), AskTwice()
    router.known = live.pairs
    query = Query(text="?")
    trajectory = await asolve(query, router, live) if asynchronous else solve(query, router, live)
    seen = [step.observation for step in trajectory.steps if step.observation is not None]
    assert [traces(observation) for observation in seen][1] == ["20"]


def test_without_being_asked_names_do_not_last() -> None:
    live = executor(stateful=False)
    assert "NameError" in traces(live.run(live.pairs[0], Query(text="?")))[1]
