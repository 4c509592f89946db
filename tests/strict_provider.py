"""A provider that takes a history only where every provider would: it checks more than any single one does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_atlas.testing import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOCKS = {"text": ("text",), "image_url": ("image_url",), "file": ("file",), "input_audio": ("input_audio",)}


def strictly(reply: Callable[[dict[str, Any]], Any] | str = "Fine.") -> Callable[[dict[str, Any]], Any]:
    """Say `reply`, or refuse what is asked with the reason."""

    def answer(body: dict[str, Any]) -> Any:
        problem = fault(body["messages"])
        if problem is not None:
            return Failure(400, problem)
        return reply if isinstance(reply, str) else reply(body)

    return answer


def fault(messages: list[dict[str, Any]]) -> str | None:
    """Return what is wrong with a history, or None."""
    return next(_faults(messages), None)


def _faults(messages: list[dict[str, Any]]) -> Iterator[str]:
    waiting: list[str] = []
    for place, message in enumerate(messages):
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                yield f"tool result {message['tool_call_id']!r} answers no call"
            waiting.remove(message["tool_call_id"])
        elif waiting:
            yield f"tool calls {waiting} are not answered"
        yield from _faults_of(message, place)
        waiting += [call["id"] for call in message.get("tool_calls") or []]
        if len(set(waiting)) < len(waiting) or not all(waiting):
            yield f"tool calls {waiting} share an id, or have none"
    if waiting:
        yield f"tool calls {waiting} are not answered"


def _faults_of(message: dict[str, Any], place: int) -> Iterator[str]:
    role, content = message["role"], message.get("content")
    if role == "system" and place:
        yield "a system message must come first, and be the only one"
    if role == "function" or "function_call" in message:
        yield "functions are no more; use tools"
    if not message.get("tool_calls") and not content:
        yield f"message {place} is empty"
    for block in content if isinstance(content, list) else [{"type": "text", "text": content or "..."}]:
        if role == "tool" and block["type"] != "text":
            yield "a tool's result is a text"
        if block.get("type") not in BLOCKS or set(block) - {"type", *BLOCKS[block["type"]]}:
            yield f"unknown block {block!r}"
        if block["type"] == "text" and not block["text"].strip():
            yield f"message {place} has a blank text"
