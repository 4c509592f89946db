"""What a store holds as a log of one pair a query, on which routers can be judged by estimates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_atlas.errors import OutcomeError
from langchain_atlas.evaluation.drift.answers import RULE
from langchain_atlas.outcomes.table import OutcomeTable

if TYPE_CHECKING:
    from langchain_atlas.outcomes.store import Store


def stored_log(store: Store, *, since: float | None = None) -> OutcomeTable:
    """Return the first decisions of a store that have a score and a text, each as a query of its own.

    Only first decisions: which pair is called next depends on what the first one answered. Canary questions, which no
    router decided, are left out.

    Args:
        store: the store.
        since: leave out what was decided before this time, in seconds since 1970.

    Raises:
        OutcomeError: there are none, or the database can't be read.
    """
    from langchain_atlas.outcomes.store.reading import outcomes_query, table_row

    rows = [row for row in store.read(outcomes_query(since, scored=True)) if row.turn == 0 and row.rule != RULE]
    known = [table_row(row, each_apart=True) for row in rows if row.query is not None]
    if not known:
        raise OutcomeError(
            f"{store!r} holds no decision with a score and a text to judge routers on. Record scores (Store.record, "
            "or 'langchain-atlas score URL --judge MODEL'), and keep texts."
        )
    return OutcomeTable.from_rows(known, repr(store))
