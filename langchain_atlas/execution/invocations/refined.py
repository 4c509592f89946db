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
    """Maximum number of rounds of criticism and revision; they end early if the criticism finds no fault."""
    draft_prompt: str | None = None
    """Prompt for the first draft; ``{query}`` is filled in. By default the unchanged query."""
    critique_prompt: str = _CRITIQUE
    """Prompt for the criticism; ``{query}`` and ``{draft}`` are filled in. A criticism that begins with ``NO FAULT``
    ends the rounds."""
    revise_prompt: str = _REVISE
    """Prompt for the revision; ``{query}``, ``{draft}`` and ``{critique}`` are filled in."""
    critique_options: dict[str, object] = Field(default_factory=dict)
    """Parameters of the calls that criticise; they override `options`."""


class Refined(Invocation):
    """The model drafts, looks for the first wrong step, and revises, until it finds none or the rounds are used up."""

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
        # While a draft is written, nobody knows whether it will be the answer, so no draft is streamed.
        return ModelCall(self.opening(query, text=text), options={**self.settings.options, **options}, inward=True)
