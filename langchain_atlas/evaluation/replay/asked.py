"""Whom a router asks first in each of its clusters, counted query by query; shown by `fit` and `demo`."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_atlas.trajectory import Candidate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.routers.base import Router
    from langchain_atlas.trajectory import Decision, Query

_BATCH = 512


@dataclass(frozen=True)
class AskedFirst:
    """Whom a router asks in one cluster."""

    counts: dict[Pair, int]
    """Number of queries that go to each pair first, the most asked pair first; empty if no query falls there."""
    most: Candidate | None
    """The most asked pair, with the means of what the router expects of it on the queries that it gives it; None if no
    query falls there."""

    @property
    def queries(self) -> int:
        """Number of queries."""
        return sum(self.counts.values())

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values: `best` is the pair asked most, `asked` the number of queries of each."""
        return {
            "best": None if self.most is None else self.most.to_json(),
            "asked": {str(pair): count for pair, count in self.counts.items()},
        }


def asked_first(router: Router, queries: Sequence[Query], n_clusters: int) -> list[AskedFirst]:
    """Have a router decide queries, and count whom it asks in each cluster; no pair is called.

    Args:
        router: a router whose decisions name a cluster.
        queries: the queries.
        n_clusters: number of clusters.
    """
    found: dict[tuple[int, Pair], list[Decision]] = defaultdict(list)
    counts = [Counter[Any]() for _ in range(n_clusters)]
    for start in range(0, len(queries), _BATCH):
        for decision in router.decide_batch(queries[start : start + _BATCH]):
            if decision.pair is not None and decision.cluster is not None:
                counts[decision.cluster][decision.pair] += 1
                found[decision.cluster, decision.pair].append(decision)
    ordered = [dict(sorted(each.items(), key=lambda item: (-item[1], str(item[0])))) for each in counts]
    return [
        AskedFirst(each, _mean(found[cluster, next(iter(each))]) if each else None)
        for cluster, each in enumerate(ordered)
    ]


def _mean(decisions: Sequence[Decision]) -> Candidate | None:
    """Average what is expected of one pair over the queries that go to it."""
    chosen = [decision.chosen for decision in decisions if decision.chosen is not None]
    if not chosen:
        return None
    bounds = [candidate.interval for candidate in chosen if candidate.interval is not None]
    costs = [candidate.expected_cost_usd for candidate in chosen if candidate.expected_cost_usd is not None]
    return Candidate(
        pair=chosen[0].pair,
        expected_success=sum(candidate.expected_success for candidate in chosen) / len(chosen),
        evidence=chosen[0].evidence,
        interval=None
        if not bounds
        else (sum(low for low, _ in bounds) / len(bounds), sum(high for _, high in bounds) / len(bounds)),
        expected_cost_usd=sum(costs) / len(costs) if costs else None,
    )
