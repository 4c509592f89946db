"""Where Monty differs from CPython without a word, it is put right, refused, or listed in docs/tools/python.md."""

from __future__ import annotations

import sys
from collections.abc import Iterator  # noqa: TC003  # pytest reads the annotation
from pathlib import Path

import pytest

from langchain_atlas.evaluation.scoring.scorers import score
from langchain_atlas.tools.python.monty import MontySandbox
from langchain_atlas.tools.python.monty_programs import PASSED_OVER, prepared
from langchain_atlas.tools.python.process import ProcessSandbox
from langchain_atlas.tools.python.tool import PythonTool, run_unit_tests
from tests.tools.python.test_hostile_programs import needs_isolation

SAME = [
    # rounding
    "[round(number / 1000, 2) for number in range(0, 3000, 5)]",
    "[round(number / 100, 1) for number in range(5, 300, 10)]",
    "round(2.675, 2), round(-2.675, 2), round(1.005, 2), round(2.5), round(-0.5), round(2.5, 0), round(7, 2)",
    "round(123456.789, -2), round(15, -1), round(25, -1), round(1e16 + 1, 2), round(5e-324, 320), round(True)",
    "import functools\nlist(map(functools.partial(round, ndigits=1), [0.25, 0.35]))",
    "[round(float(text), 3) for text in ('nan', 'inf', '-inf', '-0.0')]",
    # what can be gone through once
    "z = zip([1, 2], [3, 4])\nnext(z), list(z), list(z)",
    "m = map(str, [1, 2])\nlist(m), list(m)",
    "f = filter(None, [0, 1])\nlist(f), list(f)",
    "e = enumerate('ab', start=1)\nnext(e), list(e), list(e)",
    "r = reversed([1, 2])\nnext(r), list(r), list(r)",
    "g = (x for x in [1, 2])\nnext(g), list(g), list(g)",
    "sum(x for x in range(4)), next((x for x in [1, 2] if x > 1), None)",
    "list((a, b) for a in 'xy' for b in (c for c in 'z'))",
    "'é', sum(len('ü') for x in 'äö'), [*(x for x in 'ab')], max((x for x in [1, 3]), key=lambda y: -y)",
    "dict(zip('ab', [1, 2])), [*zip([1], [2], strict=True)], list(zip(*[[1, 2], [3, 4]])), list(zip())",
    "try:\n    list(zip([1], [1, 2], strict=True))\nexcept ValueError as e:\n    print(e)",
    "a, b = map(int, '1 2'.split())\na + b",
    # changed in place
    "a = {1}\nb = a\nb |= {2}\na, a is b",
    "a = {1, 2}\nb = a\nb &= {2}\na",
    "a = {1, 2}\nb = a\nb -= {2}\na",
    "a = {1, 2}\nb = a\nb ^= {2, 3}\na",
    "a = {1, 2}\na -= a\na",
    "a = frozenset([1])\nb = a\nb |= {2}\na, b",
    "a = {1}\ntry:\n    a |= [2]\nexcept TypeError:\n    print('refused')",
    "d = {'a': 1}\nk = d.keys()\nk &= {'a'}\nk",
    "class A:\n    def __init__(self):\n        self.s = {1}\na = A()\nb = a.s\na.s |= {2}\nb",
    "x = 6\nx |= 1\nx &= 5\nx ^= 2\nx -= x - 3\nx",
    "d = {1: 1}\ne = d\ne |= {2: 2}\nd",
    "x = [1]\ny = x\nx += (2, 3)\nx += (n for n in [4])\nx += map(int, '5')\ny",
    "x = 5; x |= (\n  8\n); x",
]


@pytest.fixture(scope="module")
def monty() -> Iterator[MontySandbox]:
    sandbox = MontySandbox(max_workers=1)
    yield sandbox
    sandbox.close()


@needs_isolation
@pytest.mark.parametrize("program", SAME)
def test_it_does_what_cpython_does(monty: MontySandbox, program: str) -> None:
    ours, theirs = monty.run(program), ProcessSandbox().run(program)
    assert theirs.succeeded
    assert (ours.output, ours.value, ours.error) == (theirs.output, theirs.value, theirs.error)


