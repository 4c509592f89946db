"""The examples in docs/langchain.md and docs/chat_model.md run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pages import blocks, page, save_router, stand_in

from langchain_atlas.testing import call_tool

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from fixture_types import Serve

__all__ = ["stand_in"]

PAGES = ("docs/langchain.md", "docs/chat_model.md")


def reply(body: dict[str, Any]) -> Any:
    """Call the calculator where it is on offer, and answer with what it says."""
    if body["messages"][-1]["role"] == "tool":
        return body["messages"][-1]["content"]
    offered = [tool["function"]["name"] for tool in body.get("tools", [])]
    if "calculator" in offered:
        return {"tool_calls": [call_tool("calculator", {"expression": "67 * 74 - 28.09"})]}
    return {"tool_calls": [call_tool(offered[0], {"city": "Oslo"})]} if offered else "4929.91"


def test_the_pages_python_runs(
    stand_in: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = stand_in(reply)
    save_router(tmp_path, {"mini@@calculator": 1.0, "mini@@none": 0.0, "sonnet@@none": 0.0})
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    printed = []
    agent, *chains = blocks(page(PAGES[0]), "python")
    for code in (agent, *blocks(page(PAGES[1]), "python"), *chains):
        exec(compile(code, "docs/langchain.md", "exec"), names)  # noqa: S102  # our own text
        printed.append(capsys.readouterr().out.splitlines())
    pair = "mini@@calculator"
    assert printed[:3] == [["4929.91", pair], ["4929.91", pair], ["{'city': 'Oslo'}"]]
    assert [lines[-1] for lines in printed[3:]] == ["4929.91", "4929.91"]
    assert printed[3][0].startswith(f"4929.91 {pair} ")
    assert {body["model"] for body in server.bodies} == {"gpt-4o-mini"}
