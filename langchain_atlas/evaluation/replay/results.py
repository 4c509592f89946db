"""The results of an evaluation for each router: records, and how they are computed from runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.evaluation.replay import metrics
from langchain_atlas.evaluation.replay.bootstrap import Difference
from langchain_atlas.evaluation.replay.frontier import convex_hull, pareto_frontier
from langchain_atlas.records import Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from langchain_atlas.evaluation.replay.reference_policies import SinglePairs
    from langchain_atlas.evaluation.replay.runs import Runs
    from langchain_atlas.outcomes import OutcomeMatrix


class MixComparison(Record):
    """A router compared with the random mix of two pairs that costs the same."""

    pairs: tuple[str, ...]
    """The pairs of the mix, the cheaper first; one if the mix is a single pair."""
    shares: tuple[float, ...]
    """Share of queries that go to each, 0 to 1."""
    accuracy: float
    """Accuracy of the mix, 0 to 1."""
    cost_usd_per_1k: float
    """The mix's dollars per 1000 queries: equal to the router's, unless no mix costs that."""
    versus: Difference
    """How much better the router is than the mix."""


class Result(Record):
    """The results of a router or a baseline. See ``docs/metrics.md`` for the definitions."""

    accuracy: float
    """Mean score of the answers given, 0 to 1."""
    accuracy_ci95: tuple[float, float]
    """95% confidence interval of the accuracy, from a bootstrap over queries."""
    cost_usd_per_1k: float | None
    """Dollars per 1000 queries, over all calls, for the queries whose cost is known; None when none is."""
    cost_usd_per_1k_least: float | None
    """Lower bound of the dollars per 1000 queries: the known costs, divided by all queries. Equal to the cost if every
    cost is known."""
    latency_s_mean: float | None
    """Mean seconds per query, over all calls in sequence; None when none is known."""
    calls_per_query: float
    """Mean number of calls."""
    per_domain: dict[str, float | None]
    """Accuracy by domain; None where nothing could be measured."""
    pair_share: dict[str, float]
    """Share of the answers that each pair gave, for pairs that gave one."""
    call_share: dict[str, float]
    """Share of the calls that went to each pair, for pairs that were called."""
    pair_entropy: float
    """How evenly the answers are spread over the pairs, 0 (one pair) to 1 (equal shares)."""
    collapsed: bool
    """Whether one of several pairs gave nearly all answers: a warning, see `metrics.is_collapsed`."""
    regret: float
    """Mean score of the oracle minus the router's, 0 to 1."""
    arena_score: float | None
    """RouterArena's score of accuracy and cost, 0 to 1; None when no cost is known."""
    optimal_selection: float | None
    """Share of solvable queries answered by the cheapest right pair, 0 to 1; None when no cost is known."""
    optimal_cost: float | None
    """Dollars of the cheapest right pairs over dollars spent, on correctly answered queries, 0 to 1; None as above."""
    optimal_accuracy: float | None
    """Accuracy divided by the oracle's, 0 to 1; None when the oracle solves nothing."""
    robustness: float | None = None
    """Share of slightly edited queries for which the first choice does not change; None if not requested."""
    versus_best_single: Difference | None = None
    """How much better than the best single pair; None for that pair itself."""
    versus_mix: MixComparison | None = None
    """How much better than the mix of two pairs of the same cost; None for baselines, or when no cost is known."""
    n_measured: int
    """Number of queries that could be measured: one of its pairs is recorded there."""
    cost_known: float
    """Share of the measured queries whose cost is known, 0 to 1; the others are left out of the mean."""
    latency_known: float
    """Share of the measured queries whose latency is known, 0 to 1."""
    unanswered: int
    """Queries without an answer; they score 0."""
    refused: int
    """Queries that the router refused with a `ConstraintError`, among the unanswered."""
    n_fitted_on: int | None = None
    """Queries of the table that the router was fitted on; None when it does not know, and for baselines."""


