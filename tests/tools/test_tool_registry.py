"""From names in a pool file to tools."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import BaseTool, tool

from langchain_atlas.errors import PoolError, SettingError
from langchain_atlas.tools.calculator import Calculator
from langchain_atlas.tools.python.tool import PythonTool
from langchain_atlas.tools.registry import build_tools
from langchain_atlas.tools.search import SearchTool


@tool
def shout(text: str) -> str:
    """Say it louder."""
    return text.upper()


both = [shout, Calculator()]
nothing: list[BaseTool] = []
number = 3


def make(name: str, count: int = 1) -> Sequence[BaseTool]:
    return [Calculator(name=f"{name}{index}") for index in range(count)]


def make_text() -> str:
    return "not a tool"


@pytest.fixture
def here() -> str:
    return f"{__name__}:"


def test_calculator_by_name() -> None:
    (built,) = build_tools("calculator")
    assert isinstance(built, Calculator)
    assert built.invoke({"expression": "2+2"}) == "4"


def test_python_with_limits() -> None:
    (built,) = build_tools("python", {"seconds": 0.1})
    assert isinstance(built, PythonTool)
    assert "longer than 0.1 s" in built.invoke({"code": "while True: pass"})


def test_search_over_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("The ferry leaves at noon.")
    (built,) = build_tools("search", {"folder": str(tmp_path), "k": 1})
    assert isinstance(built, SearchTool)
    assert built.k == 1
    assert "at noon" in built.invoke({"query": "ferry"})


def test_a_tool_of_a_module(here: str) -> None:
    assert build_tools(here + "shout") == (shout,)


def test_a_list_of_tools_of_a_module(here: str) -> None:
    assert build_tools(here + "both") == tuple(both)


def test_a_factory_is_called_with_the_arguments(here: str) -> None:
    built = build_tools(here + "make", {"name": "calc", "count": 2})
    assert [tool.name for tool in built] == ["calc0", "calc1"]


def test_a_class_is_built_with_the_arguments() -> None:
    (built,) = build_tools("langchain_atlas.tools.calculator:Calculator", {"name": "sums"})
    assert built.name == "sums"


@pytest.mark.parametrize(
    ("use", "arguments", "message"),
    [
        ("calculater", {}, "there is no tool 'calculater'. Did you mean 'calculator'"),
        ("", {}, "Valid: 'calculator', 'ocr', 'python', 'ranking', 'search'"),
        (":make", {}, "package.module:attribute"),
        ("calculator", {"digits": 3}, "arguments 'digits'.*It takes: none"),
        ("search", {}, "needs one of 'provider', 'folder' and 'retriever'"),
        ("search", {"foldr": "x"}, "arguments 'foldr'.*It takes: 'provider', 'folder'"),
        ("python", {"secs": 3}, "'secs'.*It takes: 'backend', 'stateful', 'seconds', 'memory_mib'"),
        ("no_such_package.tools:make", {}, "can't import 'no_such_package.tools'"),
        ("langchain_atlas.tools.calculator:Calculater", {}, "Did you mean 'Calculator'"),
        ("langchain_atlas.tools.calculator:Calculator", {"name": 3}, "can't be built with the arguments 'name'"),
    ],
)
def test_mistakes_are_named(use: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(PoolError, match=message):
        build_tools(use, arguments)


@pytest.mark.parametrize(
    ("attribute", "arguments", "message"),
    [
        ("number", {}, "gives int 3, which is not a LangChain tool"),
        ("nothing", {}, "empty list"),
        ("make_text", {}, "gives str 'not a tool'"),
        ("make", {"title": "x"}, "It takes: 'name', 'count'"),
        ("shout", {"loud": True}, "takes no arguments, such as 'loud'"),
    ],
)
def test_mistakes_in_own_modules_are_named(here: str, attribute: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(PoolError, match=message):
        build_tools(here + attribute, arguments)


@pytest.mark.parametrize(("use", "arguments"), [("python", {"seconds": 0}), ("search", {"folder": "/no/such/folder"})])
def test_values_out_of_range_are_setting_errors(use: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        build_tools(use, arguments)


def test_importing_the_tools_imports_nothing_heavy() -> None:
    program = (
        "import sys, langchain_atlas.tools.registry\n"
        "heavy = {'flint', 'bm25s', 'pydantic_monty', 'numpy', 'torch', 'litellm'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert answer.strip() == "[]"
