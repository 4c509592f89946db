"""Whom a router calls first, whom next, and why it stops: counts of its paths, for a drawing."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_atlas.evaluation.replay.runs import Runs

_MOST_IN_STAGE = 5
OTHERS = -1
"""Stands for all pairs that are not among the most called of a stage."""

STOPS = {
    "agreed": "two answers agree",
    "enough": "another call is not worth its cost",
    "limit": "its limits are reached",
    "turn-limit": "no turn is left",
    "one-pair": "one pair answers everything",
    "routed-once": "it asks one pair",
    "refused": "no pair is allowed",
    "failovers-used": "no other pair is left",
}
"""Why a router stops, by the decision's rule."""


def flow(runs: Runs) -> dict[str, Any] | None:
    """Count the paths of a router that calls more than once; None if it never does.

    Returns:
        ``stages``: for each call, the pairs called (column, or `OTHERS`) with their numbers of queries, the most called
        first; ``links``: [stage, from, to, count], where `to` is the position in the next stage, or ``-1 - n`` for the
        n-th of ``stops``; ``stops``: [reason, count]; ``count``: number of queries.
    """
    walked = [(path, stop) for path, stop in zip(runs.paths, runs.stops, strict=True) if stop]
    depth = max((len(path) for path, _ in walked), default=0)
    if depth < 2:  # noqa: PLR2004  # nobody is called next
        return None
    stages = [_stage(Counter(path[call] for path, _ in walked if len(path) > call)) for call in range(depth)]
    places = [{pair: place for place, (pair, _) in enumerate(stage)} for stage in stages]
    reasons = Counter(_reason(stop) for _, stop in walked)
    ends = {reason: -1 - number for number, (reason, _) in enumerate(reasons.most_common())}
    links: Counter[tuple[int, int, int]] = Counter()
    for path, stop in walked:
        at = [places[call].get(pair, places[call].get(OTHERS, 0)) for call, pair in enumerate(path)]
        for call, place in enumerate(at):
            links[call, place, at[call + 1] if call + 1 < len(at) else ends[_reason(stop)]] += 1
    return {
        "stages": [[list(node) for node in stage] for stage in stages],
        "links": [[*link, count] for link, count in sorted(links.items())],
        "stops": [list(each) for each in reasons.most_common()],
        "count": len(walked),
    }


def _stage(counts: Counter[int]) -> list[tuple[int, int]]:
    """Return the most called pairs of a stage with their counts, the others last as one."""
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    if len(ordered) <= _MOST_IN_STAGE + 1:  # one other pair is named itself
        return ordered
    rest = sum(count for _, count in ordered[_MOST_IN_STAGE:])
    return [*ordered[:_MOST_IN_STAGE], (OTHERS, rest)]


def _reason(rule: str) -> str:
    """Name the reason of a rule; a router of two paths puts the path before it."""
    last = rule.rpartition(", ")[2]
    return STOPS.get(last, last)
