"""The contract of an invocation: how a model uses a tool.

An invocation is a conversation written once, as a generator. It does no input or output itself: it yields model calls
and tool calls, receives their results, and returns the answer. The executor carries out the calls, synchronously or on
the event loop, so that both paths share one body.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic import Field

from langchain_atlas.errors import PoolError
from langchain_atlas.images import image_url
from langchain_atlas.messages.content_blocks import media_of, portable_media, readable
from langchain_atlas.messages.histories import FROM_TOOL
from langchain_atlas.records import Record
from langchain_atlas.text.markup import neutral
from langchain_atlas.text.thoughts import without_thoughts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.tools import BaseTool

    from langchain_atlas.execution.invocations.agent import Agent
    from langchain_atlas.pool.pool import Tool
    from langchain_atlas.trajectory import Query, ToolTrace


@dataclass(frozen=True)
class ModelCall:
    """A request to call the model."""

    messages: tuple[BaseMessage, ...]
    """The messages to send."""
    tools: tuple[BaseTool, ...] = ()
    """Tools to bind natively."""
    tool_choice: str | None = None
    """``auto``, ``required``, ``none`` or a tool's name; None leaves the choice to the provider."""
    schema: Mapping[str, Any] | None = None
    """JSON schema for the reply; sent if the model accepts one."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Parameters of this call only, such as ``max_tokens`` or ``stop``."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Our own default parameters, such as a sampling temperature; left out if the model does not accept them. All other
    parameters override them."""
    inward: bool = False
    """Whether the reply is internal to the invocation; its tokens are then kept out of a graph's message stream."""
    answers: bool = False
    """Whether the reply is certain to be the answer, so that it can be streamed immediately."""
    sample: int | None = None
    """Index of this call among several samples of one prompt, from 0: it is never answered from a cache, and if the
    model has a fixed seed, it gets a different one. None for a single call."""
    may_fail: bool = False
    """Whether the conversation can continue if this call fails; it then receives the exception in place of a reply."""


@dataclass(frozen=True)
class ToolCall:
    """A request to call a tool."""

    tool: BaseTool
    """The tool."""
    arguments: Mapping[str, Any]
    """The arguments of the call."""


@dataclass(frozen=True)
class RefusedCall:
    """A tool call by the model that can't be made; it only appears in the trace."""

    name: str
    """The tool that the model named."""
    reason: str
    """Why it can't be made, for the model and the trace."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """The arguments that the model gave, as far as they could be read."""


@dataclass(frozen=True)
class AgentCall:
    """A request to run an agent that is built around the pair's model."""

    agent: Agent
    """Builds it, fills its input and reads its answer."""
    messages: tuple[BaseMessage, ...]
    """The conversation."""
    text: str
    """The query's text with its context, for an agent that takes no messages."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Parameters of its model's calls."""


InvocationCall = ModelCall | ToolCall | RefusedCall | AgentCall
Conversation = Generator[tuple[InvocationCall, ...], tuple[Any, ...], str]
"""Yields calls that may run in parallel, receives what came of them (`AIMessage`, `ToolTrace`, `AgentRun`), returns the
answer.

If a model call that may fail does fail, it receives the exception in place of the reply.
"""


class InvocationSettings(Record):
    """Settings that all invocations share."""

    system: str | None = None
    """System message of the conversation."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Parameters of the model calls, such as ``{"max_tokens": 40, "stop": ["\\n"]}``."""

    @classmethod
    def _error(cls, message: str) -> PoolError:
        return PoolError(message)


