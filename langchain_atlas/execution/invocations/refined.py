"""Refining a chain of reasoning: draft, criticise, revise."""

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

_CRITIQUE = """{query}

A solution was proposed:
{draft}

Check its reasoning from the first step to the last: facts, deductions, arithmetic, and whether it answers what was \
asked. If all of it holds, reply NO FAULT and nothing else. Otherwise name the first step that fails, and say why."""
_REVISE = """{query}

A solution was proposed:
{draft}

A reviewer found:
{critique}

Where the reviewer is right, mend the solution from that step on; where not, keep to it. Write the whole solution, \
ending with the answer."""
_SOUND = re.compile(r"\W*no\s+faults?\b", re.IGNORECASE)


class RefinedSettings(InvocationSettings):
    """Settings of refining a chain of reasoning."""

    rounds: int = Field(default=2, ge=1, le=8)
    """Most rounds of criticism and revision; it ends before where the criticism finds no fault."""
    draft_prompt: str | None = None
    """What the first draft is asked with; ``{query}`` is put in. The query as it stands when left out."""
    critique_prompt: str = _CRITIQUE
    """What the criticism is asked with; ``{query}`` and ``{draft}`` are put in. A criticism that begins with
    ``NO FAULT`` ends the rounds."""
    revise_prompt: str = _REVISE
    """What the revision is asked with; ``{query}``, ``{draft}`` and ``{critique}`` are put in."""
    critique_options: dict[str, object] = Field(default_factory=dict)
    """Parameters of the calls that criticise, over `options`."""


class Refined(Invocation):
    """The model drafts, looks for the first faulty step, and revises, until it finds no fault or the rounds are up."""

    Settings: ClassVar[type[InvocationSettings]] = RefinedSettings
    settings: RefinedSettings

    def converse(self, query: Query) -> Conversation:
        """Draft, criticise, revise."""
        settings = self.settings
        first = None if settings.draft_prompt is None else fill(settings.draft_prompt, query=query.text)
        (reply,) = yield (self._call(query, first),)
        draft = text_of(reply)
        for _ in range(settings.rounds):
            if not draft:
                return draft
            asked = fill(settings.critique_prompt, query=query.full_text, draft=draft)
            (reply,) = yield (self._call(query, asked, **settings.critique_options),)
            critique = text_of(reply)
            if not critique or _SOUND.match(critique):
                return draft
            asked = fill(settings.revise_prompt, query=query.full_text, draft=draft, critique=critique)
            (reply,) = yield (self._call(query, asked),)
            draft = text_of(reply) or draft
        return draft

    def _call(self, query: Query, text: str | None, **options: object) -> ModelCall:
        # Which draft will be the answer is not known while it is written: none of them is streamed.
        return ModelCall(self.opening(query, text=text), options={**self.settings.options, **options}, inward=True)
