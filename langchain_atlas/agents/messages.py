"""Between LangChain messages and the loop: reading the ask, writing the answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage, convert_to_messages
from langchain_core.messages.ai import UsageMetadata

from langchain_atlas.errors import InvalidInputError
from langchain_atlas.images import block_url
from langchain_atlas.trajectory import Constraints, Query, Trajectory, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

RECORD_KEY = "atlas"
"""Where the record of a run stands: in the state, and in the answer's ``response_metadata``."""

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
    """Make a query of whatever a state holds: a text, a message, or a conversation.

    Args:
        asked: the text, message or messages.
        settings: any of the fields of `AtlasContext`.

    Raises:
        InvalidInputError: it is neither, or `read_query` can't read it.
    """
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
        InvalidInputError: no human message is there, it has no text or holds more than text and images, or a setting
            is out of range.
    """
    conversation = convert_to_messages(list(messages))
    for index in range(len(conversation) - 1, -1, -1):
        message = conversation[index]
        if isinstance(message, HumanMessage):
            break
    else:
        raise InvalidInputError("The messages hold no human message, so there is nothing to route.")
    if not message.text.strip():
        raise InvalidInputError("The last human message has no text, so there is nothing to route.")
    pairs = settings.get("pairs")
    if isinstance(pairs, str):
        pairs = [pairs]
    return Query(
        text=message.text,
        id=message.id,
        history=tuple(conversation[:index]),
        since=_answered(conversation[index + 1 :]),
        images=tuple(_images(message)),
        cost_weight=settings.get("cost_weight"),
        constraints=Constraints(
            max_cost_usd=settings.get("max_cost_usd"),
            max_latency_s=settings.get("max_latency_s"),
            pairs=None if pairs is None else frozenset(pairs),
        ),
    )


def _answered(messages: Sequence[BaseMessage]) -> tuple[BaseMessage, ...]:
    """Return the messages up to the last tool result; an assistant's words after that would look like the answer."""
    results = [number for number, message in enumerate(messages) if isinstance(message, ToolMessage)]
    return tuple(messages[: results[-1] + 1]) if results else ()


def run_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Collect what this run sets: from ``configurable``, and from the run's context, which wins."""
    from langgraph.runtime import get_runtime

    names = AtlasContext.__dataclass_fields__
    given = {name: value for name, value in (config.get("configurable") or {}).items() if name in names}
    try:
        context = getattr(get_runtime(), "context", None)
    except (KeyError, RuntimeError):  # outside a graph there is no run, and so no context
        return given
    for name in names:
        value = context.get(name) if isinstance(context, dict) else getattr(context, name, None)
        if value is not None:
            given[name] = value
    return given


def record(trajectory: Trajectory) -> dict[str, Any]:
    """Return what happened as plain JSON: the answer, the pair that gave it, the totals, and every step."""
    answered_by = trajectory.answered_by
    return {
        "answered": trajectory.answer is not None,
        "pair": None if answered_by is None else str(answered_by.pair),
        "calls": trajectory.calls,
        "cost_usd": trajectory.cost_usd,
        "latency_s": trajectory.latency_s,
        "steps": trajectory.to_json()["steps"],
    }


def answer_message(trajectory: Trajectory) -> AIMessage:
    """Return the answer as a message that carries the record; without an answer it says what failed."""
    usage = sum((seen.usage for seen in trajectory.observations), Usage(input_tokens=0, output_tokens=0))
    counts = None
    if usage.input_tokens is not None and usage.output_tokens is not None:
        counts = UsageMetadata(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            total_tokens=usage.input_tokens + usage.output_tokens,
        )
    text = trajectory.answer
    if text is None:
        errors = "; ".join(f"{seen.pair}: {seen.error}" for seen in trajectory.observations if seen.error)
        why = trajectory.steps[-1].decision.reason if trajectory.steps else ""
        text = f"No answer: {f'every call failed ({errors}).' if errors else why or 'no pair was called.'}"
    # The id of the streamed reply lets LangGraph see that the answer was streamed already.
    message_id = None if trajectory.answered_by is None else trajectory.answered_by.message_id
    return AIMessage(
        content=text, id=message_id, usage_metadata=counts, response_metadata={RECORD_KEY: record(trajectory)}
    )


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
