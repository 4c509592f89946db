"""Comparison of code by its behaviour: it is run on the examples in the query."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any, Protocol

from langchain_atlas.answers.parsed import code_of

if TYPE_CHECKING:
    from langchain_atlas.answers.parsed import ParsedAnswer

MOST_EXAMPLES = 8
"""Number of a query's examples that are run, from the first."""

_DOCTEST = re.compile(r"^[ \t]*>>>[ \t]*(.+)$", re.MULTILINE)
_ASSERTION = re.compile(r"^[ \t]*assert[ \t]+(.+)$", re.MULTILINE)


class ProgramRunner(Protocol):
    """Runs untrusted programs, as the sandboxes of `langchain_atlas.tools` do."""

    def run(self, *programs: str) -> Any:
        """Run programs one after another in a fresh interpreter; the result has ``output`` and ``error``."""


def examples_in(text: str) -> tuple[str, ...]:
    """Return the calls that a query gives as examples: after ``>>>``, and on the left side of an assertion's ``==``."""
    found = [*_DOCTEST.findall(text), *(_left(line) for line in _ASSERTION.findall(text))]
    calls = [call.strip() for call in found if call and _is_call(call.strip())]
    return tuple(dict.fromkeys(calls))[:MOST_EXAMPLES]


def behaviour(reading: ParsedAnswer, examples: tuple[str, ...], sandbox: ProgramRunner) -> str | None:
    """Return the results of an answer's code on the examples; None if it can't be run on any of them.

    Args:
        reading: an answer of the kind ``code``.
        examples: calls; see `examples_in`.
        sandbox: where to run them.
    """
    if not examples:
        return None
    asked = "\n".join(
        f"try:\n    print(repr({call}))\nexcept Exception as error:\n    print(' ' + type(error).__name__)"
        for call in examples
    )
    ran = sandbox.run(code_of(reading.text), asked)
    if ran.error is not None or all(line.endswith(" NameError") for line in ran.output.splitlines()):
        return None  # it does not run, or its functions are called differently from the examples
    return str(ran.output)


def _left(assertion: str) -> str:
    """Return the left side of an assertion's ``==``; nothing if the assertion has another form."""
    try:
        tree = ast.parse(f"assert {assertion}")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    test = tree.body[0].test if len(tree.body) == 1 and isinstance(tree.body[0], ast.Assert) else None
    equal = isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq)
    return ast.unparse(test.left) if equal and isinstance(test, ast.Compare) else ""


def _is_call(text: str) -> bool:
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(isinstance(node, ast.Call) for node in ast.walk(tree))
