"""Recording the live traffic of an application that calls models through LiteLLM, and does not use this library yet."""

from __future__ import annotations

import atexit
import logging
import queue
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import SettingError
from langchain_atlas.masking import error_text
from langchain_atlas.outcomes.importers.litellm import row_of
from langchain_atlas.outcomes.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from litellm.integrations.custom_logger import CustomLogger

_LOG = logging.getLogger(__name__)
_QUEUED = 1_000
_KNOWN = 1_000
_REDACTED = "redacted-by-litellm"


def litellm_recorder(
    out: str | Path, *, domain: str = "logs", max_outcomes: int = 100_000, max_chars: int = 100_000
) -> CustomLogger:
    """Make a LiteLLM callback that records calls as outcomes without a score.

    Each call is appended to the journal ``OUT.journal.jsonl`` by a thread of its own, so no answer waits for it, or
    fails by it. ``close`` merges the journal into the table; so does the end of the process. Users, keys and metadata
    are not recorded::

        recorder = litellm_recorder("traffic.parquet")
        litellm.callbacks.append(recorder)

    In LiteLLM's proxy, name the module that makes it: ``litellm_settings: callbacks: my_module.recorder``.

    Args:
        out: the outcome table to write or continue, ``.parquet`` or ``.jsonl``.
        domain: domain of all calls.
        max_outcomes: stop recording after this many; the application goes on.
        max_chars: leave out calls whose question, context or answer has more characters.

    Returns:
        The callback: LiteLLM's ``CustomLogger``, with ``flush``, ``close`` and ``skipped``, the number of calls that
        were not recorded.

    Raises:
        SettingError: a limit is out of range.
        OutcomeError: the table can't be written, or another run is writing it.
    """
    for name, value in (("max_outcomes", max_outcomes), ("max_chars", max_chars)):
        if value < 1:
            raise SettingError(f"{name} is {value!r}; it must be 1 or more.")
    recorder = _Recorder(Journal(out), domain=domain, max_outcomes=max_outcomes, max_chars=max_chars)
    atexit.register(recorder.close)
    return _callback(recorder)


def _callback(recorder: _Recorder) -> CustomLogger:
    """Return the callback; its class is made here, as LiteLLM is imported at first use."""
    from litellm.integrations.custom_logger import CustomLogger

    class LiteLLMRecorder(CustomLogger):
        """Hands every finished call to the recorder."""

        def log_success_event(self, kwargs: Any, *_: Any, **__: Any) -> None:
            recorder.take(kwargs)

        def log_failure_event(self, kwargs: Any, *_: Any, **__: Any) -> None:
            recorder.take(kwargs)

        async def async_log_success_event(self, kwargs: Any, *_: Any, **__: Any) -> None:
            recorder.take(kwargs)

        async def async_log_failure_event(self, kwargs: Any, *_: Any, **__: Any) -> None:
            recorder.take(kwargs)

        @property
        def skipped(self) -> int:
            """Number of calls that were not recorded."""
            return recorder.skipped

        def flush(self) -> None:
            """Wait until all calls so far are on disk."""
            recorder.flush()

        def close(self) -> None:
            """Stop recording, and merge the journal into the table."""
            recorder.close()

    return LiteLLMRecorder()


class _Recorder:
    """Writes outcomes to a journal in a thread of its own, from a queue of limited length."""

    def __init__(self, journal: Journal, *, domain: str, max_outcomes: int, max_chars: int) -> None:
        self.skipped = 0
        self._journal = journal
        self._domain = domain
        self._left = max_outcomes - len(journal)
        self._max_chars = max_chars
        self._queue: queue.Queue[Mapping[str, Any] | None] = queue.Queue(_QUEUED)
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()
        self._closed = False
        self._told: set[str] = set()
        self._thread = threading.Thread(target=self._write, name="LiteLLMRecorder", daemon=True)
        self._thread.start()

    def take(self, kwargs: Any) -> None:
        """Queue a call, from the arguments of LiteLLM's callback. Never raises: an answer must not fail by it."""
        try:
            payload = kwargs.get("standard_logging_object")
            if payload is None or self._closed or self._known(str(payload.get("id"))):
                return
            self._queue.put_nowait(dict(payload))
        except queue.Full:
            self._skip("calls come faster than they can be written")
        except Exception as error:  # noqa: BLE001  # see above
            self._skip(error_text(error))

    def flush(self) -> None:
        """Wait until the queue is written."""
        self._queue.join()

    def close(self) -> None:
        """Write what is queued, merge the journal into the table, and stop."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._queue.put(None)
        self._thread.join()
        try:
            if len(self._journal):
                self._journal.merge()
        except Exception as error:  # noqa: BLE001  # at the end of a process nobody could catch it
            self._skip(f"the journal could not be merged and is kept: {error_text(error)}")
        finally:
            self._journal.close()

    def _known(self, call: str) -> bool:
        """Return whether a call was told of before: LiteLLM may tell both of its handlers."""
        with self._lock:
            known = call in self._seen
            self._seen[call] = None
            while len(self._seen) > _KNOWN:
                self._seen.popitem(last=False)
        return known

    def _write(self) -> None:
        while True:
            payload = self._queue.get()
            try:
                if payload is None:
                    return
                self._append(payload)
            except Exception as error:  # noqa: BLE001  # the next call is recorded all the same
                self._skip(error_text(error))
            finally:
                self._queue.task_done()

    def _append(self, payload: Mapping[str, Any]) -> None:
        row = row_of(payload)
        if row is None:
            self._skip("a call holds no question or no answer")
        elif self._left <= 0:
            self._skip("as many outcomes are recorded as 'max_outcomes' allows")
        elif any(len(str(row[name] or "")) > self._max_chars for name in ("query", "context", "response")):
            self._skip("a text is longer than 'max_chars'")
        elif row["query"] == _REDACTED or _REDACTED in (row["response"] or ""):
            self._skip("LiteLLM redacts messages here, because 'turn_off_message_logging' is on")
        else:
            self._journal.append({**row, "domain": self._domain})
            self._left -= 1

    def _skip(self, reason: str) -> None:
        with self._lock:
            self.skipped += 1
            new = reason not in self._told and len(self._told) < _KNOWN
            self._told.add(reason)
        if new:
            _LOG.warning("A call of a model was not recorded: %s.", reason)
