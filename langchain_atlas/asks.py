"""Reading the ask: from texts and LangChain messages to queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage, convert_to_messages
from langchain_core.prompt_values import PromptValue

from langchain_atlas.errors import InvalidInputError
from langchain_atlas.images import block_url
from langchain_atlas.trajectory import Query

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_IMAGES = ("image", "image_url", "input_image")
_NOT_CARRIED = ("audio", "video", "file", "text-plain", "media")


@dataclass(frozen=True)
class AtlasContext:
    """What one run may set, as LangGraph's ``context`` or under ``configurable``."""

    cost_weight: float | None = None
    """0 for accuracy alone, 1 for cost alone; None leaves it to the router."""
    max_cost_usd: float | None = None
    """Most dollars the run may cost, by expectation."""
    max_latency_s: float | None = None
    """Most seconds the run may take, by expectation."""
    pairs: list[str] | None = field(default=None)
    """Pairs that may be asked, written ``model@@tool``."""


def read_ask(asked: Any, settings: Mapping[str, Any]) -> Query:
    """Make a query of whatever holds an ask: a text, a message, a conversation, or a mapping with one.

    Args:
        asked: the text, message, messages, a prompt's value or ``{"messages": ...}``.
        settings: any of the fields of `AtlasContext`.

    Raises:
        InvalidInputError: it is neither, or `read_query` can't read it.
    """
    if isinstance(asked, Mapping) and asked.get("messages"):
        asked = asked["messages"]
    if isinstance(asked, PromptValue):  # what a prompt hands on in a chain
        asked = asked.to_messages()
    if isinstance(asked, list | tuple):
        return read_query(asked, settings)
    if isinstance(asked, BaseMessage):
        return read_query([asked], settings)
    if isinstance(asked, str):
        return read_query([HumanMessage(asked)], settings)
    raise InvalidInputError(f"The ask is {asked!r}; it must be a text, a message, or a list of messages.")


def read_query(messages: Sequence[Any], settings: Mapping[str, Any]) -> Query:
    """Make a query of a conversation: its last human message is the ask, what came before is the history.

    Of what came after the ask, calls of tools and their results belong to the query, up to the last result.

    Args:
        messages: the conversation.
        settings: any of the fields of `AtlasContext`.

    Raises:
        InvalidInputError: no human message is there, it has neither text nor image, or holds more than these, or a
            setting is out of range.
    """
    conversation = convert_to_messages(list(messages))
    for index in range(len(conversation) - 1, -1, -1):
        message = conversation[index]
        if isinstance(message, HumanMessage):
            break
    else:
        raise InvalidInputError("The messages hold no human message, so there is nothing to route.")
    images = tuple(_images(message))
    if not images and not message.text.strip():
        raise InvalidInputError("The last human message has no text, so there is nothing to route.")
    query = Query(
        text=message.text,
        id=message.id,
        history=sendable(conversation[:index]),
        since=_answered(conversation[index + 1 :]),
        images=images,
    )
    return with_settings(query, settings)


def with_settings(query: Query, settings: Mapping[str, Any]) -> Query:
    """Return the query as one run wants it answered.

    Args:
        query: the query.
        settings: any of the fields of `AtlasContext`; they win over the query's own.

    Raises:
        InvalidInputError: one is out of range.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    pairs = given.get("pairs")
    if pairs is not None:
        given["pairs"] = frozenset([pairs] if isinstance(pairs, str) else pairs)
    limits = {name: given[name] for name in ("max_cost_usd", "max_latency_s", "pairs") if name in given}
    changes = {"cost_weight": given["cost_weight"]} if "cost_weight" in given else {}
    if not limits and not changes:
        return query
    return query.replace(constraints=query.constraints.replace(**limits), **changes)


def configured(config: Mapping[str, Any]) -> dict[str, Any]:
    """Collect what a run sets under ``configurable``: any of the fields of `AtlasContext`."""
    given = config.get("configurable") or {}
    return {name: given[name] for name in AtlasContext.__dataclass_fields__ if name in given}


def _answered(messages: Sequence[BaseMessage]) -> tuple[BaseMessage, ...]:
    """Return the messages up to the last tool result; an assistant's words after that would look like the answer."""
    results = [number for number, message in enumerate(messages) if isinstance(message, ToolMessage)]
    return tuple(messages[: results[-1] + 1]) if results else ()


def has_images(messages: Sequence[BaseMessage]) -> bool:
    """Say whether a conversation holds an image, so that only a model that reads images can go on with it."""
    return any(_is_image(kind, value) for message in messages for kind, value in _blocks(message))


def _blocks(message: BaseMessage) -> Iterator[tuple[str | None, Any]]:
    """Yield the blocks of a message, each with its type; blocks that LangChain does not know are unwrapped."""
    for block in message.content_blocks:
        value: Any = block.get("value") if block["type"] == "non_standard" else block
        yield (value.get("type") if isinstance(value, dict) else None), value


def _is_image(kind: str | None, value: Any) -> bool:
    return kind in _IMAGES or (kind == "media" and str(value.get("mime_type")).startswith("image/"))


def sendable(messages: Sequence[BaseMessage]) -> tuple[BaseMessage, ...]:
    """Return the messages that a model is shown of a conversation, in a form that every provider is sent.

    A message that only says that every call failed is left out: a model would read it as its own words.
    """
    return tuple(portable(message) for message in messages if not _is_failure(message))


def _is_failure(message: BaseMessage) -> bool:
    record = message.response_metadata.get("atlas") if isinstance(message, AIMessage) else None
    return isinstance(record, Mapping) and record.get("answered") is False


def portable(message: BaseMessage) -> BaseMessage:
    """Return a message with its images in a form that every provider is sent: some forms are one provider's own."""
    if isinstance(message.content, str):
        return message
    blocks = [_portable_block(block) for block in message.content]
    return message if blocks == message.content else message.model_copy(update={"content": blocks})


def _portable_block(block: Any) -> Any:
    kind = block.get("type") if isinstance(block, dict) else None
    own = kind in ("input_image", "media") or (kind == "image" and "source" in block)
    if not own or not _is_image(kind, block):
        return block
    try:
        return {"type": "image_url", "image_url": {"url": block_url(block)}}
    except InvalidInputError:  # an image known by its id alone: its provider may know it
        return block


def _images(message: BaseMessage) -> list[str]:
    """Return the images of a message as URLs, in whichever of the usual forms it holds them.

    Raises:
        InvalidInputError: the message holds something besides text and images, which would be lost.
    """
    found = []
    for kind, value in _blocks(message):
        if _is_image(kind, value):
            try:
                found.append(block_url(value))
            except InvalidInputError as error:
                raise InvalidInputError(
                    f"The last human message holds a block of type {kind!r} that a query can't carry: {error}"
                ) from error
        elif kind in _NOT_CARRIED:
            raise InvalidInputError(
                f"The last human message holds a block of type {kind!r} that a query can't carry; it carries text, and "
                "images as URLs or data."
            )
    return found
