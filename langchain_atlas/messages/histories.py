"""Conversations in a form that every provider accepts.

A thread may hold content that makes providers reject every later request: a tool call that was never answered because a
run was stopped, a result whose call was trimmed away, an empty turn, a block that only one provider knows. All messages
are passed through `sendable` before they are sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_atlas.errors import InvalidInputError
from langchain_atlas.messages.content_blocks import (
    THOUGHTS,
    as_text,
    described,
    media_of,
    portable_media,
    text_block,
    text_in,
    unwrapped,
)
from langchain_atlas.text.markup import neutral

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

NOT_ANSWERED = "This call was not carried out: the run was stopped before. Make it again if it is still needed."
"""Placeholder result of a tool call that has none."""
NO_OUTPUT = "(no output)"
"""Placeholder result of a tool that returned nothing."""
FROM_TOOL = "atlas_from_tool"
"""Marks a block that came from a tool, not from the user."""

_CALLS = frozenset(
    {"tool_use", "function_call", "tool_call", "tool_call_chunk", "invalid_tool_call", "custom_tool_call"}
)
_ID = re.compile(r"[A-Za-z0-9_-]+(__thought__.*)?", re.DOTALL)


def sendable(messages: Iterable[BaseMessage], *, reads: Collection[str] | None = None) -> list[BaseMessage]:
    """Return a conversation in a form that every provider accepts; messages that need no change stay the same objects.

    - System messages are merged into one and put first.
    - Each tool call is followed by its result: results are moved there, a call without one is closed with
      `NOT_ANSWERED`, a result without a call is dropped, and every call gets a unique id. Legacy function calls and
      provider-specific call blocks become tool calls.
    - A message that only reports that every call failed is dropped: a model would read it as its own words.
    - Turns with neither text nor calls are dropped, and so are blank text blocks.
    - Images, PDF documents and recordings are converted to one form. An image that a tool returned follows the results
      in a human message; a model that is not declared to read images gets a text description instead.

    Args:
        messages: the conversation.
        reads: the modalities that the model reads, such as ``{"text", "image"}``; None when unknown.
    """
    given = [message for message in messages if not _is_failure(message)]
    sent = _without_empty(_paired(given))
    sent = _system_first(_media_last([_portable(message, reads) for message in sent], reads))
    return sent or given  # let the provider itself reject an empty conversation


def _is_failure(message: BaseMessage) -> bool:
    record = message.response_metadata.get("atlas") if isinstance(message, AIMessage) else None
    return isinstance(record, Mapping) and record.get("answered") is False


@dataclass
class _Slot:
    """A tool call and its result."""

    call: dict[str, Any]
    key: str
    result: ToolMessage | None = None
    readable: bool = True


@dataclass
class _Turn:
    """An assistant's message with its calls."""

    message: AIMessage
    slots: list[_Slot] = field(default_factory=list)

    def answer(self, key: str, message: ToolMessage) -> None:
        slots = [slot for slot in self.slots if slot.key == key]
        open_ = [slot for slot in slots if slot.result is None]
        (open_ or slots[-1:])[0].result = message  # of two results of one call, the later one counts

    def messages(self) -> list[BaseMessage]:
        slots = [slot for slot in self.slots if slot.readable or slot.result is not None]
        said = _with_calls(self.message, [slot.call for slot in slots])
        return [said, *(_result(slot) for slot in slots)]


