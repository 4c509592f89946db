"""The rules of a well-formed transcript (section 3 of the paper), each checked by itself.

`tags.check_transcript` stops at the first thing that is wrong; these say everything that is, so that a training run can
report which rule a policy breaks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_atlas.routers.prompted.tags import TAG, Block

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from langchain_atlas.pool.pool import Pair

_CALL = re.compile(r"[^\s@][^\n]*?@@[^\n]*?[^\s:][^\n]*?:\s*\S")
"""``model@@tool: input``, whoever is named."""


@dataclass(frozen=True)
class _Transcript:
    """A transcript, read as far as it can be."""

    blocks: tuple[Block, ...]
    """Its blocks; one that is not closed ends where the next begins."""
    unbalanced: bool
    """Whether a tag is not closed, closes nothing, or is inside another."""
    pairs: tuple[Pair, ...]
    """The pairs that may be called."""

    def texts(self, name: str) -> list[str]:
        return [one.text for one in self.blocks if one.name == name]

    @property
    def calls(self) -> list[str]:
        """The calls that read as the protocol wants them."""
        return [call for call in self.texts("search") if _CALL.match(call)]


def _all_named(read: _Transcript) -> bool:
    return all(any(call.startswith(f"{pair}:") for pair in read.pairs) for call in read.calls)


RULES: Mapping[str, Callable[[_Transcript], bool]] = {
    "every tag is opened and closed": lambda read: not read.unbalanced,
    "every call reads 'model@@tool: input'": lambda read: len(read.calls) == len(read.texts("search")),
    "every call names a pair of the pool": _all_named,
    "there is a thought": lambda read: bool(read.texts("think")),
    "there is one answer": lambda read: len(read.texts("answer")) == 1,
    "the answer is at the end": lambda read: not read.texts("answer") or read.blocks[-1].name == "answer",
    "every call has its result": lambda read: len(read.texts("search")) == len(read.texts("information")),
}
"""The rules, in words; each says whether a transcript keeps it."""


def broken_rules(transcript: str, pairs: Sequence[Pair]) -> tuple[str, ...]:
    """Return the rules of `RULES` that a finished transcript breaks; none if it is well formed.

    Args:
        transcript: everything that the policy wrote, with the results in between.
        pairs: the pairs that could be called.
    """
    blocks, unbalanced = _blocks(transcript)
    read = _Transcript(tuple(blocks), unbalanced, tuple(pairs))
    return tuple(name for name, kept in RULES.items() if not kept(read))


def _blocks(transcript: str) -> tuple[list[Block], bool]:
    blocks: list[Block] = []
    unbalanced, opened = False, None
    for tag in TAG.finditer(transcript):
        closing, name = bool(tag[1]), tag[2]
        if opened is not None:
            blocks.append(_block(opened[2], transcript[opened.end() : tag.start()]))
        if closing:
            unbalanced |= opened is None or opened[2] != name
            opened = None
        else:
            unbalanced |= opened is not None
            opened = tag
    if opened is not None:
        blocks.append(_block(opened[2], transcript[opened.end() :]))
        unbalanced = True
    return blocks, unbalanced


def _block(name: str, text: str) -> Block:
    return Block(name, text.strip())  # type: ignore[arg-type]  # the pattern matches these names only


def share_well_formed(transcripts: Iterable[tuple[str, Sequence[Pair]]]) -> float | None:
    """Return the share of transcripts that break no rule, 0 to 1; None if there are none."""
    kept = [not broken_rules(transcript, pairs) for transcript, pairs in transcripts]
    return sum(kept) / len(kept) if kept else None
