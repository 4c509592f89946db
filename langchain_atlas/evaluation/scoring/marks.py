"""Marks: a score with where it comes from and how sure it is; and the rows of a table that need one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_atlas.text.thoughts import without_thoughts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_atlas.outcomes import OutcomeTable

JUDGE = "judge:"
"""How the source of a judge's marks begins; the judge's name follows."""
AGREEMENT, FEEDBACK, HUMAN, FAILED, EMPTY = "agreement", "feedback", "human", "failed", "empty"
"""Sources of marks beside the names of scorers."""


def is_estimate(source: str | None) -> bool:
    """Whether marks of this source are estimates, whose errors people's marks can measure."""
    return source is not None and (source.startswith(JUDGE) or source in (AGREEMENT, FEEDBACK))


@dataclass(frozen=True)
class Mark:
    """How right one recorded answer is, according to one source."""

    score: float
    """How right, 0 to 1."""
    source: str
    """Where that comes from: a scorer's kind, ``judge:MODEL``, ``agreement``, ``feedback``, ``human``, ``failed``."""
    confidence: float | None = None
    """How sure it is, 0 to 1; None when nothing measures it."""


@dataclass(frozen=True)
class RecordedAnswer:
    """One row of an outcome table, as far as scoring needs it."""

    row: int
    """Number of the row, from 0."""
    query_id: str
    """Id of the query."""
    query: str
    """Text of the query."""
    context: str | None
    """Context of the query."""
    domain: str
    """Domain of the query."""
    model: str
    """Name of the model."""
    tool: str
    """Name of the tool."""
    text: str | None
    """The answer, without the model's thoughts; None if none was recorded."""
    failed: bool
    """Whether the run failed: it has an error and no answer."""
    score: float | None
    """Its score so far; None if nobody marked it."""
    source: str | None
    """Where that score comes from; None when unknown."""

    @property
    def pair(self) -> str:
        """The pair, as ``model@@tool``."""
        return f"{self.model}@@{self.tool}"


def recorded_answers(table: OutcomeTable) -> list[RecordedAnswer]:
    """Return the rows of a table, in order."""
    names = ("query_id", "query", "context", "domain", "model", "tool", "response", "error", "score")
    columns: dict[str, list[Any]] = {name: table.table[name].to_pylist() for name in names}
    sourced = "score_source" in table.table.column_names
    sources = table.table["score_source"].to_pylist() if sourced else [None] * len(table)
    return [_answer(row, {name: columns[name][row] for name in names}, sources[row]) for row in range(len(table))]


def _answer(row: int, values: Mapping[str, Any], source: str | None) -> RecordedAnswer:
    response = values["response"]
    return RecordedAnswer(
        row=row,
        query_id=values["query_id"],
        query=values["query"],
        context=values["context"],
        domain=values["domain"],
        model=values["model"],
        tool=values["tool"],
        text=None if response is None else without_thoughts(response),
        failed=bool(values["error"]) and not response,
        score=values["score"],
        source=source,
    )


def by_query(answers: Sequence[RecordedAnswer]) -> dict[str, list[RecordedAnswer]]:
    """Group answers by their query, in order of first appearance."""
    groups: dict[str, list[RecordedAnswer]] = {}
    for answer in answers:
        groups.setdefault(answer.query_id, []).append(answer)
    return groups
