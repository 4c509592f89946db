"""The examples in docs/graphs.md run, and its drawing is the graph's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pages import blocks, page, save_router, stand_in

from langchain_atlas import create_atlas_graph
from langchain_atlas.testing import ScriptedExecutor, ScriptedRouter

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from fixture_types import Serve

__all__ = ["stand_in"]

PAGE = "docs/graphs.md"


def test_the_pages_python_runs(stand_in: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = stand_in(lambda body: f"{body['model']} says 4929.91", "OPENAI", "ANTHROPIC")
    save_router(tmp_path, {"mini@@calculator": 1.0, "mini@@none": 0.0, "sonnet@@none": 0.5})
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for code in blocks(page(PAGE), "python"):
        code = code.replace("anthropic/claude-sonnet-4-5", "openai/claude-sonnet-4-5")  # noqa: PLW2901  # one server
        exec(compile(code, PAGE, "exec"), names)  # noqa: S102  # our own text
        if "waiting" in names and "before" not in names:
            assert names["waiting"]["__interrupt__"][0].value["pair"] == "sonnet@@none"
            assert names["state"]["atlas"]["pair"] == "mini@@none"
    assert names["state"]["atlas"]["pair"] == "sonnet@@none"
    assert server.bodies[-1]["model"] == "claude-sonnet-4-5"


def test_the_drawing_is_that_of_the_graph() -> None:
    graph = create_atlas_graph(ScriptedRouter("a@@none"), ScriptedExecutor({}), approve=0.01).compile()
    (drawn,) = blocks(page(PAGE), "mermaid")
    assert drawn.strip() == graph.get_graph().draw_mermaid().strip()
    picture = page("docs/images/graph.svg")
    assert [name for name in graph.get_graph().nodes if f">{name.strip('_')}</text>" not in picture] == []
