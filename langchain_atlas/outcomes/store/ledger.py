"""What was used of limits, and which models failed, in the store's database: one ledger for all its processes."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from langchain_atlas.amounts import Use
from langchain_atlas.outcomes.store.schema import CHARGES, COOLDOWNS, TOTALS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection

    from langchain_atlas.amounts import Caps
    from langchain_atlas.outcomes.store.database import Database

_FAILING_S = 1.0
"""Seconds for which the failing models are remembered before they are read again."""


class StoreLedger:
    """A ledger in a database. Each of its methods is one transaction; safe to share between threads and processes.

    Args:
        database: returns the database of this process.
        errors: returns a context manager that turns the database's errors into `OutcomeError`.
    """

    waits = True

    def __init__(self, database: Callable[[], Database], errors: Callable[[], AbstractContextManager[None]]) -> None:
        self._database = database
        self._errors = errors
        self._lock = threading.Lock()
        self._failing: dict[str, float] = {}
        self._read_at = -_FAILING_S

    def used(self, scopes: Collection[str]) -> dict[str, Use]:
        """Return what was used in each scope.

        Raises:
            OutcomeError: the database can't be read.
        """
        query = sa.select(TOTALS.c.scope, TOTALS.c.usd, TOTALS.c.seconds, TOTALS.c.calls)
        with self._errors():
            rows = self._database().read(query.where(TOTALS.c.scope.in_(list(scopes))))
        return {scope: Use() for scope in scopes} | {row[0]: Use(*row[1:]) for row in rows}

    def charge(self, name: str, expected: Use, caps: Mapping[str, Caps]) -> str | None:
        """Add what a call is expected to take to every scope, unless one has no room; return that scope, or None.

        Raises:
            OutcomeError: the database can't be written.
        """
        scope = ""
        try:
            with self._errors(), self._database().changing() as (connection, insert, now):
                row: dict[str, Any] = {"id": name, "scopes": json.dumps(sorted(caps)), "usd": expected.usd}
                row |= {"seconds": expected.seconds, "is_settled": False}
                charge = insert(CHARGES).values(**row, charged_at=now).on_conflict_do_nothing()
                if connection.execute(charge.returning(CHARGES.c.id)).first():  # else it was charged before
                    for scope in sorted(caps):  # always in one order, so that no two wait for each other
                        added = insert(TOTALS).values(scope=scope, **expected._asdict(), changed_at=now)
                        _add_within(connection, added, expected, caps[scope])
        except _FullError:  # the transaction is undone
            return scope
        return None

    def settle(self, name: str, took: Use) -> None:
        """Put what a call took in place of what was expected of it; once.

        Raises:
            OutcomeError: the database can't be written.
        """
        with self._errors(), self._database().changing() as (connection, _, now):
            open_ = sa.select(CHARGES.c.scopes, CHARGES.c.usd, CHARGES.c.seconds).where(
                CHARGES.c.id == name, CHARGES.c.is_settled.is_(False)
            )
            charge = connection.execute(open_.with_for_update()).first()
            if charge is None:
                return
            real = {"usd": took.usd, "seconds": took.seconds, "is_settled": True}
            connection.execute(sa.update(CHARGES).where(CHARGES.c.id == name).values(**real))
            for scope in json.loads(charge.scopes):
                more = {
                    "usd": TOTALS.c.usd + (took.usd - charge.usd),
                    "seconds": TOTALS.c.seconds + (took.seconds - charge.seconds),
                }
                connection.execute(sa.update(TOTALS).where(TOTALS.c.scope == scope).values(**more, changed_at=now))

    def failed(self, model: str, cooldown_s: float, after: int) -> None:
        """Note that a model failed; after so many times in a row it is left out for some seconds.

        Raises:
            OutcomeError: the database can't be written.
        """
        with self._errors(), self._database().changing() as (connection, insert, now):
            moment = float(connection.execute(sa.select(now)).scalar_one())
            old = COOLDOWNS.c
            last = sa.case((old.until > old.failed_at, old.until), else_=old.failed_at)
            count = sa.case((moment - last <= cooldown_s, old.failures + 1), else_=1)
            row: dict[str, Any] = {
                "failures": 1,
                "failed_at": moment,
                "until": moment + cooldown_s if after <= 1 else 0.0,
            }
            changes: dict[str, Any] = {"failures": count, "failed_at": moment}
            changes["until"] = sa.case((count >= after, moment + cooldown_s), else_=old.until)
            new = insert(COOLDOWNS).values(model=model, **row)
            connection.execute(new.on_conflict_do_update(index_elements=["model"], set_=changes))
        self._forget()

    def answered(self, model: str) -> None:
        """Note that a model answered, so that earlier failures no longer count.

        Raises:
            OutcomeError: the database can't be written.
        """
        with self._errors(), self._database().changing() as (connection, _, _):
            connection.execute(sa.delete(COOLDOWNS).where(COOLDOWNS.c.model == model))
        self._forget()

    def failing(self) -> dict[str, float]:
        """Return the models whose last call failed, each with the time until which it is left out, since 1970.

        Raises:
            OutcomeError: the database can't be read.
        """
        with self._lock:
            if time.monotonic() - self._read_at < _FAILING_S:
                return self._failing
        with self._errors():
            rows = self._database().read(sa.select(COOLDOWNS.c.model, COOLDOWNS.c.until))
        with self._lock:
            self._failing, self._read_at = {row.model: row.until for row in rows}, time.monotonic()
            return self._failing

    def _forget(self) -> None:
        with self._lock:
            self._read_at = -_FAILING_S


class _FullError(Exception):
    """A scope has no room."""


def _add_within(connection: Connection, added: Any, more: Use, cap: Caps) -> None:
    """Add to a scope's total; the database checks the limit on the total as it is at that moment.

    Raises:
        _FullError: there is no room.
    """
    total, new = TOTALS.c, added.excluded
    has_room: list[Any] = [sa.true()]
    if cap.usd is not None and more.usd > 0:
        has_room.append(total.usd + more.usd <= cap.rounded_usd)
    if cap.seconds is not None:
        has_room += [total.seconds < cap.seconds, total.seconds + more.seconds <= cap.seconds]
    if cap.calls is not None:
        has_room.append(total.calls + more.calls <= cap.calls)
    changes = {name: total[name] + new[name] for name in more._fields}
    changes["changed_at"] = new.changed_at
    added = added.on_conflict_do_update(index_elements=["scope"], set_=changes, where=sa.and_(*has_room))
    # The first in its scope meets no total.
    if not cap.allow(Use(), more) or not connection.execute(added.returning(total.scope)).first():
        raise _FullError
