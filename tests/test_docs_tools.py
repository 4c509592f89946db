"""What docs/tools.md says of ranking and refining is true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from langchain_atlas import LiveExecutor, Model, Pool
from langchain_atlas.execution.invocations import INVOCATIONS
from langchain_atlas.pool import Tool

TEXT = (Path(__file__).parents[1] / "docs/tools.md").read_text(encoding="utf-8")
MODELS = (Model(name="small"),)


def section(name: str) -> str:
    return TEXT.partition(f"## {name}\n")[2].partition("\n## ")[0]


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", section(name), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", ["Ranking", "Refining"])
def test_the_pool_files_are_read_and_their_tools_built(name: str, tmp_path: Path) -> None:
    (block,) = blocks(name, "yaml")
    (tmp_path / "pool.yaml").write_text(f"models: {{small: {{}}}}\n{block}", encoding="utf-8")
    pool = Pool.load(tmp_path / "pool.yaml")
    assert {tool.name for tool in pool.tools} == set(yaml.safe_load(block)["tools"])
    LiveExecutor(pool)


def test_the_scorer_runs() -> None:
    (code,) = blocks("Ranking", "python")
    names: dict[str, Any] = {}
    exec(compile(code, "docs/tools.md", "exec"), names)  # noqa: S102  # our own text
    assert isinstance(names["tool"], Tool)
    assert names["tool"].tools[0].invoke({"question": "?", "answers": ["abc", "a"]}).startswith('{"best": 1')
    LiveExecutor(Pool(models=MODELS, tools=(names["tool"],)))


def test_every_setting_is_one_of_the_invocation() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", section("Refining"), flags=re.MULTILINE)
    assert {name for name, _ in rows} == {"refined", "segmented", "debugged", "backtracked"}
    for name, told in rows:
        values = {"program", "output", "model", "none", "context", "native"}
        named = set(re.findall(r"`(\w+)`", told)) - values
        fields = set(INVOCATIONS[name].Settings.model_fields)
        inherited = {"system", "options", "tool_choice", "max_rounds"}
        assert named <= fields
        assert fields - inherited <= named
