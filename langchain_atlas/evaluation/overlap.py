"""How many of the evaluated queries a router learned from, and what to say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.routers.fingerprints import fingerprints

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.routers.base import Router


def learned_from(routers: Mapping[str, Router], table: OutcomeTable) -> dict[str, int | None]:
    """Count the queries of a table that each router learned from, by the router's name.

    Two queries are the same when text and context are, whatever their ids. None where the router does not know what it
    learned from, or learned from nothing.
    """
    marks = fingerprints(table.queries)
    return {
        name: None if router.fitted_on is None else int(np.isin(marks, router.fitted_on).sum())
        for name, router in routers.items()
    }


def warnings(counts: Iterable[tuple[str, int | None]], n_queries: int) -> list[str]:
    """Say which routers learned from the queries that they are judged on, and what to do.

    Args:
        counts: name of each router, and how many of the queries it learned from; routers that differ in settings alone
            (``DIR?alpha=0.2`` and ``DIR?alpha=0.5``) are said once.
        n_queries: number of queries that they are judged on.
    """
    said = dict.fromkeys((name.partition("?")[0], count) for name, count in counts if count)
    return [warning(name, count, n_queries) for name, count in said if count]


def warning(name: str, count: int, n_queries: int) -> str:
    """Say that a router learned from the queries that it is judged on, and what to do."""
    which = f"all {n_queries} of these queries" if count == n_queries else f"{count} of these {n_queries} queries"
    return (
        f"Router {name!r} was fitted on {which}, so its figures here flatter it. Evaluate it on queries that it has "
        "not seen: record others with 'langchain-atlas profile', or fit it again without these. 'langchain-atlas "
        "doctor --data FILE' needs no other queries: it holds parts of a table out by itself."
    )
