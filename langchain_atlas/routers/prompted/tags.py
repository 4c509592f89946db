"""The tag protocol in which a language model routes (section 3 of the paper).

A transcript is a sequence of blocks: ``<think>``, ``<search>model@@tool: input</search>``, ``<information>`` with the
call's result, and one ``<answer>`` at the end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from langchain_atlas.errors import AtlasError, suggest
from langchain_atlas.text.markup import neutral, tags_as_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_atlas.pool.pool import Pair

TagName = Literal["think", "search", "information", "answer"]

TAG = re.compile(rf"<(/?)({'|'.join(get_args(TagName))})>")
"""A tag of the protocol."""
MALFORMED = -1.0
"""Format reward of a malformed transcript; that of a well-formed one is 0."""


class TagError(AtlasError):
    """A transcript violates the tag protocol; the message says where."""


@dataclass(frozen=True)
class Block:
    """One block of a transcript."""

    name: TagName
    """The name of its tag."""
    text: str
    """Its content, stripped of surrounding whitespace."""


def read_blocks(transcript: str) -> tuple[Block, ...]:
    """Parse the blocks of a transcript; text outside tags is ignored.

    Raises:
        TagError: a tag is not closed, closes nothing, or is inside another.
    """
    blocks: list[Block] = []
    opened: re.Match[str] | None = None
    for tag in TAG.finditer(transcript):
        closing, name = bool(tag[1]), tag[2]
        if opened is None:
            if closing:
                raise TagError(f"{tag[0]!r} closes nothing.")
            opened = tag
        elif closing and name == opened[2]:
            blocks.append(Block(name, transcript[opened.end() : tag.start()].strip()))  # type: ignore[arg-type]
            opened = None
        else:
            raise TagError(f"{tag[0]!r} is inside {opened[0]!r}.")
    if opened is not None:
        raise TagError(f"{opened[0]!r} is not closed.")
    return tuple(blocks)


def write_blocks(blocks: Iterable[Block]) -> str:
    """Write blocks as a transcript; tags inside their texts, which may come from outside, become plain words.

    So does chat-template markup in the result of a call.
    """
    written = []
    for one in blocks:
        text = tags_as_words(one.text, get_args(TagName))
        if one.name == "information":
            text = neutral(text)
        written.append(f"<{one.name}>{text}</{one.name}>")
    return "\n".join(written)


def read_call(text: str, pairs: Sequence[Pair]) -> tuple[Pair, str]:
    """Parse ``model@@tool: input``; names and input may contain colons.

    Args:
        text: the content of a ``<search>`` block.
        pairs: the pairs that may be called.

    Raises:
        TagError: it names none of them, or has no input.
    """
    called = [pair for pair in pairs if text.startswith(f"{pair}:")]
    if not called:
        named = text.partition(": ")[0][:80]
        raise TagError(f"{named!r} is no pair that may be called. {suggest(named, map(str, pairs))}")
    pair = max(called, key=lambda one: len(str(one)))
    asked = text[len(str(pair)) + 1 :].strip()
    if not asked:
        raise TagError(f"The call of {str(pair)!r} has no input; write 'model@@tool: input'.")
    return pair, asked


def check_transcript(transcript: str, pairs: Sequence[Pair]) -> None:
    """Check that a finished transcript is well formed, as the paper's format reward requires.

    Raises:
        TagError: it is malformed; the message says why.
    """
    blocks = read_blocks(transcript)
    names = [one.name for one in blocks]
    for one in blocks:
        if one.name == "search":
            read_call(one.text, pairs)
    if "think" not in names:
        raise TagError("There is no <think> block.")
    if names.count("answer") != 1 or names[-1] != "answer":
        raise TagError(f"There must be one <answer> block, at the end; there are {names.count('answer')}.")
    if names.count("search") != names.count("information"):
        raise TagError(f"There are {names.count('search')} calls and {names.count('information')} results.")


def format_reward(transcript: str, pairs: Sequence[Pair]) -> float:
    """Return 0 for a well-formed transcript, `MALFORMED` for any other."""
    try:
        check_transcript(transcript, pairs)
    except TagError:
        return MALFORMED
    return 0.0
