"""What the integrations add to a model call when 200 tasks ask at a time, and whether every answer gets to who asked.

A local OpenAI-compatible server, in a process of its own, answers each request after 50 ms with the words it was sent.
The same 200 questions are asked in several ways in turns, again and again in one run, and the medians are compared:
by bare HTTP (`aiohttp`), by OpenAI's client and by `ChatLiteLLM` directly, by `ChatLiteLLM` in a LangGraph node (what
LangGraph itself costs), by `AtlasNode` in such a node's place, and by `create_atlas_graph`, which takes four steps for
one call. The router is a fitted cluster router with the real encoder. Questions are new to it in the first round and
cached afterwards; the first round is told apart. All but bare HTTP are bound by one Python process's time on a
processor, more than by the 50 ms; so what each adds to one call is given in milliseconds too.

Run with: make bench-concurrency
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from common import RESULTS, Clock, check, show, show_checks, two_models, write
from langchain_core.messages import HumanMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from openai import AsyncOpenAI

from langchain_atlas import (
    NO_TOOL,
    AtlasNode,
    ClusterRouter,
    LiveExecutor,
    Model,
    Pool,
    create_atlas_graph,
)
from langchain_atlas.integrations.graphs.graph import AtlasState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    Ask = Callable[[str], Awaitable[str]]

TASKS = 200
DELAY_S = 0.05
PATIENCE_S = 10.0
LIMIT = 1.15
"""Most that the wall time through a graph may be, over that of calling the server directly."""

SERVER = """
import sys
from langchain_atlas.testing import OpenAIServer
with OpenAIServer(lambda body: "heard " + body["messages"][-1]["content"], delay_s=float(sys.argv[1])) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""


