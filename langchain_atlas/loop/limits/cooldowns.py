"""Models that failed are left out for a while, as long as others are left."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from langchain_atlas.failures.kinds import is_of_provider

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_atlas.pool.pairs import Pair
    from langchain_atlas.trajectory import Observation, Query, Trajectory

_NOT_FOUND = 404


def is_for_a_while(observation: Observation) -> bool:
    """Return whether a call failed for a reason for which its model will fail for other queries too."""
    return observation.failed and (is_of_provider(observation) or observation.error_status == _NOT_FOUND)


def callable_pairs(query: Query, pairs: tuple[Pair, ...]) -> frozenset[Pair]:
    """Return those of the router's pairs that a query allows; if the router accepts any, those that the query names."""
    wanted, own = query.constraints.pairs, frozenset(pairs)
    return own if wanted is None else wanted & own if own else wanted


def rested(query: Query, trajectory: Trajectory, pairs: tuple[Pair, ...], failing: Mapping[str, float]) -> Query:
    """Return the query without the pairs whose model is left out now, or unchanged if it would leave nothing to call.

    Args:
        query: the query.
        trajectory: the steps taken for it so far.
        pairs: the router's pairs; empty if it accepts any.
        failing: the times until which models are left out, in seconds since 1970.
    """
    now = time.time()
    out = {model for model, until in failing.items() if until > now}
    known = callable_pairs(query, pairs)
    left = frozenset(pair for pair in known if pair.model not in out)
    failed = {seen.pair for seen in trajectory.observations if seen.failed}
    if len(left) == len(known) or not left - failed:
        return query
    return query.replace(constraints=query.constraints.replace(pairs=left))
