"""Where the scores of a table come from: how many a judge gave, and how sure it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_atlas.evaluation.scoring.judging.correction import CorrectedRate
from langchain_atlas.evaluation.scoring.judging.rates import rates_kept

if TYPE_CHECKING:
    from langchain_atlas.outcomes import OutcomeTable

_JUDGE = "judge:"
_SHOWN = 6
_ESTIMATED = (_JUDGE, "agreement")
"""How sources begin whose scores are themselves estimates."""


def judged(table: OutcomeTable) -> dict[str, Any] | None:
    """Describe the sources of a table's scores; None if the table does not name them.

    Returns:
        ``sources``: name and share of the scores, the largest share first; ``share``: share of the scores that are
        themselves estimates (by a judge, or by agreement); ``confidence``: mean confidence of those, 0 to 1, None when
        unknown; ``rates``: for each pair and all of them, the rate as a source marked it and corrected by people's
        marks, with its 95% interval, see `judging.correction`; of the whole table that was marked.
    """
    names = table.table.column_names
    if "score_source" not in names:
        return None
    score = table.table["score"].to_numpy(zero_copy_only=False)
    marked = ~np.isnan(score.astype(np.float64))
    sources = np.array([source or "not named" for source in table.table["score_source"].to_pylist()], dtype=object)
    if not marked.any() or set(sources[marked]) == {"not named"}:
        return None
    found, counts = np.unique(sources[marked].astype(str), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    estimated = marked & np.array([source.startswith(_ESTIMATED) for source in sources])
    return {
        "sources": [[str(found[place]), round(float(counts[place] / marked.sum()), 4)] for place in order],
        "share": round(float(estimated.sum() / marked.sum()), 4),
        "confidence": _confidence(table, estimated) if "score_confidence" in names else None,
        "rates": [rate.to_json() for rate in rates_kept(table.table)],
    }


def _confidence(table: OutcomeTable, rows: np.ndarray[Any, np.dtype[np.bool_]]) -> float | None:
    values = np.array(
        [np.nan if value is None else float(value) for value in table.table["score_confidence"].to_pylist()]
    )[rows]
    return None if np.isnan(values).all() else round(float(np.nanmean(values)), 4)


def note(described: dict[str, Any] | None) -> str | None:
    """Say what share of the scores is estimated; None if none is."""
    if described is None or not described["share"]:
        return None
    judges = [name.removeprefix(_JUDGE) for name, _ in described["sources"] if name.startswith(_JUDGE)]
    by = f"by a judge ({', '.join(judges)})" if judges else "by agreement between pairs"
    sure = described["confidence"]
    how = "" if sure is None else f", {sure:.0%} sure on average"
    if described["rates"]:
        told = "; ".join(str(CorrectedRate.model_validate(rate)) for rate in described["rates"][:_SHOWN])
        more = f"; and {len(described['rates']) - _SHOWN} more" if len(described["rates"]) > _SHOWN else ""
        return (
            f"{described['share']:.0%} of the scores were given {by}{how}. It errs, and the intervals here do not "
            f"include its errors. Corrected by people's marks (95% interval): {told}{more}."
        )
    return (
        f"{described['share']:.0%} of the scores were given {by}{how}. A judge errs too, and the intervals here do not "
        "include its errors: have people mark some answers, and 'score --human FILE' measures them."
    )
