"""What a router did on queries that it was not fitted on: the figures to repeat, kept with the saved router."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from langchain_atlas.records import Record

Worth = Literal["worth it", "not worth it", "too little to say"]


class Rival(Record):
    """A single pair on the same queries."""

    pair: str
    """The pair, as ``model@@tool``."""
    accuracy: float
    """Its mean score, 0 to 1."""
    gain: float
    """The router's accuracy minus the pair's, -1 to 1."""
    gain_ci95: tuple[float, float]
    """95% confidence interval of the gain, from a paired bootstrap over queries."""
    cost_usd_per_1k: float | None
    """Dollars per 1000 queries; None when unknown."""


class HeldOutFigures(Record):
    """The results of a router on queries that were kept aside."""

    how: Literal["cross-fitted", "part"]
    """``cross-fitted``: every query was kept aside once, from the fit and from the choice of the setting. ``part``: one
    part of the queries was kept aside."""
    share: float
    """Share of the queries that was kept aside at a time, 0 to 1."""
    n_queries: int
    """Number of queries that the figures are of."""
    accuracy: float
    """Mean score, 0 to 1."""
    accuracy_ci95: tuple[float, float]
    """95% confidence interval of the accuracy, from a bootstrap over queries."""
    cost_usd_per_1k: float | None
    """Dollars per 1000 queries, the mean of those whose cost is known; None when unknown."""
    latency_s_mean: float | None
    """Mean seconds per query; None when unknown."""
    calls_per_query: float
    """Mean number of calls."""
    per_domain: dict[str, float]
    """Accuracy by domain."""
    fitted_single: Rival
    """The best single pair, chosen without the queries that it is judged on: what one would use instead."""
    hindsight_single: Rival
    """The best single pair on these queries: the strictest bar."""
    verdict: Worth
    """Whether the router is worth it."""
    reason: str
    """The same in one sentence."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """The router's setting that the figures are of; where the setting was chosen anew for each part, the saved one."""
    estimated: bool = False
    """Whether the figures are estimated from a log of one pair a query."""
    cost_known: float = 1.0
    """Share of the queries whose cost is known, 0 to 1."""
    cluster_accuracy: float | None = None
    """Accuracy of a cluster router on the same part, fitted on the same queries; None if it was not compared."""
