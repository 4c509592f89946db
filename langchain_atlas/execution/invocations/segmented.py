"""Refining an answer piece by piece: the segments of a draft are reviewed separately, in parallel."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from langchain_atlas.execution.invocations.base import (
    Conversation,
    Invocation,
    InvocationSettings,
    ModelCall,
    fill,
    text_of,
)

if TYPE_CHECKING:
    from langchain_atlas.trajectory import Query

_REVIEW = """{query}

The draft of an answer, all of it:
{draft}

Look at this part of it alone:
{segment}

If this part is right and clear, reply KEEP and nothing else. Otherwise write the part anew, and only the part."""
_FINISH = """{query}

The draft of an answer, its parts revised one by one:
{draft}

Write the final answer: the same, with what no longer fits together made to fit."""
_KEEP = re.compile(r"\W*keep\W*", re.IGNORECASE)
_BLANK_LINES = re.compile(r"\n[ \t]*\n+")
_FENCE = re.compile(r"(```.*?(?:```|\Z))", re.DOTALL)


class SegmentedSettings(InvocationSettings):
    """Settings of refining segments."""

    max_segments: int = Field(default=8, ge=1, le=64)
    """Maximum number of segments of a draft; the last one contains the rest."""
    review_prompt: str = _REVIEW
    """Prompt for the review of a segment; ``{query}``, ``{draft}`` and ``{segment}`` are filled in. The reply ``KEEP``
    keeps the segment."""
    finish: bool = True
    """Whether the model rewrites the answer if segments have changed; if not, the segments are joined."""
    finish_prompt: str = _FINISH
    """Prompt for that; ``{query}`` and ``{draft}`` are filled in."""


class Segmented(Invocation):
    """The model drafts, reviews every segment of the draft, and replaces the revised ones.

    If a review fails, its segment is kept. A draft without faults costs one call plus one short call per segment.
    """

    Settings: ClassVar[type[InvocationSettings]] = SegmentedSettings
    settings: SegmentedSettings

    def converse(self, query: Query) -> Conversation:
        """Draft, review the segments in parallel, assemble the answer."""
        (reply,) = yield (ModelCall(self.opening(query), options=self.settings.options, inward=True),)
        draft = text_of(reply)
        segments = split_segments(draft, self.settings.max_segments)
        if not segments:
            return draft
        asked = [fill(self.settings.review_prompt, query=query.full_text, draft=draft, segment=one) for one in segments]
        reviews = yield tuple(
            ModelCall(self.opening(query, text=text), options=self.settings.options, inward=True, may_fail=True)
            for text in asked
        )
        revised = [
            segment if isinstance(review, Exception) else _revised(segment, text_of(review))
            for segment, review in zip(segments, reviews, strict=True)
        ]
        if revised == segments:
            return draft
        draft = "\n\n".join(revised)
        if not self.settings.finish:
            return draft
        text = fill(self.settings.finish_prompt, query=query.full_text, draft=draft)
        (reply,) = yield (ModelCall(self.opening(query, text=text), options=self.settings.options, answers=True),)
        return text_of(reply) or draft


def split_segments(draft: str, most: int) -> list[str]:
    """Split a draft at its blank lines, but never inside a fenced block, into at most `most` segments."""
    segments: list[str] = []
    glue = False  # whether the next piece continues the last line
    for number, piece in enumerate(_FENCE.split(draft)):
        parts = [piece] if number % 2 else _BLANK_LINES.split(piece)
        for place, part in enumerate(parts):
            if place == 0 and glue and segments:
                segments[-1] += part
            else:
                segments.append(part)
        glue = True
    cut = [segment.strip() for segment in segments if segment.strip()]
    return cut if len(cut) <= most else [*cut[: most - 1], "\n\n".join(cut[most - 1 :])]


def _revised(segment: str, review: str) -> str:
    return segment if not review or _KEEP.fullmatch(review) else review
