"""BFCL's own single-turn questions and checker over pairs of the embedded models, through our executor.

Two things are measured. Whether the plumbing loses anything: a scripted provider makes the calls that BFCL accepts, in
native and in prompted form, and what arrives at the tools is judged by BFCL. And how the embedded models do.

Run with: make bench-bfcl-live, which makes the environment that BFCL's package needs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from langchain_core.messages import convert_to_messages
from langchain_core.tools import StructuredTool
from rich.console import Console
from rich.progress import track
from rich.table import Table

from langchain_atlas import NO_TOOL, LiveExecutor, Model, Pair, Pool, Query, Tool
from langchain_atlas.execution.invocations.calls.formats import FORMATS
from langchain_atlas.files import write_text
from langchain_atlas.testing import OpenAIServer, call_tool

ROOT = Path(__file__).resolve().parents[1]
JUDGE = (str(ROOT / ".venv-bfcl" / "bin" / "python"), str(ROOT / "benchmarks" / "bfcl_judge.py"))
RESULTS = ROOT / "benchmarks" / "results" / "bfcl_live.json"
MISTAKE = 2

CATEGORIES = (
    "simple_python", "multiple", "parallel", "parallel_multiple", "irrelevance",
    "live_simple", "live_multiple", "live_parallel", "live_parallel_multiple", "live_irrelevance", "live_relevance",
)  # fmt: skip
"""BFCL's single-turn categories, without Java and JavaScript, whose values are written in those languages."""

SHORT = ("simple_python", "multiple", "parallel", "parallel_multiple", "irrelevance", "live_simple", "live_relevance")
"""Those for the embedded models: the others offer up to 37 functions, which take these models minutes to read."""

EMBEDDED = ("smollm2-135m", "gemma-3-270m")

PROMPTED: dict[str, Any] = {"max_calls": 64, "answer": "tool", "options": {"max_tokens": 160}}

INTERFACES: dict[str, dict[str, Any]] = {
    "native": {"invocation": "native", "settings": {"max_rounds": 1, "options": {"max_tokens": 40}}},
    "native, forced": {
        "invocation": "native",
        "settings": {"max_rounds": 1, "tool_choice": "required", "options": {"max_tokens": 160}},
    },
    "prompt": {"invocation": "prompted", "settings": PROMPTED},
    "react": {"invocation": "prompted", "settings": {"format": "react", "max_rounds": 16}},
}
"""Ways of using the functions: the fields of the pool's tool."""

FAMILIES = tuple(name for name in FORMATS if name != "qwen")  # which is another name of hermes
"""Formats in which the perfect model writes its calls."""

Question = Mapping[str, Any]
Calls = list[dict[str, dict[str, Any]]]


