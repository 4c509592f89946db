"""Expected answers of a table's queries: from a query file, or from a column of the table."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import InvalidInputError, OutcomeError, suggest
from langchain_atlas.evaluation.profiling.queries import read_queries
from langchain_atlas.evaluation.scoring.scorers import build_scorer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from langchain_atlas.evaluation.scoring.base import Scorer
    from langchain_atlas.outcomes import OutcomeTable

ANSWER, SCORER = "answer", "scorer"
"""Columns of a table that hold the expected answer, and its scorer."""


@dataclass(frozen=True)
class Reference:
    """The expected answer to a query."""

    answer: Any
    """The answer, as JSON values."""
    scorer: Scorer | None = None
    """Its own scorer; None leaves it to the caller."""

    @property
    def text(self) -> str:
        """The answer as a judge reads it."""
        return self.answer if isinstance(self.answer, str) else json.dumps(self.answer, ensure_ascii=False)


@dataclass(frozen=True)
class References:
    """The expected answers that are known."""

    by_query: Mapping[str, Reference] = field(default_factory=dict)
    """By the id of the query in the table."""
    where: str = ""
    """Where they come from, for people; empty if there are none."""


def references_in(table: OutcomeTable, column: str | None = None) -> References:
    """Return the expected answers that a column of the table holds.

    Args:
        table: the outcomes.
        column: the column; by default ``answer``, where there is one. A column ``scorer``, if there is one, holds kinds
            of scorers, or JSON with their settings.

    Raises:
        OutcomeError: the named column does not exist, or a scorer is none.
    """
    names = table.table.column_names
    if column is not None and column not in names:
        raise OutcomeError(f"{table.source} has no column {column!r} with expected answers. {suggest(column, names)}")
    column = column or ANSWER
    if column not in names:
        return References()
    scorers = table.table[SCORER].to_pylist() if SCORER in names else [None] * len(table)
    found: dict[str, Reference] = {}
    rows = zip(table.table["query_id"].to_pylist(), table.table[column].to_pylist(), scorers, strict=True)
    for number, (name, answer, scorer) in enumerate(rows, start=1):
        if answer is not None and name not in found:
            try:
                expected = _one_of(answer)
                found[name] = Reference(expected, None if scorer is None else build_scorer(_settings(scorer)))
            except InvalidInputError as error:
                raise OutcomeError(f"{table.source}, row {number}: {error}") from error
    return References(found, f"the column {column!r}" if found else "")


def read_references(path: Path, table: OutcomeTable) -> References:
    """Read the expected answers of a table's queries from a query file: by id, or else by the text of the query.

    Raises:
        OutcomeError: the file can't be read, or none of its answers belongs to a query of the table.
    """
    items = [item for item in read_queries(path) if item.answer is not None]
    by_id = {str(item.query.id): item for item in items}
    by_text = {(item.query.text, item.query.context): item for item in items}
    found = {}
    for query in table.queries:
        item = by_id.get(str(query.id))
        if item is None or item.query.text != query.text:  # ids may be counted from 1 in every file
            item = by_text.get((query.text, query.context))
        if item is not None:
            found[str(query.id)] = Reference(item.answer, item.scorer)
    if not found:
        raise OutcomeError(
            f"{str(path)!r} has no 'answer' to any query of {table.source}; queries are matched by 'id' and text."
        )
    return References(found, str(path))


def _one_of(answer: Any) -> Any:
    """Return the answers of which one is expected, if the text is a JSON list of texts; else the answer itself."""
    if isinstance(answer, str) and answer.lstrip().startswith("["):
        with suppress(ValueError, RecursionError):
            read = json.loads(answer)
            if read and all(isinstance(one, str) for one in read):
                return read
    return answer


def _settings(scorer: Any) -> Any:
    """Return a scorer's kind, or its settings if the text is JSON."""
    if isinstance(scorer, str) and scorer.lstrip().startswith("{"):
        with suppress(ValueError, RecursionError):
            return json.loads(scorer)
    return scorer


def named_scorers(given: Iterable[str]) -> list[Any]:
    """Return scorers as given on the command line: kinds, or JSON with settings."""
    return [_settings(one) for one in given]
