"""Marking a sample of the answers in a store: the marks go back to the store, as scores of their source."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import OutcomeError, SettingError
from langchain_atlas.evaluation.drift.answers import RULE
from langchain_atlas.evaluation.scoring.marking import score_table
from langchain_atlas.outcomes.table import OutcomeTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from langchain_atlas.evaluation.scoring.base import Scorer
    from langchain_atlas.evaluation.scoring.marking import ScoreReport
    from langchain_atlas.outcomes.store import Store

_RECORDED_AT_ONCE = 1000
_WAIT_S = 60.0


def score_store(
    store: Store,
    scorers: Iterable[Scorer | str | Mapping[str, Any]] = (),
    *,
    sample: float = 0.1,
    since: float | None = None,
    seed: int = 0,
    **given: Any,
) -> ScoreReport:
    """Mark a sample of a store's answers that have no score, and record the marks in the store.

    Decisions are drawn by a hash of their id, whatever came of them. So the sample stands for all, the same call goes
    on where the last one stopped, and a larger share contains the smaller one. Canary questions are left out, and so
    are private queries, whose texts a store does not keep.

    Args:
        store: the store.
        scorers: as for `score_table`.
        sample: share of the decisions that is drawn, above 0, up to 1.
        since: leave out what was decided before this time, in seconds since 1970.
        seed: seed of the draw, and of `score_table`.
        given: the other arguments of `score_table`, such as ``judge`` and ``on_plan``.

    Returns:
        What was done; ``rows`` is the size of the sample.

    Raises:
        SettingError: `sample` is out of range.
        OutcomeError: nothing with a text was drawn, or the store can't be read or written.
    """
    table = sampled(store, sample, since=since, seed=seed)
    marked, report = score_table(table, scorers, seed=seed, **given)
    record_marks(store, table, marked)
    return report


def sampled(store: Store, share: float, *, since: float | None = None, seed: int = 0) -> OutcomeTable:
    """Return a sample of a store's outcomes; equal texts are one query. See `score_store`."""
    from langchain_atlas.outcomes.store.reading import outcomes_query, table_row

    if isinstance(share, bool) or not 0 < share <= 1:
        raise SettingError(f"sample is {share!r}; it must be a share of the decisions, above 0 and up to 1.")
    rows = [row for row in store.read(outcomes_query(since)) if row.query is not None and row.rule != RULE]
    drawn = [table_row(row) for row in rows if _drawn(row.id, seed) < share]
    if not drawn:
        raise OutcomeError(
            f"Of {len(rows)} outcomes with a text in {store!r}, none is in a sample of {share:g}. Take a larger one."
        )
    return OutcomeTable.from_rows(drawn, repr(store))


def record_marks(store: Store, before: OutcomeTable, after: OutcomeTable) -> int:
    """Record in a store the marks that a table of its outcomes got; return their number.

    Args:
        store: the store.
        before: the outcomes, as from `sampled`.
        after: the same rows with marks.

    Raises:
        OutcomeError: the marks can't be written.
    """
    names = ("decision_id", "score", "score_source", "score_confidence")
    old, new = (each.table.select(names).to_pylist() for each in (before, after))
    marks = [row for was, row in zip(old, new, strict=True) if row["score"] is not None and row != was]
    lost = store.counts.lost + store.counts.refused
    for start in range(0, len(marks), _RECORDED_AT_ONCE):
        for row in marks[start : start + _RECORDED_AT_ONCE]:
            store.record(
                row["decision_id"], score=row["score"], source=row["score_source"], confidence=row["score_confidence"]
            )
        written = store.flush(_WAIT_S)
        if not written or store.counts.lost + store.counts.refused > lost:
            raise OutcomeError(f"The marks could not be written to {store!r}: {store.counts}.")
    return len(marks)


def _drawn(decision_id: str, seed: int) -> float:
    """Return the place of a decision in the draw, 0 to 1."""
    digest = hashlib.blake2b(f"{seed} {decision_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
