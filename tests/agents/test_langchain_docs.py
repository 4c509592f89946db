"""The examples in docs/langchain.md run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from recorded import row, table_of

from langchain_atlas import ClusterRouter
from langchain_atlas.testing import OpenAIServer, call_tool

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[2] / "docs" / "langchain.md"


def reply(body: dict[str, Any]) -> Any:
    """Call the calculator where it is on offer, and answer with what it says."""
    if body["messages"][-1]["role"] == "tool":
        return body["messages"][-1]["content"]
    offered = [tool["function"]["name"] for tool in body.get("tools", [])]
    if "calculator" in offered:
        return {"tool_calls": [call_tool("calculator", {"expression": "67 * 74 - 28.09"})]}
    return {"tool_calls": [call_tool(offered[0], {"city": "Oslo"})]} if offered else "4929.91"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    with OpenAIServer(reply) as running:
        monkeypatch.setenv("OPENAI_API_BASE", running.url)
        monkeypatch.setenv("OPENAI_API_KEY", "not-a-secret")
        monkeypatch.setenv("DISABLE_AIOHTTP_TRANSPORT", "True")
        yield running


def test_the_pages_python_runs(
    server: OpenAIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = {"mini@@calculator": 1.0, "mini@@none": 0.0, "sonnet@@none": 0.0}
    outcomes = [row(f"what is {n} times 3?", pair, score, 0.001) for n in range(8) for pair, score in pairs.items()]
    ClusterRouter(n_clusters=1).fit(table_of(*outcomes)).save(tmp_path / "router")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    printed = []
    for code in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL):
        exec(compile(code, str(PAGE), "exec"), names)  # noqa: S102  # our own text
        printed.append(capsys.readouterr().out.splitlines())
    pair = "mini@@calculator"
    assert printed[:3] == [["4929.91", pair], ["4929.91", pair], ["{'city': 'Oslo'}"]]
    assert [lines[-1] for lines in printed[3:]] == ["4929.91", "4929.91"]
    assert printed[3][0].startswith(f"4929.91 {pair} ")
    assert {body["model"] for body in server.bodies} == {"gpt-4o-mini"}
