"""Work that one of several processes does, told by the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_atlas.outcomes.store.schema import TOTALS

if TYPE_CHECKING:
    from langchain_atlas.outcomes.store.database import Database


def claim(database: Database, name: str, seconds: float) -> bool:
    """Claim some work for this process; return False if it was claimed within the last seconds.

    One statement, by the database's clock: of several processes that claim at the same moment, one is told True. A
    process that dies has claimed in vain until the seconds are over.

    Args:
        database: the store's database.
        name: what is claimed, at most 300 characters.
        seconds: how long the claim holds.
    """
    with database.changing() as (connection, insert, now):
        claimed: Any = insert(TOTALS).values(scope=name, usd=0.0, seconds=0.0, calls=1, changed_at=now)
        claimed = claimed.on_conflict_do_update(
            index_elements=["scope"],
            set_={"calls": TOTALS.c.calls + 1, "changed_at": now},
            where=TOTALS.c.changed_at <= now - seconds,
        )
        return connection.execute(claimed.returning(TOTALS.c.scope)).first() is not None
