"""Hiding a reply's token counts from callbacks when the enclosing run counts them; the caller still receives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from langchain_core.messages import AIMessage

from langchain_atlas.costs.usage_counting import is_counted_outside

if TYPE_CHECKING:
    from langchain_core.outputs import ChatResult

Message = TypeVar("Message")

HIDDEN = "counted_outside"
"""Key in a reply's metadata that holds the counts while callbacks see it."""
_TOKENS = "token_usage"


def without_count(message: Message) -> Message:
    """Return a reply, or a chunk of one, with its counts moved to where nobody adds them up; see `with_count`."""
    if not (isinstance(message, AIMessage) and is_counted_outside()):
        return message
    metadata = dict(message.response_metadata)
    counts: dict[str, Any] = {_TOKENS: metadata.pop(_TOKENS, None), "usage_metadata": message.usage_metadata}
    counts = {name: count for name, count in counts.items() if count}
    if not counts:
        return message
    metadata[HIDDEN] = {**metadata.get(HIDDEN, {}), **counts}
    return message.model_copy(update={"usage_metadata": None, "response_metadata": metadata})


def with_count(message: Message) -> Message:
    """Return a reply, or a chunk of one, with the counts that `without_count` hid."""
    if not (isinstance(message, AIMessage) and HIDDEN in message.response_metadata):
        return message
    metadata = dict(message.response_metadata)
    counts = metadata.pop(HIDDEN)
    if _TOKENS in counts:
        metadata[_TOKENS] = counts[_TOKENS]
    usage = {**counts.get("usage_metadata", {}), **(message.usage_metadata or {})}
    return message.model_copy(update={"usage_metadata": usage or None, "response_metadata": metadata})


def result_without_count(result: ChatResult) -> ChatResult:
    """Return a result with its counts moved to where nobody adds them up; what a cache received is unchanged."""
    if not is_counted_outside():
        return result
    generations = [
        generation.model_copy(update={"message": without_count(generation.message)})
        for generation in result.generations
    ]
    told = {name: value for name, value in (result.llm_output or {}).items() if name != _TOKENS}
    return result.model_copy(update={"generations": generations, "llm_output": told or None})
