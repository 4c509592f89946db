"""A LangChain tool that ranks answers."""

import json
from collections.abc import Callable
from typing import Any, ClassVar, Literal

from langchain_core.tools import BaseTool, ToolException
from pydantic import BaseModel, ConfigDict, Field

from langchain_atlas.costs.usage_counting import heard_once
from langchain_atlas.failures.masked_errors import keys_masked
from langchain_atlas.tools.failures import answer_error, answer_validation_error, tool_failure
from langchain_atlas.tools.ranking.base import AnswerScorer, Scores
from langchain_atlas.tools.ranking.vote import Vote
from langchain_atlas.trajectory import Query

MAX_ANSWERS = 64
"""Most answers that are ranked at once."""


class RankingInput(BaseModel):
    """Arguments of the ranking tool."""

    question: str = Field(description="The question that is answered.")
    answers: list[str] = Field(description="The answers to choose from.", min_length=1, max_length=MAX_ANSWERS)
    context: str | None = Field(default=None, description="What came with the question, if anything did.")


class RankingTool(BaseTool):
    """Scores answers to a question and says which is best, as JSON: ``{"best": 1, "scores": [0.2, 0.9]}``.

    ``best`` counts from 0. Where answers are scored by steps, ``steps`` holds the scores of these; where one could not
    be scored, ``errors`` says why. The artifact of its message is the `Scores`, with what scoring cost.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    reports_spending: ClassVar[bool] = True

    name: str = "rank_answers"
    description: str = "Scores several answers to one question and says which is best, counted from 0, as JSON."
    args_schema: type[BaseModel] = RankingInput
    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"
    handle_tool_error: bool | str | Callable[[ToolException], str] | None = answer_error
    handle_validation_error: bool | str | Callable[[Any], str] | None = answer_validation_error

    scorer: AnswerScorer = Field(default_factory=Vote, exclude=True, repr=False)
    """What scores the answers; `Vote` unless given."""

    @keys_masked
    def _run(self, question: str, answers: list[str], context: str | None = None) -> tuple[str, Scores]:
        try:
            with heard_once():
                return _said(self.scorer.score(Query(text=question, context=context), answers))
        except Exception as error:
            raise tool_failure(error, "the answers could not be scored") from error

    @keys_masked
    async def _arun(self, question: str, answers: list[str], context: str | None = None) -> tuple[str, Scores]:
        try:
            with heard_once():
                return _said(await self.scorer.ascore(Query(text=question, context=context), answers))
        except Exception as error:
            raise tool_failure(error, "the answers could not be scored") from error


def _said(scores: Scores) -> tuple[str, Scores]:
    """Return the scores as text and as an artifact.

    Raises:
        ToolException: no answer could be scored.
    """
    errors = {str(index): one.error for index, one in enumerate(scores.answers) if one.error is not None}
    if scores.best is None:
        raise ToolException(f"no answer could be scored: {json.dumps(errors, ensure_ascii=False)}")
    said: dict[str, Any] = {"best": scores.best, "scores": [one.score for one in scores.answers]}
    if any(one.steps for one in scores.answers):
        said["steps"] = [list(one.steps) for one in scores.answers]
    if errors:
        said["errors"] = errors
    return json.dumps(said, ensure_ascii=False), scores
