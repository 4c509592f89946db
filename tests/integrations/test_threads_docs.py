"""The examples in docs/threads.md and docs/stalled-loops.md run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pages import blocks, page
from priced_threads import Rated, pool_at

from langchain_atlas import EscalatingRouter, LiveExecutor, StayingRouter

if TYPE_CHECKING:
    import pytest
    from fixture_types import Serve

PAGES = ("docs/threads.md", "docs/stalled-loops.md")


def test_the_pages_python_runs(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    pool = pool_at(serve("ok"))
    names: dict[str, Any] = {"router": Rated(), "pool": pool, "executor": LiveExecutor(pool)}
    for code in [code for name in PAGES for code in blocks(page(name), "python")]:
        exec(compile(code, "docs/threads.md", "exec"), names)  # noqa: S102  # our own text
    assert isinstance(names["thrifty"], StayingRouter)
    assert isinstance(names["patient"], EscalatingRouter)
    assert capsys.readouterr().out == "{'rounds': 0.0, 'repeats': 0.0, 'errors': 0.0, 'stale': 0.0}\n"
