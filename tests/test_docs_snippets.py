"""Every Python snippet of the documentation is run by a test, or says why not.

A block marked ``python`` is run; one that can't be is marked ``py``, and the page says why.
"""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from pages import ROOT, blocks, page, save_router, stand_in
from provider import serve
from recorded import row, table_of

from langchain_atlas import AtlasNode, ClusterRouter, LiveExecutor, Pool, Query, Router, Store
from langchain_atlas.routers.operating import OperatingCurve, OperatingPoint

sys.path.insert(0, str(ROOT / "benchmarks"))
from leaderboard import Entry

if TYPE_CHECKING:
    from pathlib import Path

    from fixture_types import Serve

__all__ = ["serve", "stand_in"]

RUN_BY = {
    "README.md": "test_readme.py",
    "docs/agent-pairs.md": "test_agents_and_verifiers_docs.py",
    "docs/chat_model.md": "integrations/test_langchain_docs.py",
    "docs/graphs.md": "integrations/test_graphs_docs.py",
    "docs/index.md": "test_docs_site.py",
    "docs/langchain.md": "integrations/test_langchain_docs.py",
    "docs/logs-of.md": "test_readme.py",
    "docs/logs.md": "test_readme.py",
    "docs/outcome_table.md": "test_readme.py",
    "docs/pools.md": "test_readme.py",
    "docs/scoring.md": "evaluation/test_scoring_docs.py",
    "docs/stalled-loops.md": "integrations/test_threads_docs.py",
    "docs/threads.md": "integrations/test_threads_docs.py",
    "docs/tools/answers.md": "test_docs_tools.py",
    "docs/tools/images.md": "test_docs_tools.py",
    "docs/tools/search.md": "test_docs_tools.py",
    "docs/tools/your-own.md": "test_readme.py",
    "docs/tracing.md": "tracing/test_docs.py",
    "docs/verifiers.md": "test_agents_and_verifiers_docs.py",
}
"""Pages whose snippets another test runs; all of docs/how-to, and tutorials, are run by test_docs_site.py."""
OTHERWISE = {
    "docs/drift.md": [
        ("    ...\n", "    pass\n"),
        (", ...]", ', "What is 2 + 2?", "Who wrote Emma?", "When is noon?", "Where is Oslo?"]'),
        ("questions.start()", "questions.close()"),
        ("gpt-4o-2024-08-06", "mini-2024-08-06"),
        ("gpt-4o-2024-11-20", "mini-2024-11-20"),
    ],
    "docs/encoders.md": [('"path/to/a/model"', '"all-MiniLM-L6-v2"'), ("router.warm()", "router.warm")],
    "docs/shadow.md": [("...\nrouter.record", "router.decide(query)\nrouter.record")],
    "docs/store.md": [('"postgresql://atlas@db/atlas"', '"sqlite:///atlas.db"')],
}
"""What can't be had here, and what takes its place: databases of others, models that lie elsewhere."""
HERE = (
    "docs/drift.md",
    "docs/encoders.md",
    "docs/language_model.md",
    "docs/leaderboard.md",
    "docs/limits.md",
    "docs/metrics.md",
    "docs/rl.md",
    "docs/settings.md",
    "docs/shadow.md",
    "docs/store.md",
    "docs/tools/calculator.md",
    "docs/tools/python.md",
)
"""Pages whose snippets are run below."""
PAIRS = {"mini@@none": 1.0, "sonnet@@none": 0.0}