def judge(command: str, **options: object) -> Any:
    """Run BFCL's side and return what it wrote."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        given = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        subprocess.run([*JUDGE, command, *given, "--out", str(out)], check=True)
        return json.loads(out.read_text(encoding="utf-8"))


def score(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with BFCL's verdicts."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.json"
        results.write_text(json.dumps(rows), encoding="utf-8")
        return [{**row, **verdict} for row, verdict in zip(rows, judge("score", results=results), strict=True)]


def tools_of(question: Question, *, is_answer: bool) -> list[StructuredTool]:
    """Make LangChain tools of the question's functions; what they are called with stands in the observation.

    Args:
        question: the question.
        is_answer: whether a single call ends the run, which saves the model the answer that nobody reads.
    """
    return [
        StructuredTool(
            name=function["name"],
            description=function["description"],
            args_schema=function["parameters"],
            func=lambda **_: "done",
            return_direct=is_answer,
        )
        for function in (tool["function"] for tool in question["tools"])
    ]


def ask(question: Question, model: Model, interface: str, chat_model: Any) -> dict[str, Any]:
    """Let a pair answer a question, and return the calls that arrived at the tools."""
    fields = INTERFACES.get(interface) or {"invocation": "prompted", "settings": {**PROMPTED, "format": interface}}
    offered = tools_of(question, is_answer=interface != "react")
    tool = Tool.of(offered, name="functions", **fields) if offered else NO_TOOL  # some questions offer none
    executor = LiveExecutor(Pool(models=(model,), tools=(tool,)), chat_models={model.name: chat_model})
    *history, last = convert_to_messages(question["messages"])
    seen = executor.run(Pair(model.name, tool.name), Query(text=str(last.text), history=tuple(history)))
    calls: Calls = [{trace.name: trace.arguments} for trace in seen.tool_trace]
    return {
        "id": question["id"],
        "category": question["category"],
        "pair": f"{model.name} {interface}",
        "calls": calls,
        "failure": seen.error,
        "latency_s": seen.latency_s,
    }


def perfect_reply(question: Question, interface: str) -> Callable[[dict[str, Any]], Any]:
    """Return what the perfect model says to a request: the calls that BFCL accepts, then a text."""
    calls = [(name, arguments) for call in question["right"] for name, arguments in call.items()]

    def reply(body: dict[str, Any]) -> Any:
        if not calls:
            return "None of these functions is needed."
        if interface == "react":  # one call a round
            said = [message for message in body["messages"] if message["role"] == "assistant"]
            made = len(said) - sum(message["role"] == "assistant" for message in question["messages"])
            return FORMATS[interface].write(*calls[made]) if made < len(calls) else "Final Answer: Done."
        if body["messages"][-1]["role"] == "tool":
            return "Done."
        if interface == "native":
            return {"tool_calls": [call_tool(name, given, f"call_{n}") for n, (name, given) in enumerate(calls)]}
        return "\n".join(FORMATS[interface].write(name, arguments) for name, arguments in calls)

    return reply


def run_perfect(questions: Iterable[Question]) -> list[dict[str, Any]]:
    """Run the scripted provider over LiteLLM and HTTP; also hand the right calls over as they stand."""
    os.environ["ATLAS_BENCH_KEY"] = "not-a-secret"
    rows = []
    with OpenAIServer(lambda _: "") as server:
        model = Model(
            name="perfect",
            litellm="openai/perfect",
            options={"api_base": server.url},
            api_key_env="ATLAS_BENCH_KEY",
            function_calling=True,
        )
        chat_model = _chat_model(model)
        for question in track(list(questions), "perfect model", console=Console(stderr=True), transient=True):
            facts = {"id": question["id"], "category": question["category"]}
            rows.append({**facts, "pair": "direct", "calls": question["right"], "failure": None})
            for interface in ("native", *FAMILIES):
                server.reply = perfect_reply(question, interface)
                rows.append(ask(question, model, interface, chat_model))
            server.requests.clear()
    return score(rows)


def run_embedded(questions: list[Question], interfaces: list[str]) -> list[dict[str, Any]]:
    """Run the embedded models in some interfaces."""
    rows = []
    for name in EMBEDDED:
        model = Model(
            name=name, litellm=f"atlas-local/{name}", function_calling=True, structured_output=True,
            options={"temperature": 0},
        )  # fmt: skip
        chat_model = _chat_model(model)
        for interface in interfaces:
            label = f"{name}, {interface}"
            bar = track(questions, label, console=Console(stderr=True), transient=True)
            rows += [ask(question, model, interface, chat_model) for question in bar]
    return score(rows)


def _chat_model(model: Model) -> Any:
    from langchain_atlas.execution.models.chat_models import build_chat_model

    return build_chat_model(model, timeout_s=60, retries=0)


def accuracies(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return, by pair: questions, how many are right in each category, and BFCL's reasons for the others."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        entry = found.setdefault(
            row["pair"], {"n": 0, "right": 0, "categories": defaultdict(lambda: [0, 0]), "errors": defaultdict(int)}
        )
        entry["n"] += 1
        entry["right"] += row["right"]
        entry["categories"][row["category"]][0] += row["right"]
        entry["categories"][row["category"]][1] += 1
        if row["error"]:
            entry["errors"][row["error"] if row["calls"] else "no call"] += 1
    return found


def show(title: str, found: Mapping[str, Mapping[str, Any]], terminal: Console) -> None:
    """Print right answers of each category and pair, in counts."""
    table = Table("category", *found, title=title, box=None)
    for category in next(iter(found.values()))["categories"]:
        counts = [entry["categories"][category] for entry in found.values()]
        table.add_row(category, *(f"{right} of {n}" for right, n in counts))
    table.add_row("all", *(f"{100 * entry['right'] / entry['n']:.1f}%" for entry in found.values()), style="bold")
    terminal.print(table)


def main() -> None:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--perfect", type=int, default=50, help="questions a category for the perfect model; 0 for all")
    parser.add_argument("--most", type=int, default=10, help="questions a category for the embedded models; 0 for none")
    parser.add_argument(
        "--interfaces", default="native;native, forced;prompt", help="for the embedded models, split by ';'"
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    if not Path(JUDGE[0]).exists():
        print(f"There is no {JUDGE[0]}; run: make bench-bfcl-live", file=sys.stderr)
        sys.exit(MISTAKE)
    terminal, start = Console(width=160), time.perf_counter()
    parts = {"perfect": run_perfect(judge("questions", categories=",".join(CATEGORIES), most=given.perfect))}
    show("A perfect model through the executor, judged by BFCL", accuracies(parts["perfect"]), terminal)
    if given.most:
        sample = judge("questions", categories=",".join(SHORT), most=given.most)
        parts["embedded"] = run_embedded(sample, given.interfaces.split(";"))
        show("The embedded models, judged by BFCL", accuracies(parts["embedded"]), terminal)
    figures = {name: accuracies(rows) for name, rows in parts.items()}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    write_text(given.out, json.dumps({"figures": figures, "rows": parts}, indent=1, ensure_ascii=False) + "\n")
    terminal.print(f"{time.perf_counter() - start:.0f} s; figures in {given.out}")


if __name__ == "__main__":
    main()
