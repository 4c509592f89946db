"""Watching a store while it is in use."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from langchain_atlas.errors import SettingError
from langchain_atlas.evaluation.drift.report import drift_report
from langchain_atlas.masking import error_text
from langchain_atlas.outcomes.store.store import Store
from langchain_atlas.routers.drift.events import publish

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from langchain_atlas.routers.base import Router
    from langchain_atlas.routers.drift.events import DriftEvent

_LOG = logging.getLogger(__name__)


class DriftWatch:
    """Looks at a store once an hour, in a thread, and publishes what is new: see `events.publish`.

    Every look goes through the last weeks anew, so that late scores count at the time of their decision, and several
    processes find the same. One process is enough.

    Args:
        store: the store, or its address.
        router: the router as it was fitted.
        every_s: seconds between looks.
        weeks: how many weeks back to look.
        queries_per_false_alarm: average number of queries for each false alarm.

    Raises:
        SettingError: a setting is out of range.
    """

    def __init__(
        self,
        store: Store | str,
        router: Router | None = None,
        *,
        every_s: float = 3600.0,
        weeks: float = 13,
        queries_per_false_alarm: float = 100_000,
    ) -> None:
        for name, value in (("every_s", every_s), ("weeks", weeks)):
            if not value > 0:
                raise SettingError(f"{name} is {value!r}; it must be a number above 0.")
        self._store = Store.shared(store) if isinstance(store, str) else store
        self._router = router
        self._every_s, self._weeks, self._rate = every_s, weeks, queries_per_false_alarm
        self._published: list[DriftEvent] = []
        self._from = time.time() - every_s
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def look(self) -> list[DriftEvent]:
        """Look at once; return what is new since this watch began, after publishing it.

        Raises:
            OutcomeError: the store can't be read.
        """
        report = drift_report(self._store, self._router, weeks=self._weeks, queries_per_false_alarm=self._rate)
        fresh = [event for event in report.events if event.found_at >= self._from and not self._is_known(event)]
        self._published += fresh
        publish(fresh)
        return fresh

    def start(self) -> Self:
        """Look by itself from now on."""
        if self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._follow, name="AtlasDrift", daemon=True)
            self._thread.start()
        return self

    def close(self) -> None:
        """Stop looking."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(60)
            self._thread = None

    def __enter__(self) -> Self:
        """Begin to look."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop looking."""
        self.close()

    def _is_known(self, event: DriftEvent) -> bool:
        """Return whether it was published; scores that came meanwhile may have moved its times a little."""
        return any(
            (event.kind, event.pair, event.cluster, event.now < event.before)
            == (other.kind, other.pair, other.cluster, other.now < other.before)
            and event.since <= other.found_at
            and other.since <= event.found_at
            for other in self._published
        )

    def _follow(self) -> None:
        while True:
            try:
                self.look()
            except Exception as error:  # noqa: BLE001  # the store may be back the next time
                _LOG.warning("The store can't be watched for now. %s", error_text(error))
            if self._stop.wait(self._every_s):
                return
