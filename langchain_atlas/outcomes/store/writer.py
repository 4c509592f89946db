"""The thread that writes to a store, so that no answer waits for a database or fails by it."""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING

from langchain_atlas.masking import error_text
from langchain_atlas.outcomes.store.database import Database, is_refused
from langchain_atlas.outcomes.store.spill import Spill

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sqlalchemy import URL

    from langchain_atlas.outcomes.store.rows import Item, Row, Rows

_LOG = logging.getLogger(__name__)
_PAUSE_S = 0.05
_BATCH = 500
_RETRY_S = (0.5, 15.0)
_REPLAY_S = 30.0
_PRUNE_S = 3600.0
_SAY_S = 60.0
_CLOSE_S = 5.0
_REBIRTH = threading.Lock()
"""Held while a child process sets up what is its own."""


def _free_in_child() -> None:
    global _REBIRTH  # noqa: PLW0603  # the parent's may have been held when it forked
    _REBIRTH = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_in_child)


@dataclass(frozen=True)
class Counts:
    """What became of the rows that a process gave to its store."""

    written: int = 0
    """Rows written to the database, including those that were there already."""
    spilled: int = 0
    """Rows put into the spill file, because the database was away."""
    replayed: int = 0
    """Rows brought from spill files to the database, including those of processes that ended."""
    lost: int = 0
    """Rows that could not be kept: the queue or the spill file was full, or the disk."""
    refused: int = 0
    """Rows that the database does not take."""


