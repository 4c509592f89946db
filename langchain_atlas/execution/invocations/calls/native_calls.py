"""Reading the intended calls of a native reply, even if written as text, encoded twice, or not quite valid JSON."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import invalid_tool_call, tool_call

from langchain_atlas.text.finding_calls import find_calls, meant_by
from langchain_atlas.text.json_objects import json_value, loose_object
from langchain_atlas.text.thoughts import part_thoughts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import AIMessage

    from langchain_atlas.text.signatures import Signature

_SHOWN = 80


def read_reply(reply: AIMessage, offered: Sequence[Signature] = (), data: Sequence[str] = ()) -> AIMessage:
    """Return a reply with its calls in proper form, and its reasoning separated from its text.

    The reasoning is moved to ``additional_kwargs["reasoning_content"]``, where providers that separate it put it.

    Args:
        reply: the model's reply.
        offered: the available tools.
        data: tool output and documents; a call that is quoted from them is not made.
    """
    content = reply.content
    blocks = [content] if isinstance(content, str) else content
    texts = [number for number, block in enumerate(blocks) if isinstance(block, str) or block.get("type") == "text"]
    parted = part_thoughts(str(reply.text)) if len(texts) == 1 else None
    if parted is not None and not parted.is_whole:
        kept: Any = parted.answer
        if not isinstance(content, str):
            block = content[texts[0]]
            said = {**block, "text": parted.answer} if isinstance(block, dict) else parted.answer
            kept = [*content[: texts[0]], said, *content[texts[0] + 1 :]]
        kwargs = {"reasoning_content": parted.thought, **reply.additional_kwargs}
        reply = reply.model_copy(update={"content": kept, "additional_kwargs": kwargs})
    return with_calls(reply, offered, data)


def with_calls(reply: AIMessage, offered: Sequence[Signature], data: Sequence[str] = ()) -> AIMessage:
    """Return a reply with its calls in proper form.

    Arguments that were encoded twice are decoded, nearly valid JSON is repaired, missing arguments become ``{}``, and
    arguments that are not an object make an invalid call, with the reason. If there is no call, calls written as text
    are used.

    Args:
        reply: the model's reply.
        offered: the available tools.
        data: tool output and documents; a call that is quoted from them is not made.

    Returns:
        The corrected reply, or the reply itself if there is nothing to change.
    """
    written = _written(reply)
    if not written:
        return _of_text(reply, offered, data)
    calls, invalid = [], []
    for name, given, call_id in written:
        arguments, problem = read_arguments(given, offered, name)
        if problem is None:
            calls.append(tool_call(name=name, args=arguments, id=call_id))
        else:
            text = given if isinstance(given, str) else str(given)
            invalid.append(invalid_tool_call(name=name, args=text, id=call_id, error=problem))
    if calls == reply.tool_calls and invalid == reply.invalid_tool_calls:
        return reply
    return reply.model_copy(update={"tool_calls": calls, "invalid_tool_calls": invalid})


def read_arguments(given: Any, offered: Sequence[Signature], name: str) -> tuple[dict[str, Any], str | None]:
    """Return the arguments of a call, and what is wrong with them, if anything.

    Args:
        given: the model's arguments: an object, or a text that should be one.
        offered: the available tools, whose schemas show which arguments are strings.
        name: the name of the called tool.
    """
    meant = next((one for one in offered if one.name == name), None)
    if isinstance(given, dict):
        return given, None
    if given is None or (isinstance(given, str) and not given.strip()):
        return {}, None
    if given == "null" and meant is not None and not meant.properties:
        return {}, None
    found = loose_object(given) if isinstance(given, str) else None
    lacks = found is not None and meant is not None and not set(meant.required) <= set(found)
    if found is None or (lacks and json_value(str(given)) is None):  # it may be cut off
        return {}, f"its arguments are {str(given)[:_SHOWN]!r}, and must be a JSON object"
    return (found if meant is None else meant.fitted(found)), None


def _of_text(reply: AIMessage, offered: Sequence[Signature], data: Sequence[str]) -> AIMessage:
    found = find_calls(str(reply.text), offered, amid_text=False, data=data) if offered else []
    if not found:
        return reply
    calls, invalid = [], []
    for call in found:
        meant = meant_by(call, offered)
        name = call.name if meant is None else meant.name
        call_id = f"call_{uuid.uuid4().hex[:24]}"
        if call.problem is None:
            calls.append(tool_call(name=name, args=dict(call.arguments), id=call_id))
        else:
            invalid.append(invalid_tool_call(name=name, args=call.source, id=call_id, error=call.problem))
    return reply.model_copy(update={"content": "", "tool_calls": calls, "invalid_tool_calls": invalid})


def _written(reply: AIMessage) -> list[tuple[str, Any, str | None]]:
    """Return the name, arguments and id of each call as the provider sent them; chat models turn some into ``{}``."""
    known = len(reply.tool_calls) + len(reply.invalid_tool_calls)
    if isinstance(reply, AIMessageChunk) and reply.tool_call_chunks:
        return [(chunk["name"] or "", chunk["args"], chunk["id"]) for chunk in reply.tool_call_chunks]
    sent = reply.additional_kwargs.get("tool_calls")
    if isinstance(sent, list) and len(sent) == known:
        functions = [_field(call, "function") for call in sent]
        return [
            (str(_field(function, "name") or ""), _field(function, "arguments"), _field(call, "id"))
            for call, function in zip(sent, functions, strict=True)
        ]
    calls: list[tuple[str, Any, str | None]] = [(call["name"], call["args"], call["id"]) for call in reply.tool_calls]
    return [*calls, *((call["name"] or "", call["args"], call["id"]) for call in reply.invalid_tool_calls)]


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else getattr(value, name, None)
