"""What docs/agent-pairs.md and docs/verifiers.md show runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from pages import blocks, page

from langchain_atlas import LiveExecutor, Pool
from langchain_atlas.execution import verifiers

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("name", "count"), [("docs/agent-pairs.md", 2), ("docs/verifiers.md", 1)])
def test_the_snippets_run(name: str, count: int) -> None:
    code = blocks(page(name), "python")
    assert len(code) == count
    for block in code:
        exec(compile(block, name, "exec"), {})  # noqa: S102  # our own text


def test_the_pool_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agents, variants = blocks(page("docs/agent-pairs.md"), "yaml")
    (tmp_path / "agents_of_the_docs.py").write_text("def coder(model):\n    return model\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    named = agents.replace("my_package.agents", "agents_of_the_docs")
    (tmp_path / "pool.yaml").write_text(f"models: {{small: {{}}}}\n{named}")
    LiveExecutor(Pool.load(tmp_path / "pool.yaml"))
    (tmp_path / "pool.yaml").write_text(variants)
    pool = Pool.load(tmp_path / "pool.yaml")
    assert {pair.model for pair in pool.pairs} == {"gpt5-low", "gpt5-high"}
    models: dict[str, Any] = yaml.safe_load(variants)["models"]
    assert pool.model("gpt5-high").options == models["gpt5-high"]["options"]


def test_every_verifier_is_named() -> None:
    text = page("docs/verifiers.md")
    others = {"Verifier", "Verifiers", "FunctionVerifier", "as_verifier"}
    for name in set(verifiers.__all__) - others:
        assert f"`{name}(" in text