class Writer:
    """Takes items from any thread, and writes them as rows in a thread of its own.

    Args:
        url: address of the database.
        rows: makes rows of items.
        folder: folder of the spill files.
        queued: number of items that may wait.
        spill_bytes: bytes that the spill file may have.
        keep_s: seconds after which rows are deleted; None for never.
    """

    def __init__(
        self, url: URL, rows: Rows, *, folder: Path, queued: int, spill_bytes: int, keep_s: float | None
    ) -> None:
        self.database = Database(url)
        self.counts = Counts()
        self._rows = rows
        self._spill = Spill(folder, spill_bytes)
        self._spill_bytes = spill_bytes
        self._queued = queued
        self._keep_s = keep_s
        self._forgotten: frozenset[str] = frozenset()
        self._begin()

    def _begin(self) -> None:
        """Set up what belongs to one process; also in a child of it, to which no thread is handed down."""
        self._items: deque[Item | threading.Event] = deque()
        self._in_hand: list[Item | threading.Event] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._retry_at, self._pause = 0.0, _RETRY_S[0]
        self._replay_at, self._prune_at, self._say_at, self._said = 0.0, 0.0, 0.0, 0
        self._process = os.getpid()  # last: whoever sees it takes the rest to be there

    def put(self, item: Item) -> None:
        """Queue an item. Never waits and never raises."""
        self._reborn()
        if len(self._items) >= self._queued:
            self._lose(1)
            return
        self._items.append(item)
        if self._thread is None:
            self._start()

    def current(self) -> Database:
        """Return the database of this process; a child does not use its parent's connections."""
        self._reborn()
        return self.database

    def forget(self, decision_ids: Sequence[str]) -> int:
        """Delete all of some decisions, and keep no more of them; return the number of rows in the database."""
        database = self.current()
        self._forgotten |= frozenset(decision_ids)
        self.flush(_CLOSE_S)  # what was taken from the queue before is written first
        return database.forget(decision_ids)

    def flush(self, seconds: float) -> bool:
        """Wait until all items so far are in the database or in the spill file; return whether they are."""
        if self._process != os.getpid() or self._thread is None:
            return not self._items
        done = threading.Event()
        self._items.append(done)
        self._wake.set()
        return done.wait(seconds)

    def close(self, seconds: float = _CLOSE_S) -> None:
        """Write what is queued, and stop; what the database does not take in this time goes to the spill file."""
        thread = self._thread
        if self._process != os.getpid():
            return
        if thread is None:
            self.database.close()  # something was read
            return
        self._closing = True
        self._wake.set()
        thread.join(seconds)
        if thread.is_alive():  # it waits for the database
            # What the thread has in hand may be written after all; the same row twice is one row.
            left = [item for item in (*self._in_hand, *self._items) if not isinstance(item, threading.Event)]
            self._items.clear()
            _LOG.warning("The store did not take the last %d rows in %g seconds.", len(left), seconds)
            self._store_aside([row for item in left if (row := self._row(item)) is not None])
        self._thread = None
        self._closing = False

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="AtlasStore", daemon=True)
                self._thread.start()
                if multiprocessing.parent_process() is not None:  # such a process ends without `atexit`
                    Finalize(None, self.close, exitpriority=10)

    def _reborn(self) -> None:
        """In a child of the process that made this, set up what is the child's own."""
        if self._process == os.getpid():
            return
        with _REBIRTH:
            if self._process == os.getpid():
                return  # another thread was faster
            self.database = Database(self.database.url)  # the parent's connections stay the parent's
            self._spill = Spill(self._spill.folder, self._spill_bytes)
            self.counts = Counts()
            self._begin()

    def _run(self) -> None:
        while True:
            closing = self._closing
            batch = self._in_hand = self._taken()
            if batch:
                self._keep(batch)
            self._in_hand = []
            self._tend(closing=closing)
            if closing and not self._items:
                break
            if not self._items:
                # Woken by nobody for a usual item: a thread that wakes for each would take time from the answers.
                self._wake.wait(_PAUSE_S)
                self._wake.clear()
        self._spill.close()
        self.database.close()

    def _taken(self) -> list[Item | threading.Event]:
        taken: list[Item | threading.Event] = []
        while self._items and len(taken) < _BATCH:
            taken.append(self._items.popleft())
        return taken

    def _keep(self, batch: Sequence[Item | threading.Event]) -> None:
        rows, waiting = [], []
        for item in batch:
            if isinstance(item, threading.Event):
                waiting.append(item)
                continue
            row = self._row(item)
            if row is not None:
                rows.append(row)
        if rows and not self._written(rows):
            self._store_aside(rows)
        for event in waiting:
            event.set()

    def _row(self, item: Item) -> Row | None:
        """Return the row of an item; None if it makes none, or is of a decision that was forgotten."""
        try:
            row = self._rows.of(item)
        except Exception as error:  # noqa: BLE001  # the next row is kept all the same
            self._refuse(error)
            return None
        return None if self._is_forgotten(row) else row

    def _is_forgotten(self, row: Row) -> bool:
        values = row[1]
        return bool(self._forgotten) and values.get("decision_id", values.get("id")) in self._forgotten

    def _written(self, rows: Sequence[Row]) -> bool:
        """Write rows to the database; return False if it is away."""
        if time.monotonic() < self._retry_at:
            return False
        try:
            self._add(written=self._write(rows))
        except Exception as error:  # noqa: BLE001  # whatever a driver raises
            self._away(error)
            return False
        return True

    def _write(self, rows: Sequence[Row]) -> int:
        """Write rows and return how many; those that the database does not take are counted and left out."""
        rows = [row for row in rows if not self._is_forgotten(row)]  # those of a spill file, too
        count = len(rows)
        if not rows:
            return 0
        try:
            self.database.write(rows)
        except Exception as error:
            if not is_refused(error):
                raise
            if len(rows) == 1:
                self._refuse(error)
                count = 0
            else:
                count = sum(self._write([row]) for row in rows)
        self._back()
        return count

    def _tend(self, *, closing: bool) -> None:
        """Replay spill files, and delete old rows, when it is time."""
        now = time.monotonic()
        try:
            if now >= self._replay_at and now >= self._retry_at:
                self._replay_at = now + _REPLAY_S
                self._add(replayed=self._spill.replay(self._write))
            if self._keep_s is not None and not closing and now >= max(self._prune_at, self._retry_at):
                self._prune_at = now + _PRUNE_S
                self.database.prune(time.time() - self._keep_s)
        except Exception as error:  # noqa: BLE001  # whatever a driver raises
            self._away(error)
        if self.counts.lost > self._said and now >= self._say_at:
            self._say_at, self._said = now + _SAY_S, self.counts.lost
            _LOG.warning("The store could not keep %d rows so far.", self.counts.lost)

    def _away(self, error: Exception) -> None:
        if self._pause == _RETRY_S[0]:
            _LOG.warning("The store's database is away; rows go to %s. %s", self._spill.folder, error_text(error))
        self._retry_at = time.monotonic() + self._pause
        self._replay_at = self._retry_at
        self._pause = min(2 * self._pause, _RETRY_S[1])

    def _back(self) -> None:
        if self._pause != _RETRY_S[0]:
            _LOG.warning("The store's database is back.")
            self._pause, self._replay_at = _RETRY_S[0], 0.0

    def _store_aside(self, rows: Sequence[Row]) -> None:
        try:
            kept = self._spill.add(rows)
        except OSError as error:
            kept = 0
            _LOG.warning("The store's spill file can't be written. %s", error_text(error))
        self._add(spilled=kept)
        self._lose(len(rows) - kept)

    def _refuse(self, error: Exception) -> None:
        if not self.counts.refused:
            _LOG.warning("The store does not take a row, which is left out. %s", error_text(error))
        self._add(refused=1)

    def _lose(self, number: int) -> None:
        if number:
            self._add(lost=number)

    def _add(self, **numbers: int) -> None:
        with self._lock:
            self.counts = replace(
                self.counts, **{name: getattr(self.counts, name) + number for name, number in numbers.items()}
            )
