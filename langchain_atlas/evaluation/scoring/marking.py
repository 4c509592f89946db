"""Marking the answers of an outcome table that nobody marked."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from langchain_atlas.errors import OutcomeError, SettingError
from langchain_atlas.evaluation.scoring.agreed import agreed_marks
from langchain_atlas.evaluation.scoring.judging.correction import CorrectedRate, JudgeCalibration
from langchain_atlas.evaluation.scoring.judging.judge import JudgeReport
from langchain_atlas.evaluation.scoring.judging.rates import corrected, kept, measured
from langchain_atlas.evaluation.scoring.marks import (
    AGREEMENT,
    FAILED,
    FEEDBACK,
    HUMAN,
    Mark,
    is_estimate,
    recorded_answers,
)
from langchain_atlas.evaluation.scoring.opinions import opinions
from langchain_atlas.evaluation.scoring.people import matched
from langchain_atlas.evaluation.scoring.references import References
from langchain_atlas.evaluation.scoring.scorers import build_scorer
from langchain_atlas.outcomes.table import OutcomeTable
from langchain_atlas.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_atlas.answers import Agreement
    from langchain_atlas.evaluation.scoring.base import Scorer
    from langchain_atlas.evaluation.scoring.judging.calls import OnPlan
    from langchain_atlas.evaluation.scoring.judging.judge import Judge
    from langchain_atlas.evaluation.scoring.marks import RecordedAnswer
    from langchain_atlas.evaluation.scoring.people import HumanMark
    from langchain_atlas.progress import Progress

_COLUMNS = {"score": pa.float64(), "score_source": pa.large_string(), "score_confidence": pa.float64()}


class ScoreReport(Record):
    """What a call of `score_table` did."""

    rows: int
    """Number of rows."""
    marked_before: int
    """Number of rows that had a score."""
    marked_now: int
    """Number of rows whose score this call gave."""
    by_source: dict[str, int]
    """Number of rows that this call marked, by source."""
    unmarked: int
    """Number of rows that still have no score."""
    unmarked_reasons: dict[str, int]
    """Why, with numbers of rows."""
    judge: JudgeReport | None = None
    """What the judge did; None without one."""
    calibrations: tuple[JudgeCalibration, ...] = ()
    """How sources err, by people's marks."""
    rates: tuple[CorrectedRate, ...] = ()
    """For each source whose marks are estimates: the rate of all pairs and of each, as marked and corrected."""
    notes: tuple[str, ...] = ()
    """What else a person should know, such as rules that were applied and people's marks that fit no row."""


@dataclass
class _Work:
    """One call of `score_table`."""

    table: OutcomeTable
    answers: list[RecordedAnswer]
    people: Mapping[int, float]
    again: bool
    marks: dict[int, Mark] = field(default_factory=dict)
    """New marks, by row."""
    notes: list[str] = field(default_factory=list)
    reasons: dict[int, str] = field(default_factory=dict)

    def left(self, *, estimate: bool = False) -> list[RecordedAnswer]:
        """Return the answers that can be marked and are not; for an estimate also those that people marked."""
        return [
            answer
            for answer in self.answers
            if answer.text is not None
            and answer.row not in self.marks
            and (
                self.again
                or answer.score is None
                or (estimate and answer.row in self.people and not is_estimate(answer.source))
            )
        ]


def score_table(
    table: OutcomeTable,
    scorers: Iterable[Scorer | str | Mapping[str, Any]] = (),
    *,
    references: References | None = None,
    judge: Judge | None = None,
    human: Sequence[HumanMark] = (),
    feedback: str = FEEDBACK,
    scale: tuple[float, float] | None = None,
    agreement: Agreement | None = None,
    again: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
    on_plan: OnPlan | None = None,
) -> tuple[OutcomeTable, ScoreReport]:
    """Mark the answers of a table that have no score.

    A run that failed scores 0. Then the scorers mark what is left, in the order given, then the judge. People's marks
    take the place of all others, and measure how the judge, agreement and feedback err.

    Args:
        table: the outcomes, with responses.
        scorers: ``feedback`` (a column of the table), ``agreement`` (between pairs), or scorers that compare with the
            expected answer, for queries whose reference has none of its own.
        references: expected answers; a judge is shown them too.
        judge: marks what the scorers left.
        human: people's marks of some answers.
        feedback: the column of the scorer ``feedback``.
        scale: lowest and highest number in that column.
        agreement: decides whether two answers say the same.
        again: mark answers again that have a score.
        seed: seed of the bootstrap.
        progress: called with the number of the judge's replies and the total.
        on_plan: called with the judge's plan; returning False stops there.

    Returns:
        The table with ``score``, ``score_source`` and ``score_confidence``, and what was done.

    Raises:
        OutcomeError: an expected answer does not fit its scorer, the feedback column is missing, or none of people's
            marks belongs to the table.
        SettingError: a scorer does not exist, or the feedback fits no scale.
    """
    answers = recorded_answers(table)
    given = references or References()
    people = matched(human, answers) if human else None
    work = _Work(table, answers, {} if people is None else people.by_row, again)
    if people is not None:
        work.notes += [f"People's mark left out: {one}." for one in people.unknown]
    for answer in answers:
        if answer.failed and (again or answer.score is None):
            work.marks[answer.row] = Mark(0.0, FAILED, 1.0)
    _use_scorers(work, scorers=list(scorers), references=given, feedback=feedback, scale=scale, agreement=agreement)
    if judge is not None:
        texts = {name: reference.text for name, reference in given.by_query.items()}
        left = work.left(estimate=True)
        found = judge.marks(left, texts, progress=progress, on_plan=on_plan)
        work.marks.update(found)
        work.reasons.update({answer.row: "the judge gave no mark" for answer in left if answer.row not in found})
    return _finished(work, judge, seed)


