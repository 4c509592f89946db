"""Whatever goes wrong with a tool, the model is shown it and the trajectory keeps it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.tools import BaseTool, StructuredTool, ToolException, tool
from langgraph.errors import GraphBubbleUp, GraphInterrupt
from pydantic import BaseModel

from langchain_atlas import LiveExecutor, Model, Pair, Pool, Query, Tool, asolve, solve
from langchain_atlas.testing import ScriptedRouter, call_tool

if TYPE_CHECKING:
    from collections.abc import Callable

    from fixture_types import Reach, Run, Serve


PAIR = Pair("small", "t")
QUESTION = Query(text="Well?")


@tool
def broken(number: int) -> str:
    """Break in the way that a number says."""
    errors: dict[int, Exception] = {
        1: ValueError("no such value"),
        2: TimeoutError("took longer than 5 s"),
        3: ToolException("the tool says no"),
        4: KeyError("missing"),
        5: RecursionError("too deep"),
        6: MemoryError("too large"),
    }
    raise errors[number]


class _Number(BaseModel):
    number: int


class _Handled(BaseTool):
    """Reports its failures itself, as LangChain's tools may."""

    name: str = "handled"
    description: str = "Fail politely."
    args_schema: type[BaseModel] = _Number
    handle_tool_error: bool | str | Any = True
    handle_validation_error: bool | str | Any = "That argument is wrong."

    def _run(self, number: int) -> str:
        raise ToolException(f"nothing for {number}")


async def _late(number: int) -> str:
    """Take too long."""
    async with asyncio.timeout(0.01):
        await asyncio.sleep(5)
    return str(number)


LATE = StructuredTool.from_function(coroutine=_late, name="late")
TOOLS = (broken, _Handled(), LATE)

CASES: list[tuple[str, Any, str]] = [
    ("broken", {"number": 1}, "ValueError: no such value"),
    ("broken", {"number": 2}, "TimeoutError: took longer than 5 s"),
    ("broken", {"number": 3}, "ToolException: the tool says no"),
    ("broken", {"number": 4}, "KeyError: 'missing'"),
    ("broken", {"number": 5}, "RecursionError: too deep"),
    ("broken", {"number": 6}, "MemoryError: too large"),
    ("broken", {"number": "many"}, "ValidationError: 1 validation error for broken"),
    ("handled", {"number": 1}, "nothing for 1"),
    ("handled", {"number": "many"}, "That argument is wrong."),
    ("late", {"number": 1}, "TimeoutError: "),
]


def executor_of(model: Model, invocation: str, tools: tuple[BaseTool, ...] = TOOLS) -> LiveExecutor:
    pool_tool = Tool(name="t", tools=tools, invocation=invocation)
    return LiveExecutor(Pool(models=(model,), tools=(pool_tool,)), retries=0)


def caller(name: str, arguments: Any, invocation: str) -> Callable[[dict[str, Any]], Any]:
    """Call a tool once, then answer with what was shown."""
    asked = False

    def reply(body: dict[str, Any]) -> Any:
        nonlocal asked
        if asked:
            return body["messages"][-1]["content"]
        asked = True
        if invocation == "native":
            return {"tool_calls": [call_tool(name, arguments)]}
        return json.dumps({"tool": name, "arguments": arguments})

    return reply


@pytest.mark.parametrize("invocation", ["native", "prompted"])
@pytest.mark.parametrize(("name", "arguments", "error"), CASES)
class TestFailure:
    def test_reaches_the_model_and_the_trace(
        self, serve: Serve, reach: Reach, run: Run, invocation: str, name: str, arguments: Any, error: str
    ) -> None:
        executor = executor_of(reach(serve(caller(name, arguments, invocation))), invocation)
        seen = run(executor, PAIR, QUESTION)
        assert error.strip() in str(seen.answer), "the model is shown what went wrong, and here repeats it"
        (trace,) = seen.tool_trace
        assert (trace.name, trace.arguments, trace.output) == (name, arguments, None)
        assert str(trace.error).startswith(error)
        assert not seen.failed, "the model may still answer"

    def test_reaches_the_trajectory(
        self, serve: Serve, reach: Reach, invocation: str, name: str, arguments: Any, error: str
    ) -> None:
        executor = executor_of(reach(serve(caller(name, arguments, invocation))), invocation)
        trajectory = solve(QUESTION, ScriptedRouter(PAIR), executor)
        assert str(trajectory.observations[0].tool_trace[0].error).startswith(error)


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (call_tool("nothing", {}), "There is no tool named 'nothing'"),
        (call_tool("broken", '{"number": '), "The call could not be read"),
        (call_tool("broken", "[1]"), "its arguments are '[1]', and must be a JSON object"),
    ],
)
def test_a_native_call_that_can_not_be_made_is_told_to_the_model_and_leaves_its_trace(
    serve: Serve, reach: Reach, run: Run, call: Any, problem: str
) -> None:
    replies = iter([{"tool_calls": [call]}, "I see."])
    server = serve(lambda _: next(replies))
    seen = run(executor_of(reach(server), "native"), PAIR, QUESTION)
    assert seen.answer == "I see."
    assert problem in server.bodies[1]["messages"][-1]["content"]
    assert [trace.name for trace in seen.tool_trace] == [call["function"]["name"]]
    assert problem in str(seen.tool_trace[0].error)


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ('{"tool": "nothing", "arguments": {}}', "no tool named 'nothing'"),
        ('{"tool": "broken", "arguments": {"number": ', "no JSON object in"),
        ('{"tool": "broken", "arguments": {}}', "lacks 'number'"),
    ],
)
def test_a_prompted_call_that_can_not_be_made_is_told_to_the_model_and_then_fails_the_run(
    serve: Serve, reach: Reach, run: Run, written: str, problem: str
) -> None:
    server = serve(written)
    seen = run(executor_of(reach(server), "prompted"), PAIR, QUESTION)
    assert problem in server.bodies[1]["messages"][-1]["content"]
    if "lacks" in problem:  # told once, it is made: what the tool says of it is the result
        assert "ValidationError" in str(seen.tool_trace[0].error)
    else:
        assert problem in str(seen.error)


async def test_a_failed_run_is_an_observation_of_the_trajectory(serve: Serve, reach: Reach) -> None:
    executor = executor_of(reach(serve("no call")), "prompted")
    trajectory = await asolve(QUESTION, ScriptedRouter(PAIR), executor)
    assert "no JSON object" in str(trajectory.observations[0].error)
    assert trajectory.answer is None


@pytest.mark.parametrize("invocation", ["native", "prompted", "grounded", "backtracked"])
@pytest.mark.parametrize("bubble", [GraphBubbleUp("up"), GraphInterrupt()])
def test_what_steers_a_graph_passes_through(
    serve: Serve, reach: Reach, run: Run, invocation: str, bubble: GraphBubbleUp
) -> None:
    @tool
    def steering(text: str) -> str:
        """Steer."""
        raise bubble

    native = invocation in ("native", "backtracked")
    server = serve(caller("steering", {"text": "x"}, "native" if native else "prompted"))
    executor = executor_of(reach(server), invocation, (steering,))
    with pytest.raises(type(bubble)):
        run(executor, PAIR, QUESTION)