class Invocation(ABC):
    """One way of using a tool.

    Args:
        tool: the pool's tool.
        tools: the LangChain tools that it wraps.

    Raises:
        PoolError: the tool's settings are invalid for this invocation.
    """

    Settings: ClassVar[type[InvocationSettings]] = InvocationSettings

    def __init__(self, tool: Tool, tools: tuple[BaseTool, ...]) -> None:
        self.tool = tool
        self.tools = tools
        try:
            self.settings = self.Settings(**tool.settings)
        except PoolError as error:
            raise PoolError(f"Tool {tool.name!r}, invocation {tool.invocation!r}: {error}") from error

    @abstractmethod
    def converse(self, query: Query) -> Conversation:
        """Hold the conversation that answers `query`."""

    def opening(
        self, query: Query, *examples: BaseMessage, text: str | None = None, traces: Sequence[ToolTrace] = ()
    ) -> tuple[BaseMessage, ...]:
        """Return the first messages of a conversation: system, examples, history, user message, and what followed it.

        The images that tools returned (`traces`) are added to the user message.
        """
        system = [SystemMessage(self.settings.system)] if self.settings.system else []
        return (*system, *examples, *query.history, with_images_of(as_human_message(query, text), traces), *query.since)


class InvocationError(Exception):
    """The conversation can't continue, for instance because the model never wrote a usable call."""


def as_human_message(query: Query, text: str | None = None) -> HumanMessage:
    """Return the query as a human message, with its context and images.

    Args:
        query: the query.
        text: text to send instead of the query's own text and context.

    Raises:
        InvalidInputError: an image is not a valid image, or is too large.
    """
    blocks = [] if not query.content else _ordered(query, text)
    if text is None:
        text = query.full_text
    if not query.content and not query.images:
        return HumanMessage(text)
    if not query.content:
        blocks = [*_texts(text), *({"type": "image_url", "image_url": {"url": image_url(url)}} for url in query.images)]
    return HumanMessage(content=blocks)


def _ordered(query: Query, text: str | None) -> list[str | dict[str, Any]]:
    """Return the query's content in order; a given text replaces the query's texts and comes first."""
    same = text is None and query.text == "\n".join(block["text"] for block in query.content if block["type"] == "text")
    blocks: list[str | dict[str, Any]] = [] if same else [*_texts(query.text if text is None else text)]
    for block in query.content:
        if block["type"] == "text":
            blocks += [block] if same else []
        elif block["type"] != "image":
            blocks.append(block)
        elif block["index"] < len(query.images):
            image = {name: value for name, value in block.items() if name not in ("type", "index")}
            blocks.append({"type": "image_url", "image_url": {"url": image_url(query.images[block["index"]]), **image}})
    if text is None and query.context is not None:
        blocks += _texts(f"Context:\n{neutral(query.context)}")
    return blocks


def _texts(text: str) -> list[dict[str, Any]]:
    """Return a text as blocks: none if it is blank, because providers reject blank blocks."""
    return [{"type": "text", "text": text}] if text.strip() else []


def with_images_of(message: HumanMessage, traces: Sequence[ToolTrace]) -> HumanMessage:
    """Return a message about the tools' results, with the images among the results added.

    They are marked as coming from a tool: a model that can't read images does not get them, as the text mentions them.
    """
    found = [block for trace in traces for block in trace.content if media_of(block) is not None]
    if not found:
        return message
    content = message.content
    said: list[Any] = _texts(content) if isinstance(content, str) else list(content)
    shown = [{**portable_media(block), FROM_TOOL: True} for block in found if readable(block)]
    return message.model_copy(update={"content": [*said, *shown]})


def text_of(message: BaseMessage) -> str:
    """Return the text of a message, whatever its content blocks, without the model's reasoning."""
    return without_thoughts(str(message.text))


def data_of(query: Query) -> list[str]:
    """Return earlier tool results and documents: a call that a model quotes from them does not call anything."""
    return [*([query.context] if query.context else []), *results_in((*query.history, *query.since))]


def results_in(messages: Sequence[BaseMessage]) -> list[str]:
    """Return the tool results in a conversation."""
    return [str(message.text) for message in messages if isinstance(message, ToolMessage)]


def fill(prompt: str, **values: str) -> str:
    """Replace each ``{name}`` with its value; other braces, also those inside the values, are kept."""
    return re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], match[0]), prompt)
