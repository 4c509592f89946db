"""Prompted function calling: the tools are described in the prompt, and the model writes its calls as text."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from pydantic import Field

from langchain_atlas.errors import PoolError, suggest
from langchain_atlas.execution.invocations.base import (
    Conversation,
    Invocation,
    InvocationCall,
    InvocationError,
    InvocationSettings,
    ModelCall,
    ToolCall,
    data_of,
    fill,
    text_of,
    with_images_of,
)
from langchain_atlas.execution.invocations.calls.formats import FORMATS, FormatName, Result
from langchain_atlas.execution.invocations.calls.prompted_calls import (
    NoCallError,
    check_arguments,
    final_answer,
    read_tool_calls,
)
from langchain_atlas.execution.invocations.calls.schemas import tool_schema
from langchain_atlas.records import Record
from langchain_atlas.text.json_objects import objects_in
from langchain_atlas.text.thoughts import without_thoughts

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from langchain_core.tools import BaseTool

    from langchain_atlas.pool.pool import Tool
    from langchain_atlas.trajectory import Query, ToolTrace

_REQUIRED = "Reply with one {noun} that calls the right tool and nothing else: {form}"
_AUTO = """Where a tool helps, reply with one {noun} that calls it and nothing else: {form}
Where none does, answer the question."""
_RESULT = "The tool returned:\n{result}\n\nAnswer the question with it, briefly: {query}"
_REPAIR = "That could not be used: {problem} Reply with the {noun} alone."
_GO_ON = "Call another tool in the same way if you need to; otherwise answer the question: {query}"
_STOP = "Call no more tools. Answer the question: {query}"


class WorkedExample(Record):
    """A query with the right call for it."""

    query: str
    """The text of the query."""
    arguments: dict[str, Any]
    """Arguments of the right call."""
    tool: str | None = None
    """Name of the LangChain tool; optional if there is only one."""


class PromptedSettings(InvocationSettings):
    """Settings of prompted function calling."""

    format: FormatName = "json"
    """Format of calls and results in the prompt: ``json``, or that of a model family: ``hermes`` (``qwen``),
    ``llama``, ``mistral``, ``python``, ``react``. Calls in any of these formats are read in every case."""
    tool_choice: str = "required"
    """``required``, ``auto`` (the model may answer without a call), or the name of the tool to call. After the first
    round the choice is ``auto``."""
    max_rounds: int = Field(default=1, ge=1, le=16)
    """Maximum number of rounds of calls. With one, the model answers from the result in a new conversation; with more,
    the conversation continues until the model calls no tool."""
    max_calls: int = Field(default=8, ge=1, le=64)
    """Maximum number of calls of one reply that are made, in parallel; the rest are dropped."""
    examples: tuple[WorkedExample, ...] = ()
    """Worked examples, shown as earlier turns of the conversation."""
    arguments_only: bool = False
    """With a single tool: the model writes only the arguments, which is easier for small models."""
    instructions: bool = True
    """Whether the tools and the form of a call are described in the system message."""
    arguments_schema: dict[str, Any] | None = None
    """JSON schema of the arguments that replaces the tool's own, for instance with patterns and lengths."""
    answer: Literal["model", "tool"] = "model"
    """``model``: the model answers from the result. ``tool``: the tool's result is the answer."""
    result_prompt: str = _RESULT
    """Prompt for the answer; ``{result}`` and ``{query}`` are filled in."""
    answer_options: dict[str, Any] = Field(default_factory=dict)
    """Parameters of the model call for the answer."""


