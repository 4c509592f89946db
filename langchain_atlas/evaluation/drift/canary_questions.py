"""Asking canary questions again on a schedule."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from functools import cached_property
from typing import TYPE_CHECKING

from langchain_atlas.errors import SettingError
from langchain_atlas.evaluation.drift.answers import RULE, changed_answers
from langchain_atlas.loop.identity import identified
from langchain_atlas.masking import error_text
from langchain_atlas.outcomes.store.rows import query_hash
from langchain_atlas.outcomes.store.store import Store
from langchain_atlas.pool.pairs import Pair, as_pairs
from langchain_atlas.routers.drift.events import publish
from langchain_atlas.trajectory import START, Decision, Query

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType
    from typing import Any, Self

    from langchain_atlas.execution.base import Executor
    from langchain_atlas.routers.drift.events import DriftEvent

_LOG = logging.getLogger(__name__)
_HOUR_S = 3600.0
_LOOK_S = 60.0


class CanaryQuestions:
    """Finds out that a pair answers otherwise under the same name.

    Every round asks each pair all questions, and keeps the answers in the store, with the rule ``canary-question`` and
    without a score. The first three rounds are the baseline. Five answers that differ are enough where a pair used to
    give always the same; there is one false alarm in 1000 rounds of a pair at most, on average.

    Args:
        questions: the questions, 5 at least; 20 to 50 with short answers are good.
        executor: runs the pairs.
        store: the store, or its address. It must keep texts.
        pairs: the pairs to watch; by default those of the executor.
        every_hours: hours between rounds, for `start`.

    Raises:
        SettingError: there are fewer than 5 questions, no pairs, or `every_hours` is not above 0.
    """

    def __init__(
        self,
        questions: Sequence[str | Query],
        executor: Executor,
        store: Store | str,
        *,
        pairs: Iterable[Pair | str] | None = None,
        every_hours: float = 24.0,
    ) -> None:
        self.questions = [Query(text=each) if isinstance(each, str) else each for each in questions]
        if len({(each.text, each.context) for each in self.questions}) < 5:  # noqa: PLR2004  # see `answers`
            raise SettingError(f"{len(self.questions)} canary questions; give 5 different ones at least, better 20.")
        if not every_hours > 0:
            raise SettingError(f"every_hours is {every_hours!r}; it must be a number above 0.")
        named = executor.pairs if pairs is None else pairs
        self.pairs = as_pairs(named)
        if not self.pairs:
            raise SettingError("The executor does not say which pairs it has; name them: pairs=['model@@tool'].")
        self.executor = executor
        self.every_hours = every_hours
        self._store = Store.shared(store) if isinstance(store, str) else store
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def ask(self) -> list[DriftEvent]:
        """Ask one round, and return the changes that it shows; they are published too. See `events.publish`.

        Raises:
            OutcomeError: the store can't be read.
        """
        started = time.time()
        for pair in self.pairs:
            for query in self.questions:
                decision = identified(Decision(kind="route", pair=pair, rule=RULE, propensity=1.0), None)
                self._store.keep(query, START, decision)
                self._store.keep(query, START, decision, self.executor.run(pair, query))
        self._store.flush()
        events = [event for event in changed_answers(self._rows()) if event.found_at >= started]
        publish(events)
        return events

    def start(self) -> Self:
        """Ask a round whenever none was asked for `every_hours`, in a thread.

        A round of the same questions to the same pairs counts whichever process asked it; of several that begin at the
        same moment, one asks.
        """
        if self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._follow, name="AtlasCanaryQuestions", daemon=True)
            self._thread.start()
        return self

    def close(self) -> None:
        """Stop asking."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_LOOK_S)
            self._thread = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop asking."""
        self.close()

    def _follow(self) -> None:
        while True:
            try:
                every_s = self.every_hours * _HOUR_S
                if self._is_due(every_s) and self._store.claim(self._name, every_s):
                    self.ask()
            except Exception as error:  # noqa: BLE001  # the next round may do
                _LOG.warning("The canary questions could not be asked. %s", error_text(error))
            if self._stop.wait(min(_LOOK_S, self.every_hours * _HOUR_S)):
                return

    @cached_property
    def _asked(self) -> frozenset[str]:
        """The hashes of the questions, as in the store."""
        return frozenset(query_hash(query.text, query.context) for query in self.questions)

    @cached_property
    def _name(self) -> str:
        """What is claimed in the store: a round of these questions to these pairs."""
        told = "\n".join((*sorted(map(str, self.pairs)), *sorted(self._asked)))
        return f"canary-questions:{hashlib.blake2b(told.encode(), digest_size=16).hexdigest()}"

    def _is_due(self, every_s: float) -> bool:
        """Return whether these pairs were asked none of these questions within some seconds."""
        import sqlalchemy as sa

        from langchain_atlas.outcomes.store.schema import DECISIONS

        columns = DECISIONS.c
        latest = sa.select(columns.model, columns.tool, columns.query_hash).where(
            columns.decided_at > time.time() - every_s, columns.rule == RULE
        )
        return not any(
            row.query_hash in self._asked and Pair(row.model, row.tool) in self.pairs
            for row in self._store.read(latest)
        )

    def _rows(self) -> list[Any]:
        from langchain_atlas.outcomes.store.reading import answers_query

        return self._store.read(answers_query(RULE))
