"""The Python tool and its sandbox: what comes back, and what can't get out."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.tools import ToolException
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests
from standard import OfPython

from langchain_atlas.errors import SettingError
from langchain_atlas.tools.python.monty import MontySandbox, shared_sandbox
from langchain_atlas.tools.python.sandbox import Execution, Sandbox
from langchain_atlas.tools.python.tool import PythonTool, run_unit_tests, unwrap_fences


class TestStandard(OfPython, ToolsUnitTests):
    """LangChain's own tests."""


class TestStandardLive(OfPython, ToolsIntegrationTests):
    """LangChain's own tests that run a program."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[MontySandbox]:
    sandbox = MontySandbox(seconds=0.5, memory_mib=32, max_output=1000, max_workers=2)
    yield sandbox
    sandbox.close()


@pytest.fixture
def tool(sandbox: MontySandbox) -> PythonTool:
    return PythonTool(sandbox=sandbox)


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("print(2 + 2)", "4"),
        ("x = 20\nx + 1", "21"),
        ("print('a')\n'b'", "a\n'b'"),
        ("1, 2;  # a comment", "(1, 2)"),
        ("(1 +\n 2)", "3"),
        ("'''one\ntwo'''", "'one\\ntwo'"),
        ("x = 'é'; 'ü' + x", "'üé'"),
        (r"'\d' + '\\'", repr("\\d\\")),
        ("class P:\n    def __repr__(self):\n        return 'mine'\nP()", "mine"),
        ("import math\nmath.factorial(5)", "120"),
        ("print('x')\nNone", "x"),
        ("x = 1", "(the program ran, printed nothing and has no value)"),
        ("", "(the program ran, printed nothing and has no value)"),
    ],
)
def test_answers_with_output_and_value(tool: PythonTool, code: str, answer: str) -> None:
    assert tool.invoke({"code": code}) == answer


ANY_PYTHON_KNOWS = st.characters(max_codepoint=0x2FFF, exclude_categories=["Cs", "Cn"])
"""Characters that every Python shows alike: what `repr` escapes changes with the edition of Unicode."""


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(ANY_PYTHON_KNOWS, max_size=10)
        | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text(ANY_PYTHON_KNOWS, max_size=5), inner, max_size=4)
        ),
        max_leaves=10,
    )
)
def test_the_value_is_what_python_would_show(value: Any) -> None:
    execution = shared_sandbox().run(f"{value!r}")
    assert execution.error is None
    assert execution.value == (None if value is None else repr(value))


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("print(1)", "print(1)"),
        ("```python\nprint(1)\n```", "print(1)\n"),
        ("```\nprint(1)\n```", "print(1)\n"),
        ("Here it is:\n```py\nprint(1)\n```\nIt prints 1.", "print(1)\n"),
        ("```text\n1\n```\n```python\nprint(1)\n```", "print(1)\n"),
        ("```python\nprint(1)", "print(1)"),
        ("```python\r\nprint(1)\r\n```", "print(1)\n"),
        ("s = '''a ``` b'''", "s = '''a ``` b'''"),
        ("print('''\n```\nfenced\n```\n''')", "print('''\n```\nfenced\n```\n''')"),
        ("```python\nprint(1)```", "print(1)"),
        ("```python\nprint(1)```\nIt prints 1.", "print(1)"),
        ("```python\ns = '```'\nprint(s)\n```", "s = '```'\nprint(s)\n"),
        ("```python print(1)```", "print(1)"),
        ("```print(1)```", "print(1)"),
        ("`print(1)`", "print(1)"),
        ("~~~python\nprint(1)\n~~~", "print(1)\n"),
        ("````python\nprint(1)\n````", "print(1)\n"),
        ("```{python}\nprint(1)\n```", "print(1)\n"),
        ("```text\n1\n```\n```python {.numbered}\nprint(1)\n```", "print(1)\n"),
        ("1. So:\n   ```python\n   print(1)\n   ```", "print(1)\n"),
        ("    x = 1\n    print(x)", "x = 1\nprint(x)"),
        (">>> for x in [1]:\n...     x\n1", "for x in [1]:\n    x"),
        ("\ufeffprint(1)", "print(1)"),
    ],
)
def test_fences_are_unwrapped(text: str, program: str) -> None:
    assert unwrap_fences(text) == program


def test_an_error_names_line_cause_and_earlier_output(tool: PythonTool) -> None:
    code = "def f(n):\n    return 1 / n\nprint('before')\nf(0)"
    assert tool.invoke({"code": code}) == (
        "Error: ZeroDivisionError: division by zero\nLine 2: return 1 / n\nPrinted before the error:\nbefore"
    )


def test_an_error_is_a_message_of_status_error(tool: PythonTool) -> None:
    call = {"name": "python", "args": {"code": "1/0"}, "id": "1", "type": "tool_call"}
    assert tool.invoke(call).status == "error"


def test_an_error_is_an_exception_for_a_caller_who_wants_it(sandbox: MontySandbox) -> None:
    tool = PythonTool(sandbox=sandbox, handle_tool_error=False)
    with pytest.raises(ToolException, match="ZeroDivisionError"):
        tool.invoke({"code": "1/0"})


@pytest.mark.parametrize(
    ("code", "missing"),
    [
        ("class A:\n    pass\nclass B(A):\n    pass", "class inheritance"),
        ("def f():\n    yield 1", "yield"),
        ("import numpy", "the module numpy"),
        ("from collections import OrderedDict", "collections.OrderedDict"),
        ("input()", "the built-in input"),
        ("str.maketrans('a', 'b')", "str.maketrans"),
        ("open('/etc/passwd')", "files"),
        ("import os\nos.environ", "os.environ"),
    ],
)
def test_what_the_sandbox_lacks_is_said(tool: PythonTool, code: str, missing: str) -> None:
    execution = tool.sandbox.run(code)
    assert execution.unsupported is not None
    assert missing in execution.unsupported
    assert f"The sandbox lacks {execution.unsupported}" in tool.invoke({"code": code})


@pytest.mark.parametrize(
    "code", ["nothing", "1/0", "raise NotImplementedError('x')", "import math\nmath.nothing", "[].x"]
)
def test_mistakes_of_the_program_are_not_blamed_on_the_sandbox(sandbox: MontySandbox, code: str) -> None:
    execution = sandbox.run(code)
    assert execution.error is not None
    assert execution.unsupported is None


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("while True:\n    pass", "TimeoutError: the program ran longer than 0.5 s"),
        ("while True:\n    try:\n        while True: pass\n    except BaseException:\n        pass", "TimeoutError"),
        ("import time\nwhile True:\n    time.sleep(1000)", "TimeoutError"),
        ("sum(range(10**12))", "TimeoutError"),
        ("x = [0] * 10**9", "MemoryError: the program needed more than 32 MiB"),
        ("x = []\nwhile True:\n    x.append('abc' * 1000)", "MemoryError"),
        ("9**9**9", "MemoryError"),
        ("a = []\nfor _ in range(60):\n    a = [a, a]\na", "Error"),  # of memory or of time, by how busy the machine is
        ("def f():\n    return f()\nf()", "RecursionError"),
        ("(" * 50_000, "SyntaxError"),
        ("-" * 50_000 + "1", "SyntaxError"),
        ("x" * 100_001, "at most 100000"),
        ("'\ud800'", "SyntaxError"),
        ("\x00", "SyntaxError"),
        ("().__class__.__base__.__subclasses__()", "AttributeError"),
        ("(lambda: 0).__globals__", "AttributeError"),
        ("'{0.__class__}'.format(1)", "AttributeError"),
        ("getattr(1, '__class__')", "AttributeError"),
        ("__builtins__", "NameError"),
        ("__import__('os')", "NameError"),
        ("eval(\"__import__('os')\")", "NameError"),
        ("open('/etc/passwd').read()", "PermissionError"),
        ("open('new', 'w')", "PermissionError"),
        ("from pathlib import Path\nPath('/').iterdir()", "PermissionError"),
        ("import os\nos.listdir('/')", "PermissionError"),
        ("import os\nos.environ['HOME']", "not supported"),
        ("import os\nos.system('true')", "AttributeError"),
        ("import socket", "ModuleNotFoundError"),
        ("import subprocess", "ModuleNotFoundError"),
        ("import ctypes", "ModuleNotFoundError"),
        ("import urllib.request", "ModuleNotFoundError"),
        ("raise ValueError('x' * 10**6)", "ValueError: xxx"),
    ],
    ids=lambda text: ascii(text[:30]),
)
def test_hostile_programs_get_an_error(sandbox: MontySandbox, code: str, error: str) -> None:
    started = time.perf_counter()
    execution = sandbox.run(code)
    assert execution.error is not None
    assert error in execution.error
    assert len(execution.error) <= 1000
    assert time.perf_counter() - started < 3
    assert sandbox.run("1 + 1").value == "2"


def test_no_value_but_text_leaves_the_sandbox(sandbox: MontySandbox) -> None:
    execution = sandbox.run("a = []\nfor _ in range(100_000):\n    a = [a]\nreturn a")
    assert execution.value is None


def test_long_output_is_cut_and_the_program_goes_on(tool: PythonTool) -> None:
    execution = tool.sandbox.run("for i in range(10_000):\n    print(i)\n'end'")
    assert execution.truncated
    assert len(execution.output) == 1000
    assert execution.output.startswith("0\n1\n2\n")
    assert execution.value == "'end'"
    assert tool.invoke({"code": "'x' * 5000"}) == "'" + "x" * 999 + "\n(cut: the full text is longer)"


def test_each_run_starts_afresh(sandbox: MontySandbox) -> None:
    assert sandbox.run("leftover = 1").succeeded
    assert sandbox.run("leftover").error == "NameError: name 'leftover' is not defined"


def test_programs_of_one_run_share_their_names(sandbox: MontySandbox) -> None:
    execution = sandbox.run("x = 20\nprint('first')", "x + 1")
    assert (execution.output, execution.value) == ("first\n", "21")


class TestUnitTests:
    code = "```python\ndef double(x):\n    return x + x\n```"

    def test_right_code_passes(self) -> None:
        assert run_unit_tests(self.code, "assert double(2) == 4\nassert double('a') == 'aa'").succeeded

    def test_wrong_code_fails_at_the_line_of_the_test(self) -> None:
        execution = run_unit_tests(self.code, "assert double(2) == 4\nassert double(3) == 7")
        assert (execution.snippet, execution.line) == (1, 2)
        assert execution.error == "AssertionError: assert 6 == 7"

    @pytest.mark.parametrize("code", ["x = '''", "return", "double = None", "def double(x):\n    return None"])
    def test_unfinished_code_does_not_pass(self, code: str) -> None:
        assert not run_unit_tests(code, "assert double(2) == 4").succeeded

    def test_another_sandbox_can_be_given(self) -> None:
        class Recorder:
            programs: tuple[str, ...] = ()

            def run(self, *programs: str) -> Execution:
                self.programs = programs
                return Execution()

        recorder = Recorder()
        assert isinstance(recorder, Sandbox)
        run_unit_tests("code", "tests", recorder)
        assert recorder.programs[0] == "code"
        assert recorder.programs[1].startswith("tests\n")


@pytest.mark.parametrize("limit", ["seconds", "memory_mib", "max_output", "max_workers"])
@pytest.mark.parametrize("value", [0, -1, "1"])
def test_limits_must_be_positive_numbers(limit: str, value: Any) -> None:
    with pytest.raises(SettingError, match=f"{limit} of a sandbox must be a number above 0"):
        MontySandbox(**{limit: value})


def test_threads_share_the_workers(sandbox: MontySandbox) -> None:
    programs = [f"print({number})\n{number} * 2" for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(sandbox.run, programs))
    assert [(result.output, result.value) for result in results] == [(f"{n}\n", str(n * 2)) for n in range(20)]


def test_closing_lets_running_programs_end_and_later_ones_start() -> None:
    sandbox = MontySandbox(seconds=5)
    results = []
    running = threading.Thread(target=lambda: results.append(sandbox.run("n = 0\nwhile n < 10**6:\n    n += 1\nn")))
    sandbox.run("1")
    running.start()
    time.sleep(0.02)
    sandbox.close()
    running.join()
    assert results[0].value == "1000000"
    assert sandbox.run("1 + 1").value == "2"
    sandbox.close()
    sandbox.close()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="asks the Linux process table")
def test_no_worker_outlives_the_interpreter() -> None:
    program = (
        "from contextlib import ExitStack\n"
        "from langchain_atlas.tools.python.monty import MontySandbox\n"
        "sandbox = MontySandbox(max_workers=1)\n"
        "with ExitStack() as stack:\n"
        "    print(sandbox._checkout(stack).worker_pid)"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert not _runs(int(answer))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_forked_child_is_refused_rather_than_left_waiting() -> None:
    program = (
        "import os\n"
        "from langchain_atlas.tools.python.monty import shared_sandbox\n"
        "shared_sandbox().run('1')\n"
        "if os.fork() == 0:\n"
        "    try:\n"
        "        shared_sandbox().run('1')\n"
        "    except Exception as error:\n"
        "        print(type(error).__name__, error, flush=True)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "print(shared_sandbox().run('1 + 1').value)"
    )
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    assert answer.startswith("ExecutionError the Python sandbox was used before this process was forked")
    assert answer.endswith("\n2\n")


def _runs(pid: int) -> bool:
    """Whether a process exists, after a moment to end; one that only waits to be collected has ended."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return False
        if state == "Z":
            return False
        time.sleep(0.05)
    return True


async def test_async_gives_the_same_answers(tool: PythonTool) -> None:
    assert await tool.ainvoke({"code": "print(1)"}) == "1"
    assert (await tool.ainvoke({"code": "1/0"})).startswith("Error: ZeroDivisionError")


@pytest.mark.parametrize(
    ("method", "use", "lacks"),
    [
        ("def __bool__(self): return False", "1 if A() else 2", "the special method __bool__"),
        ("def __len__(self): return 0", "1 if A() else 2", "the special method __len__"),
        ("def __lt__(self, other): return True", "sorted([A(), A()])", "methods that compare, such as __lt__"),
    ],
)
def test_methods_that_are_not_called_are_named_and_give_no_wrong_value(method: str, use: str, lacks: str) -> None:
    code = f"class A:\n    x = 1\n    {method}\n{use}"
    answer = PythonTool(sandbox=shared_sandbox()).invoke({"code": code})
    assert answer.startswith(("Error: NotImplementedError", "Error: TypeError"))
    assert f"The sandbox lacks {lacks}" in answer
