"""Parameters of one pair, over the model's and the tool's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_atlas import NO_TOOL, LiveExecutor, Pair, Pool, Query, Tool
from langchain_atlas.testing import call_tool

if TYPE_CHECKING:
    from fixture_types import Reach, Run, Serve


QUESTION = Query(text="Twice 4?")
PARAMETERS = ("temperature", "max_tokens", "reasoning_effort", "stop")


def double(number: int) -> int:
    """Double a number."""
    return 2 * number


def sent(body: dict[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in PARAMETERS if name in body}


def test_win_over_the_models_and_the_tools(serve: Serve, reach: Reach, run: Run) -> None:
    server = serve("8")
    plain = Tool(name="brief", invocation="none", settings={"options": {"max_tokens": 5, "stop": ["."]}})
    pool = Pool(
        models=(reach(server, options={"temperature": 1.0, "max_tokens": 99}),),
        tools=(NO_TOOL, plain),
        pair_options={Pair("small", "brief"): {"temperature": 0.2, "max_tokens": 7}},
    )
    run(LiveExecutor(pool), Pair("small", "brief"), QUESTION)
    run(LiveExecutor(pool), Pair("small"), QUESTION)
    assert [sent(body) for body in server.bodies] == [
        {"temperature": 0.2, "max_tokens": 7, "stop": ["."]},
        {"temperature": 1.0, "max_tokens": 99},
    ]


def test_go_with_every_call_of_the_pair(serve: Serve, reach: Reach, run: Run) -> None:
    replies = iter([{"tool_calls": [call_tool("double", {"number": 4})]}, "8"])
    server = serve(lambda _: next(replies))
    pool = Pool(
        models=(reach(server, litellm="openai/gpt-5-mini"),),
        tools=(Tool(name="math", tools=(double,)),),
        pair_options={Pair("small", "math"): {"reasoning_effort": "low"}},
    )
    assert run(LiveExecutor(pool), Pair("small", "math"), QUESTION).answer == "8"
    assert [sent(body) for body in server.bodies] == [{"reasoning_effort": "low"}] * 2
