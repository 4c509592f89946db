"""Self-consistency: the answer that most of the answers agree with."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from langchain_atlas.answers import Agreement, AnswerAgreement
from langchain_atlas.tools.ranking.base import AnswerScore, AnswerScorer, Scores
from langchain_atlas.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_atlas.trajectory import Query


class Vote(AnswerScorer):
    """Scores an answer by the share of answers that say the same; an answer that says nothing gets no vote.

    Answers are compared by what they come to, such as the number after ``answer is``; see `AnswerAgreement`.

    Args:
        tolerance: largest distance between equal numbers, absolute below 1 and relative above.
        agreement: says whether two answers say the same, in place of `AnswerAgreement`.

    Raises:
        SettingError: `tolerance` is negative.
    """

    def __init__(self, *, tolerance: float = 1e-3, agreement: Agreement | None = None) -> None:
        self.agreement = agreement or AnswerAgreement(tolerance=tolerance)

    def score(self, query: Query, answers: Sequence[str]) -> Scores:
        """Count the votes."""
        readings = [self.agreement.read(answer, query) for answer in answers]
        groups = self.agreement.groups(readings, query)
        votes = Counter(groups)
        scored = [
            AnswerScore(score=0.0 if reading.kind == "nothing" else votes[group] / len(answers))
            for reading, group in zip(readings, groups, strict=True)
        ]
        return Scores(answers=tuple(scored), usage=Usage(input_tokens=0, output_tokens=0), cost_usd=0.0)
