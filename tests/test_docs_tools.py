"""What docs/tools.md and the pages below it say is true."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda
from pages import blocks, page
from pictures import picture

from langchain_atlas import LiveExecutor, Model, Pool
from langchain_atlas.errors import SettingError
from langchain_atlas.execution.invocations import INVOCATIONS
from langchain_atlas.pool.pool import Tool
from langchain_atlas.tools.search import WEB_PROVIDERS
from langchain_atlas.tools.vision import PROCEDURES

if TYPE_CHECKING:
    from pathlib import Path

PAGES = {
    name: page(f"docs/tools/{name}.md") for name in ("calculator", "python", "search", "images", "calling", "answers")
}
MODELS = (Model(name="small"),)


def section(name: str) -> str:
    """Return a page by its title, or the section of a page by its own."""
    (text,) = (text for text in PAGES.values() if re.search(rf"^##? {name}$", text, flags=re.MULTILINE))
    return text if text.startswith(f"# {name}\n") else text.partition(f"## {name}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("name", ["How models call tools", "Ranking", "Refining"])
def test_the_pool_files_are_read_and_their_tools_built(name: str, tmp_path: Path) -> None:
    (block,) = blocks(section(name), "yaml")
    (tmp_path / "pool.yaml").write_text(f"models: {{small: {{}}}}\n{block}", encoding="utf-8")
    pool = Pool.load(tmp_path / "pool.yaml")
    assert {tool.name for tool in pool.tools} == set(yaml.safe_load(block)["tools"])
    LiveExecutor(pool)


def test_the_scorer_runs() -> None:
    (code,) = blocks(section("Ranking"), "python")
    names: dict[str, Any] = {}
    exec(compile(code, "docs/tools", "exec"), names)  # noqa: S102  # our own text
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
        inherited = {"system", "options", "tool_choice", "max_rounds", "max_calls"}
        assert named <= fields
        assert fields - inherited <= named


def test_the_searches_of_the_docs_are_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = blocks(section("Search"), "yaml")
    (tmp_path / "handbook").mkdir()
    (tmp_path / "handbook" / "a.md").write_text("The ferry leaves at noon.")
    (tmp_path / "pool.yaml").write_text(f"models: {{small: {{}}}}\n{block}".replace("my_package.search", __name__))
    monkeypatch.setenv("BRAVE_SEARCH_API_KEY", "k")
    monkeypatch.setenv("TAVILY_API_KEY", "k")
    LiveExecutor(Pool.load(tmp_path / "pool.yaml"))


retriever = RunnableLambda(lambda _: [Document("found")])


def test_the_search_of_the_docs_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks(section("Search"), "python")
    exec(compile(code, "docs/tools", "exec"), {})  # noqa: S102  # our own text
    assert capsys.readouterr().out == "[1] ferries.md\nThe ferry leaves at noon.\n"


def test_the_environment_variables_of_search_are_those(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section("Search"), flags=re.MULTILINE)
    assert {name for name, _ in rows} == set(WEB_PROVIDERS)
    for name, told in rows:
        named = re.findall(r"`([A-Z_]+)`", told)
        for variable in named:
            monkeypatch.delenv(variable, raising=False)
        for variable in named:
            with pytest.raises(SettingError, match=f"'{variable}', which is not set"):
                WEB_PROVIDERS[name]()
            monkeypatch.setenv(variable, "k")


def test_the_pool_for_images_pairs_as_the_docs_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = blocks(section("Images"), "yaml")
    (tmp_path / "pool.yaml").write_text(block)
    pool = Pool.load(tmp_path / "pool.yaml")
    LiveExecutor(pool)
    assert {str(pair) for pair in pool.pairs if pair.model == "words"} == {"words@@none", "words@@tesseract"}
    assert len([pair for pair in pool.pairs if pair.model in ("mini", "ours")]) == 12
    (code,) = blocks(section("Images"), "python")
    (tmp_path / "sales.png").write_bytes(picture())
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(code, "docs/tools", "exec"), names)  # noqa: S102  # our own text
    assert names["query"].images[0].startswith("data:image/png;base64,")


def test_the_stages_of_the_docs_are_those() -> None:
    told = re.search(r"`prompts` \((.*?)\)", section("Images"), flags=re.DOTALL)
    assert told is not None
    for part in told[1].partition(":")[2].split(";"):
        name, *stages = re.findall(r"`(\w+)`", part)
        assert stages == list(PROCEDURES[name].prompts)
