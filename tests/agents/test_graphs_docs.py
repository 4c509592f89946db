"""The examples in docs/graphs.md run, and its drawing is the graph's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from recorded import row, table_of

from langchain_atlas import ClusterRouter, create_atlas_graph
from langchain_atlas.testing import OpenAIServer, ScriptedExecutor, ScriptedRouter

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[2] / "docs" / "graphs.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    with OpenAIServer(lambda body: f"{body['model']} says 4929.91") as running:
        for provider in ("OPENAI", "ANTHROPIC"):
            monkeypatch.setenv(f"{provider}_API_BASE", running.url)
            monkeypatch.setenv(f"{provider}_API_KEY", "not-a-secret")
        monkeypatch.setenv("DISABLE_AIOHTTP_TRANSPORT", "True")
        yield running


def test_the_pages_python_runs(server: OpenAIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = {"mini@@calculator": 1.0, "mini@@none": 0.0, "sonnet@@none": 0.5}
    outcomes = [row(f"what is {n} times 3?", pair, score, 0.001) for n in range(8) for pair, score in pairs.items()]
    ClusterRouter(n_clusters=1).fit(table_of(*outcomes)).save(tmp_path / "router")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for code in blocks("python"):
        code = code.replace("anthropic/claude-sonnet-4-5", "openai/claude-sonnet-4-5")  # noqa: PLW2901  # one server
        exec(compile(code, "docs/graphs.md", "exec"), names)  # noqa: S102  # our own text
        if "waiting" in names and "before" not in names:
            assert names["waiting"]["__interrupt__"][0].value["pair"] == "sonnet@@none"
            assert names["state"]["atlas"]["pair"] == "mini@@none"
    assert names["state"]["atlas"]["pair"] == "sonnet@@none"
    assert server.bodies[-1]["model"] == "claude-sonnet-4-5"


def test_the_drawing_is_that_of_the_graph() -> None:
    graph = create_atlas_graph(ScriptedRouter("a@@none"), ScriptedExecutor({}), approve=0.01).compile()
    (drawn,) = blocks("mermaid")
    assert drawn.strip() == graph.get_graph().draw_mermaid().strip()
    assert (PAGE.parent / "images" / "graph.png").stat().st_size < 200_000