class Prompted(Invocation):
    """The model writes calls as text, constrained by a schema if it accepts one; an invalid reply is retried once."""

    Settings: ClassVar[type[InvocationSettings]] = PromptedSettings
    settings: PromptedSettings

    def __init__(self, tool: Tool, tools: tuple[BaseTool, ...]) -> None:
        super().__init__(tool, tools)
        names = [member.name for member in tools]
        for example in self.settings.examples:
            if example.tool is None and len(names) > 1:
                raise PoolError(
                    f"Tool {tool.name!r}: the example {example.query!r} must name one of {names} as 'tool'."
                )
            if example.tool is not None and example.tool not in names:
                raise PoolError(
                    f"Tool {tool.name!r}: the example {example.query!r} calls {example.tool!r}. "
                    f"{suggest(example.tool, names)}"
                )
        choice = self.settings.tool_choice
        if choice not in ("required", "auto", *names):
            raise PoolError(
                f"Tool {tool.name!r}: tool_choice is {choice!r}. {suggest(choice, ['required', 'auto', *names])}"
            )
        if self.settings.arguments_only and self.settings.format != "json":
            raise PoolError(
                f"Tool {tool.name!r}: 'arguments_only' goes with format 'json', not {self.settings.format!r}."
            )
        self._format = FORMATS[self.settings.format]

    def converse(self, query: Query) -> Conversation:
        """Get calls, run them, and answer from the results or call again."""
        settings = self.settings
        messages = self._messages(query)
        required, data = settings.tool_choice != "auto", data_of(query)
        for _ in range(settings.max_rounds):
            said, wanted = yield from self._read(messages, data, required=required)
            if not wanted:
                return final_answer(said)
            traces = yield wanted
            if settings.answer == "tool" or (len(wanted) == 1 and wanted[0].tool.return_direct):
                return _direct_answer(traces)
            results = [(trace.name, trace.shown) for trace in traces]
            data += [trace.said for trace in traces]
            if settings.max_rounds == 1:
                return (yield from self._answer(query, results, traces))
            shown = f"{self._format.results(results)}\n\n{fill(_GO_ON, query=query.text)}"
            messages += [AIMessage(said or "..."), with_images_of(HumanMessage(shown), traces)]
            required = False
        last = HumanMessage(f"{self._format.results(results)}\n\n{fill(_STOP, query=query.text)}")
        messages[-1] = with_images_of(last, traces)
        (reply,) = yield (ModelCall(tuple(messages), options=settings.answer_options),)
        return final_answer(text_of(reply))

    def _answer(self, query: Query, results: Sequence[Result], traces: Sequence[ToolTrace]) -> Conversation:
        """Let the model answer from the tools' results, in a new conversation."""
        result = results[0][1] if len(results) == 1 else "\n".join(f"{name}: {text}" for name, text in results)
        text = fill(self.settings.result_prompt, query=query.text, result=result)
        asked = self.opening(query, text=text, traces=traces)
        (reply,) = yield (ModelCall(asked, options=self.settings.answer_options, answers=True),)
        return text_of(reply)

    def _read(
        self, messages: list[BaseMessage], data: Sequence[str], *, required: bool
    ) -> Generator[tuple[InvocationCall, ...], tuple[Any, ...], tuple[str, tuple[ToolCall, ...]]]:
        """Request calls; if they can't be used, report why and request them once more.

        Returns:
            The model's text, and its calls; no calls if it answered instead, where that is allowed.
        """
        (reply,) = yield (self._call(messages, required=required),)
        said = self._format.cut(text_of(reply))
        try:
            wanted = self._calls(said, data)
            for call in wanted:
                check_arguments(call)
        except NoCallError as error:
            if not required:
                return said, ()
            problem = str(error)
        except InvocationError as error:
            problem = str(error)
        else:
            return said, wanted
        mend = fill(_REPAIR, problem=problem, noun=self._format.noun)
        asked = [*messages, AIMessage(said or "..."), HumanMessage(mend)]
        (reply,) = yield (self._call(asked, required=required),)
        said = self._format.cut(text_of(reply))
        try:
            return said, self._calls(said, data)
        except InvocationError:
            if required:
                raise
            return said, ()  # an answer that looked like a call, such as JSON that the user requested

    def _messages(self, query: Query) -> list[BaseMessage]:
        examples: list[BaseMessage] = []
        for example in self.settings.examples:
            name = example.tool or self.tools[0].name
            call = self._format.write(name, example.arguments)
            if self._bare:
                call = json.dumps(example.arguments, ensure_ascii=False)
            examples += [HumanMessage(example.query), AIMessage(call)]
        opening = list(self.opening(query, *examples))
        if not self.settings.instructions:
            return opening
        if self.settings.system:
            text = f"{self.settings.system}\n\n{self._instructions}"
            opening[0] = opening[0].model_copy(update={"content": text})
            return opening
        return [SystemMessage(self._instructions), *opening]

    @cached_property
    def _instructions(self) -> str:
        """Return the description of the tools and of the form of a call; the same for every query."""
        tools = "\n".join(json.dumps(tool_schema(tool), ensure_ascii=False) for tool in self._offered)
        form = "its arguments, as {...}" if self._bare else self._format.form
        asked = _AUTO if self.settings.tool_choice == "auto" else _REQUIRED
        return f"{fill(self._format.tools, tools=tools)}\n{fill(asked, noun=self._format.noun, form=form)}"

    @property
    def _bare(self) -> bool:
        return self.settings.arguments_only and len(self.tools) == 1

    @property
    def _offered(self) -> tuple[BaseTool, ...]:
        """The tools that may be called: all, or the one in the settings."""
        named = tuple(tool for tool in self.tools if tool.name == self.settings.tool_choice)
        return named or self.tools

    def _call(self, messages: list[BaseMessage], *, required: bool) -> ModelCall:
        options = dict(self.settings.options)
        defaults = {"stop": list(self._format.stop)} if self._format.stop and "stop" not in options else {}
        schema = self._schema if required and self.settings.format == "json" else None
        # A possible answer is streamed; a call is not.
        return ModelCall(tuple(messages), schema=schema, options=options, defaults=defaults, inward=required)

    @cached_property
    def _schema(self) -> dict[str, Any]:
        """Return the JSON schema of a call."""
        if self._bare:
            return self._arguments_schema(self.tools[0])
        calls = [
            {
                "type": "object",
                "properties": {"tool": {"const": tool.name}, "arguments": self._arguments_schema(tool)},
                "required": ["tool", "arguments"],
                "additionalProperties": False,
            }
            for tool in self._offered
        ]
        return calls[0] if len(calls) == 1 else {"anyOf": calls}

    def _arguments_schema(self, tool: BaseTool) -> dict[str, Any]:
        if self.settings.arguments_schema is not None:
            return self.settings.arguments_schema
        schema: dict[str, Any] = tool_schema(tool)["parameters"]
        return schema

    def _calls(self, text: str, data: Sequence[str]) -> tuple[ToolCall, ...]:
        """Find the calls in the model's text.

        Raises:
            InvocationError: there is no call, or one names an unknown tool.
        """
        if self._bare:
            arguments = next(objects_in(without_thoughts(text)), None)
            if arguments is None:
                raise NoCallError(f"no {self._format.noun} in {text[:80]!r}.")
            if set(arguments) != {"tool", "arguments"}:
                return (ToolCall(self.tools[0], arguments),)
        return read_tool_calls(text, self._offered, noun=self._format.noun, data=data)[: self.settings.max_calls]


def _direct_answer(traces: Sequence[ToolTrace]) -> str:
    failed = [trace.error for trace in traces if trace.error is not None]
    if len(failed) == len(traces):
        raise InvocationError("; ".join(failed))
    return "\n".join(trace.output or "" for trace in traces if trace.error is None)
