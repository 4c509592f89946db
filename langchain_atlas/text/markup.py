"""Chat template markup in untrusted text: tool results, documents, other models' answers."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_TAGS = (
    "s", "bos", "eos", "pad", "unk", "sop", "eop", "gmask", "start_of_turn", "end_of_turn", "start_of_image",
    "think", "thinking", "seed:think", "tools", "available_tools", "arg_key", "arg_value",
    "tool_call", "tool_calls", "tool_code", "tool_use", "tool_response", "tool_responses", "tool_result",
    "tool_results", "tool_output", "function_call", "function_calls", "functioncall", "function_response",
    "function_result", "function_results", "invoke", "antml:invoke", "antml:parameter", "antml:function_calls",
    "minimax:tool_call", "seed:tool_call", "start_function_call", "end_function_call", "start_function_response",
    "end_function_response", "start_function_declaration", "end_function_declaration",
)  # fmt: skip
"""Names of tags in angle brackets with which models mark turns, reasoning, calls and results."""
_SQUARE = (
    "INST", "SYSTEM_PROMPT", "AVAILABLE_TOOLS", "TOOL_CALLS", "TOOL_RESULTS", "TOOL_CONTENT", "TOOL_PROMPT", "ARGS",
    "CALL_ID", "THINK", "BOS", "EOS", "gMASK", "sMASK", "MODEL_SETTINGS",
)  # fmt: skip
"""Names of such tags in square brackets."""
_BAR = "[|\uff5c]"
_SPACE = r"\s{0,8}"  # bounded, so that no text takes long to match
_OTHERS = re.compile(
    rf"<{_SPACE}(/?){_SPACE}{_BAR}{_SPACE}([\w\u2581:./\- \"]{{1,60}}?){_SPACE}{_BAR}"  # <|im_start|>
    rf"{_SPACE}([^<>\n]{{0,120}}?){_SPACE}>"
    rf"|<{_SPACE}(/?){_SPACE}{_BAR}{_SPACE}([\w:\"]{{1,40}}){_SPACE}>"  # <|tool_call>
    rf"|<{_SPACE}(/?){_SPACE}([\w:]{{1,40}}){_SPACE}{_BAR}{_SPACE}>"  # <tool_call|>
    rf"|<{_SPACE}(function|parameter){_SPACE}(=[^<>\n]{{0,120}})>"
    rf"|<{_SPACE}<{_SPACE}(/?){_SPACE}(SYS){_SPACE}>{_SPACE}>"
    rf"|◁{_SPACE}(/?){_SPACE}(think){_SPACE}▷",
    re.IGNORECASE,
)


def neutral(text: str) -> str:
    """Return a text with chat template markup turned into plain words: ``<|im_start|>`` becomes ``(im_start)``.

    Case and spaces inside the brackets are ignored. The function is idempotent.
    """
    if not any(mark in text for mark in "<[◁"):
        return text
    text = _OTHERS.sub(_words, text)
    return tags_as_words(text, _TAGS, square=_SQUARE)


def tags_as_words(text: str, names: Iterable[str], *, square: Iterable[str] = ()) -> str:
    """Return a text with the named tags, in any spacing, turned into words: ``< /Answer >`` becomes ``(/Answer)``.

    Args:
        text: untrusted text.
        names: names of tags in angle brackets; attributes may follow them.
        square: names of tags in square brackets.
    """
    return _pattern(tuple(names), tuple(square)).sub(_words, text)


@cache
def _pattern(names: tuple[str, ...], square: tuple[str, ...]) -> re.Pattern[str]:
    opening = rf"<{_SPACE}(/?){_SPACE}({'|'.join(map(re.escape, names))})"
    angle = rf"{opening}(\s{{1,8}}[\w:-]{{1,40}}{_SPACE}=[^<>\n]{{0,200}})?{_SPACE}/?{_SPACE}>"
    if not square:
        return re.compile(angle, re.IGNORECASE)
    brackets = rf"\[{_SPACE}(/?){_SPACE}({'|'.join(map(re.escape, square))}){_SPACE}\]"
    return re.compile(f"{angle}|{brackets}", re.IGNORECASE)


def _words(tag: re.Match[str]) -> str:
    return f"({''.join(part for part in tag.groups() if part)})"