def _paired(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Put each result after its call, close calls without a result, and drop results without a call."""
    told: list[BaseMessage | _Turn] = []
    turns: dict[str, _Turn] = {}
    for place, message in enumerate(messages):
        if isinstance(message, AIMessage):
            turn = _Turn(message, _slots(message, place))
            told.append(turn)
            turns.update({slot.key: turn for slot in turn.slots})
        elif isinstance(message, ToolMessage | FunctionMessage):
            key = message.tool_call_id if isinstance(message, ToolMessage) else _legacy_key(message.name)
            if key in turns:
                turns[key].answer(key, _as_tool_message(message))
        else:
            told.append(message)
    return [one for item in told for one in (item.messages() if isinstance(item, _Turn) else [item])]


def _slots(message: AIMessage, place: int) -> list[_Slot]:
    """Return the calls of a message, in whichever form they are given, each with a unique id."""
    found = [_Slot(dict(call), str(call["id"] or "")) for call in message.tool_calls]
    known = {slot.key for slot in found}
    call: dict[str, Any]
    for unread in message.invalid_tool_calls:
        call = {"name": unread["name"], "args": {}, "id": unread["id"], "type": "tool_call"}
        found.append(_Slot(call, str(unread["id"] or ""), readable=False))
        known.add(found[-1].key)
    for block in message.content if isinstance(message.content, list) else ():
        written = _block_call(unwrapped(block))
        if written is not None and written.key not in known:
            found.append(written)
    legacy = message.additional_kwargs.get("function_call")
    if not found and isinstance(legacy, Mapping):
        name = str(legacy.get("name") or "")
        args, readable = _arguments(legacy.get("arguments"))
        call = {"name": name, "args": args, "id": None, "type": "tool_call"}
        found.append(_Slot(call, _legacy_key(name), readable=readable))
    ids: set[str] = set()
    for number, slot in enumerate(found):
        slot.call["name"] = slot.call["name"] or "unknown"
        if not _ID.fullmatch(str(slot.call["id"] or "")) or slot.call["id"] in ids:
            slot.call["id"] = f"call_{place}_{number}"
        ids.add(slot.call["id"])
    return found


def _block_call(block: Any) -> _Slot | None:
    """Read a call from a content block; None if it is not a call, or only part of one."""
    if not isinstance(block, Mapping) or block.get("type") not in _CALLS or not block.get("name"):
        return None
    call_id = str(block.get("call_id") or block.get("id") or "")
    args, readable = _arguments(next((block[name] for name in ("input", "args", "arguments") if name in block), None))
    call = {"name": str(block["name"]), "args": args, "id": call_id, "type": "tool_call"}
    return _Slot(call, call_id, readable=readable)


def _arguments(written: Any) -> tuple[dict[str, Any], bool]:
    """Return the arguments as a dict, and whether they could be parsed."""
    if isinstance(written, str):
        try:
            written = json.loads(written or "{}")
        except (ValueError, RecursionError):
            return {}, False
    return (dict(written), True) if isinstance(written, Mapping) else ({}, written is None)


def _legacy_key(name: str | None) -> str:
    return f"function {name}"


def _as_tool_message(message: ToolMessage | FunctionMessage) -> ToolMessage:
    if isinstance(message, ToolMessage):
        return message
    return ToolMessage(message.content, tool_call_id="", name=message.name, id=message.id)


def _with_calls(message: AIMessage, calls: list[dict[str, Any]]) -> AIMessage:
    changes: dict[str, Any] = {}
    if list(message.tool_calls) != calls or message.invalid_tool_calls:
        changes |= {"tool_calls": calls, "invalid_tool_calls": []}
    extra = {name: value for name, value in message.additional_kwargs.items() if name != "function_call"}
    if not calls:
        extra.pop("tool_calls", None)
    if extra != message.additional_kwargs:
        changes["additional_kwargs"] = extra
    if isinstance(message.content, list):
        content = [block for block in map(_said, message.content) if block is not None]
        if content != message.content:
            changes["content"] = content or ""
    elif message.content and not message.content.strip():
        changes["content"] = ""
    return message.model_copy(update=changes) if changes else message


def _said(block: Any) -> dict[str, Any] | None:
    """Return a block of an assistant message as every provider accepts it; None for provider-specific blocks."""
    inner, text = unwrapped(block), text_block(block)
    if text is not None:
        return text if text["text"].strip() else None
    return dict(inner) if isinstance(inner, Mapping) and inner.get("type") in THOUGHTS else None


def _result(slot: _Slot) -> ToolMessage:
    result = slot.result
    if result is None:
        return ToolMessage(NOT_ANSWERED, tool_call_id=slot.call["id"], name=slot.call["name"], status="error")
    changes: dict[str, Any] = {} if result.tool_call_id == slot.call["id"] else {"tool_call_id": slot.call["id"]}
    if not _is_said(result):
        changes["content"] = NO_OUTPUT
    return result.model_copy(update=changes) if changes else result


def _without_empty(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Drop turns with neither text nor calls."""
    return [
        message for message in messages if _is_said(message) or (isinstance(message, AIMessage) and message.tool_calls)
    ]


def _is_said(message: BaseMessage) -> bool:
    if isinstance(message.content, str):
        return bool(message.content.strip())
    blocks = ((unwrapped(block), text_in(block)) for block in message.content)
    return any(
        bool(text.strip()) if text is not None else not (isinstance(inner, Mapping) and inner.get("type") in THOUGHTS)
        for inner, text in blocks
    )


def _as_data(message: ToolMessage) -> ToolMessage:
    """Return a tool's result with chat template markup replaced by plain words: it is data, whoever wrote it."""
    content = message.content
    if isinstance(content, str):
        shown: Any = neutral(content)
    else:
        shown = [
            {**block, "text": neutral(block["text"])}
            if isinstance(block, dict) and isinstance(block.get("text"), str)
            else (neutral(block) if isinstance(block, str) else block)
            for block in content
        ]
    return message if shown == content else message.model_copy(update={"content": shown})


def _portable(message: BaseMessage, reads: Collection[str] | None) -> BaseMessage:
    """Return a message with its blocks in portable form; tool results are treated as data."""
    if isinstance(message, ToolMessage):
        message = _as_data(message)
    if isinstance(message.content, str):
        return message
    given: list[Any] = list(message.content)
    if isinstance(message, ToolMessage):
        given = [block if media_of(block) is not None else {"type": "text", "text": as_text(block)} for block in given]
    blocks = [made for block in given if (made := _portable_block(block, reads)) is not None]
    return message if blocks == message.content else message.model_copy(update={"content": blocks})


def _portable_block(block: Any, reads: Collection[str] | None) -> Any:
    text, inner, media = text_block(block), unwrapped(block), media_of(block)
    if text is not None:
        return text if text["text"].strip() else None
    if media is None:  # a video, or a provider-specific block
        kind = inner.get("type") if isinstance(inner, Mapping) else None
        return {"type": "text", "text": f"[a block of type {kind!r} that could not be sent]"} if kind else inner
    unread = reads is not None and media not in reads
    if unread and isinstance(inner, Mapping) and inner.get(FROM_TOOL):
        return None  # the text next to it describes it
    if unread and media != "image":
        return {"type": "text", "text": described(block)}
    try:
        return portable_media(block)
    except InvalidInputError:
        known = isinstance(inner, Mapping) and (inner.get("file_id") or (inner.get("file") or {}).get("file_id"))
        return inner if known else {"type": "text", "text": described(block)}  # an id that its provider may know


def _media_last(messages: Sequence[BaseMessage], reads: Collection[str] | None) -> list[BaseMessage]:
    """Move media that tools returned after the results, where every provider accepts it."""
    told: list[BaseMessage] = []
    waiting: list[dict[str, Any]] = []
    for message in messages:
        if not isinstance(message, ToolMessage) or isinstance(message.content, str):
            told += _waiting(waiting) if not isinstance(message, ToolMessage) else ()
            told.append(message)
            continue
        texts: list[Any] = [block for block in message.content if media_of(block) is None]
        found: list[Any] = [block for block in message.content if media_of(block) is not None]
        texts += [{"type": "text", "text": described(block)} for block in found]
        seen = [block for block in found if reads is None or media_of(block) in reads]
        if seen:
            name = f"the tool {message.name!r}" if message.name else "a tool"
            waiting += [{"type": "text", "text": f"What {name} returned:"}, *seen]
        told.append(message.model_copy(update={"content": texts}) if found else message)
    return [*told, *_waiting(waiting)]


def _waiting(blocks: list[dict[str, Any]]) -> list[BaseMessage]:
    """Return the waiting blocks as a message, and clear them."""
    shown: list[BaseMessage] = [HumanMessage(list(blocks))] if blocks else []
    blocks.clear()
    return shown


def _system_first(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Merge system messages into one and put it first: many chat templates accept only that."""
    system = [message for message in messages if isinstance(message, SystemMessage)]
    rest = [message for message in messages if not isinstance(message, SystemMessage)]
    if len(system) < 2:  # noqa: PLR2004  # nothing to merge
        return [*system, *rest]
    if all(isinstance(message.content, str) for message in system):
        content: Any = "\n\n".join(str(message.content) for message in system)
    else:
        content = [block for message in system for block in _blocks(message)]
    return [system[0].model_copy(update={"content": content}), *rest]


def _blocks(message: BaseMessage) -> list[Any]:
    return [{"type": "text", "text": message.content}] if isinstance(message.content, str) else list(message.content)
