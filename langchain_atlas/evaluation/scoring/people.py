"""People's marks: a file that says, for some answers, how right they are."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from langchain_atlas.errors import OutcomeError, PoolError
from langchain_atlas.evaluation.scoring.opinions import opinions
from langchain_atlas.pool.pairs import Pair
from langchain_atlas.text_files import read_text, why

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_atlas.evaluation.scoring.marks import RecordedAnswer

_KINDS = (".csv", ".jsonl", ".parquet")
_NAMED = 5


@dataclass(frozen=True)
class HumanMark:
    """One person's mark of one answer."""

    query_id: str
    """Id of the query."""
    pair: str
    """The pair, as ``model@@tool``."""
    score: float
    """How right the answer is, 0 to 1."""
    line: int
    """Where it stands in its file."""


@dataclass(frozen=True)
class HumanMarks:
    """People's marks of a table's rows."""

    by_row: Mapping[int, float]
    """Mean mark of each row that has any."""
    unknown: tuple[str, ...] = ()
    """Marks that belong to no row, or to several: their lines, with the reason."""


def read_human_marks(path: str | Path, scale: tuple[float, float] | None = None) -> tuple[HumanMark, ...]:
    """Read a file of people's marks.

    Args:
        path: a ``.csv``, ``.jsonl`` or ``.parquet`` file with the columns ``query_id``, ``pair`` (``model@@tool``) or
            ``model`` and ``tool`` (``none`` when left out), and ``score``: numbers, booleans or words, see `opinions`.
            A line without a score is skipped.
        scale: lowest and highest score, such as (1, 5).

    Raises:
        OutcomeError: the file can't be read, or a line can't be used; the message names the line.
    """
    rows = _rows(Path(path))
    if not rows:
        raise OutcomeError(f"{str(path)!r} has no marks; it needs the columns query_id, pair and score.")
    names = {name for _, row in rows for name in row}
    missing = [name for name in ("query_id", "score") if name not in names]
    missing += [] if names & {"pair", "model"} else ["pair"]
    if missing:
        raise OutcomeError(
            f"{str(path)!r} has no column {missing[0]!r}; it needs query_id, pair (or model and tool), and score. It "
            f"has {', '.join(map(repr, sorted(names)))}."
        )
    read = opinions([row.get("score") for _, row in rows], scale, "score")
    marks = []
    for (line, row), score in zip(rows, read.scores, strict=True):
        said = row.get("score")
        if score is None and str(said)[:40] in read.unread:
            raise OutcomeError(
                f"{path}, line {line}: the score is {said!r}; write a number, true or false, or right or wrong."
            )
        if score is not None:
            marks.append(HumanMark(_id(row, path, line), _pair(row, path, line), score, line))
    return tuple(marks)


def matched(marks: Iterable[HumanMark], answers: Sequence[RecordedAnswer]) -> HumanMarks:
    """Find the rows that marks belong to. Several marks of one row are averaged.

    A mark of a query and a pair with several different answers belongs to none of them.

    Raises:
        OutcomeError: no mark belongs to any row.
    """
    places: dict[tuple[str, str], list[RecordedAnswer]] = defaultdict(list)
    for answer in answers:
        places[answer.query_id, answer.pair].append(answer)
    found: dict[int, list[float]] = defaultdict(list)
    unknown = []
    for mark in marks:
        rows = places.get((mark.query_id, mark.pair), [])
        if not rows:
            unknown.append(f"line {mark.line}: no outcome of query {mark.query_id!r} by {mark.pair!r}")
        elif len({answer.text for answer in rows}) > 1:
            unknown.append(f"line {mark.line}: query {mark.query_id!r} was answered {len(rows)} times by {mark.pair!r}")
        else:
            for answer in rows:
                found[answer.row].append(mark.score)
    if unknown and not found:
        raise OutcomeError(f"None of people's marks belongs to one answer of the table: {'; '.join(unknown[:_NAMED])}.")
    return HumanMarks({row: sum(scores) / len(scores) for row, scores in found.items()}, tuple(unknown))


def _rows(path: Path) -> list[tuple[int, dict[str, Any]]]:
    if path.suffix not in _KINDS:
        raise OutcomeError(f"{str(path)!r} can't hold people's marks; give a file that ends in {', '.join(_KINDS)}.")
    try:
        if path.suffix == ".parquet":
            return list(enumerate(pq.read_table(path).to_pylist(), start=1))
        text = read_text(path)
    except (OSError, UnicodeError, pa.ArrowException) as error:
        raise OutcomeError(f"Can't read people's marks from {str(path)!r}: {why(error)}.") from error
    if path.suffix == ".csv":
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        try:
            return [(reader.line_num, {str(name).strip(): row[name] for name in row}) for row in reader]
        except csv.Error as error:
            raise OutcomeError(f"{path}, line {reader.line_num} is no CSV: {error}.") from error
    return [(number, _json(path, number, line)) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def _json(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise OutcomeError(f"{path}, line {number} is not JSON: {error}.") from error
    if not isinstance(row, dict):
        raise OutcomeError(f"{path}, line {number} is {line.strip()[:40]!r}; it must be a JSON object.")
    return row


def _id(row: Mapping[str, Any], path: str | Path, line: int) -> str:
    name = row.get("query_id")
    if name is None or not str(name).strip():
        raise OutcomeError(f"{path}, line {line}: the query_id is empty; it names the query whose answer is marked.")
    return str(name)


def _pair(row: Mapping[str, Any], path: str | Path, line: int) -> str:
    try:
        if row.get("pair"):
            return str(Pair.parse(str(row["pair"])))
        return str(Pair(str(row.get("model") or ""), str(row.get("tool") or "none")))
    except PoolError as error:
        raise OutcomeError(f"{path}, line {line}: {error}") from error