class PairResult(Record):
    """The results of one pair when it answers every query."""

    accuracy: float | None
    """Mean score over the queries that it is recorded on, 0 to 1; None when there are none."""
    accuracy_ci95: tuple[float, float] | None
    """95% confidence interval of the accuracy."""
    cost_usd_per_1k: float | None
    """Dollars per 1000 queries; None when no cost is known."""
    latency_s_mean: float | None
    """Mean seconds per query; None when none is known."""
    coverage: float
    """Share of the queries that it is recorded on, 0 to 1."""
    comparable: bool
    """Whether it is recorded on enough queries to be compared with others."""
    on_frontier: bool
    """Whether no comparable pair is both cheaper and as good."""
    on_hull: bool
    """Whether no random mix of comparable pairs is both cheaper and as good."""


def result_of(runs: Runs, recorded: OutcomeMatrix, best: NDArray[np.float64], interval: tuple[float, float]) -> Result:
    """Compute figures from runs.

    Args:
        runs: the results on each query.
        recorded: the recorded outcomes.
        best: the oracle's score on each query, shape [n_queries].
        interval: confidence interval of the accuracy.
    """
    measured = runs.measured
    accuracy = float(runs.score[measured].mean())
    cost = _per_thousand(metrics.known_mean(runs.cost))
    close = metrics.optimality(runs.score, runs.cost, runs.answered, recorded.scores, recorded.costs)
    return Result(
        accuracy=accuracy,
        accuracy_ci95=interval,
        cost_usd_per_1k=cost,
        cost_usd_per_1k_least=None if cost is None else 1000 * float(np.nansum(runs.cost[measured]) / measured.sum()),
        latency_s_mean=metrics.known_mean(runs.latency),
        calls_per_query=float(runs.calls[measured].mean()),
        per_domain=by_domain(runs.score, recorded.domains),
        pair_share=_named(runs.answer_share, recorded),
        call_share=_named(runs.call_share, recorded),
        pair_entropy=metrics.normalized_entropy(runs.answer_share, runs.choices),
        collapsed=metrics.is_collapsed(runs.answer_share, runs.choices),
        regret=metrics.regret(runs.score, best) or 0.0,
        arena_score=None if cost is None else metrics.arena_score(accuracy, cost),
        optimal_selection=None if runs.drawn else close.selection,
        optimal_cost=None if runs.drawn else close.cost,
        optimal_accuracy=close.accuracy,
        n_measured=int(measured.sum()),
        cost_known=float((~np.isnan(runs.cost[measured])).mean()),
        latency_known=float((~np.isnan(runs.latency[measured])).mean()),
        unanswered=0 if runs.drawn else int((measured & (runs.answered < 0)).sum()),
        refused=runs.refused,
    )


def pair_results(
    names: Sequence[str], singles: SinglePairs, intervals: Sequence[tuple[float, float] | None]
) -> dict[str, PairResult]:
    """Compute figures from the outcomes of single pairs.

    Args:
        names: the pairs in their written form, in the order of the columns.
        singles: every pair, answering every query.
        intervals: confidence intervals of the accuracies; None for a pair that is not recorded.
    """
    frontier = set(pareto_frontier(singles.priced_cost, singles.accuracy).tolist())
    hull = set(convex_hull(singles.priced_cost, singles.accuracy).tolist())
    return {
        name: PairResult(
            accuracy=_known(singles.accuracy[column]),
            accuracy_ci95=interval,
            cost_usd_per_1k=_per_thousand(_known(singles.cost[column])),
            latency_s_mean=_known(singles.latency[column]),
            coverage=float(singles.coverage[column]),
            comparable=bool(singles.comparable[column]),
            on_frontier=column in frontier,
            on_hull=column in hull,
        )
        for column, (name, interval) in enumerate(zip(names, intervals, strict=True))
    }


def by_domain(score: NDArray[np.float64], domains: tuple[str, ...]) -> dict[str, float | None]:
    """Return the mean score of each domain, in order of first appearance; None where nothing was measured."""
    names = list(dict.fromkeys(domains))
    place = {name: number for number, name in enumerate(names)}
    codes = np.array([place[domain] for domain in domains], dtype=np.int64)
    return {name: metrics.known_mean(score[codes == place[name]]) for name in names}


def _per_thousand(cost: float | None) -> float | None:
    return None if cost is None else 1000 * cost


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _named(share: NDArray[np.float64], recorded: OutcomeMatrix) -> dict[str, float]:
    used = [column for column in np.argsort(-share, kind="stable") if share[column] > 0]
    return {str(recorded.pairs[column]): float(share[column]) for column in used}