@contextmanager
def serving() -> Iterator[str]:
    """Run the server in a process of its own, and yield its URL."""
    command = [sys.executable, "-c", SERVER, str(DELAY_S)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101  # it is a pipe
        yield process.stdout.readline().strip()
        process.communicate("")


def routed(url: str) -> tuple[ClusterRouter, LiveExecutor]:
    """Return a fitted router of two models, and what reaches them at the server."""
    models = tuple(
        Model(
            name=name,
            litellm=f"openai/{name}",
            options={"api_base": url},
            api_key_env="ATLAS_BENCHMARK_KEY",
            input_cost_per_token=price,
            output_cost_per_token=price,
        )
        for name, price in (("small", 1e-6), ("large", 1e-5))
    )
    router = ClusterRouter(n_clusters=2).fit(two_models(20))
    return router, LiveExecutor(Pool(models=models, tools=(NO_TOOL,)))


def ways(url: str, session: aiohttp.ClientSession) -> dict[str, Ask]:
    """Return the ways to ask, by name."""
    router, executor = routed(url)
    chat = executor.chat_model("small")
    atlas_graph = create_atlas_graph(router, executor).compile()
    node = _graph(AtlasState, AtlasNode(router, executor))

    async def call(state: Any) -> Any:
        return {"messages": [await chat.ainvoke(state["messages"])]}

    bare = _graph(MessagesState, call)

    # With 200 requests at a time it now and then waits for a reply that has come: then it asks again.
    client = AsyncOpenAI(base_url=url, api_key="any", timeout=PATIENCE_S)

    async def by_http(text: str) -> str:
        body = {"model": "small", "messages": [{"role": "user", "content": text}]}
        async with session.post(f"{url}/chat/completions", json=body) as reply:
            return str((await reply.json())["choices"][0]["message"]["content"])

    async def by_openai(text: str) -> str:
        reply = await client.chat.completions.create(model="small", messages=[{"role": "user", "content": text}])
        return str(reply.choices[0].message.content)

    async def by_litellm(text: str) -> str:
        return (await chat.ainvoke([HumanMessage(text)])).text

    def through(graph: Any) -> Ask:
        async def ask(text: str) -> str:
            state = await graph.ainvoke({"messages": [HumanMessage(text)]})
            return str(state["messages"][-1].text)

        return ask

    return {
        "HTTP": by_http,
        "OpenAI": by_openai,
        "ChatLiteLLM": by_litellm,
        "LangGraph": through(bare),
        "AtlasNode": through(node),
        "create_atlas_graph": through(atlas_graph),
    }


def _graph(state: Any, node: Any) -> Any:
    builder = StateGraph(state)
    builder.add_node("answer", node)
    builder.add_edge(START, "answer")
    builder.add_edge("answer", END)
    return builder.compile()


async def ask_all(ask: Ask, texts: list[str]) -> tuple[float, float, int]:
    """Ask everything at once; return seconds on the wall and of this process, and how many answers are wrong."""
    wall, processor = time.perf_counter(), time.process_time()
    answers = await asyncio.gather(*(ask(text) for text in texts))
    spent = time.perf_counter() - wall, time.process_time() - processor
    return *spent, sum(answer != f"heard {text}" for text, answer in zip(texts, answers, strict=True))


async def measure(url: str, rounds: int) -> dict[str, Any]:
    """Ask in every way in turns."""
    texts = [f"{('history', 'algebra')[number % 2]} question, token {number:05d}" for number in range(TASKS)]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        found: dict[str, Any] = {name: {"walls": [], "processor": [], "crossed": 0} for name in ways(url, session)}
        for number, (name, ask) in enumerate(ways(url, session).items()):
            await ask("history question, to warm up")
            fresh = [f"{text}, asked {number}" for text in texts]
            found[name]["first_s"], _, found[name]["crossed"] = await ask_all(ask, fresh)
        asks = ways(url, session)
        for ask in asks.values():
            await ask_all(ask, texts)
        gc.collect()
        gc.freeze()  # as servers do: or else what was loaded is looked through again and again, in the midst of a round
        for _ in range(rounds):
            for name, ask in asks.items():
                wall, processor, crossed = await ask_all(ask, texts)
                found[name]["walls"].append(wall)
                found[name]["processor"].append(processor)
                found[name]["crossed"] += crossed
    return found


def main() -> None:
    """Measure, and show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, default=RESULTS / "concurrency.json")
    given = parser.parse_args()
    os.environ.setdefault("ATLAS_BENCHMARK_KEY", "any")
    clock = Clock()
    with clock.part("asking"), serving() as url:
        found = asyncio.run(measure(url, given.rounds))
    for result in found.values():
        result["wall_s"] = statistics.median(result["walls"])
        result["processor_s"] = statistics.median(result["processor"])
    for name, result in found.items():
        result["ratios"] = {
            base: statistics.median(a / b for a, b in zip(result["walls"], found[base]["walls"], strict=True))
            for base in list(found)[:4]
            if name != base
        }
    checks = _show(found)
    figures = {"tasks": TASKS, "delay_s": DELAY_S, "rounds": given.rounds, "ways": found, "checks": checks}
    write(given.json, figures, clock)


def _show(found: dict[str, Any]) -> list[dict[str, Any]]:
    bases = list(found)[:4]
    rows = [
        (
            name,
            f"{result['wall_s']:.2f}",
            f"{result['processor_s']:.2f}",
            f"{result['first_s']:.2f}",
            f"{1000 * (result['processor_s'] - found['ChatLiteLLM']['processor_s']) / TASKS:+.2f}",
            *(f"{result['ratios'][base]:.2f}" if base in result["ratios"] else "" for base in bases),
            str(result["crossed"]),
        )
        for name, result in found.items()
    ]
    title = f"{TASKS} tasks at a time, answers after {1000 * DELAY_S:.0f} ms: medians"
    columns = ("way", "wall s", "cpu s", "first s", "ms more a call", *(f"/ {base}" for base in bases), "wrong")
    show(title, columns, rows)
    crossed = sum(result["crossed"] for result in found.values())
    checks = [check("lost or crossed answers", str(crossed), passed=crossed == 0)]
    for base, way in (("OpenAI", "OpenAI's client"), ("ChatLiteLLM", "ChatLiteLLM")):
        for name in ("AtlasNode", "create_atlas_graph"):
            ratio = found[name]["ratios"][base]
            checks.append(check(f"{name} over {way} directly", f"{ratio:.2f}", passed=ratio < LIMIT))
    show_checks(checks)
    return checks


if __name__ == "__main__":
    main()
