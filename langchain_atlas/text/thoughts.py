"""Separating a model's reasoning from its answer."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAMES = r"(?:antml:|seed:)?(?:think|thinking|thought|thoughts|reasoning)"
_OPENED = re.compile(
    rf"<\s{{0,8}}{_NAMES}\s{{0,8}}>|\[THINK\]|◁think▷|<\|START_THINKING\|>|<\|inner_prefix\|>"
    r"|<unused94>|<\|channel>\s*thought\b|<\|begin_of_thought\|>",
    re.IGNORECASE,
)
_CLOSED = re.compile(
    rf"<\s{{0,8}}/\s{{0,8}}{_NAMES}\s{{0,8}}>|\[/THINK\]|◁/think▷|<\|END_THINKING\|>|<\|inner_suffix\|>"
    r"|<unused95>|<channel\|>|<\|end_of_thought\|>",
    re.IGNORECASE,
)
_HARMONY = re.compile(
    r"(?:<\|start\|>[^<]{0,40})?<\|channel\|>\s*(\w+)([^<]{0,120})(?:<\|constrain\|>[^<]{0,40})?<\|message\|>"
    r"(.*?)(<\|end\|>|<\|return\|>|<\|call\|>|(?=<\|start\|>|<\|channel\|>)|\Z)",
    re.DOTALL,
)
_UNWRITTEN = re.compile(r"(?:<\|start\|>[^<]{0,40})?(?:<\|channel\|>[^<]{0,40})?\Z")
_HARMONY_BARE = re.compile(r"\s*analysis(?=\S)(.*?)assistant\s*final(.*)", re.DOTALL)
"""Text of gpt-oss if the server left out the tokens that separate its channels."""


_HINTS = ("think", "thought", "reasoning", "channel", "inner_", "<unused9", "analysis")
"""A text without any of these holds no reasoning."""


@dataclass(frozen=True)
class Parted:
    """A model's text, split into reasoning and answer."""

    thought: str
    """The reasoning; empty if there is none."""
    answer: str
    """The rest, stripped; empty if the reasoning was never closed and nothing comes before it."""
    is_whole: bool = False
    """Whether the text has no mark of reasoning, so that all of it is the answer."""


def part_thoughts(text: str) -> Parted:
    """Separate a model's reasoning from its answer.

    Reasoning is in ``<think>``, ``<thinking>``, ``<thought>``, ``<reasoning>``, ``[THINK]`` and similar tags, or in
    gpt-oss's channels. It may begin in the prompt, so that only its closing tag appears. Reasoning that is never closed
    extends to the end; the answer is then the text before it.

    Args:
        text: the model's text.
    """
    low = text.lower()
    if not any(hint in low for hint in _HINTS):
        return Parted("", text.strip(), is_whole=True)
    if "<|channel|>" in text:
        return _of_channels(text)
    bare = _HARMONY_BARE.fullmatch(text)
    if bare:
        return Parted(bare[1].strip(), bare[2].strip())
    return _of_tags(text)


def without_thoughts(text: str) -> str:
    """Return a model's text without its reasoning."""
    return part_thoughts(text).answer


def with_think_tags(text: str) -> str:
    """Return a model's text with its reasoning in ``<think>`` and ``</think>``, however the model marked it."""
    if "<|channel|>" in text:
        parted = _of_channels(text)
        return f"<think>{parted.thought}</think>{parted.answer}" if parted.thought else parted.answer
    text = _CLOSED.sub("</think>", _OPENED.sub("<think>", text))
    opened, closed = text.find("<think>"), text.find("</think>")
    return f"<think>{text}" if closed >= 0 and not 0 <= opened < closed else text


def _of_tags(text: str) -> Parted:
    thoughts: list[str] = []
    answer: list[str] = []
    at, thinking = 0, False
    marks = [(mark, True) for mark in _OPENED.finditer(text)] + [(mark, False) for mark in _CLOSED.finditer(text)]
    for mark, opens in sorted(marks, key=lambda one: one[0].start()):
        if _is_quoted(mark):
            continue
        piece = text[at : mark.start()]
        if opens or thinking:
            (thoughts if thinking else answer).append(piece)
        else:  # it began in the prompt, or was closed twice: everything before the tag is reasoning
            thoughts += [*answer, piece]
            answer = []
        at, thinking = mark.end(), opens
    (thoughts if thinking else answer).append(text[at:])
    thought = "\n".join(filter(None, map(str.strip, thoughts)))
    return Parted(thought, "".join(answer).strip(), is_whole=not at)


def _is_quoted(mark: re.Match[str]) -> bool:
    """Return whether a tag is only mentioned, in quotes, and not used."""
    text, start, end = mark.string, mark.start(), mark.end()
    return start > 0 and text[start - 1] in "`'\"" and text[end : end + 1] == text[start - 1]


def _of_channels(text: str) -> Parted:
    """Split gpt-oss's channels: ``final`` is the answer, ``analysis`` is reasoning; messages to tools are kept."""
    thoughts, finals, others, at = [], [], [], 0
    for message in _HARMONY.finditer(text):
        others.append(text[at : message.start()])
        at = message.end()
        channel, said = message[1].lower(), message[3]
        if "to=" in message[0].partition("<|message|>")[0]:
            others.append(message[0])
        elif channel == "analysis":
            thoughts.append(said)
        elif channel == "final":
            finals.append(said)
        else:
            others.append(said)
    others.append(_UNWRITTEN.sub("", text[at:]))
    rest = _of_tags("".join(finals if any(map(str.strip, finals)) else others))
    thought = "\n".join(filter(None, [*map(str.strip, thoughts), rest.thought]))
    return Parted(thought, rest.answer)
