"""The process sandbox: what comes back, what lasts between runs, and when it refuses to be made."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests
from standard import OfPython

from langchain_atlas.errors import PoolError, SettingError
from langchain_atlas.tools.python.monty import MontySandbox
from langchain_atlas.tools.python.process import ProcessSandbox
from langchain_atlas.tools.python.sandbox import SessionSandbox
from langchain_atlas.tools.python.sessions import tool_sessions
from langchain_atlas.tools.python.tool import PythonTool, run_unit_tests
from langchain_atlas.tools.registry import build_tools
from tests.tools.python.test_hostile_programs import needs_isolation

pytestmark = needs_isolation


class InProcesses(OfPython):
    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        return {"sandbox": ProcessSandbox()}


class TestStandard(InProcesses, ToolsUnitTests):
    """LangChain's own tests."""


class TestStandardLive(InProcesses, ToolsIntegrationTests):
    """LangChain's own tests that run a program."""


@pytest.fixture(params=["monty", "process"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[SessionSandbox]:
    if request.param == "process":
        yield ProcessSandbox()
        return
    monty = MontySandbox(max_workers=1)
    yield monty
    monty.close()


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("print(2 + 2)", "4"),
        ("print('a')\n'b'", "a\n'b'"),
        ("x = 1", "(the program ran, printed nothing and has no value)"),
        ("class A:\n    pass\nclass B(A):\n    x = 3\nB.x", "3"),
        ("import statistics\nstatistics.mean([1, 2])", "1.5"),
        ("def f():\n    yield 1\nlist(f())", "[1]"),
        ("import sys\nprint('e', file=sys.stderr)", "e"),
        ("with open('a', 'w') as f: f.write('hi')\nopen('a').read()", "'hi'"),
        ("import sys\nsys.exit()", "(the program ran, printed nothing and has no value)"),
        (
            "def f(n):\n    return 1 / n\nprint('before')\nf(0)",
            "Error: ZeroDivisionError: division by zero\nLine 2: return 1 / n\nPrinted before the error:\nbefore",
        ),
        ("x = (1,\nx +", "Error: SyntaxError: '(' was never closed\nLine 1: x = (1,"),
        ("import sys\nsys.exit(3)", "Error: SystemExit: 3"),
    ],
)
def test_full_python_answers(code: str, answer: str) -> None:
    assert PythonTool(sandbox=ProcessSandbox()).invoke({"code": code}) == answer


def test_unit_tests_fail_at_their_line() -> None:
    execution = run_unit_tests("def f(x): return x", "assert f(1) == 1\nassert f(2) == 3", ProcessSandbox())
    assert (execution.snippet, execution.line, execution.error) == (1, 2, "AssertionError")


def test_folders_can_be_imported_from_and_not_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "mine.py").write_text("answer = 42")
    sandbox = ProcessSandbox(folders=[tmp_path])
    assert sandbox.run("import mine\nmine.answer").value == "42"
    assert "OSError" in str(sandbox.run(f"open({str(tmp_path / 'new')!r}, 'w')").error)


def test_each_run_starts_afresh(sandbox: SessionSandbox) -> None:
    assert sandbox.run("leftover = 1").succeeded
    assert sandbox.run("leftover").error == "NameError: name 'leftover' is not defined"


def test_a_session_keeps_names(sandbox: SessionSandbox) -> None:
    with sandbox.session() as session, sandbox.session() as other:
        assert session.run("x = 20\ndef double(n): return 2 * n").succeeded
        assert session.run("1 / 0").error == "ZeroDivisionError: division by zero"
        assert session.run("double(x)").value == "40"
        assert other.run("x").error == "NameError: name 'x' is not defined"


def test_a_session_outlives_a_run_that_took_too_long() -> None:
    with ProcessSandbox(seconds=0.5).session() as session:
        assert session.run("x = 1").succeeded
        error = session.run("while True: pass").error
        assert error == "TimeoutError: the program ran longer than 0.5 s; the names of earlier runs are lost"
        assert session.run("1 + 1").value == "2"
        assert session.run("x").error == "NameError: name 'x' is not defined"


def test_a_stateful_tool_keeps_names_within_a_conversation_only(sandbox: SessionSandbox) -> None:
    tool = PythonTool(sandbox=sandbox, stateful=True)
    with tool_sessions():
        tool.invoke({"code": "x = 20"})
        with tool_sessions():
            assert tool.invoke({"code": "x + 1"}) == "21"
        assert tool.invoke({"code": "x"}) == "20"
    with tool_sessions():
        assert tool.invoke({"code": "x"}).startswith("Error: NameError")
    assert tool.invoke({"code": "x"}).startswith("Error: NameError")
    assert "Names are kept" in tool.description


def test_conversations_in_threads_do_not_meet(sandbox: SessionSandbox) -> None:
    tool = PythonTool(sandbox=sandbox, stateful=True)

    def converse(number: int) -> str:
        with tool_sessions():
            tool.invoke({"code": f"x = {number}"})
            return str(tool.invoke({"code": "x"}))

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(converse, range(6))) == [str(number) for number in range(6)]


async def test_async_calls_share_the_session(sandbox: SessionSandbox) -> None:
    tool = PythonTool(sandbox=sandbox, stateful=True)
    with tool_sessions():
        await tool.ainvoke({"code": "x = 3"})
        assert await tool.ainvoke({"code": "x"}) == "3"


def test_a_pool_file_names_the_backend() -> None:
    (tool,) = build_tools("python", {"backend": "process", "seconds": 3, "stateful": True})
    assert isinstance(tool, PythonTool)
    assert isinstance(tool.sandbox, ProcessSandbox)
    assert tool.stateful
    with pytest.raises(PoolError, match=r"no backend 'proces' for Python. Did you mean 'process'"):
        build_tools("python", {"backend": "proces"})
    with pytest.raises(PoolError, match=r"'monty' takes no 'files_mib'"):
        build_tools("python", {"files_mib": 3})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seconds": 0}, "seconds of a sandbox must be a number above 0, not 0"),
        ({"processes": True}, "processes of a sandbox"),
        ({"isolation": "none"}, "no isolation 'none'. Valid: 'namespaces', 'limits-only'"),
        ({"folders": ["relative"]}, "absolute paths of folders, not 'relative'"),
    ],
)
def test_mistakes_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        ProcessSandbox(**settings)


def test_without_bubblewrap_it_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SettingError, match=r"apt install bubblewrap.*limits-only"):
        ProcessSandbox()


def test_limits_only_still_limits_time_and_memory() -> None:
    sandbox = ProcessSandbox(isolation="limits-only", seconds=1, memory_mib=128)
    assert sandbox.run("1 + 1").value == "2"
    assert "TimeoutError" in str(sandbox.run("while True: pass").error)
    assert "MemoryError" in str(sandbox.run("bytearray(10**9)").error)
