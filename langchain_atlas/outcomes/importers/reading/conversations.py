"""Conversations in the forms that providers and frameworks log them: what was asked, and what was answered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_atlas.outcomes.importers.reading.values import unpacked

_ROLES = {
    "human": "user",
    "humanmessage": "user",
    "humanmessagechunk": "user",
    "ai": "assistant",
    "aimessage": "assistant",
    "aimessagechunk": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "gpt": "assistant",
    "systemmessage": "system",
    "developer": "system",
    "toolmessage": "tool",
    "function": "tool",
    "functionmessage": "tool",
}
"""Roles by the names that others give them."""

_MEDIA = ("image", "audio", "video", "file", "pdf", "document", "media", "blob")
_QUERIES = (
    "messages",
    "query",
    "question",
    "input",
    "prompt",
    "text",
    "user_input",
    "user_message",
    "message",
    "chat_history",
)
_ANSWERS = (
    "output",
    "answer",
    "response",
    "result",
    "text",
    "output_text",
    "completion",
    "content",
    "message",
    "messages",
    "final_answer",
)


_REPLIES = frozenset(
    {"choices", "generations", "candidates", "messages", "content", "lc", "kwargs", "body", "usage", "error"}
)
"""Names that tell a provider's response from an answer that is JSON itself."""
_LABELS = frozenset({"role", "type", "finish_reason", "event", "object", "id", "status"})
"""Names of texts that are no answers."""
_HISTORIES = ("chat_history", "history")

_DEEPEST = 20
"""How deep messages may be inside of other values."""


@dataclass(frozen=True)
class ConversationTurn:
    """One message of a conversation."""

    role: str
    """``user``, ``assistant``, ``system`` or ``tool``."""
    text: str
    """Its text; calls of tools as JSON where there is no text."""
    media: bool = False
    """Whether it holds an image or another file, which an outcome table can't hold."""
    calls: bool = False
    """Whether it calls tools."""


@dataclass(frozen=True)
class AskedQuestion:
    """What was asked in a conversation."""

    query: str
    """The last message of the user."""
    context: str | None
    """The turns before it, without system messages; None if it was the first."""
    media: bool
    """Whether that message holds an image or another file."""
    continues: bool
    """Whether tools were called for it already."""


def turns(value: Any, depth: int = 0) -> list[ConversationTurn]:
    """Read messages: of OpenAI, Anthropic, LangChain (also serialized), OpenTelemetry and Gemini, in any nesting.

    Args:
        value: the messages, or something that holds them.
        depth: how deep inside of something else it is.

    Returns:
        The turns; empty if the value holds no messages.
    """
    value = unpacked(value)
    if depth > _DEEPEST:
        return []
    if isinstance(value, Mapping):
        if "messages" in value:
            return turns(value["messages"], depth + 1)
        turn = _turn(value)
        return [] if turn is None else [turn]
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        return []
    found: list[ConversationTurn] = []
    for item in value:
        item = unpacked(item)  # noqa: PLW2901
        if _is_pair(item):
            found.append(ConversationTurn(_ROLES.get(item[0].lower(), item[0].lower()), item[1]))
        else:
            found.extend(turns(item, depth + 1) if not isinstance(item, str) else [])
    return found


def asked(value: Any) -> AskedQuestion | None:
    """Return what was asked in messages; None if they hold no message of a user."""
    said = turns(value)
    last = max((index for index, turn in enumerate(said) if turn.role == "user"), default=None)
    if last is None:
        return None
    earlier = [f"{turn.role}: {turn.text}" for turn in said[:last] if turn.role != "system" and turn.text]
    return AskedQuestion(
        query=said[last].text,
        context="\n".join(earlier) or None,
        media=said[last].media,
        continues=any(turn.role == "tool" for turn in said[last + 1 :]),
    )


def answered(value: Any) -> str | None:
    """Return the text of the last answer in messages; None if they hold none after the last message of the user."""
    said = turns(value)
    for turn in reversed(said):
        if turn.role == "user":
            return None
        if turn.role == "assistant" and turn.text:
            return turn.text
    return None


def find_query(value: Any, depth: int = 0) -> Any:
    """Return the query inside of a run's inputs: messages, or a text under a usual name; None if there is none."""
    value = unpacked(value)
    if isinstance(value, str):
        return value
    if not isinstance(value, Mapping):
        return value if turns(value) else None
    for name in _QUERIES:
        inner = unpacked(value.get(name))
        if (isinstance(inner, str) and inner.strip()) or (inner and turns(inner)):
            return _after_history(inner, value) if isinstance(inner, str) else inner
    if turns(value):
        return [value]
    texts = [inner for inner in value.values() if isinstance(inner, str) and inner.strip()]
    nested = [inner for inner in value.values() if isinstance(inner, Mapping)]
    if len(texts) == 1:
        return texts[0]
    alone = len(nested) == 1 and not texts and depth < _DEEPEST
    return find_query(nested[0], depth + 1) if alone else None


def _after_history(text: str, inputs: Mapping[str, Any]) -> Any:
    """Return a query with the conversation before it, where the inputs hold that beside it."""
    earlier = next((told for name in _HISTORIES if (told := unpacked(inputs.get(name))) and turns(told)), None)
    return text if earlier is None else [earlier, {"role": "user", "content": text}]


def find_answer(value: Any, depth: int = 0) -> str | None:
    """Return the answer inside of a run's outputs or a provider's response; None if there is none."""
    value = as_reply(value)
    if isinstance(value, str):
        return (value.strip() and value) or None
    if depth > _DEEPEST:
        return None
    if isinstance(value, Mapping):
        return _answer_in(value, depth)
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return _answer_of_list(value, depth)
    return None


