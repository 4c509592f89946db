"""What is said of results that are estimated from a log of one pair a query, in sentences and in figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_atlas.evaluation.logged.coverage import Coverage, must_estimate
from langchain_atlas.evaluation.logged.outcomes import METHOD, never_logged
from langchain_atlas.evaluation.logged.propensities import supported_cells

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_atlas.evaluation.logged.outcomes import LoggedOutcomes
    from langchain_atlas.evaluation.replay.results import Result
    from langchain_atlas.evaluation.replay.runs import Runs
    from langchain_atlas.outcomes import OutcomeMatrix

FEW_EFFECTIVE = 50
"""Effective sample size below which an estimate rests on too few of the log's queries to be repeated."""

_ORACLE = (
    "The oracle is estimated too: on each query it takes the pair from which most is expected; a real oracle, which "
    "knows the outcomes, can't be estimated from one pair a query, and does better."
)
_SHOWN = 4


def policy_facts(logged: LoggedOutcomes, runs: Runs) -> dict[str, Any]:
    """Return how one policy's results were estimated, as plain JSON values."""
    return {
        "estimated": True,
        "method": METHOD,
        "effective_sample_size": round(logged.effective_sample_size(runs.answered), 1),
        "self_normalised_ips": logged.self_normalised(runs.answered),
    }


def estimate_facts(logged: LoggedOutcomes, runs: Mapping[str, Runs]) -> dict[str, Any]:
    """Return how results were estimated, as plain JSON values; the sample size is the smallest of all policies."""
    sizes = [logged.effective_sample_size(each.answered) for each in runs.values()]
    return {
        "estimated": True,
        "method": METHOD,
        "effective_sample_size": round(min(sizes), 1) if sizes else None,
        "propensities": logged.propensities.source,
        "coverage": {**logged.coverage.to_json(), "replayable": logged.coverage.replayable},
        "never_logged": [
            {"pair": pair, "domain": domain, "queries": count}
            for (pair, domain), count in logged.never_logged().items()
        ],
    }


def how_estimated(logged: LoggedOutcomes) -> str:
    """Say in a sentence or two that results are estimated, why, and how."""
    coverage = logged.coverage
    where = "as recorded in the log" if logged.propensities.source == "recorded" else "estimated by domain"
    return (
        f"{coverage.n_alone} of {coverage.n_scored} queries are recorded for one pair only, so replay can't judge a "
        f"router there: these figures are estimates ({METHOD}; propensities {where})."
    )


def estimate_notes(logged: LoggedOutcomes) -> list[str]:
    """Say what a reader must know of estimates, one sentence or two each."""
    notes = [
        how_estimated(logged),
        _ORACLE,
    ]
    if logged.propensities.doubtful:
        named = ", ".join(logged.propensities.doubtful[:_SHOWN])
        notes.append(
            f"The recorded propensities of {named} do not match how often it was logged; estimates that rest on them "
            "may be wrong. Check what the column holds: the probability with which the logged pair was chosen."
        )
    certain = int(logged.propensities.certain.sum())
    if certain:
        notes.append(
            f"On {certain} of {len(logged.recorded.scores)} queries the log's router chose without drawing "
            "(propensity 1): what another pair would have done there is expected, not seen. Figures of baselines and "
            "of routers that choose otherwise rest on that."
        )
    if never := never_logged_note(logged.never_logged()):
        notes.append(never)
    return notes


def alone_notes(recorded: OutcomeMatrix) -> list[str]:
    """Say of a table that is replayed that a router has no choice on many of its queries, if that is so."""
    coverage = Coverage.of(recorded.scores)
    if not must_estimate(recorded.scores):
        return []
    told = (
        f"{coverage.n_alone} of {coverage.n_scored} queries are recorded for one pair only: a router has no choice "
        "there, so these figures say little about it."
    )
    return [told]


def never_logged_note(never: Mapping[tuple[str, str], int]) -> str | None:
    """Name the pairs that were never logged on a domain; None if there are none."""
    if not never:
        return None
    told = [f"{pair} on {domain!r}" for pair, domain in list(never)[:_SHOWN]]
    more = f" and {len(never) - _SHOWN} more" if len(never) > _SHOWN else ""
    return (
        f"Never logged: {', '.join(told)}{more}. Nothing is said of these pairs there, and no figure rests on them; "
        "run them on some of these queries with 'langchain-atlas profile'."
    )


def log_notes(recorded: OutcomeMatrix) -> list[str]:
    """Say of outcomes that a router is fitted on that they are a log of one pair a query; empty if they are not."""
    if not must_estimate(recorded.scores):
        return []
    coverage = Coverage.of(recorded.scores)
    told = (
        f"{coverage.n_alone} of {coverage.n_scored} queries are recorded for one pair only, so replay can't judge a "
        f"router there: the figures below are estimates ({METHOD})."
    )
    never = never_logged_note(never_logged(recorded, supported_cells(recorded)))
    return [told] if never is None else [told, never]


def as_estimate(result: Result) -> Result:
    """Return a result without the figures that need every pair's outcome, and with an interval from 0 to 1."""
    low, high = (min(max(bound, 0.0), 1.0) for bound in result.accuracy_ci95)
    return result.replace(
        accuracy=min(max(result.accuracy, 0.0), 1.0),
        accuracy_ci95=(low, high),
        regret=max(result.regret, 0.0),
        optimal_selection=None,
        optimal_cost=None,
        optimal_accuracy=None,
    )
