"""Work that is done beside the answers: in one thread, within a bounded queue."""

from __future__ import annotations

import logging
import queue
import threading
import time
from typing import TYPE_CHECKING

from langchain_atlas.errors import SettingError
from langchain_atlas.failures.masked_errors import cleaned
from langchain_atlas.masking import error_text

if TYPE_CHECKING:
    from collections.abc import Callable

_LOG = logging.getLogger(__name__)
_IDLE_S = 5.0


class Background:
    """Runs jobs one after another in a thread of its own, which starts with the first job and ends when there is none.

    Giving it a job never waits and never raises: a job that finds the queue full is dropped, one that raises is
    counted. The thread does not keep the process alive.

    Args:
        waiting: number of jobs that may wait.

    Raises:
        SettingError: `waiting` is below 1.
    """

    def __init__(self, waiting: int) -> None:
        if waiting < 1:
            raise SettingError(f"waiting is {waiting!r}; it must be a whole number from 1.")
        self.dropped = 0
        self.failed = 0
        self.last_error = ""
        self._jobs: queue.Queue[Callable[[], None]] = queue.Queue(waiting)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, job: Callable[[], None]) -> bool:
        """Have a job run later; return False if it is dropped."""
        with self._lock:
            try:
                if not self._closed:
                    self._jobs.put_nowait(job)
                    self._start()
                    return True
            except (queue.Full, RuntimeError):  # also: no new thread can be started
                pass
            self.dropped += 1
            return False

    def count_failure(self, error: Exception) -> None:
        """Count and log a failure."""
        self.failed += 1
        self.last_error = error_text(error)
        _LOG.warning("A trial's work beside the answers failed.", exc_info=cleaned(error))

    def wait(self, seconds: float) -> bool:
        """Wait until no job is left, for a time; return whether that came true."""
        end = time.monotonic() + seconds
        with self._jobs.all_tasks_done:
            while self._jobs.unfinished_tasks:
                left = end - time.monotonic()
                if left <= 0 or not self._jobs.all_tasks_done.wait(left):
                    return not self._jobs.unfinished_tasks
        return True

    def close(self, seconds: float) -> bool:
        """Take no more jobs, drop those that wait, and wait for the one that runs; return whether it ended in time."""
        with self._lock:
            self._closed = True
            thread = self._thread
            while True:
                try:
                    self._jobs.get_nowait()
                except queue.Empty:
                    break
                self.dropped += 1
                self._jobs.task_done()
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(seconds)
        return not thread.is_alive()

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name="atlas-trial", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        idle_since = time.monotonic()
        while True:
            try:
                job = self._jobs.get(timeout=0.2)
            except queue.Empty:
                with self._lock:  # so that no job is put in between
                    if self._jobs.empty() and (self._closed or time.monotonic() - idle_since > _IDLE_S):
                        self._thread = None
                        return
                continue
            try:
                job()
            except Exception as error:  # noqa: BLE001  # whatever it raises must not reach an answer
                self.count_failure(error)
            finally:
                self._jobs.task_done()
            del job
            idle_since = time.monotonic()
