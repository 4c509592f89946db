"""How many of the evaluated queries a router learned from, and the warning about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.routers.saved.fingerprints import fingerprints

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.routers.base import Router

_FEW = 0.02
_MOST_NAMES = 3


def learned_from(routers: Mapping[str, Router], table: OutcomeTable) -> dict[str, int | None]:
    """Count the queries of a table that each router learned from, by the router's name.

    Queries with the same text and context are the same, regardless of their ids. None if the router does not know what
    it learned from, or learned from nothing.
    """
    marks = fingerprints(table.queries)
    return {
        name: None if router.fitted_on is None else int(np.isin(marks, router.fitted_on).sum())
        for name, router in routers.items()
    }


def warnings(counts: Iterable[tuple[str, int | None]], n_queries: int) -> list[str]:
    """Return warnings about routers that learned from the queries they are evaluated on, with what to do.

    Args:
        counts: name of each router, and how many of the queries it learned from; routers that differ only in settings
            (``DIR?alpha=0.2`` and ``DIR?alpha=0.5``) are named once, those with the same count in one sentence.
        n_queries: number of evaluated queries.
    """
    alike: dict[int, dict[str, None]] = {}
    for name, count in counts:
        if count:
            alike.setdefault(count, {})[name.partition("?")[0]] = None
    return [_warning(list(names), count, n_queries) for count, names in alike.items()]


def _warning(names: Sequence[str], count: int, n_queries: int) -> str:
    everything = f"all {n_queries} of these queries" if n_queries > 1 else "this one query"
    which = everything if count == n_queries else f"{count} of these {n_queries} queries"
    one, shown = len(names) == 1, [repr(name) for name in names[:_MOST_NAMES]]
    if others := len(names) - len(shown):
        shown.append(f"{others} other{'s' if others > 1 else ''}")
    listed = " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))
    learned = f"Router {listed} was fitted on {which}" if one else f"Routers {listed} were fitted on {which}"
    if count <= _FEW * n_queries:
        return f"{learned}: too few to change the figures much."
    flattered, seen = ("its figures here flatter it", "it has") if one else ("their figures flatter them", "they have")
    return (
        f"{learned}, so {flattered}. Evaluate on queries that {seen} not seen: record others with 'langchain-atlas "
        "profile', or fit again without these. 'langchain-atlas doctor --data FILE' needs no other queries: it holds "
        "parts of a table out by itself."
    )
