"""Reading input: from text and LangChain messages to queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Annotated, Any, Self

from langchain_core.messages import (
    BaseMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    convert_to_messages,
)
from langchain_core.prompt_values import PromptValue
from pydantic import WithJsonSchema

from langchain_atlas.errors import InvalidInputError
from langchain_atlas.failures.misspelled import refuse_misspelled, refuse_unknown
from langchain_atlas.messages.content_blocks import media_of, portable_media, text_in, unwrapped
from langchain_atlas.trajectory import Query

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_atlas.messages.content_blocks import Media

Ask = Annotated[
    str,
    WithJsonSchema(
        {
            "type": "string",
            "description": "What is asked, as a text. In Python a message, messages, a Query, a prompt's value and "
            "{'messages': ...} are taken too.",
        }
    ),
]
"""The input of a chain, as its schema shows it and as a tool made from the chain takes it."""


@dataclass(frozen=True)
class AtlasContext:
    """Settings of a single run, given as LangGraph's ``context`` or under ``configurable``."""

    cost_weight: float | None = None
    """0 for accuracy alone, 1 for cost alone; None leaves it to the router."""
    max_cost_usd: float | None = None
    """Maximum expected cost of the run, in dollars."""
    max_latency_s: float | None = None
    """Maximum expected duration of the run, in seconds."""
    pairs: list[str] | None = field(default=None)
    """Pairs that may be called, written ``model@@tool``."""
    private: bool | None = None
    """Whether the query may be sent only to the members that `Limits.private_members` names."""

    def __new__(cls, *_: Any, **given: Any) -> Self:
        """Reject unknown field names and suggest the intended one; LangGraph builds this class from the given context.

        Raises:
            SettingError: a name is not a field.
        """
        refuse_unknown(given, [one.name for one in fields(cls)], cls.__name__)
        return super().__new__(cls)


def read_ask(asked: Any, settings: Mapping[str, Any]) -> Query:
    """Make a query from a text, a message, a conversation, or a mapping that holds messages.

    Args:
        asked: the text, message, messages, a prompt's value or ``{"messages": ...}``.
        settings: any of the fields of `AtlasContext`.

    Raises:
        InvalidInputError: it is none of these, or `read_query` can't read it.
    """
    if isinstance(asked, Mapping) and asked.get("messages"):
        asked = asked["messages"]
    if isinstance(asked, PromptValue):  # what a prompt template passes on in a chain
        asked = asked.to_messages()
    if isinstance(asked, list | tuple):
        return read_query(asked, settings)
    if isinstance(asked, BaseMessage):
        return read_query([asked], settings)
    if isinstance(asked, str):
        return read_query([HumanMessage(asked)], settings)
    raise InvalidInputError(f"The ask is {asked!r}; it must be a text, a message, or a list of messages.")


def read_query(messages: Sequence[Any], settings: Mapping[str, Any]) -> Query:
    """Make a query from a conversation: its last human message is the question, what came before is the history.

    Of the messages after it, the query keeps tool calls and their results, up to the last result, and system messages.

    Args:
        messages: the conversation.
        settings: any of the fields of `AtlasContext`.

    Raises:
        InvalidInputError: there is no human message, it is empty or holds content that a query can't carry, or a
            setting is out of range.
    """
    conversation = convert_to_messages(list(messages))
    for index in range(len(conversation) - 1, -1, -1):
        message = conversation[index]
        if isinstance(message, HumanMessage):
            break
    else:
        raise InvalidInputError("The messages hold no human message, so there is nothing to route.")
    query = Query(
        **_said(message),
        id=message.id,
        history=tuple(conversation[:index]),
        since=_since(conversation[index + 1 :]),
    )
    return with_settings(query, settings)


