"""The examples in README.md and the pages of the docs run."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from pages import ROOT, blocks, page, save_router, stand_in
from provider import serve

from langchain_atlas.evaluation.profiling.queries import read_queries
from langchain_atlas.execution.live import LiveExecutor
from langchain_atlas.outcomes import COLUMNS, OPTIONAL_COLUMNS
from langchain_atlas.outcomes.importers import KINDS
from langchain_atlas.pool.pool import Model, Pool

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from fixture_types import Serve

__all__ = ["serve", "stand_in"]


def test_the_readmes_python_runs(stand_in: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = stand_in(lambda _: "4929.91")
    save_router(tmp_path, {"mini@@calculator": 1.0, "mini@@none": 0.0, "sonnet@@none": 0.0})
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for code in blocks(page("README.md"), "python"):
        exec(compile(code, "README.md", "exec"), names)  # noqa: S102  # our own text
    record = names["state"]["messages"][-1].response_metadata["atlas"]
    assert record["pair"] == "mini@@calculator"
    assert names["state"]["messages"][-1].content == "4929.91"
    assert [tool["function"]["name"] for tool in server.requests[0].body["tools"]] == ["calculator"]
    assert str(names["decision"].pair) == "mini@@calculator"


def test_the_readmes_questions_are_read(tmp_path: Path) -> None:
    (lines,) = blocks(page("README.md"), "json")
    (tmp_path / "questions.jsonl").write_text(lines, encoding="utf-8")
    asked = read_queries(tmp_path / "questions.jsonl")
    assert [item.query.id for item in asked] == ["q1", "q2", "q3"]
    assert [item.scorer.score(given, item.answer) for item, given in zip(asked, ("80", "It was Ode.", "?"), strict=True) if item.scorer] == [1.0, 1.0, 0.0]  # fmt: skip # noqa: E501


def test_the_pool_of_the_docs_is_read(tmp_path: Path) -> None:
    (text,) = blocks(page("docs/pools.md"), "yaml")
    (tmp_path / "pool.yaml").write_text(text, encoding="utf-8")
    pool = Pool.load(tmp_path / "pool.yaml")
    assert {model.name for model in pool.models} == {"mini", "sonnet", "ours"}
    assert pool.model("mini").input_cost_per_token == 1.5e-7  # from LiteLLM's table
    names: dict[str, Any] = {}
    (code,) = blocks(page("docs/pools.md"), "python")
    exec(compile(code, "docs/pools.md", "exec"), names)  # noqa: S102  # our own text
    assert len(names["pool"].pairs) == 4


def test_the_tools_of_the_docs_are_made(tmp_path: Path) -> None:
    names: dict[str, Any] = {}
    section = page("docs/tools/your-own.md")
    python, pools = (blocks(section, kind)[0] for kind in ("python", "yaml"))
    exec(compile(python, "docs/tools/your-own.md", "exec"), names)  # noqa: S102  # our own text
    made = [names[name] for name in ("one", "kit", "library", "expert", "files", "wiki")]
    assert [tool.name for tool in made] == ["double", "kit", "library", "expert", "files", "wiki"]
    offline = Pool(models=(Model(name="mini"),), tools=tuple(made[:4]))
    assert len(LiveExecutor(offline).pool.pairs) == 4
    (tmp_path / "pool.yaml").write_text(f"models: {{mini: {{}}}}\n{pools}", encoding="utf-8")
    assert Pool.load(tmp_path / "pool.yaml").tool("files").arguments["only"] == ["read_file"]


def test_every_file_that_the_docs_link_to_is_there() -> None:
    for name in ["README.md", "CONTRIBUTING.md", *(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page(name)):
            assert (ROOT / name).parent.joinpath(target).exists(), f"{name} links to {target}"


def test_langgraph_json_names_graphs_that_are_there() -> None:
    for target in json.loads(page("langgraph.json"))["graphs"].values():
        path, _, attribute = target.partition(":")
        assert re.search(rf"^{attribute} = ", page(path), flags=re.MULTILINE)


def test_the_python_of_the_pages_on_logs_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "langchain_atlas/demo/logs/helpdesk.csv", tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("docs/logs.md", "docs/logs-of.md", "docs/outcome_table.md"):
        for code in blocks(page(name), "python"):
            if "litellm.callbacks" not in code:  # tests/integrations/test_litellm_recorder.py runs it
                exec(compile(code, name, "exec"), {})  # noqa: S102  # our own text


def test_the_page_on_logs_names_every_kind() -> None:
    for name in KINDS:
        assert f"| `{name}` |" in page("docs/logs.md")


def test_the_page_on_the_table_names_every_column() -> None:
    for column in (*COLUMNS, *OPTIONAL_COLUMNS):
        assert f"`{column.name}`" in page("docs/outcome_table.md")
