"""A cluster router that learns from the scores in a store."""

from __future__ import annotations

import copy
import logging
import math
import threading
import time
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_atlas.errors import SettingError
from langchain_atlas.masking import error_text
from langchain_atlas.outcomes.store.reading import ANSWERED_SINCE, latest_written, outcomes_query, table_row
from langchain_atlas.outcomes.store.store import Store
from langchain_atlas.outcomes.table import OutcomeTable
from langchain_atlas.pool.pairs import Pair
from langchain_atlas.routers.cluster.evidence import refitted, with_change, with_evidence
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.cluster.successors import with_successors
from langchain_atlas.routers.drift.events import publish
from langchain_atlas.routers.drift.monitor import DriftMonitor
from langchain_atlas.routers.wrapper import RouterWrapper

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Self

    from langchain_atlas.routers.base import Router
    from langchain_atlas.routers.drift.events import DriftEvent

_LOG = logging.getLogger(__name__)
_DAY_S = 86_400.0
_OVERLAP_S = 60.0
"""Seconds that are read again: a transaction that began earlier may have ended later."""
_FORGOTTEN = 20.0
"""Number of outcomes that a pair's record counts as after it has changed."""
_QUERIES_PER_FALSE_ALARM = 100_000
_ONE_CHANGE_S = 30 * _DAY_S
"""Seconds within which changes of a model's pairs are one change of the model."""
_REMEMBERED = 100_000
"""Number of outcomes whose score may still change; a later change counts as one more outcome."""
_AT_ONCE = 2_000
"""Number of outcomes after which decisions know them, where many are learned."""


@dataclass(frozen=True)
class _Learned:
    """What was learned of a decision, so that a later score can take its place."""

    row: dict[str, Any]
    recorded_at: float
    decided_at: float
    cluster: int | None