@pytest.fixture
def names(stand_in: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the snippets take to be there: files in the working folder, and variables."""
    stand_in(lambda _: "42", "OPENAI", "ANTHROPIC")
    monkeypatch.chdir(tmp_path)
    save_router(tmp_path, PAIRS)
    router = Router.load("router")
    point = OperatingPoint(
        value_usd=0.01, always=None, accuracy=0.9, accuracy_ci95=(0.8, 1.0), versus_single=0.0, cost_usd_per_1k=1.0,
        cost_known=1.0, latency_s_mean=1.0, calls_per_query=1.0,
    )  # fmt: skip
    router.curve = OperatingCurve(points=(point, point), chosen=0, best=0, n_queries=400, reason="it is cheapest")
    router.save("router")
    router.save("candidate")
    table_of(*(row(f"q{n}", pair, score, 0.001) for n in range(450) for pair, score in PAIRS.items())).save(
        "outcomes.parquet"
    )
    (tmp_path / "pool.yaml").write_text(
        "models: {mini: {litellm: openai/gpt-4o-mini}, sonnet: {litellm: openai/gpt-4o}}\n", encoding="utf-8"
    )
    return {"router": router, "executor": LiveExecutor(Pool.load("pool.yaml")), "query": Query(text="What is 6 * 7?")}


def run(name: str, names: dict[str, Any]) -> None:
    """Run the snippets of a page one after the other, in one place."""
    for code in blocks(page(name), "python"):
        for there, here in OTHERWISE.get(name, []):
            code = code.replace(there, here)  # noqa: PLW2901
        exec(compile(code, name, "exec"), names)  # noqa: S102  # our own text


@pytest.mark.parametrize("name", ["docs/language_model.md", "docs/limits.md", "docs/rl.md", "docs/settings.md"])
def test_snippets_that_need_a_router_and_a_pool_run(name: str, names: dict[str, Any]) -> None:
    run(name, names)


def test_the_snippets_on_encoders_run(names: dict[str, Any]) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")
    run("docs/encoders.md", names)


def test_the_snippet_that_parts_a_table_runs(names: dict[str, Any], tmp_path: Path) -> None:
    run("docs/metrics.md", names)
    assert (tmp_path / "to-judge.parquet").is_file()


@pytest.mark.parametrize("name", ["docs/tools/calculator.md", "docs/tools/python.md"])
def test_a_tools_snippets_print_what_stands_beside_them(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(name, {})
    told = re.findall(r"# (.+)$", "".join(blocks(page(name), "python")), flags=re.MULTILINE)
    assert capsys.readouterr().out.splitlines() == told


def test_the_snippets_on_shadows_and_canaries_run(names: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    run("docs/shadow.md", {**names, "is_valid": bool})
    assert len(capsys.readouterr().out.splitlines()) >= 2


def test_the_snippets_on_the_store_run(names: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("alembic")
    from langgraph.graph import START, MessagesState, StateGraph

    asked: list[str] = []
    monkeypatch.setattr(Store, "record_langsmith", lambda self, project, **_: asked.append(project))  # noqa: ARG005
    builder = StateGraph(MessagesState)
    builder.add_node("atlas", AtlasNode(names["router"], names["executor"], store="sqlite:///atlas.db"))
    builder.add_edge(START, "atlas")
    state = builder.compile().invoke({"messages": [("user", "What is 6 times 7?")]})
    given = {"state": state, "builder": builder, "store": Store("sqlite:///atlas.db")}
    times = {"datetime": datetime, "UTC": UTC, "timedelta": timedelta}
    run("docs/store.md", {**names, **given, **times})
    assert asked == ["my-project"]


def test_the_snippets_on_drift_run(names: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("alembic")
    old, new = "mini-2024-08-06@@calculator", "mini-2024-11-20@@calculator"
    rows = [row(f"q{n}", pair, 1.0, 0.001) for n in range(12) for pair in (old, "sonnet@@none")]
    table, router = table_of(*rows), ClusterRouter(n_clusters=1)
    probes = table_of(*rows, *(row(f"q{n}", new, 1.0, 0.001) for n in range(12)))
    executor = LiveExecutor(Pool.load("pool.yaml"))
    run("docs/drift.md", {"router": router.fit(table), "executor": executor, "table": table, "probes": probes})
    assert len(capsys.readouterr().out.splitlines()) >= 2


def test_the_snippet_on_the_leaderboard_makes_an_entry() -> None:
    entries: list[Entry] = []
    router = ClusterRouter()
    written = {"Entry": lambda *given: entries.append(Entry(*given)), "MyRouter": lambda *_, **__: router}
    run("docs/leaderboard.md", {**written, "encoder": None})
    assert [entry.make(0) for entry in entries] == [router]


def test_every_snippet_is_run_or_says_why_not() -> None:
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        name = str(path.relative_to(ROOT))
        text = path.read_text(encoding="utf-8")
        if "```py\n" in text:
            assert re.search(r"\*What was run:\*|can't be run here", text), f"{name}: why is a snippet not run?"
        if not blocks(text, "python") or name in HERE or name.startswith(("docs/how-to/", "docs/tutorials/")):
            continue
        assert name in RUN_BY, f"no test runs the Python of {name}; run it, or mark it `py` and say why"
        assert path.stem in page(f"tests/{RUN_BY[name]}"), f"{RUN_BY[name]} does not run {name}"
