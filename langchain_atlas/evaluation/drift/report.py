"""What a store shows: week by week, and what has changed."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import SettingError
from langchain_atlas.evaluation.drift.answers import RULE, changed_answers
from langchain_atlas.pool.pairs import Pair
from langchain_atlas.routers.cluster.placing import placed
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.drift.monitor import DriftMonitor
from langchain_atlas.trajectory import Query

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_atlas.outcomes.store.store import Store
    from langchain_atlas.routers.base import Router
    from langchain_atlas.routers.drift.events import DriftEvent

_WEEK_S = 7 * 86_400.0
_MONDAY_S = 4 * 86_400.0
"""1 January 1970 was a Thursday: the first Monday was four days later."""


@dataclass
class Week:
    """What happened in a week, from Monday, UTC."""

    begins: str
    """Its Monday, as YYYY-MM-DD."""
    decisions: int = 0
    """Number of calls of pairs that ended."""
    failed: int = 0
    """Number of them that failed."""
    scored: int = 0
    """Number of them with a score."""
    mean_score: float | None = None
    """Mean of the scores, 0 to 1; None without any."""
    expected_score: float | None = None
    """Mean of what the router expected of the calls with a score, where it said so."""
    cost_usd: float | None = None
    """Sum of the known costs, in dollars; None without any."""
    unpriced: int = 0
    """Number of calls of unknown cost."""
    far_share: float | None = None
    """Share of queries far from the training data; None if unknown."""
    pair_share: dict[str, float] = field(default_factory=dict)
    """Share of each pair, the largest first."""
    pair_score: dict[str, float] = field(default_factory=dict)
    """Mean score of each pair that has one."""


@dataclass(frozen=True)
class DriftReport:
    """What a store shows."""

    weeks: tuple[Week, ...]
    """The weeks, oldest first; those without a call are left out."""
    events: tuple[DriftEvent, ...]
    """The changes, in the order in which they were found."""
    decisions: int
    """Number of calls that were looked at, without canary questions."""
    scored: int
    """Number of them with a score."""
    canary_answers: int
    """Number of answers to canary questions."""
    notes: tuple[str, ...]
    """What could not be looked at, and why."""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        events = [event.to_json() for event in self.events]
        return {**asdict(self), "events": events, "notes": list(self.notes)}


def drift_report(
    store: Store,
    router: Router | None = None,
    *,
    weeks: float | None = 13,
    queries_per_false_alarm: float = 100_000,
    now: float | None = None,
) -> DriftReport:
    """Go through a store in the order of time.

    Args:
        store: the store.
        router: the router as it was fitted. If it is a cluster router, clusters and distances are as it says.
        weeks: how many weeks back to begin; None begins with the first decision.
        queries_per_false_alarm: see `DriftMonitor`.
        now: the time from which the weeks are counted, in seconds since 1970; now by default.

    Raises:
        OutcomeError: the store can't be read.
        SettingError: a setting is out of range.
    """
    from langchain_atlas.outcomes.store.reading import outcomes_query

    if weeks is not None and not weeks > 0:
        raise SettingError(f"weeks is {weeks!r}; it must be a number above 0.")
    since = None if weeks is None else (time.time() if now is None else now) - weeks * _WEEK_S
    rows = store.read(outcomes_query(since))
    asked = [row for row in rows if row.rule == RULE]
    live = [row for row in rows if row.rule != RULE]
    fitted = router if isinstance(router, ClusterRouter) else None
    clusters, far = _placed(fitted, live)
    events = [
        *_watched(DriftMonitor(queries_per_false_alarm), live, clusters, far),
        *changed_answers(asked),
    ]
    return DriftReport(
        weeks=_weekly(live, far),
        events=tuple(sorted(events, key=lambda event: event.found_at)),
        decisions=len(live),
        scored=sum(row.score is not None for row in live),
        canary_answers=len(asked),
        notes=tuple(_notes(router, live, asked)),
    )


def _placed(router: ClusterRouter | None, rows: Sequence[Any]) -> tuple[list[int | None], list[bool | None]]:
    """Return the cluster of each row, and whether its query is far; as the router says, or else as it was decided."""
    clusters: list[int | None] = [row.cluster if router is None else None for row in rows]
    far: list[bool | None] = [None] * len(rows)
    if router is None:
        return clusters, far
    texts = {row.query_hash: Query(text=row.query, context=row.context) for row in rows if row.query is not None}
    if texts:
        found, are_far = placed(router, list(texts.values()))
        where = dict(zip(texts, zip(found.tolist(), are_far.tolist(), strict=True), strict=True))
        for at, row in enumerate(rows):
            if row.query is not None:
                clusters[at], far[at] = where[row.query_hash]
    return clusters, far


def _watched(
    monitor: DriftMonitor, rows: Sequence[Any], clusters: Sequence[int | None], far: Sequence[bool | None]
) -> list[DriftEvent]:
    events = []
    for row, cluster, is_far in zip(rows, clusters, far, strict=True):
        pair = Pair(row.model, row.tool)
        if row.turn == 0:
            events += monitor.decided(pair, far=is_far, at=row.decided_at)
        if row.score is not None:
            events += monitor.scored(pair, cluster, row.score, at=row.decided_at)
    return events


def _weekly(rows: Sequence[Any], far: Sequence[bool | None]) -> tuple[Week, ...]:
    parts: dict[int, list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        parts[int((row.decided_at - _MONDAY_S) // _WEEK_S)].append(at)
    return tuple(
        _week(number, [rows[at] for at in parts[number]], [far[at] for at in parts[number]]) for number in sorted(parts)
    )


def _week(number: int, rows: Sequence[Any], far: Sequence[bool | None]) -> Week:
    begins = datetime.fromtimestamp(number * _WEEK_S + _MONDAY_S, UTC).date().isoformat()
    scores: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row.score is not None:
            scores[f"{Pair(row.model, row.tool)}"].append(row.score)
    counts = Counter(f"{Pair(row.model, row.tool)}" for row in rows)
    costs = [row.cost_usd for row in rows if row.cost_usd is not None]
    expected = [row.expected_success for row in rows if row.score is not None]
    known = [each for each, row in zip(far, rows, strict=True) if each is not None and row.turn == 0]
    return Week(
        begins=begins,
        decisions=len(rows),
        failed=sum(bool(row.error) for row in rows),
        scored=sum(map(len, scores.values())),
        mean_score=_mean([score for each in scores.values() for score in each]),
        expected_score=_mean([each for each in expected if each is not None]),
        cost_usd=sum(costs) if costs else None,
        unpriced=len(rows) - len(costs),
        far_share=_mean([float(each) for each in known]),
        pair_share={name: count / len(rows) for name, count in counts.most_common()},
        pair_score={name: sum(each) / len(each) for name, each in sorted(scores.items())},
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _notes(router: Router | None, rows: Sequence[Any], asked: Sequence[Any]) -> list[str]:
    notes = []
    if router is None:
        notes.append(
            "No router was given: the clusters are those that were stored, and what is far from the training data is "
            "unknown."
        )
    elif not isinstance(router, ClusterRouter):
        notes.append(f"{router!r} has no clusters: pairs are watched over all queries together.")
    elif any(row.query is None for row in rows):
        notes.append("Texts are not kept (keep_texts=False): such queries have no cluster and no distance.")
    if rows and not any(row.score is not None for row in rows):
        notes.append("Nothing has a score: success can't be watched. See `Store.record`.")
    if not asked:
        notes.append("No canary questions were asked: a provider's silent change may go unnoticed.")
    elif all(row.response is None for row in asked):
        notes.append("Answers to canary questions are not kept (keep_texts=False), or all failed.")
    return notes