def _use_scorers(
    work: _Work,
    *,
    scorers: Sequence[Scorer | str | Mapping[str, Any]],
    references: References,
    feedback: str,
    scale: tuple[float, float] | None,
    agreement: Agreement | None,
) -> None:
    comparing = [build_scorer(one) for one in scorers if one not in (FEEDBACK, AGREEMENT)]
    if len(comparing) > 1:
        raise SettingError(
            f"Two scorers compare with the expected answer, {comparing[0].kind!r} and {comparing[1].kind!r}; give one. "
            "A query file, or a column 'scorer', may give each query its own."
        )
    if comparing and not references.by_query:
        raise OutcomeError(
            f"Scorer {comparing[0].kind!r} needs expected answers, and {work.table.source} has no column 'answer'. "
            "Give a query file with --answers, or name the column with --answer-column."
        )
    default = comparing[0] if comparing else None
    _compare(work, references, default)
    for one in scorers:
        if one == FEEDBACK:
            work.marks.update(_opinions(work, feedback, scale))
        elif one == AGREEMENT:
            wanted = {answer.row for answer in work.left(estimate=True)}
            readable = [answer for answer in work.answers if answer.text is not None]
            found = agreed_marks(readable, agreement)
            work.marks.update({row: mark for row, mark in found.items() if row in wanted})
            work.reasons.update(dict.fromkeys(wanted - set(found), "no two pairs agree on it, or too few answered"))


def _compare(work: _Work, references: References, default: Scorer | None) -> None:
    for answer in work.left():
        reference = references.by_query.get(answer.query_id)
        scorer = None if reference is None else reference.scorer or default
        if reference is None or scorer is None:
            work.reasons[answer.row] = (
                "no expected answer" if reference is None else "no scorer for its expected answer"
            )
            continue
        try:
            score = scorer.score(answer.text or "", reference.answer)
        except OutcomeError as error:
            raise OutcomeError(f"Query {answer.query_id!r}, answered by {answer.pair!r}: {error}") from error
        work.marks[answer.row] = Mark(score, scorer.kind, 1.0)


def _opinions(work: _Work, column: str, scale: tuple[float, float] | None) -> dict[int, Mark]:
    if column not in work.table.table.column_names:
        raise OutcomeError(
            f"{work.table.source} has no column {column!r}, which the scorer 'feedback' reads. Name another with "
            f"--feedback-column; there are {', '.join(map(repr, work.table.table.column_names))}."
        )
    read = opinions(work.table.table[column].to_pylist(), scale, column)
    if read.rule:
        work.notes.append(f"Feedback: {read.rule}.")
    if read.unread:
        shown = ", ".join(f"{value!r} ({count})" for value, count in list(read.unread.items())[:4])
        work.notes.append(f"Feedback that says neither good nor bad, left unmarked: {shown}.")
    wanted = work.left(estimate=True)
    work.reasons.update({answer.row: "no feedback" for answer in wanted})
    scored = ((answer.row, read.scores[answer.row]) for answer in wanted)
    return {row: Mark(score, FEEDBACK) for row, score in scored if score is not None}


def _finished(work: _Work, judge: Judge | None, seed: int) -> tuple[OutcomeTable, ScoreReport]:
    estimates = {
        answer.row: Mark(answer.score, answer.source)
        for answer in work.answers
        if answer.score is not None and answer.source is not None and is_estimate(answer.source)
    }
    estimates.update({row: mark for row, mark in work.marks.items() if is_estimate(mark.source)})
    relative = frozenset({judge.source} if judge is not None and judge.mode == "compare" else ())
    calibrations = measured(estimates, work.people, relative) if work.people else None
    confident = {} if calibrations is None else {row: calibrations.confident(mark) for row, mark in work.marks.items()}
    final = {**work.marks, **confident}
    final.update({row: Mark(score, HUMAN, 1.0) for row, score in work.people.items()})
    rates = corrected(work.answers, estimates, work.people, calibrations, seed)
    table = _written(work.table, final, rates)
    unmarked = [answer for answer in work.answers if answer.score is None and answer.row not in final]
    reasons = Counter(
        "no response is recorded" if answer.text is None else work.reasons.get(answer.row, "no scorer was asked")
        for answer in unmarked
    )
    report = ScoreReport(
        rows=len(work.answers),
        marked_before=sum(answer.score is not None for answer in work.answers),
        marked_now=len(final),
        by_source=dict(Counter(mark.source for mark in final.values()).most_common()),
        unmarked=len(unmarked),
        unmarked_reasons=dict(reasons.most_common()),
        judge=None if judge is None else judge.report,
        calibrations=() if calibrations is None else tuple(calibrations.of.values()),
        rates=rates,
        notes=tuple(work.notes),
    )
    return table, report


def _written(table: OutcomeTable, marks: Mapping[int, Mark], rates: Sequence[CorrectedRate]) -> OutcomeTable:
    """Return the table with new marks in its three columns, and corrected rates; other rows keep their marks."""
    changed = table.table
    for name, kind in _COLUMNS.items():
        known = name in changed.column_names
        values = changed[name].to_pylist() if known else [None] * changed.num_rows
        for row, mark in marks.items():
            values[row] = getattr(mark, name.removeprefix("score_") if name != "score" else "score")
        array = pa.array(values, type=kind)
        if known:
            changed = changed.set_column(changed.column_names.index(name), name, array)
        else:
            changed = changed.append_column(name, array)
    return OutcomeTable(kept(changed, rates), table.source)
