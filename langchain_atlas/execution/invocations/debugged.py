"""Debugging: the model writes a program, the tool runs it, and the model fixes it from the run's output."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from pydantic import Field

from langchain_atlas.errors import PoolError
from langchain_atlas.execution.invocations.base import (
    Conversation,
    Invocation,
    InvocationCall,
    InvocationError,
    InvocationSettings,
    ModelCall,
    ToolCall,
    as_human_message,
    fill,
    text_of,
)
from langchain_atlas.execution.invocations.calls.schemas import argument_names

if TYPE_CHECKING:
    from collections.abc import Generator

    from langchain_core.tools import BaseTool

    from langchain_atlas.pool.pool import Tool
    from langchain_atlas.trajectory import Query, ToolTrace

_WRITE = """{query}

Solve this with a Python program. Reply with one complete program in a ```python block."""
_CHECKS = """{query}

Write three to five short Python assert statements that any right solution of this must pass, calling it by the name \
that is asked for. Reply with one ```python block that holds the assert statements and nothing else."""
_MEND = """Running the program gave:
{error}

Find the cause, mend it, and reply with the whole program again in one ```python block."""
_RESULT = """{query}

This program was written for it:
{program}

Running it gave:
{result}

Answer the question with that, briefly."""
_BLOCK = re.compile(r"```[a-zA-Z0-9_+-]*[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)


class DebuggedSettings(InvocationSettings):
    """Settings of debugging."""

    max_fixes: int = Field(default=3, ge=0, le=16)
    """Maximum number of fixes of the program."""
    answer: Literal["program", "output", "model"] = "program"
    """The answer: the ``program``, its ``output``, or a reply of the ``model`` that has seen the output."""
    checks: Literal["none", "context", "model"] = "none"
    """Checks that are run right after the program: none, the query's ``context`` (asserts that came with the query), or
    asserts that the ``model`` writes first, without seeing the program."""
    write_prompt: str = _WRITE
    """Prompt for the program; ``{query}`` is filled in."""
    checks_prompt: str = _CHECKS
    """Prompt for the asserts; ``{query}`` is filled in."""
    mend_prompt: str = _MEND
    """Prompt after a failed run; ``{error}`` is filled in."""
    result_prompt: str = _RESULT
    """Prompt for the answer; ``{query}``, ``{program}`` and ``{result}`` are filled in."""
    keep_failing: bool = True
    """Whether a program that still fails after the last fix is returned, if the answer is the program; if not, the run
    fails."""


class Debugged(Invocation):
    """Writes a program, runs it with the tool, and fixes it until it runs or the fixes are used up."""

    Settings: ClassVar[type[InvocationSettings]] = DebuggedSettings
    settings: DebuggedSettings

    def __init__(self, tool: Tool, tools: tuple[BaseTool, ...]) -> None:
        super().__init__(tool, tools)
        if len(tools) != 1 or not argument_names(tools[0]):
            raise PoolError(
                f"Tool {tool.name!r}: invocation 'debugged' takes one LangChain tool that runs a program, such as "
                f"'python', not {[member.name for member in tools]}."
            )
        names = argument_names(tools[0])
        self._argument = "code" if "code" in names else names[0]

    def converse(self, query: Query) -> Conversation:
        """Write, run, fix, answer."""
        settings = self.settings
        checks = query.context if settings.checks == "context" else None
        if settings.checks == "model":
            (reply,) = yield (self._call(self._opening(query, settings.checks_prompt)),)
            checks = program_of(text_of(reply))
        messages = self._opening(query, settings.write_prompt)
        (reply,) = yield (self._call(messages),)
        program, said = program_of(text_of(reply)), text_of(reply)
        trace = yield from self._run(program, checks)
        for _ in range(settings.max_fixes):
            if trace.error is None:
                break
            mend = HumanMessage(fill(settings.mend_prompt, error=trace.shown))
            messages = [*messages, AIMessage(said or "..."), mend]
            (reply,) = yield (self._call(messages),)
            program, said = program_of(text_of(reply)), text_of(reply)
            trace = yield from self._run(program, checks)
        return (yield from self._answer(query, program, trace))

    def _answer(self, query: Query, program: str, trace: ToolTrace) -> Conversation:
        kind = self.settings.answer
        if kind == "model":
            result = trace.shown
            text = fill(self.settings.result_prompt, query=query.text, program=program, result=result)
            (reply,) = yield (ModelCall(self.opening(query, text=text), options=self.settings.options, answers=True),)
            return text_of(reply)
        if trace.error is not None and not (kind == "program" and self.settings.keep_failing):
            raise InvocationError(f"the program still fails after {self.settings.max_fixes} fixes: {trace.error}")
        return f"```python\n{program}\n```" if kind == "program" else trace.output or ""

    def _opening(self, query: Query, prompt: str) -> list[BaseMessage]:
        shown = query.replace(context=None) if self.settings.checks == "context" else query
        whole = str(as_human_message(shown.replace(images=())).text)
        return list(self.opening(query, text=fill(prompt, query=whole)))

    def _call(self, messages: list[BaseMessage]) -> ModelCall:
        return ModelCall(tuple(messages), options=self.settings.options, inward=True)

    def _run(
        self, program: str, checks: str | None
    ) -> Generator[tuple[InvocationCall, ...], tuple[ToolTrace, ...], ToolTrace]:
        code = program if not checks else f"{program}\n\n{checks}\n"
        (trace,) = yield (ToolCall(self.tools[0], {self._argument: code}),)
        return trace


def program_of(text: str) -> str:
    """Return the program in a model's text: its longest fenced block, or the whole text if there is none."""
    blocks: list[str] = _BLOCK.findall(text)
    return max(blocks, key=len).strip("\n") if blocks else text.strip()
