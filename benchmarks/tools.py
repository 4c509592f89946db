"""What each invocation costs on top of the bare calls of the model.

Both sides send the same requests to a provider on this machine that answers at once, in a process of its own: the bare
side by a `ChatLiteLLM` with tools and parameters bound beforehand, ours by `LiveExecutor`. Their runs alternate, so
that whatever else the machine does falls on both. Tools' own time counts as ours.

Run with: make bench-tools
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
os.environ.setdefault("ATLAS_BENCHMARK_KEY", "none")

import json

from langchain_core.runnables.config import ContextThreadPoolExecutor
from rich.console import Console
from rich.table import Table

from langchain_atlas import NO_TOOL, LiveExecutor, Model, Pair, Pool, Query, Tool
from langchain_atlas.execution.invocations import ModelCall, ToolCall
from langchain_atlas.execution.tool_calls import tool_input, trace_of
from langchain_atlas.testing import OpenAIServer, call_tool

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.runnables import Runnable

BAR_MS = 3.0
"""Most milliseconds at the median that `none` and `native` may cost on top."""
BARRED = ("none", "native, no call", "native, one call")
RESULTS = Path(__file__).resolve().parent / "results" / "tools.json"
PLAIN, CALLING = Query(text="What is 6 times 7?"), Query(text="Call it: what is 6 times 7?")


def multiply(first: int, second: int) -> int:
    """Multiply two numbers."""
    return first * second


def reply(body: dict[str, Any]) -> Any:
    """Say what each kind of request wants to hear."""
    asked, last = str(body["messages"][0]["content"]), str(body["messages"][-1]["content"])
    if "tools" in body:
        called = any(message["role"] == "tool" for message in body["messages"])
        wants = asked == CALLING.text and not called
        return {"tool_calls": [call_tool("multiply", {"first": 6, "second": 7})]} if wants else "It is 42."
    if asked.startswith("You have"):
        return '{"tool": "multiply", "arguments": {"first": 6, "second": 7}}'
    if "NO FAULT" in last:
        return "NO FAULT"
    return "KEEP" if "KEEP" in last else "```python\nprint(6 * 7)\n```" if "```python" in last else "It is 42."


TOOLS = (
    NO_TOOL,
    Tool(name="native", tools=(multiply,)),
    Tool(name="prompted", tools=(multiply,), invocation="prompted"),
    Tool(name="grounded", use="python", invocation="grounded", settings={"pattern": "(6)"}),
    Tool(name="ranked", invocation="ranked", settings={"samples": 5}),
    Tool(name="refined", invocation="refined"),
    Tool(name="segmented", invocation="segmented"),
    Tool(name="debugged", use="python", invocation="debugged"),
    Tool(name="backtracked", tools=(multiply,), invocation="backtracked"),
)
CASES = {
    "none": ("none", PLAIN),
    "native, no call": ("native", PLAIN),
    "native, one call": ("native", CALLING),
    "backtracked, one call": ("backtracked", CALLING),
    **{name: (name, PLAIN) for name in ("prompted", "grounded", "ranked", "refined", "segmented", "debugged")},
}
"""Rows of the table: the tool and the query of each."""


def bare_run(executor: LiveExecutor, chat_model: Any, tool: str, query: Query) -> Callable[[], None]:
    """Return a function that makes the model calls of one run with `chat_model` alone, bound beforehand."""
    conversation = executor.invocation(tool).converse(query)
    steps: list[list[tuple[Runnable[Any, Any], list[Any]]]] = []
    calls = next(conversation)
    while True:
        replies: list[Any] = []
        step = []
        for call in calls:
            if isinstance(call, ToolCall):
                replies.append(trace_of(call, 0.0, message=call.tool.invoke(tool_input(call))))
                continue
            assert isinstance(call, ModelCall)  # noqa: S101  # nothing is refused here
            bound = _bound(chat_model, call)
            step.append((bound, list(call.messages)))
            replies.append(bound.invoke(list(call.messages)))
        steps += [step] if step else []
        try:
            calls = conversation.send(tuple(replies))
        except StopIteration:
            break

    def run() -> None:
        for step in steps:
            if len(step) == 1:
                step[0][0].invoke(step[0][1])
                continue
            with ContextThreadPoolExecutor(len(step)) as threads:
                list(threads.map(lambda pair: pair[0].invoke(pair[1]), step))

    return run


def _bound(chat_model: Any, call: ModelCall) -> Runnable[Any, Any]:
    options = dict(call.options)
    if call.tools:
        bound: Runnable[Any, Any] = chat_model.bind_tools(list(call.tools), tool_choice=call.tool_choice, **options)
        return bound
    alone: Runnable[Any, Any] = chat_model
    return alone.bind(**options) if options else alone


def measure(url: str, rounds: int) -> dict[str, dict[str, float]]:
    """Time all cases, bare and ours in turn."""
    from langchain_litellm import ChatLiteLLM

    options = {"api_base": url}
    model = Model(name="small", litellm="openai/small", options=options, api_key_env="ATLAS_BENCHMARK_KEY")
    executor = LiveExecutor(Pool(models=(model,), tools=TOOLS))
    ours: Any = executor.chat_model("small")
    chat_model = ChatLiteLLM(model="openai/small", api_base=url, api_key="none", model_kwargs=dict(ours.model_kwargs))
    bare = {name: bare_run(executor, chat_model, *case) for name, case in CASES.items()}
    seconds: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in CASES}
    for number in range(-10, rounds):  # the first ten are not counted
        for name, (tool, query) in CASES.items():
            pair = Pair("small", tool)
            start = time.perf_counter()
            bare[name]()
            middle = time.perf_counter()
            seen = executor.run(pair, query)
            end = time.perf_counter()
            if seen.failed:
                raise RuntimeError(f"{name}: {seen.error}")
            if number >= 0:
                seconds[name][0].append(middle - start)
                seconds[name][1].append(end - middle)
    return {name: _figures(*times) for name, times in seconds.items()}


def _figures(bare: list[float], ours: list[float]) -> dict[str, float]:
    added = [other - one for one, other in zip(bare, ours, strict=True)]
    return {
        "bare_ms": 1000 * statistics.median(bare),
        "ours_ms": 1000 * statistics.median(ours),
        "added_ms": 1000 * statistics.median(added),
    }


def serve() -> None:
    """Run the provider until whoever started this process closes its input."""
    with OpenAIServer(reply) as server:
        print(server.url, flush=True)
        sys.stdin.read()


def main() -> int:
    """Measure, print, write the figures; status 1 where one is above its bar."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve()
        return 0
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as provider:
        assert provider.stdout is not None  # noqa: S101  # for the type checker: it was asked for
        figures = measure(provider.stdout.readline().strip(), given.rounds)
        provider.communicate()
    table = Table("invocation", "bare calls, ms", "ours, ms", "added, ms (median)")
    for name, row in figures.items():
        table.add_row(name, *(f"{row[column]:.2f}" for column in ("bare_ms", "ours_ms", "added_ms")))
    Console().print(table)
    above = [name for name in BARRED if figures[name]["added_ms"] >= BAR_MS]
    print(f"above {BAR_MS} ms: {', '.join(above)}" if above else f"none and native are under {BAR_MS} ms")
    given.out.parent.mkdir(exist_ok=True)
    given.out.write_text(
        json.dumps({"rounds": given.rounds, "invocations": figures}, indent=1) + "\n", encoding="utf-8"
    )
    return 1 if above else 0


if __name__ == "__main__":
    sys.exit(main())