class LearningRouter(RouterWrapper):
    """A cluster router whose statistics follow the scores in a store, in every process that uses the store.

    A thread looks for new scores every few seconds, and puts a new router in place of the old one: no decision waits.
    Only outcomes with a score and with their text are learned from.

    Args:
        router: the fitted router to begin with.
        store: the store, or its address.
        half_life_days: days after which an outcome counts half; what the router was fitted on fades from the store's
            first decision on. None lets nothing fade.
        every_s: seconds between looks at the store.
        notice_changes: whether a pair whose success changes is learned anew: what was known of it before counts as 20
            outcomes from then on. The test is that of `DriftMonitor`, and its events are published.
        new_pairs: whether pairs that the router does not know are learned too. A restricted router learns none.
        refit_days: days after which the router is fitted anew, again and again, in the thread that follows the store;
            see `refit`. None leaves that to you.
        table: what the router was fitted on, for `refit_days`.
        most_outcomes: number of outcomes that are read from the store at most when the router begins, and whenever it
            is fitted anew: those whose scores came last.

    Raises:
        SettingError: the router is no cluster router, a setting is out of range, or `refit_days` lacks its table.
    """

    not_deciding = frozenset(
        {
            *("_store", "_stop", "_every_s", "_refreshing", "_known", "_seen_until", "_monitor", "_changed"),
            *("_table", "_probes", "_refit_s", "_refitted_at", "_most"),
        }
    )

    def __init__(
        self,
        router: ClusterRouter,
        store: Store | str,
        *,
        half_life_days: float | None = None,
        every_s: float = 2.0,
        new_pairs: bool = True,
        notice_changes: bool = True,
        refit_days: float | None = None,
        table: OutcomeTable | None = None,
        most_outcomes: int = 100_000,
    ) -> None:
        if not isinstance(router, ClusterRouter):
            raise SettingError(f"The router is {router!r}; only a cluster router can learn from a store.")
        given = {"half_life_days": half_life_days, "every_s": every_s, "refit_days": refit_days}
        for name, value in given.items():
            if value is not None and not value > 0:
                raise SettingError(f"{name} is {value!r}; it must be a number above 0.")
        if isinstance(most_outcomes, bool) or not isinstance(most_outcomes, int) or most_outcomes < 1:
            raise SettingError(f"most_outcomes is {most_outcomes!r}; it must be a whole number from 1.")
        if refit_days is not None and table is None:
            raise SettingError(
                f"refit_days is {refit_days!r}, but what the router was fitted on is not given; say table=OutcomeTable."
                "load(...)."
            )
        super().__init__(router)
        self._store = Store.shared(store) if isinstance(store, str) else store
        self._new_pairs = new_pairs
        self._every_s = every_s
        self._most = most_outcomes
        self._half_life_s = None if half_life_days is None else half_life_days * _DAY_S
        self._monitor = DriftMonitor(_QUERIES_PER_FALSE_ALARM) if notice_changes else None
        self._table = table
        self._refit_s = math.inf if refit_days is None else refit_days * _DAY_S
        self._refitted_at = time.monotonic()
        self._changed: dict[Pair, float] = {}
        self._probes: list[tuple[OutcomeTable, float]] = []
        self._known: dict[str, _Learned] = {}
        self._begins_at: float | None = None
        self._seen_until = 0.0
        self._faded_until: float | None = None
        self._begin()

    def _begin(self) -> None:
        self._refreshing = threading.Lock()
        self._stop = threading.Event()
        following = (weakref.ref(self), self._stop, self._every_s)
        threading.Thread(target=_follow, args=following, name="AtlasLearning", daemon=True).start()

    def refresh(self, now: float | None = None) -> int:
        """Learn what is new in the store at once; return the number of outcomes with a new score.

        Args:
            now: the time to which evidence fades, in seconds since 1970; now by default.

        Raises:
            OutcomeError: the store can't be read.
        """
        with self._refreshing:
            now = time.time() if now is None else now
            if self._begins_at is None:
                self._begins_at = self._earliest()
            since = max(self._begins_at, self._seen_until - _OVERLAP_S)
            rows = [row for row in self._store.read(_scored(since)) if self._is_news(row)]
            if self._faded_until is None:
                first = self._store.read(ANSWERED_SINCE)[0][0]
                self._faded_until = now if first is None else float(first)
            keep, self._faded_until = self._share(now - self._faded_until), now
            for begin in range(0, max(1, len(rows)), _AT_ONCE):
                self._learn(rows[begin : begin + _AT_ONCE], now, keep if begin == 0 else 1.0)
            self._seen_until = max(self._seen_until, *(row.score_written_at for row in rows), 0.0)
            return len(rows)

    def _learn(self, rows: list[Any], now: float, keep: float) -> None:
        """Learn rows of the store; what was known before counts as a share of what it counted."""
        table_rows: list[dict[str, Any]] = []
        weights: list[float] = []
        events: list[DriftEvent] = []
        for row in rows:
            before = self._known.get(row.id)
            if before is not None:
                table_rows.append({**before.row, "query_id": f"{row.id} before"})
                weights.append(-self._share(now - before.recorded_at))
            learned = _Learned(table_row(row, each_apart=True), row.recorded_at, row.decided_at, row.cluster)
            table_rows.append(learned.row)
            weights.append(self._share(now - learned.recorded_at))
            self._known[row.id] = learned
            if before is None and self._monitor is not None:
                events += self._monitor.scored(Pair(row.model, row.tool), row.cluster, row.score, at=row.decided_at)
            if len(self._known) > _REMEMBERED:
                del self._known[next(iter(self._known))]
        if table_rows or keep != 1:
            router = self.router
            assert isinstance(router, ClusterRouter)  # noqa: S101  # checked at construction
            table = OutcomeTable.from_rows(table_rows, "the store") if table_rows else None
            self._router = with_evidence(router, table, np.array(weights), keep=keep)
        for event in events:
            self._forget(event, now)

    def _earliest(self) -> float:
        """Return the time of the database from which on scores are read at first."""
        found = self._store.read(latest_written(self._most))
        return float(found[0][0]) if found else 0.0

    def _forget(self, event: DriftEvent, now: float) -> None:
        """Let what was known of a pair before it changed count as a few outcomes; of its model's other pairs too.

        A model that has become worse has so with every tool, mostly; what it does with the others is not known yet.
        """
        router = self.router
        assert isinstance(router, ClusterRouter)  # noqa: S101  # checked at construction
        assert event.pair is not None  # noqa: S101  # it is about a success
        of_model = [pair for pair in router.pairs if pair.model == event.pair.model]
        recent = event.since - _ONE_CHANGE_S
        pairs = {pair for pair in of_model if self._changed.get(pair, -math.inf) < recent} | {event.pair}
        self._changed.update(dict.fromkeys(pairs, event.since))
        changed = with_change(router, pairs, event.cluster, outcomes=_FORGOTTEN)
        since = [
            known
            for known in self._known.values()
            if known.decided_at >= event.since
            and Pair(known.row["model"], known.row["tool"]) in pairs
            and event.cluster in (None, known.cluster)
        ]
        if since:
            weights = np.array([self._share(now - known.recorded_at) for known in since])
            changed = with_evidence(
                changed, OutcomeTable.from_rows([known.row for known in since], "the store"), weights
            )
        self._router = changed
        publish([event])

    def refit(self, table: OutcomeTable, *, probes: OutcomeTable | None = None, now: float | None = None) -> None:
        """Fit the router anew, with clusters and trees, on a table and on what the store holds; decisions go on.

        Of a pair that has changed, what is older than the change counts as 20 outcomes. Everything else counts in full,
        and fades from now on.

        Args:
            table: what the router was fitted on at first.
            probes: outcomes of several pairs on the same late queries, as `profile` gives; they count as recorded now,
                in every later refit, too.
            now: the time, in seconds since 1970; now by default.

        Raises:
            OutcomeError: the store can't be read.
        """
        self.refresh(now)
        with self._refreshing:
            if probes is not None:
                self._probes.append((probes, time.time() if now is None else now))
            router = self.router
            assert isinstance(router, ClusterRouter)  # noqa: S101  # checked at construction
            rows = [(row, -math.inf) for row in table.table.to_pylist()]
            rows += [
                (table_row(row, each_apart=True), row.decided_at)
                for row in self._store.read(_scored(self._earliest()))
                if row.query is not None and (self._new_pairs or Pair(row.model, row.tool) in router.pairs)
            ]
            rows += [
                ({**row, "query_id": f"probe {number}: {row['query_id']}"}, at)
                for number, (bought, at) in enumerate(self._probes)
                for row in bought.table.to_pylist()
            ]
            self._router = refitted(router, rows, self._changed, _FORGOTTEN)
            self._faded_until = time.time() if now is None else now
            self._refitted_at = time.monotonic()
            if self._monitor is not None:  # the clusters have other numbers
                self._monitor = DriftMonitor(_QUERIES_PER_FALSE_ALARM)

    def follow(self) -> None:
        """Learn what is new, or fit anew if it is time; the thread that follows the store calls this.

        Raises:
            OutcomeError: the store can't be read.
        """
        if self._table is not None and time.monotonic() - self._refitted_at >= self._refit_s:
            self.refit(self._table)
        else:
            self.refresh()

    def inherit(
        self, pairs: Iterable[Pair | str], *, predecessors: Mapping[str, str] | None = None, outcomes: float = 20.0
    ) -> None:
        """Know new pairs too, from now on, by the record of their predecessors; see `with_successors`.

        Raises:
            PoolError: a pair is known already, or a predecessor is not.
            SettingError: `outcomes` is not above 0.
        """
        with self._refreshing:
            router = self.router
            assert isinstance(router, ClusterRouter)  # noqa: S101  # checked at construction
            self._router = with_successors(router, pairs, predecessors=predecessors, outcomes=outcomes)

    def restrict(self, pairs: Iterable[Pair | str]) -> Self:
        """Return a router that learns too, of these pairs alone."""
        router = super().restrict(pairs)
        router._new_pairs = False  # noqa: SLF001  # of its own class
        return router

    def _around(self, router: Router) -> Self:
        with self._refreshing:
            wrapper = super()._around(router)
            wrapper._known = dict(self._known)  # noqa: SLF001  # of its own class
            wrapper._changed = dict(self._changed)  # noqa: SLF001
            wrapper._probes = list(self._probes)  # noqa: SLF001
            wrapper._monitor = copy.deepcopy(self._monitor)  # noqa: SLF001
        wrapper._begin()  # noqa: SLF001
        return wrapper

    def close(self) -> None:
        """Stop following the store; decisions go on by what is known."""
        self._stop.set()

    def _is_news(self, row: Any) -> bool:
        if row.query is None or not (self._new_pairs or Pair(row.model, row.tool) in self.router.pairs):
            return False
        known = self._known.get(row.id)
        return known is None or known.row["score"] != row.score

    def _share(self, seconds: float) -> float:
        """Return what an outcome of this age counts as."""
        return 1.0 if self._half_life_s is None else float(2 ** (-max(0.0, seconds) / self._half_life_s))


def _scored(since: float) -> Any:
    """Return the query for outcomes with a score that was written since a time of the database; without answers."""
    return outcomes_query(None, scored=True, scores_since=since, answers=False)


def _follow(followed: weakref.ref[LearningRouter], stop: threading.Event, every_s: float) -> None:
    told = False
    while not stop.wait(every_s):
        router = followed()
        if router is None:
            return
        try:
            router.follow()
            told = False
        except Exception as error:  # noqa: BLE001  # the store may be back the next time
            if not told:
                _LOG.warning("Nothing can be learned from the store for now. %s", error_text(error))
            told = True
        del router
