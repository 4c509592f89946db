"""Reading a store: outcomes as a table to learn from, and sums by pair."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import MissingExtraError
from langchain_atlas.outcomes.store.schema import DECISIONS, OUTCOMES, SCORES
from langchain_atlas.pool.pairs import Pair

try:
    import sqlalchemy as sa
except ImportError as error:
    raise MissingExtraError("A store", "store") from error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Select

_ANSWERED = DECISIONS.join(OUTCOMES, OUTCOMES.c.decision_id == DECISIONS.c.id)
_CLOCKS_S = 3600.0
"""Seconds by which the clocks of two machines may differ."""
_NAMES = (
    *("query_hash", "query", "context", "domain", "model", "tool", "propensity", "cluster", "rule", "turn"),
    "expected_success",
)


@dataclass(frozen=True)
class PairSummary:
    """What a store holds of a pair."""

    pair: Pair
    """The pair."""
    decisions: int
    """Number of decisions for it."""
    outcomes: int
    """Number of calls of it that ended."""
    failed: int
    """Number of them that failed."""
    scored: int
    """Number of them with a score."""
    mean_score: float | None
    """Mean of the latest scores, 0 to 1; None without any."""
    cost_usd: float | None
    """Sum of the known costs, in dollars; None without any."""


ANSWERED_SINCE = sa.select(sa.func.min(DECISIONS.c.decided_at))
"""The query for the time of the first decision; null if there is none."""


def latest_written(count: int) -> Select[Any]:
    """Return the query for the time since which so many scores were written; no row if there are fewer."""
    return sa.select(SCORES.c.written_at).order_by(SCORES.c.written_at.desc()).offset(count - 1).limit(1)


def _latest_scores(since: float | None, changed_since: float | None = None) -> sa.Subquery:
    """Return the latest score of each decision since a time; only of those with a score written since another time.

    It is asked which score has none after it, as a database can answer that with joins that run in parallel; numbering
    the scores of each decision would take three times as long in a store of many millions.
    """
    later = SCORES.alias("later")
    is_after = later.c.recorded_at > SCORES.c.recorded_at
    is_first = (later.c.recorded_at == SCORES.c.recorded_at) & (later.c.source < SCORES.c.source)
    after = sa.exists().where(later.c.decision_id == SCORES.c.decision_id, is_after | is_first)
    if since is not None:
        after = after.where(later.c.recorded_at >= since - _CLOCKS_S)
    scores = sa.select(SCORES).where(~after)
    if since is not None:  # a score is later than its decision, but for clocks that differ
        scores = scores.where(SCORES.c.recorded_at >= since - _CLOCKS_S)
    if changed_since is not None:
        changed = sa.select(SCORES.c.decision_id).where(SCORES.c.written_at >= changed_since)
        scores = scores.where(SCORES.c.decision_id.in_(changed))
    return scores.subquery("latest")


def outcomes_query(
    since: float | None, *, scored: bool = False, scores_since: float | None = None, answers: bool = True
) -> Select[Any]:
    """Return the query for outcomes with their latest score.

    Args:
        since: leave out decisions before this time, in seconds since 1970; None for none.
        scored: leave out outcomes without a score.
        scores_since: leave out those without a score that was written since this time of the database.
        answers: whether the answers are read; without them, they are null.
    """
    latest = _latest_scores(since, scores_since)
    query = (
        sa.select(
            DECISIONS.c.id,
            DECISIONS.c.decided_at,
            *(DECISIONS.c[name] for name in _NAMES),
            *(
                column if answers or column.name != "response" else sa.null().label("response")
                for column in OUTCOMES.c
                if column.name not in ("decision_id", "written_at")
            ),
            latest.c.score,
            latest.c.source,
            latest.c.confidence,
            latest.c.written_at.label("score_written_at"),
        )
        .select_from(_ANSWERED.join(latest, latest.c.decision_id == DECISIONS.c.id, isouter=not scored))
        .order_by(DECISIONS.c.decided_at, DECISIONS.c.id)
    )
    return query if since is None else query.where(DECISIONS.c.decided_at >= since)


def answers_query(rule: str) -> Select[Any]:
    """Return the query for the answers to all decisions by a rule, without scores, in the order of time."""
    names = ("decided_at", "query_hash", "query", "context", "model", "tool")
    return (
        sa.select(*(DECISIONS.c[name] for name in names), OUTCOMES.c.response, OUTCOMES.c.error)
        .select_from(_ANSWERED)
        .where(DECISIONS.c.rule == rule)
        .order_by(DECISIONS.c.decided_at, DECISIONS.c.id)
    )


def summary_query(since: float | None) -> Select[Any]:
    """Return the query for the sums of each pair."""
    latest = _latest_scores(since)
    joined = DECISIONS.join(OUTCOMES, OUTCOMES.c.decision_id == DECISIONS.c.id, isouter=True).join(
        latest, latest.c.decision_id == DECISIONS.c.id, isouter=True
    )
    failed = sa.func.sum(sa.case((OUTCOMES.c.error != "", 1), else_=0))
    query = (
        sa.select(
            DECISIONS.c.model,
            DECISIONS.c.tool,
            sa.func.count(DECISIONS.c.id),
            sa.func.count(OUTCOMES.c.decision_id),
            failed,
            sa.func.count(latest.c.score),
            sa.func.avg(latest.c.score),
            sa.func.sum(OUTCOMES.c.cost_usd),
        )
        .select_from(joined)
        .group_by(DECISIONS.c.model, DECISIONS.c.tool)
        .order_by(DECISIONS.c.model, DECISIONS.c.tool)
    )
    return query if since is None else query.where(DECISIONS.c.decided_at >= since)


def summaries(rows: Sequence[Any]) -> tuple[PairSummary, ...]:
    """Return the sums of each pair from the rows of `summary_query`."""
    return tuple(PairSummary(Pair(row[0], row[1]), *row[2:]) for row in rows)


def table_row(row: Any, *, each_apart: bool = False) -> dict[str, Any]:
    """Return a row of an outcome table from one of `outcomes_query`.

    Args:
        row: the row.
        each_apart: make each decision a query of its own, so that a repeated query counts once for each time.
    """
    return {
        "query_id": row.id if each_apart else row.query_hash,
        "query": row.query,
        "context": row.context,
        "domain": row.domain,
        "model": row.model,
        "tool": row.tool,
        "score": row.score,
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "cost_usd": row.cost_usd,
        "latency_s": row.latency_s,
        "response": row.response,
        "error": row.error,
        "tokens_estimated": False,
        "propensity": row.propensity,
        "score_source": row.source,
        "score_confidence": row.confidence,
        "recorded_at": datetime.fromtimestamp(row.recorded_at, UTC).isoformat(),
        "decision_id": row.id,
    }
