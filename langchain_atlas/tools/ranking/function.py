"""Scores by a function of the user's."""

from __future__ import annotations

import asyncio
import inspect
import math
from typing import TYPE_CHECKING, Any, get_args

from langchain_atlas.errors import SettingError
from langchain_atlas.masking import error_text
from langchain_atlas.tools.ranking.base import AnswerScore, AnswerScorer, By, Scores, split_steps
from langchain_atlas.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_atlas.trajectory import Query


class FunctionAnswerScorer(AnswerScorer):
    """Scores every answer by a function.

    Args:
        function: takes the question and the answer and returns a number; or, with ``by="steps"``, takes the question
            and the list of steps and returns a number a step. It may be a coroutine function, for asynchronous runs.
        by: ``whole`` or ``steps``.

    Raises:
        SettingError: `function` can't be called, or `by` is something else.
    """

    def __init__(self, function: Callable[[str, Any], Any], *, by: By = "whole") -> None:
        if not callable(function) or by not in get_args(By):
            raise SettingError(
                f"function is {function!r} and by {by!r}; give a function of question and answer, and 'whole' or "
                "'steps'."
            )
        self.function = function
        self.by = by

    def score(self, query: Query, answers: Sequence[str]) -> Scores:
        """Call the function for one answer after the other."""
        return _scores([self._score(query, answer) for answer in answers])

    async def ascore(self, query: Query, answers: Sequence[str]) -> Scores:
        """Call the function for all answers side by side: on the event loop if it is a coroutine function."""
        if not inspect.iscoroutinefunction(self.function):
            return await asyncio.to_thread(self.score, query, answers)
        return _scores(await asyncio.gather(*(self._ascore(query, answer) for answer in answers)))

    def _score(self, query: Query, answer: str) -> AnswerScore:
        if inspect.iscoroutinefunction(self.function):
            return AnswerScore(error="its scorer is a coroutine function, which only an asynchronous run can call")
        try:
            given = self._given(answer)
            return self._read(self.function(query.text, given), given)
        except Exception as error:  # noqa: BLE001  # one answer that can't be scored does not spoil the others
            return AnswerScore(error=error_text(error))

    async def _ascore(self, query: Query, answer: str) -> AnswerScore:
        try:
            given = self._given(answer)
            return self._read(await self.function(query.text, given), given)
        except Exception as error:  # noqa: BLE001  # as above
            return AnswerScore(error=error_text(error))

    def _given(self, answer: str) -> str | list[str]:
        return answer if self.by == "whole" else split_steps(answer)

    def _read(self, returned: Any, given: str | list[str]) -> AnswerScore:
        numbers = [float(score) for score in returned] if self.by == "steps" else [float(returned)]
        if not all(map(math.isfinite, numbers)):
            return AnswerScore(error=f"its scorer returned {returned!r}, which is not a finite number")
        if self.by == "whole":
            return AnswerScore(score=numbers[0])
        if len(numbers) != len(given):
            return AnswerScore(error=f"its scorer returned {len(numbers)} scores for {len(given)} steps")
        return AnswerScore.of_steps(numbers)


def _scores(answers: Sequence[AnswerScore]) -> Scores:
    return Scores(answers=tuple(answers), usage=Usage(input_tokens=0, output_tokens=0), cost_usd=0.0)