def _answer_of_list(value: Sequence[Any], depth: int) -> str | None:
    if (said := answered(value)) is not None:
        return said
    if not value:
        return None
    if len(value) == 1 or isinstance(value[-1], Mapping | list):
        return find_answer(value[-1], depth + 1)
    return json.dumps(value, ensure_ascii=False, default=str)


def as_reply(value: Any) -> Any:
    """Return the provider's response, or the messages, that a text holds as JSON; any other value unchanged.

    So an answer that is JSON itself stays the text that it is.
    """
    inside = unpacked(value)
    return inside if turns(inside) or (isinstance(inside, Mapping) and not _REPLIES.isdisjoint(inside)) else value


def _answer_in(value: Mapping[str, Any], depth: int) -> str | None:
    for wrapper in ("choices", "generations"):
        inner = value.get(wrapper)
        if isinstance(inner, Sequence) and inner and not isinstance(inner, str):
            first = inner[0]
            if isinstance(first, Sequence) and not isinstance(first, str) and first:
                first = first[0]
            return find_answer(first, depth + 1)
    if isinstance(value.get("text"), str) and value["text"].strip():
        return str(value["text"])
    turn = _turn(value)
    if turn is not None and turn.role == "assistant":
        return turn.text or None
    if isinstance(value.get("output"), Sequence) and value.get("object") == "response":
        said = "\n".join(text for item in value["output"] if (text := _item_text(item)))
        return said or None
    for name in _ANSWERS:
        inner = value.get(name)
        if inner and (found := find_answer(inner, depth + 1)) is not None:
            return found
    texts = [inner for name, inner in value.items() if isinstance(inner, str) and inner.strip() and name not in _LABELS]
    return texts[0] if len(texts) == 1 and len(value) == 1 else None


def _item_text(item: Any) -> str | None:
    """Return the text of an item of OpenAI's Responses: a message, or a call of a function."""
    if not isinstance(item, Mapping) or item.get("type") == "reasoning":
        return None
    if item.get("type") == "function_call":
        return _written_calls([item])
    text, _, _ = _content(item.get("content"))
    return text


def _is_pair(item: Any) -> bool:
    return (
        isinstance(item, Sequence)
        and not isinstance(item, str)
        and len(item) == 2  # noqa: PLR2004  # role and text
        and all(isinstance(part, str) for part in item)
    )


def _turn(message: Mapping[str, Any]) -> ConversationTurn | None:
    """Read one message; None if it is none."""
    if message.get("lc") and isinstance(message.get("kwargs"), Mapping):  # serialized by LangChain
        name = message.get("id")
        kind = name[-1] if isinstance(name, Sequence) and name else ""
        message = {"type": str(kind), **message["kwargs"]}
        message = {**message, "role": str(kind)}
    elif isinstance(message.get("data"), Mapping) and "type" in message:  # messages_to_dict of LangChain
        message = {**message["data"], "role": message["type"]}
    elif isinstance(message.get("message"), Mapping) and "role" not in message:
        return _turn(message["message"])
    role = next((message[name] for name in ("role", "type", "from") if isinstance(message.get(name), str)), None)
    held = next((name for name in ("content", "parts", "value") if name in message), None)
    calls = message.get("tool_calls") or message.get("function_call")
    if role is None or (held is None and not calls):
        return None
    role = _ROLES.get(role.lower(), role.lower())
    if role not in ("user", "assistant", "system", "tool"):
        return None
    text, media, called = _content(message.get(held) if held else None)
    if not text and calls:
        text = _written_calls(calls if isinstance(calls, Sequence) and not isinstance(calls, str) else [calls])
    results = role == "user" and called == "result" and not text
    return ConversationTurn("tool" if results else role, text, media, bool(calls) or called == "call")


def _content(content: Any) -> tuple[str, bool, str | None]:
    """Return the text of a message's content, whether it holds media, and whether ``call`` or ``result`` of a tool."""
    if content is None:
        return "", False, None
    if isinstance(content, str):
        return content, False, None
    blocks = content if isinstance(content, Sequence) else [content]
    texts, calls, media, kind = [], [], False, None
    for block in blocks:
        if isinstance(block, str):
            texts.append(block)
        elif isinstance(block, Mapping):
            name = str(block.get("type", "text"))
            if name in ("tool_use", "tool_call", "function_call"):
                calls.append(block)
                kind = "call"
            elif name in ("tool_result", "tool_call_response"):
                kind = "result"
            elif (
                name.startswith(_MEDIA)
                or (name.startswith("input_") and name != "input_text")
                or "inline_data" in block
            ):
                media = True
            elif name not in ("thinking", "redacted_thinking", "reasoning"):
                text = block.get("text", block.get("content"))
                texts += [text] if isinstance(text, str) else []
    text = "\n".join(text for text in texts if text)
    return text or (_written_calls(calls) if calls else ""), media, kind


def _written_calls(calls: Sequence[Any]) -> str:
    """Return calls of tools as JSON: ``[{"name": ..., "arguments": {...}}]``."""
    written = []
    for call in calls:
        if isinstance(call, Mapping):
            inner = call["function"] if isinstance(call.get("function"), Mapping) else call
            given: Any = next((inner[name] for name in ("arguments", "input", "args") if name in inner), {})
            written.append({"name": inner.get("name"), "arguments": unpacked(given)})
    return json.dumps(written, ensure_ascii=False, default=str)
