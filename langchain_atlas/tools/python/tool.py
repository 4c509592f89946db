"""A Python tool for agents: model-written programs, run in a sandbox."""

import asyncio
import re
import secrets
import textwrap
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Self

from langchain_core.tools import BaseTool, ToolException
from pydantic import BaseModel, Field, model_validator

from langchain_atlas.errors import SettingError
from langchain_atlas.tools.failures import answer_error, answer_validation_error
from langchain_atlas.tools.python.monty import shared_sandbox
from langchain_atlas.tools.python.sandbox import Execution, Sandbox, SessionSandbox
from langchain_atlas.tools.python.sessions import current_sessions

_FENCED = re.compile(
    r"^[ \t]*(?P<fence>`{3,}|~{3,})[ \t]*(?P<kind>[^\n`]*)\n"
    r"(?P<code>.*?)(?:^[ \t]*(?P=fence)|(?P=fence)(?=[ \t]*$)|\Z)",
    re.MULTILINE | re.DOTALL,
)
_ON_ONE_LINE = re.compile(r"(`{3}|`)(?:(?:python3?|py)\b)?[ \t]*([^`\n]+?)[ \t]*\1", re.IGNORECASE)
_LANGUAGE = re.compile(r"[^\w]*([\w+-]*)")

_STATEFUL = "Names are kept from one run to the next, and each run is short"


def unwrap_fences(text: str) -> str:
    """The program in a model's answer.

    Args:
        text: a program, with or without Markdown fences, talk around it, and a margin of spaces or ``>>>``.

    Returns:
        The content of the first block marked as Python, or of the first block; the text itself when it has no fences.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    blocks = [match for match in _FENCED.finditer(text) if not _in_text(text[: match.start()])]
    marked = [match for match in blocks if match["kind"] and _language(match["kind"]) in {"python", "py", "python3"}]
    if blocks:
        text = (marked or blocks)[0]["code"]
    elif line := _ON_ONE_LINE.fullmatch(text.strip()):
        text = line[2]
    return _without_margin(text)


def _language(kind: str) -> str:
    found = _LANGUAGE.match(kind)
    return found[1].lower() if found else ""


def _in_text(before: str) -> bool:
    """Return whether the next character is inside a triple-quoted string that was opened before."""
    return any(before.count(quotes) % 2 for quotes in ("'''", '"""'))


def _without_margin(program: str) -> str:
    """Return a program without the prefix of its lines: common white space, or an interpreter's prompts."""
    lines = program.split("\n")
    first = next((line for line in lines if line.strip()), "")
    if first.startswith(">>> "):
        return "\n".join(line[4:] for line in lines if line.startswith((">>> ", "... ")))
    return textwrap.dedent(program) if first[:1].isspace() else program


def run_unit_tests(code: str, tests: str, sandbox: Sandbox | None = None) -> Execution:
    """Run a program and then its tests in the same fresh interpreter, as a scorer of model-written code does.

    The tests are a program of their own, so that an unfinished string or an early return can't swallow them. A class of
    the program can still answer every ``==`` with true: scores of adversarial code need a look.

    Args:
        code: what the model wrote; Markdown fences are removed.
        tests: statements that raise when the code is wrong, usually ``assert``.
        sandbox: where to run; by default the shared Monty sandbox.

    Returns:
        An execution that succeeded when the tests passed; ``snippet`` is 0 for an error in the code and 1 in the tests.
    """
    # Code that ends the program ends the tests, too, if they call it; that they came to their end shows by a word that
    # it can't know.
    word = secrets.token_hex(8)
    execution = (sandbox or shared_sandbox()).run(unwrap_fences(code), f"{tests}\n{word!r}")
    if execution.succeeded and execution.value != repr(word):
        return replace(
            execution, value=None, error="SystemExit: the program was ended before the tests were", snippet=1
        )
    return replace(execution, value=None) if execution.succeeded else execution


def describe_run(execution: Execution, code: str) -> str:
    """Return the description of a run for an agent: output and value, or the error with its line and cause."""
    notes = ["(cut: the full text is longer)"] if execution.truncated else []
    printed = execution.output.rstrip("\n")
    if execution.error is None:
        parts = [part for part in (printed, execution.value) if part]
        return "\n".join([*(parts or ["(the program ran, printed nothing and has no value)"]), *notes])
    where = ""
    if execution.line is not None:
        source = code.split("\n")[execution.line - 1].strip()
        where = f"\nLine {execution.line}: {source[:200]}"
    lacks = f"\nThe sandbox lacks {execution.unsupported}; write it another way." if execution.unsupported else ""
    before = f"\nPrinted before the error:\n{printed}" if printed else ""
    return "\n".join([f"{execution.error}{where}{lacks}{before}", *notes])


class PythonInput(BaseModel):
    """Arguments of the Python tool."""

    code: str = Field(
        description="A complete Python program. What it prints, and the value of its last expression, is the answer."
    )


class PythonTool(BaseTool):
    """A LangChain tool that runs a Python program in a sandbox.

    A program that fails comes back as an answer that begins with ``Error:``. Set ``handle_tool_error=False`` for a
    `ToolException`.
    """

    stays_here: ClassVar[bool] = True
    """Whether what it is asked stays in this process and beside it; see `Tool.stays_here`."""

    name: str = "python"
    description: str = (
        "Runs a Python program in a sandbox; returns what it prints, the value of its last expression, or its error. "
        "There are no files, no network, no input and no installed packages; modules such as math, re, json, datetime, "
        "itertools, functools, collections, random and decimal can be imported. Each run starts afresh and is short."
    )
    args_schema: type[BaseModel] = PythonInput
    handle_tool_error: bool | str | Callable[[ToolException], str] | None = answer_error
    handle_validation_error: bool | str | Callable[[Any], str] | None = answer_validation_error

    sandbox: Sandbox = Field(default_factory=shared_sandbox, exclude=True, repr=False)
    """Where programs run; tools share one unless given their own."""

    stateful: bool = False
    """Whether names last from call to call, within `tool_sessions`; outside of it each call starts afresh."""

    @model_validator(mode="after")
    def _tell_of_state(self) -> Self:
        if self.stateful and not isinstance(self.sandbox, SessionSandbox):
            raise SettingError(f"the sandbox {self.sandbox!r} keeps no state: it has no method 'session'")
        if self.stateful:
            self.description = self.description.replace("Each run starts afresh and is short", _STATEFUL)
        return self

    def _run(self, code: str) -> str:
        program = unwrap_fences(code)
        sessions = current_sessions() if self.stateful else None
        if sessions is not None and isinstance(self.sandbox, SessionSandbox):
            execution = sessions.of(self.sandbox).run(program)
        else:
            execution = self.sandbox.run(program)
        answer = describe_run(execution, program)
        if not execution.succeeded:
            raise ToolException(answer)
        return answer

    async def _arun(self, code: str) -> str:
        return await asyncio.to_thread(self._run, code)