@pytest.mark.parametrize(
    "method",
    ["ne", "format", "new", "del", "get", "set", "set_name", "setattr", "getattribute", "bool", "len"],
)
def test_methods_that_would_be_passed_over_are_refused(monty: MontySandbox, method: str) -> None:
    execution = monty.run(f"class A:\n    def __{method}__(self, *more):\n        return 1\nA()")
    assert execution.unsupported == f"the special method __{method}__"
    assert execution.line == 2
    assert f"`__{method}__`" in (Path(__file__).parents[2] / "docs" / "tools" / "python.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["add", "eq", "hash", "repr", "iter", "next", "call", "contains", "getitem", "enter"])
def test_methods_that_it_has_are_not_refused(name: str) -> None:
    assert PASSED_OVER.search(f"class A:\n    def __{name}__(self): pass") is None


ENDS = [
    "exit()",
    "quit()",
    "exit(0)",
    "import sys\nsys.exit()",
    "raise SystemExit",
    "raise SystemExit(0)",
    "exit(None)",
]


@pytest.mark.parametrize("backend", ["monty", pytest.param("process", marks=needs_isolation)])
@pytest.mark.parametrize("end", ENDS)
def test_to_end_a_program_is_no_error(monty: MontySandbox, backend: str, end: str) -> None:
    sandbox = monty if backend == "monty" else ProcessSandbox()
    assert PythonTool(sandbox=sandbox).invoke({"code": f"print(4)\n{end}\nprint(5)"}) == "4"


@pytest.mark.parametrize("backend", ["monty", pytest.param("process", marks=needs_isolation)])
@pytest.mark.parametrize("end", ["exit(3)", "import sys\nsys.exit('3')", "raise SystemExit(3)", "quit('3')"])
def test_to_end_it_with_a_failure_is_one(monty: MontySandbox, backend: str, end: str) -> None:
    execution = (monty if backend == "monty" else ProcessSandbox()).run(f"print(4)\n{end}")
    assert execution.error == "SystemExit: 3"
    assert execution.output == "4\n"


@pytest.mark.parametrize("backend", ["monty", pytest.param("process", marks=needs_isolation)])
@pytest.mark.parametrize(
    ("code", "passed"),
    [
        ("def f(): return 1\nprint(f())\nexit()", True),
        ("def f(): return 2\nexit()", False),
        ("def f():\n    exit()", False),
        ("def f():\n    raise SystemExit", False),
        ("exit()", False),
        ("def f(): return 1", True),
    ],
)
def test_code_that_ends_the_program_neither_passes_nor_skips_its_tests(
    monty: MontySandbox, backend: str, code: str, passed: bool
) -> None:
    sandbox = monty if backend == "monty" else ProcessSandbox()
    assert run_unit_tests(code, "assert f() == 1", sandbox).succeeded is passed


@pytest.mark.parametrize("backend", ["monty", pytest.param("process", marks=needs_isolation)])
def test_python_tests_score_as_python_rounds_and_in_the_sandbox_that_is_asked_for(backend: str) -> None:
    scorer = {"kind": "python_tests", "backend": backend}
    assert score(scorer, "def f(x): return round(x, 2)", "assert f(2.675) == 2.67") == 1.0
    assert score(scorer, "def f(x): return round(x + 0.01, 2)", "assert f(2.675) == 2.67") == 0.0
    assert score(scorer, "def f():\n    yield 1", "assert list(f()) == [1]") == float(backend == "process")


@pytest.mark.parametrize(
    "program", ["x = 1\r\ny = (n for n in [1])", "f'{sum(x for x in [1])}'", "x |= 1", "(", "\x0c1"]
)
def test_programs_that_can_not_be_prepared_are_left_as_they_are(monty: MontySandbox, program: str) -> None:
    assert prepared(program, 10).count("\n") >= program.count("\n")
    monty.run(program)


def test_names_of_ours_are_the_programs_to_change(monty: MontySandbox) -> None:
    assert monty.run("def zip(a): return a\nround = 3\nzip(round)").value == "3"


def test_lines_of_errors_are_those_of_the_program(monty: MontySandbox) -> None:
    execution = monty.run("x = 1\ny = list(map(lambda n: n / 0, [1]))\n")
    assert (execution.error, execution.line) == ("ZeroDivisionError: division by zero", 2)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="positions are those of newer parsers")
def test_a_session_keeps_what_was_put_right(monty: MontySandbox) -> None:
    with monty.session() as session:
        session.run("a = {1}")
        assert session.run("b = a; b |= {2}; a").value == "{1, 2}"
        assert session.run("round(2.675, 2)").value == "2.67"
        assert session.run("exit()").succeeded
        assert session.run("a").value == "{1, 2}"
