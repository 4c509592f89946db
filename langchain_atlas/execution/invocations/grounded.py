"""Grounded answering: the tool is called with the query itself, and the model answers from the result."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langchain_atlas.errors import PoolError
from langchain_atlas.execution.invocations.base import (
    Conversation,
    Invocation,
    InvocationSettings,
    ModelCall,
    ToolCall,
    fill,
    text_of,
)
from langchain_atlas.execution.invocations.calls.schemas import argument_names
from langchain_atlas.records import Record

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

    from langchain_atlas.pool.pool import Tool
    from langchain_atlas.trajectory import Query


class GroundedExample(Record):
    """A worked example: a query, the tool's result, and the right answer."""

    query: str
    """The text of the query."""
    result: str
    """The tool's result."""
    answer: str
    """The right answer."""


class GroundedSettings(InvocationSettings):
    """Settings of grounded answering."""

    argument: str | None = None
    """The tool's argument that receives the query; optional if the tool has only one."""
    pattern: str | None = None
    """Regular expression whose first group is passed to the tool, such as the code in a question; if it does not match,
    the whole query is passed."""
    prompt: str = "{result}\n\nAnswer with the text above: {query}"
    """Prompt for the answer; ``{result}`` and ``{query}`` are filled in."""
    examples: tuple[GroundedExample, ...] = ()
    """Worked examples, shown as earlier turns of the conversation."""


class Grounded(Invocation):
    """One tool call with the unchanged query, then one model call."""

    Settings: ClassVar[type[InvocationSettings]] = GroundedSettings
    settings: GroundedSettings

    def __init__(self, tool: Tool, tools: tuple[BaseTool, ...]) -> None:
        super().__init__(tool, tools)
        if len(tools) != 1:
            raise PoolError(f"Tool {tool.name!r}: invocation 'grounded' takes one LangChain tool, not {len(tools)}.")
        try:
            self._pattern = re.compile(self.settings.pattern) if self.settings.pattern else None
        except re.error as error:
            raise PoolError(f"Tool {tool.name!r}: 'pattern' is not a regular expression: {error}.") from error
        if self._pattern is not None and self._pattern.groups < 1:
            raise PoolError(
                f"Tool {tool.name!r}: 'pattern' needs a group, in parentheses, that says what to call with."
            )
        names = argument_names(tools[0])
        if not names:
            raise PoolError(f"Tool {tool.name!r}: {tools[0].name!r} takes no argument that could hold the query.")
        self._argument = self.settings.argument or names[0]
        if self._argument not in names:
            raise PoolError(f"Tool {tool.name!r} has no argument {self._argument!r}; it has {', '.join(names)}.")

    def converse(self, query: Query) -> Conversation:
        """Call the tool with the query, then answer from its result."""
        (trace,) = yield (ToolCall(self.tools[0], {self._argument: self._input(query.text)}),)
        examples: list[BaseMessage] = []
        for example in self.settings.examples:
            examples += [HumanMessage(self._prompt(example.query, example.result)), AIMessage(example.answer)]
        messages = self.opening(query, *examples, text=self._prompt(query.text, trace.shown), traces=(trace,))
        (reply,) = yield (ModelCall(messages, options=self.settings.options, answers=True),)
        return text_of(reply)

    def _input(self, text: str) -> str:
        found = self._pattern.search(text) if self._pattern else None
        return text if found is None else found[1]

    def _prompt(self, query: str, result: str) -> str:
        return fill(self.settings.prompt, query=query, result=result)
