"""The contract of scorers of answers."""

from __future__ import annotations

import asyncio
import math
import os
import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal

from langchain_atlas.errors import SettingError
from langchain_atlas.masking import remember
from langchain_atlas.pool.option_secrets import check_variable
from langchain_atlas.records import Record
from langchain_atlas.usage import Spending

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_atlas.trajectory import Query

By = Literal["whole", "steps"]
"""Whether an answer is scored as a whole (outcome reward) or step by step (process reward)."""

_BLANK_LINES = re.compile(r"\n[ \t]*\n+")


class AnswerScore(Record):
    """How good one answer is."""

    score: float | None = None
    """Higher is better, only comparable among answers to one question; None if it could not be scored."""
    steps: tuple[float, ...] = ()
    """Scores of its steps, whose mean `score` is; empty where it was scored as a whole."""
    error: str | None = None
    """Why it could not be scored, else None."""

    @classmethod
    def of_steps(cls, steps: Sequence[float]) -> AnswerScore:
        """Return the score of an answer from those of its steps: their mean (section 4 of the paper)."""
        return cls(score=sum(steps) / len(steps), steps=tuple(steps)) if steps else cls(error="it has no steps")


class Scores(Spending):
    """Scores of several answers, with what the scorer spent on models."""

    answers: tuple[AnswerScore, ...]
    """One score per answer, in the order of the answers."""

    @property
    def best(self) -> int | None:
        """Index of the highest score, the first of equal ones; None if no answer could be scored."""
        scores = [(one.score, -index) for index, one in enumerate(self.answers) if one.score is not None]
        known = [(score, place) for score, place in scores if math.isfinite(score)]
        return -max(known)[1] if known else None


class AnswerScorer(ABC):
    """Scores answers to one question."""

    @abstractmethod
    def score(self, query: Query, answers: Sequence[str]) -> Scores:
        """Score `answers` to `query`.

        An answer that can't be scored has the reason in place of a score.
        """

    async def ascore(self, query: Query, answers: Sequence[str]) -> Scores:
        """Async version of `score`."""
        return await asyncio.to_thread(self.score, query, answers)


def own_key(variable: str | None) -> dict[str, str]:
    """Return the key in an environment variable as a parameter of LiteLLM's; nothing where none is named.

    Raises:
        SettingError: it is not set. LiteLLM would send the provider's usual key instead, wherever that goes.
    """
    if variable is None:
        return {}
    try:
        check_variable(variable)
    except ValueError as error:
        raise SettingError(f"api_key_env: {error}.") from None
    if not os.environ.get(variable):
        raise SettingError(f"api_key_env names the environment variable {variable!r}, which is not set.")
    remember(os.environ[variable])
    return {"api_key": os.environ[variable]}


def split_steps(answer: str) -> list[str]:
    """Split an answer into its steps: paragraphs, or lines where there is one paragraph only."""
    paragraphs = [part.strip() for part in _BLANK_LINES.split(answer) if part.strip()]
    if len(paragraphs) > 1:
        return paragraphs
    return [line.strip() for line in answer.splitlines() if line.strip()]
