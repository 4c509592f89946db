"""Rates by estimated marks, for every pair, and corrected by what people say of the same answers."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from langchain_atlas.evaluation.scoring.judging.correction import (
    CorrectedRate,
    JudgeCalibration,
    calibrate,
    corrected_rate,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import pyarrow as pa

    from langchain_atlas.evaluation.scoring.marks import Mark, RecordedAnswer

_KEPT = b"langchain_atlas.corrected_rates"
"""Key of a table's metadata; only parquet files keep it."""

ALL = "all pairs"
"""Name of the rate of all answers."""


@dataclass(frozen=True)
class Calibrations:
    """How each source errs."""

    of: Mapping[str, JudgeCalibration]
    """By the name of the source."""
    right: Mapping[tuple[str, float], float]
    """How often a mark of 0 or 1 of a source is the one that people gave."""

    def confident(self, mark: Mark) -> Mark:
        """Return a mark with its measured confidence, where people's marks measure it."""
        share = self.right.get((mark.source, mark.score))
        return mark if share is None else replace(mark, confidence=share)


def measured(marks: Mapping[int, Mark], people: Mapping[int, float], relative: Collection[str]) -> Calibrations:
    """Estimate how the sources of marks err on the answers that people marked.

    Args:
        marks: estimated marks by row.
        people: people's marks by row.
        relative: sources whose marks compare answers with one another.
    """
    both: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row, mark in marks.items():
        if row in people:
            both[mark.source].append((mark.score, people[row]))
    of = {
        source: calibrate(source, *map(list, zip(*pairs, strict=True)), relative=source in relative)
        for source, pairs in both.items()
    }
    right: dict[tuple[str, float], float] = {}
    for source, pairs in both.items():
        if of[source].method != "rogan-gladen":
            continue
        for said in (0.0, 1.0):
            truths = [truth for given, truth in pairs if given == said]
            # One more of each, so that three marks that agree are not certainty.
            right[source, said] = (sum(truth == said for truth in truths) + 1) / (len(truths) + 2)
    return Calibrations(of, right)


def corrected(
    answers: Sequence[RecordedAnswer],
    marks: Mapping[int, Mark],
    people: Mapping[int, float],
    calibrations: Calibrations | None,
    seed: int,
) -> tuple[CorrectedRate, ...]:
    """Return the rate of all pairs and of each, for every source of estimated marks."""
    sources: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for answer in answers:
        if answer.row in marks:
            for pair in (ALL, answer.pair):
                sources[marks[answer.row].source][pair].append(answer.row)
    rates = []
    for source, pairs in sources.items():
        unknown = JudgeCalibration(source=source, n=0, reason="people marked none of its answers")
        known = unknown if calibrations is None else calibrations.of.get(source, unknown)
        for pair, rows in pairs.items():
            shared = rows if known.method == "difference" else pairs[ALL]
            seen = [row for row in shared if row in people]
            both = ([marks[row].score for row in seen], [people[row] for row in seen])
            rates.append(corrected_rate(pair, known, [marks[row].score for row in rows], both, seed=seed))
    return tuple(rates)


def kept(table: pa.Table, rates: Sequence[CorrectedRate]) -> pa.Table:
    """Return a table that keeps the rates that were corrected, if there are any."""
    told = [rate.to_json() for rate in rates if rate.corrected is not None]
    if not told:
        return table
    return table.replace_schema_metadata({**(table.schema.metadata or {}), _KEPT: json.dumps(told).encode()})


def rates_kept(table: pa.Table) -> tuple[CorrectedRate, ...]:
    """Return the corrected rates that a table keeps; empty if there are none, or they can't be read."""
    told = (table.schema.metadata or {}).get(_KEPT, b"[]")
    try:
        return tuple(CorrectedRate.model_validate(rate) for rate in json.loads(told))
    except (ValueError, TypeError):
        return ()
