"""Marks by agreement: where several pairs answered a query, what most of them say is taken for right."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from langchain_atlas.answers import AnswerAgreement
from langchain_atlas.evaluation.scoring.marks import AGREEMENT, Mark, by_query
from langchain_atlas.trajectory import Query

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_atlas.answers import Agreement
    from langchain_atlas.evaluation.scoring.marks import RecordedAnswer

_FEWEST = 2


def agreed_marks(answers: Sequence[RecordedAnswer], agreement: Agreement | None = None) -> dict[int, Mark]:
    """Mark answers by what other pairs answered to the same query.

    Every model has one vote, shared by its answers, because answers of one model err alike. The answers that say what
    most votes say score 1, the others 0; the confidence is the share of the votes for it, both ways. A query is left
    out if fewer than two models answered (or two pairs, if all are of one model), or if no two of them agree, or if two
    groups are equally large.

    Args:
        answers: rows of a table, of any queries.
        agreement: decides whether two answers say the same; see `langchain_atlas.answers`.

    Returns:
        Marks by the number of the row.
    """
    agreement = agreement or AnswerAgreement()
    marks: dict[int, Mark] = {}
    for group in by_query(answers).values():
        marks.update(_marks(group, agreement))
    return marks


def _marks(answers: Sequence[RecordedAnswer], agreement: Agreement) -> dict[int, Mark]:
    query = Query(id=answers[0].query_id, text=answers[0].query, context=answers[0].context)
    readings = [agreement.read(answer.text, query) for answer in answers]
    groups = agreement.groups(readings, query)
    models = {answer.model for answer in answers}
    voters = [answer.model if len(models) >= _FEWEST else answer.tool for answer in answers]
    if len(set(voters)) < _FEWEST:
        return {}
    shares = Counter(voters)
    votes: dict[int, float] = defaultdict(float)
    behind: dict[int, set[str]] = defaultdict(set)
    for voter, group, reading in zip(voters, groups, readings, strict=True):
        votes[group] += 1 / shares[voter]
        if reading.kind != "nothing":
            behind[group].add(voter)
    best = max(votes, key=lambda group: votes[group])
    tied = sum(abs(count - votes[best]) < 1e-9 for count in votes.values()) > 1  # noqa: PLR2004  # rounding
    if tied or len(behind[best]) < _FEWEST:
        return {}
    share = votes[best] / len(shares)
    return {
        answer.row: Mark(float(group == best), AGREEMENT, share) for answer, group in zip(answers, groups, strict=True)
    }