def with_settings(query: Query, settings: Mapping[str, Any]) -> Query:
    """Return the query with the settings of one run applied.

    Args:
        query: the query.
        settings: any of the fields of `AtlasContext`; they override the query's own.

    Raises:
        InvalidInputError: one is out of range.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    pairs = given.get("pairs")
    if pairs is not None:
        given["pairs"] = frozenset([pairs] if isinstance(pairs, str) else pairs)
    limits = {name: given[name] for name in ("max_cost_usd", "max_latency_s", "pairs") if name in given}
    changes = {name: given[name] for name in ("cost_weight", "private") if name in given}
    if not limits and not changes:
        return query
    return query.replace(constraints=query.constraints.replace(**limits), **changes)


def configured(config: Mapping[str, Any]) -> dict[str, Any]:
    """Collect the settings that a run gives under ``configurable``: any of the fields of `AtlasContext`.

    Raises:
        SettingError: a key looks like a misspelling of one of these; see `langchain_atlas.failures.misspelled`.
    """
    given = config.get("configurable") or {}
    refuse_misspelled(given, AtlasContext.__dataclass_fields__, "configurable")
    return {name: given[name] for name in AtlasContext.__dataclass_fields__ if name in given}


def _since(messages: Sequence[BaseMessage]) -> tuple[BaseMessage, ...]:
    """Return the messages up to the last tool result; assistant text after that would look like the answer.

    System messages are kept wherever they appear.
    """
    results = [number for number, message in enumerate(messages) if isinstance(message, ToolMessage | FunctionMessage)]
    last = results[-1] + 1 if results else 0
    return (*messages[:last], *(message for message in messages[last:] if isinstance(message, SystemMessage)))


def last_said(messages: Sequence[BaseMessage]) -> BaseMessage | None:
    """Return the last message that is not a system message; None if there is none."""
    return next((message for message in reversed(messages) if not isinstance(message, SystemMessage)), None)


def has_images(messages: Sequence[BaseMessage]) -> bool:
    """Return whether a conversation holds an image, so that only a model that reads images can continue it."""
    return "image" in media_in(messages)


def media_in(messages: Sequence[BaseMessage]) -> frozenset[Media]:
    """Return the kinds of media in a conversation, besides text."""
    contents = (message.content for message in messages if isinstance(message.content, list))
    return frozenset(media for content in contents for block in content if (media := media_of(block)) is not None)


def _said(message: BaseMessage) -> dict[str, Any]:
    """Return the content of a message as fields of `Query`: the text, images, files, and their order.

    Raises:
        InvalidInputError: it is empty, or holds content that a query can't carry.
    """
    if isinstance(message.content, str):
        said: dict[str, Any] = {"text": message.content}
    else:
        texts: list[str] = []
        content: list[dict[str, Any]] = []
        images: list[str] = []
        for block in message.content:
            text = text_in(block)
            if text is None:
                content.append(_carried(block, images))
            elif text.strip():
                texts.append(text)
                content.append({"type": "text", "text": text})
        said = {"text": "\n".join(texts), "images": tuple(images)}
        usual = [{"type": "image", "index": number} for number in range(len(images))]
        written = [block for block in content if block["type"] == "text"]
        if content != written and (content != [*written, *usual] or len(written) > 1):
            said["content"] = tuple(content)
    if not said["text"].strip() and not said.get("images") and not said.get("content"):
        raise InvalidInputError("The last human message has no text, so there is nothing to route.")
    return said


def _carried(block: Any, images: list[str]) -> dict[str, Any]:
    """Return a non-text block in the form of the query's `content`, and append an image to `images`."""
    try:
        made = portable_media(block)
    except InvalidInputError as error:
        inner = unwrapped(block)
        kind = inner.get("type") if isinstance(inner, dict) else None
        raise InvalidInputError(
            f"The last human message holds a block of type {kind!r} that a query can't carry: {error}"
        ) from error
    if made["type"] != "image_url":
        return made
    images.append(made["image_url"].pop("url"))
    return {"type": "image", "index": len(images) - 1, **made["image_url"]}
