"""From chat messages to the text that a model continues.

The engine could do this with the template in the weights. We build the prompt ourselves because Gemma's file has no
template, and SmolLM2's template adds a system message that makes its answers worse.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from langchain_atlas.errors import InvalidInputError

Role = Literal["system", "user", "assistant"]

_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    # Neither model was trained on tool turns, so a result is presented as a user turn.
    "tool": "user",
    "function": "user",
}


@dataclass(frozen=True)
class Turn:
    """One message, as plain text."""

    role: Role
    """Role of the speaker."""
    text: str
    """Text of the message."""


def to_turns(messages: Sequence[Mapping[str, Any]]) -> list[Turn]:
    """Convert OpenAI-style messages to plain text turns.

    Args:
        messages: chat messages; the content is a string or a list of text parts.

    Returns:
        The turns, in order. The assistant's tool calls become JSON text, and tool results become user turns.

    Raises:
        InvalidInputError: there are no messages, a role is unknown, or a part is not text.
    """
    if not messages:
        raise InvalidInputError("An embedded model needs at least one message; got none.")
    return [_to_turn(message) for message in messages]


def _to_turn(message: Mapping[str, Any]) -> Turn:
    role = str(message.get("role"))
    if role not in _ROLES:
        raise InvalidInputError(f"Unknown message role {role!r}. Valid: {', '.join(map(repr, _ROLES))}.")
    text = _plain_text(message.get("content"))
    calls = [call["function"] for call in message.get("tool_calls") or []]
    if calls:
        shown = [json.dumps({"name": call["name"], "arguments": _arguments(call)}) for call in calls]
        text = "\n".join(filter(None, [text, *shown]))
    return Turn(_ROLES[role], text)


def _arguments(function: Mapping[str, Any]) -> Any:
    raw = function.get("arguments") or "{}"
    try:
        return json.loads(raw) if isinstance(raw, str) else raw
    except json.JSONDecodeError:
        return raw


def _plain_text(content: Any) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    parts: list[str] = []
    for part in content:
        if isinstance(part, str):
            parts.append(part)
        elif part.get("type") == "text":
            parts.append(str(part.get("text", "")))
        else:
            raise InvalidInputError(
                f"The embedded models read text only; got a content part of type {part.get('type')!r}."
            )
    return "".join(parts)


def chatml(turns: Sequence[Turn]) -> str:
    """Format turns as ChatML, on which SmolLM2 was trained, with only the caller's system message.

    Args:
        turns: the conversation; a final assistant turn is left open, to be continued.

    Returns:
        The prompt.
    """
    written = [f"<|im_start|>{turn.role}\n{turn.text}<|im_end|>\n" for turn in turns]
    if turns[-1].role == "assistant":
        written[-1] = written[-1].removesuffix("<|im_end|>\n")
        return "".join(written)
    return "".join(written) + "<|im_start|>assistant\n"


_PRIMER = (
    Turn("system", "Answer briefly."),
    Turn("user", "What is the opposite of inside?"),
    Turn("assistant", "outside"),
    Turn("user", "Say hello to Sam."),
    Turn("assistant", "Hello Sam!"),
)


def question_answer(turns: Sequence[Turn]) -> str:
    """Format turns as a list of questions and answers, for a base model that only continues text.

    A base model has to see what an answer looks like. If the conversation shows none (no system message, no earlier
    answer), two examples are put before it.

    Args:
        turns: the conversation; a final assistant turn is left open, to be continued.

    Returns:
        The prompt.
    """
    shows_nothing = all(turn.role == "user" for turn in turns)
    label = {"system": "", "user": "Question: ", "assistant": "Answer: "}
    # An answer follows its question directly; everything else is separated by an empty line.
    blocks: list[str] = []
    for turn in [*(_PRIMER if shows_nothing else ()), *turns]:
        gap = "" if not blocks else "\n" if turn.role == "assistant" else "\n\n"
        blocks.append(f"{gap}{label[turn.role]}{turn.text}")
    if turns[-1].role != "assistant":
        # No space at the end: the model's tokens begin with one.
        blocks.append("\nAnswer:")
    return "".join(blocks)
