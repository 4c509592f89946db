"""The snippets of docs/tracing.md run, and what it says of the runs is so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pages import blocks, page

from langchain_atlas import create_atlas_graph
from langchain_atlas.evaluation.scoring.feedback import KEYS
from langchain_atlas.tracing import facts

if TYPE_CHECKING:
    import pytest
    from traced import Traces

    from langchain_atlas import LiveExecutor, Router

TEXT = page("docs/tracing.md")


def test_the_snippets_run(
    traces: Traces,
    router: Router,
    executor: LiveExecutor,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LANGSMITH_ENDPOINT", traces.server.url)
    monkeypatch.setenv("LANGSMITH_API_KEY", "any")
    graph = create_atlas_graph(router, executor).compile()
    names: dict[str, Any] = {"router": router, "executor": executor, "graph": graph}
    for snippet in blocks(TEXT, "python"):
        code = snippet.replace("Client(anonymizer", f"Client(api_url={traces.server.url!r}, api_key='any', anonymizer")
        exec(compile(code, "docs/tracing.md", "exec"), names)  # noqa: S102  # our own text
    assert b"Lovelace" not in b"".join(traces.server.bodies)
    assert traces.server.named("atlas.decide")
    assert {entry["key"] for entry in traces.server.feedback} == set(KEYS)
    assert capsys.readouterr().out.splitlines()[-1] == "small@@calculator"
    state = {"messages": [type("Message", (), {"content": "42"})()], "atlas": {"steps": []}}
    assert names["is_right"](state, {"answer": "42"})["results"][0]["score"] == 1.0


def test_every_key_is_told() -> None:
    told = set(re.findall(r"`(atlas_\w+)`", TEXT))
    source = Path(facts.__file__).read_text(encoding="utf-8")
    assert told == {*re.findall(r"(atlas_\w+)=", source), *KEYS}
