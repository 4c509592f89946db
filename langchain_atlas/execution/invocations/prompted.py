"""Prompted function calling: the tools stand in the prompt, the model writes the call as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field

from langchain_atlas.errors import PoolError, suggest
from langchain_atlas.execution.invocations.base import (
    Conversation,
    Invocation,
    InvocationError,
    InvocationSettings,
    ModelCall,
    ToolCall,
    fill,
    text_of,
)
from langchain_atlas.json_in_text import first_object
from langchain_atlas.records import Record

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

    from langchain_atlas.pool import Tool
    from langchain_atlas.trajectory import Query, ToolTrace

_INSTRUCTIONS = """You have these tools:
{tools}
Reply with one JSON object that calls the right tool and nothing else: {form}"""
_FORM = '{"tool": "<name>", "arguments": {...}}'
_RESULT = "The tool returned:\n{result}\n\nAnswer the question with it, briefly: {query}"
_REPAIR = "That could not be used: {problem} Reply with the JSON object alone."


class WorkedExample(Record):
    """A query with the call that it should lead to."""

    query: str
    """What is asked."""
    arguments: dict[str, Any]
    """Arguments of the right call."""
    tool: str | None = None
    """Name of the LangChain tool; may be left out when there is only one."""


class PromptedSettings(InvocationSettings):
    """Settings of prompted function calling."""

    examples: tuple[WorkedExample, ...] = ()
    """Worked examples, shown as earlier turns of the conversation."""
    arguments_only: bool = False
    """With a single tool: the model writes the arguments alone, which small models manage better."""
    instructions: bool = True
    """Whether the tools and the form of a call are described in the system message."""
    arguments_schema: dict[str, Any] | None = None
    """JSON schema of the arguments in place of the tool's own, for instance with patterns and lengths."""
    answer: Literal["model", "tool"] = "model"
    """``model``: the model answers with the result in view. ``tool``: what the tool returned is the answer."""
    result_prompt: str = _RESULT
    """Prompt of the answer; ``{result}`` and ``{query}`` are put in."""
    answer_options: dict[str, Any] = Field(default_factory=dict)
    """Parameters of the model call that answers."""


class Prompted(Invocation):
    """The model writes one call as JSON, constrained by a schema where it takes one; a bad call is mended once."""

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

    def converse(self, query: Query) -> Conversation:
        """Get a call, run it, answer with the result."""
        messages = self._messages(query)
        (reply,) = yield (self._call(messages),)
        try:
            wanted = self._read(text_of(reply))
        except InvocationError as error:
            messages += [AIMessage(text_of(reply) or "..."), HumanMessage(fill(_REPAIR, problem=str(error)))]
            (reply,) = yield (self._call(messages),)
            wanted = self._read(text_of(reply))
        (trace,) = yield (wanted,)
        if self.settings.answer == "tool" or wanted.tool.return_direct:
            return _direct_answer(trace)
        result = trace.output if trace.error is None else trace.error
        text = fill(self.settings.result_prompt, query=query.text, result=result or "")
        (reply,) = yield (ModelCall(self.opening(query, text=text), options=self.settings.answer_options),)
        return text_of(reply)

    def _messages(self, query: Query) -> list[BaseMessage]:
        examples: list[BaseMessage] = []
        for example in self.settings.examples:
            call: dict[str, Any] = example.arguments
            if not self._bare:
                call = {"tool": example.tool or self.tools[0].name, "arguments": example.arguments}
            examples += [HumanMessage(example.query), AIMessage(json.dumps(call, ensure_ascii=False))]
        opening = list(self.opening(query, *examples))
        if not self.settings.instructions:
            return opening
        described = "\n".join(json.dumps(_described(tool), ensure_ascii=False) for tool in self.tools)
        form = "its arguments, as {...}" if self._bare else _FORM
        text = fill(_INSTRUCTIONS, tools=described, form=form)
        if self.settings.system:
            opening[0] = opening[0].model_copy(update={"content": f"{self.settings.system}\n\n{text}"})
            return opening
        return [SystemMessage(text), *opening]

    @property
    def _bare(self) -> bool:
        return self.settings.arguments_only and len(self.tools) == 1

    def _call(self, messages: list[BaseMessage]) -> ModelCall:
        return ModelCall(tuple(messages), schema=self._schema(), options=self.settings.options, inward=True)

    def _schema(self) -> dict[str, Any]:
        if self._bare:
            return self._arguments_schema(self.tools[0])
        calls = [
            {
                "type": "object",
                "properties": {"tool": {"const": tool.name}, "arguments": self._arguments_schema(tool)},
                "required": ["tool", "arguments"],
                "additionalProperties": False,
            }
            for tool in self.tools
        ]
        return calls[0] if len(calls) == 1 else {"anyOf": calls}

    def _arguments_schema(self, tool: BaseTool) -> dict[str, Any]:
        if self.settings.arguments_schema is not None:
            return self.settings.arguments_schema
        schema: dict[str, Any] = _described(tool)["parameters"]
        return schema

    def _read(self, text: str) -> ToolCall:
        """Find the call in what the model wrote.

        Raises:
            InvocationError: there is none, or it names no tool.
        """
        call = first_object(text)
        if call is None:
            raise InvocationError(f"no JSON object in {text[:80]!r}.")
        by_name = {tool.name: tool for tool in self.tools}
        if self._bare and set(call) != {"tool", "arguments"}:
            return ToolCall(self.tools[0], call)
        name, arguments = call.get("tool") or call.get("name"), call.get("arguments")
        if name not in by_name:
            raise InvocationError(f"no tool named {name!r}; there are {', '.join(map(repr, by_name))}.")
        if not isinstance(arguments, dict):
            raise InvocationError(f"'arguments' is {arguments!r}; it must be an object.")
        return ToolCall(by_name[name], arguments)


def _direct_answer(trace: ToolTrace) -> str:
    if trace.error is not None:
        raise InvocationError(trace.error)
    return trace.output or ""


def _described(tool: BaseTool) -> dict[str, Any]:
    described: dict[str, Any] = convert_to_openai_tool(tool)["function"]
    return described
