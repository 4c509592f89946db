"""How long starting takes, in fresh processes, medians of five runs; and how long a cold process takes to ask a model.

The first answer: a process starts, loads a saved router, makes a graph and asks it one question. Measured is the time
until a local server has the request for the model. Beside it the same question through `ChatLiteLLM` in a LangGraph
node, which decides nothing: what the imports of LangGraph and LiteLLM take.

Run with: make bench-startup
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from common import two_models

from langchain_atlas import ClusterRouter
from langchain_atlas.testing import OpenAIServer

RUNS = 5
LATEST_S = 2.5
"""Seconds from the start of a process to the request of its first answer, at most."""
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import langchain_atlas": [sys.executable, "-c", "import langchain_atlas"],
    "langchain-atlas --help": [str(Path(sys.executable).with_name("langchain-atlas")), "--help"],
}
GRAPH = """
import sys
from langchain_atlas import LiveExecutor, Pool, Router, create_atlas_graph
router = Router.load(sys.argv[1])
graph = create_atlas_graph(router, LiveExecutor(Pool.load(sys.argv[2]))).compile()
graph.invoke({"messages": [("user", "What is two plus two?")]})
"""
NODE = """
import sys
from langchain_litellm import ChatLiteLLM
from langgraph.graph import END, START, MessagesState, StateGraph
chat = ChatLiteLLM(model="openai/small", api_base=sys.argv[3], api_key="any")
graph = StateGraph(MessagesState)
graph.add_node("answer", lambda state: {"messages": [chat.invoke(state["messages"])]})
graph.add_edge(START, "answer")
graph.add_edge("answer", END)
graph.compile().invoke({"messages": [("user", "What is two plus two?")]})
"""
FIRST_ANSWERS = {"first answer, create_atlas_graph": GRAPH, "first answer, ChatLiteLLM in a node": NODE}
POOL = """
models:
  small: {{litellm: openai/small, options: {{api_base: "{url}"}}, api_key_env: ATLAS_BENCHMARK_KEY}}
  large: {{litellm: openai/large, options: {{api_base: "{url}"}}, api_key_env: ATLAS_BENCHMARK_KEY}}
tools:
  none: {{}}
"""


def median_seconds(command: list[str]) -> float:
    """Return the median wall time of the command, after one run that warms the disk's cache."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def first_answers(folder: Path) -> dict[str, dict[str, float]]:
    """Return for each way the seconds to the first request, and of a processor until the process has ended."""
    arrived: list[float] = []

    def answer(body: object) -> str:
        del body
        arrived.append(time.perf_counter())
        return "four"

    router, pool = folder / "router", folder / "pool.yaml"
    ClusterRouter(n_clusters=2).fit(two_models(100)).save(router)
    settings = {"ATLAS_BENCHMARK_KEY": "any", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "HF_HUB_OFFLINE": "1"}
    with OpenAIServer(answer) as server:
        pool.write_text(POOL.format(url=server.url), encoding="utf-8")

        def ask(program: str) -> tuple[float, float]:
            command = [sys.executable, "-c", program, str(router), str(pool), server.url]
            arrived.clear()
            spent, start = processor_seconds(), time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **settings})
            return arrived[0] - start, processor_seconds() - spent

        return in_turns({name: partial(ask, program) for name, program in FIRST_ANSWERS.items()})


def in_turns(ways: dict[str, Callable[[], tuple[float, float]]]) -> dict[str, dict[str, float]]:
    """Measure some ways in turns, after one run of each; return medians."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(1 + RUNS):
        for name, way in ways.items():
            found[name].append(way())
    return {
        name: {"request_s": statistics.median(wall), "processor_s": statistics.median(spent)}
        for name, (wall, spent) in ((name, zip(*seen[1:], strict=True)) for name, seen in found.items())
    }


def processor_seconds() -> float:
    """Return the seconds that processes started from here, and ended, have spent on a processor."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure and print, and write the figures when a file is named."""
    figures: dict[str, object] = {name: median_seconds(command) for name, command in COMMANDS.items()}
    for name, seconds in figures.items():
        print(f"{name:36} {seconds:.3f} s")
    with tempfile.TemporaryDirectory() as folder:
        answers = first_answers(Path(folder))
    for name, found in answers.items():
        print(f"{name:36} {found['request_s']:.2f} s to the request, {found['processor_s']:.2f} s of a processor")
    ours = next(iter(answers.values()))["request_s"]
    print(f"{'at most':36} {LATEST_S:.2f} s: {'reached' if ours <= LATEST_S else 'missed'}")
    figures |= answers
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
