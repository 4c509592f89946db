"""The words and intervals with which a router that compares pairs by utility explains a decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_atlas.routers.utility.beta import beta_quantile

if TYPE_CHECKING:
    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.routers.utility.estimates import PairEstimates
    from langchain_atlas.trajectory import Candidate


def guarded(expected: PairEstimates, default: Pair, other: Pair, column: int) -> str:
    """Explain why the default pair is called although another has a higher expected value.

    Args:
        expected: the estimates for every pair.
        default: the default pair.
        other: the other one.
        column: column of the other one.
    """
    if expected.far:
        return f"Stays with {default}: the query is far from all that was logged. "
    count = 0 if expected.paired is None else int(expected.paired[column])
    return f"Stays with {default}: the {count} paired outcomes near here do not tell {default} and {other} apart. "


def interval(expected: PairEstimates, column: int) -> tuple[float, float] | None:
    """Return the 95% interval of an expected score, from its Beta distribution."""
    if expected.counted is None:
        return None
    success, counted = float(expected.success[column]), float(expected.counted[column])
    solved, failed = max(counted * success, 1e-9), max(counted * (1 - success), 1e-9)
    return beta_quantile(solved, failed, 0.025), beta_quantile(solved, failed, 0.975)


def reason(expected: PairEstimates, chosen: Candidate) -> str:
    """Explain what is expected of the chosen pair."""
    spread = "" if chosen.interval is None else f" ({chosen.interval[0]:.0%}-{chosen.interval[1]:.0%})"
    dollars = chosen.expected_cost_usd
    cost = "at unknown cost" if dollars is None else f"at ${1000 * dollars:.3g} per 1000"
    count = "" if chosen.evidence is None else f", from {chosen.evidence} outcome{'s' * (chosen.evidence != 1)} there"
    return (
        f"In {expected.where}{count}, {chosen.pair} is expected to solve {chosen.expected_success:.0%}{spread}, {cost}."
    )
