"""The store, as its users see it."""

from __future__ import annotations

import atexit
import hashlib
import os
import threading
import time
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_atlas.errors import OutcomeError, SettingError
from langchain_atlas.masking import error_text
from langchain_atlas.outcomes.store.rows import Decided, Observed, Rows, Scored
from langchain_atlas.outcomes.table import OutcomeTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from sqlalchemy import URL

    from langchain_atlas.outcomes.store.ledger import StoreLedger
    from langchain_atlas.outcomes.store.reading import PairSummary
    from langchain_atlas.outcomes.store.writer import Counts
    from langchain_atlas.trajectory import Decision, Observation, Query, Trajectory

_ID_LENGTH = 36
_MAX_SOURCE = 200
_DAY_S = 86_400.0


class Store:
    """Decisions, outcomes and scores in a database: SQLite for one machine, PostgreSQL for many processes.

    Give it, or its address alone, to an integration: ``AtlasNode(router, executor, store="sqlite:///atlas.db")``. Every
    pair that is called is then recorded by a thread, so that no answer waits for the database or fails by it. While the
    database is away, rows go to a spill file and are written later; rows that could not be kept are counted in `counts`
    and logged. Every decision has an id, which is in the answer's record as ``decision_id``; see `record`.

    Args:
        url: ``sqlite:///atlas.db``, or ``postgresql://USER:PASSWORD@HOST/DATABASE``.
        keep_texts: whether the texts of queries and answers are kept; those of private queries never are. Without texts
            only a hash of each query is kept, and no router can be fitted on the store; equal queries still have equal
            hashes, so a text that is known can be looked for.
        keep_days: days after which rows are deleted; None keeps everything.
        domain: domain of the recorded outcomes.
        queue_size: number of decisions and outcomes that may wait to be written.
        spill_folder: folder of the spill files; by default, beside an SQLite database, and else in the user's folder
            for state (``$XDG_STATE_HOME`` or ``~/.local/state``).
        spill_megabytes: size that a process's spill file may have.

    Raises:
        SettingError: the address is not that of such a database, or a setting is out of range.
        MissingExtraError: SQLAlchemy, Alembic or the database's driver is not installed.
    """

    _shared: ClassVar[dict[str, Store]] = {}
    _sharing: ClassVar[threading.Lock] = threading.Lock()

    def __init__(
        self,
        url: str,
        *,
        keep_texts: bool = True,
        keep_days: float | None = None,
        domain: str = "live",
        queue_size: int = 10_000,
        spill_folder: str | Path | None = None,
        spill_megabytes: float = 256,
    ) -> None:
        from langchain_atlas.outcomes.store.database import checked_url
        from langchain_atlas.outcomes.store.writer import Writer

        if not isinstance(url, str):
            raise SettingError(f"The store's address is {url!r}; give a text such as 'sqlite:///atlas.db'.")
        for name, value in (("keep_days", keep_days), ("queue_size", queue_size), ("spill_megabytes", spill_megabytes)):
            if value is not None and not (isinstance(value, int | float) and value > 0):
                raise SettingError(f"{name} is {value!r}; it must be a number above 0.")
        parsed = checked_url(url)
        self._name = parsed.render_as_string(hide_password=True)
        self._writer = Writer(
            parsed,
            Rows(keep_texts=keep_texts, domain=domain),
            folder=_spill_folder(parsed) if spill_folder is None else Path(spill_folder),
            queued=int(queue_size),
            spill_bytes=int(spill_megabytes * 1e6),
            keep_s=None if keep_days is None else keep_days * _DAY_S,
        )
        atexit.register(self.close)

    @classmethod
    def shared(cls, url: str) -> Store:
        """Return this process's store at an address; all that name the same address share its thread and its queue."""
        with cls._sharing:
            if url not in cls._shared:
                cls._shared[url] = cls(url)
            return cls._shared[url]

    def __repr__(self) -> str:
        """Return the class name and the address, without its password."""
        return f"{type(self).__name__}({self._name!r})"

    def keep(
        self, query: Query, trajectory: Trajectory, decision: Decision, observation: Observation | None = None
    ) -> None:
        """Keep a decision, or what came of it; the loop calls this. Never waits and never raises.

        Args:
            query: the query.
            trajectory: the steps before the decision.
            decision: the decision, with an `id`; others are not kept.
            observation: what came of it; None if it is about to be acted on.
        """
        if decision.id is None or decision.pair is None:
            return
        if observation is None:
            self._writer.put(Decided(decision, query, trajectory, time.time()))
        else:
            self._writer.put(Observed(decision.id, observation, time.time(), query.private))

    def record(
        self, decision_id: str, *, score: float, source: str = "feedback", confidence: float | None = None
    ) -> None:
        """Record how good the answer to a decision was. The database is written a moment later; see `flush`.

        A later score of the same source replaces its earlier one; of several sources, the latest score counts.

        Args:
            decision_id: the decision's id: ``response_metadata["atlas"]["decision_id"]`` of the answer.
            score: 0 (bad) to 1 (good).
            source: where the score comes from, such as ``feedback``, ``exact``, ``human`` or ``judge:MODEL``.
            confidence: how sure it is, 0 to 1; None if unknown.

        Raises:
            SettingError: a value is out of range.
        """
        if not _is_text(decision_id, _ID_LENGTH):
            raise SettingError(
                f"decision_id is {decision_id!r}; it must be the id in an answer's record: "
                "message.response_metadata['atlas']['decision_id']."
            )
        for name, value in (("score", score), ("confidence", confidence)):
            if value is None and name == "confidence":
                continue
            if isinstance(value, bool) and name == "score":
                continue
            if not isinstance(value, int | float) or not 0 <= value <= 1:
                raise SettingError(f"{name} is {value!r}; it must be a number from 0 to 1.")
        if not _is_text(source, _MAX_SOURCE):
            raise SettingError(f"source is {source!r}; it must be a text of 1 to {_MAX_SOURCE} characters.")
        self._writer.put(Scored(decision_id, source, float(score), confidence, time.time()))

    def record_langsmith(
        self,
        project: str,
        *,
        keys: Sequence[str] | None = None,
        scale: str | None = None,
        since: datetime | None = None,
    ) -> dict[str, int]:
        """Record the feedback that people and evaluators gave in LangSmith on the traces of answers.

        A trace belongs to the decision whose record is in its outputs; others are left alone. Recording it again
        changes nothing, or brings in what changed.

        Args:
            project: the project that the traces are in; LangSmith's client takes its key from the environment.
            keys: keys of the feedback; None for all. The source of a score is ``langsmith:KEY``.
            scale: ``thumbs``, ``stars``, ``words``, or ``LOW:HIGH``; None finds out from the values of each key.
            since: leave out older traces.

        Returns:
            The number of scores by key.

        Raises:
            OutcomeError: LangSmith can't be read.
            SettingError: the scale is unknown, or none fits.
        """
        from langchain_atlas.outcomes.store.langsmith_feedback import record_feedback

        return record_feedback(self, project, keys=keys, scale=scale, since=since)

    @cached_property
    def ledger(self) -> StoreLedger:
        """What was used of limits, and which models failed; see ``docs/limits.md``."""
        from langchain_atlas.outcomes.store.ledger import StoreLedger

        return StoreLedger(self._writer.current, partial(_database_errors, self._name))

    @property
    def counts(self) -> Counts:
        """What became of the rows that this process gave to the store."""
        return self._writer.counts

    def flush(self, seconds: float = 30.0) -> bool:
        """Wait until everything so far is in the database, or in the spill file if the database is away.

        Args:
            seconds: how long to wait at most.

        Returns:
            Whether it is.
        """
        return self._writer.flush(seconds)

    def close(self) -> None:
        """Write what is left, and stop the thread; so does the end of the process. The store can still be used."""
        self._writer.close()

    def table(self, *, since: float | None = None, each_apart: bool = False) -> OutcomeTable:
        """Return the recorded outcomes; those without a score have a null one.

        Args:
            since: leave out what was decided before this time, in seconds since 1970.
            each_apart: make each decision a query of its own. By default, decisions on equal texts are runs of one
                query, and their scores are averaged.

        Raises:
            OutcomeError: nothing with a text is recorded, or the database can't be read.
        """
        from langchain_atlas.outcomes.store.reading import outcomes_query, table_row

        rows = self.read(outcomes_query(since))
        known = [table_row(row, each_apart=each_apart) for row in rows if row.query is not None]
        if not known:
            without = f" {len(rows)} outcomes were recorded without texts (keep_texts=False)." if rows else ""
            raise OutcomeError(f"{self._name} holds no outcomes to learn from.{without}")
        return OutcomeTable.from_rows(known, self._name)

    def summary(self, *, since: float | None = None) -> tuple[PairSummary, ...]:
        """Return the sums of each pair, over decisions since a time in seconds since 1970.

        Raises:
            OutcomeError: the database can't be read.
        """
        from langchain_atlas.outcomes.store.reading import summaries, summary_query

        return summaries(self.read(summary_query(since)))

    def claim(self, name: str, seconds: float) -> bool:
        """Claim some work that one of several processes does; return False if it was claimed within the last seconds.

        Args:
            name: what is claimed, such as ``report:2026-03-01``, at most 300 characters.
            seconds: how long the claim holds, by the database's clock.

        Raises:
            OutcomeError: the database can't be written.
        """
        from langchain_atlas.outcomes.store.claims import claim

        with _database_errors(self._name):
            return claim(self._writer.current(), name, seconds)

    def prune(self, *, days: float) -> int:
        """Delete what is older than some days; return the number of rows.

        Raises:
            SettingError: `days` is negative.
            OutcomeError: the database can't be written.
        """
        if not days >= 0:
            raise SettingError(f"days is {days!r}; it must be a number from 0.")
        with _database_errors(self._name):
            return self._writer.current().prune(time.time() - days * _DAY_S)

    def forget(self, decision_ids: Sequence[str]) -> int:
        """Delete all that is recorded of some decisions; return the number of rows in the database.

        What this process has queued or spilled of them is deleted too, and what it records of them later is not kept.

        Raises:
            OutcomeError: the database can't be written.
        """
        with _database_errors(self._name):
            return self._writer.forget(list(decision_ids))

    def read(self, query: Any) -> list[Any]:
        """Return the rows of a query of SQLAlchemy's over the tables of `schema`.

        Raises:
            OutcomeError: the database can't be read.
        """
        with _database_errors(self._name):
            return self._writer.current().read(query)


def _is_text(value: Any, most: int) -> bool:
    """Whether a value is a text of 1 to so many characters that every database takes."""
    if not isinstance(value, str) or not 0 < len(value) <= most or "\0" in value:
        return False
    return not any("\ud800" <= character <= "\udfff" for character in value)


@contextmanager
def _database_errors(name: str) -> Iterator[None]:
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except SQLAlchemyError as error:
        raise OutcomeError(f"The store {name} can't be used: {error_text(error)}") from error


def _spill_folder(url: URL) -> Path:
    if url.get_backend_name() == "sqlite":
        return Path(f"{url.database}.spill")
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    where = url.set(password=None).render_as_string()
    return state / "langchain-atlas" / f"spill-{hashlib.blake2b(where.encode(), digest_size=8).hexdigest()}"
