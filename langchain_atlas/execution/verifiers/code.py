"""Checks of code: it is compiled, and run on the query's own examples in a sandbox."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from langchain_atlas.answers.parsed import code_of
from langchain_atlas.execution.verifiers.base import Verifier, failed, passed, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_atlas.tools import Sandbox
    from langchain_atlas.trajectory import Observation, Query, Verdict

MOST_EXAMPLES = 16
"""Number of a query's examples that are run, from the first."""

_ASSERTION = re.compile(r"^[ \t]*(assert[ \t].+)$", re.MULTILINE)


class ExamplesVerifier(Verifier):
    """Runs an answer's code on the examples that the query itself gives: ``>>> f(1)`` with its result, ``assert``.

    Says nothing where the query has no examples, the answer has no code, or the sandbox lacks what the code needs.

    Args:
        sandbox: where programs run; by default the shared Monty sandbox.
    """

    def __init__(self, sandbox: Sandbox | None = None) -> None:
        self._sandbox = sandbox

    def verify(self, query: Query, observation: Observation) -> Verdict:
        """Check an answer; see `Verifier.verify`."""
        from langchain_atlas.tools.python.tool import run_unit_tests

        tests = examples_of(query.full_text)
        if not tests:
            return unknown("The query gives no examples.")
        code = code_of(observation.answer or "")
        if not code:
            return unknown("The answer has no code.")
        ran = run_unit_tests(code, "\n".join(tests), self._sandbox)
        if ran.succeeded:
            return passed(f"It gives what the query's {len(tests)} examples say.")
        if ran.unsupported:
            return unknown(f"The sandbox lacks {ran.unsupported}.")
        where = "the query's examples" if ran.snippet else "the code itself"
        told = tests[ran.line - 1] if ran.snippet and ran.line is not None and ran.line <= len(tests) else ""
        return failed(f"{ran.error} in {where}{': ' if told else ''}{told[:200]}")


class CompileVerifier(Verifier):
    """Checks that an answer's code compiles and that its top level runs, imports included.

    Args:
        run: whether to run it in a sandbox, too; else it is only compiled.
        sandbox: where programs run; by default the shared Monty sandbox.
    """

    def __init__(self, *, run: bool = True, sandbox: Sandbox | None = None) -> None:
        self._run, self._sandbox = run, sandbox

    def verify(self, query: Query, observation: Observation) -> Verdict:
        """Check an answer; see `Verifier.verify`."""
        del query
        code = code_of(observation.answer or "")
        if not code:
            return unknown("The answer has no code.")
        try:
            ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            return failed(f"It does not compile: {type(error).__name__}: {error}")
        if not self._run:
            return passed("It compiles.")
        from langchain_atlas.tools import shared_sandbox

        ran = (self._sandbox or shared_sandbox()).run(code)
        if ran.unsupported:
            return unknown(f"The sandbox lacks {ran.unsupported}.")
        return passed("It compiles and runs.") if ran.succeeded else failed(f"It does not run: {ran.error}")


def examples_of(text: str) -> tuple[str, ...]:
    """Return a query's examples as assertions, one line each: its doctests with a result, and its own assertions."""
    found: list[str] = []
    for source, wanted in _doctests(text):
        call, result = _expression(source), _expression(wanted)
        if call and result:
            found.append(f"assert ({call}) == ({result})")
    found += [line for line in map(str.strip, _ASSERTION.findall(text)) if _is_statement(line)]
    return tuple(dict.fromkeys(found))[:MOST_EXAMPLES]


def _doctests(text: str) -> Iterator[tuple[str, str]]:
    """Yield the sources and the results of a text's interactive examples, with or without a docstring around them."""
    lines = text.splitlines()
    for at, line in enumerate(lines):
        if not line.lstrip().startswith(">>> "):
            continue
        source, result = [line.lstrip()[4:]], list[str]()
        for follower in map(str.strip, lines[at + 1 :]):
            if follower.startswith("...") and not result:
                source.append(follower[3:])
            elif not follower or follower.startswith((">>>", '"""', "'''", "```")):
                break
            else:
                result.append(follower)
        yield "\n".join(source), "\n".join(result).removesuffix('"""')


def _expression(source: str) -> str:
    """Return an expression on one line; empty if the source is none."""
    try:
        return ast.unparse(ast.parse(source.strip(), mode="eval"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""


def _is_statement(source: str) -> bool:
    try:
        return isinstance(ast.parse(source).body[0], ast.Assert)
    except (SyntaxError, ValueError, RecursionError, MemoryError, IndexError):
        return False
