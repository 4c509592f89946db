"""What is to be known of a log of one pair a query, as findings of `doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_atlas.evaluation.doctor.findings import Finding
from langchain_atlas.evaluation.logged.words import FEW_EFFECTIVE, how_estimated, never_logged_note

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from langchain_atlas.evaluation.logged.outcomes import LoggedOutcomes


_TOLD_BETTER = ("incomplete-records",)
"""Kinds of finding that say of any incomplete table what is said more exactly of a log."""


def with_log(findings: Sequence[Finding], logged: LoggedOutcomes) -> tuple[Finding, ...]:
    """Return the findings with those about a log, in the order of `find_troubles`."""
    every = [*about_log(logged), *(finding for finding in findings if finding.kind not in _TOLD_BETTER)]
    rank = {"wrong": 0, "missing": 1, "note": 2}
    return tuple(sorted(every, key=lambda finding: rank[finding.severity]))


def about_log(logged: LoggedOutcomes) -> Iterator[Finding]:
    """Say that results are estimated, and what they can't say."""
    size = logged.effective_sample_size(logged.best)
    yield Finding(
        kind="one-pair-queries",
        severity="note",
        message=f"{how_estimated(logged)} The best choice by what is expected rests on an effective sample of "
        f"{size:.0f} queries" + (": too few to repeat its figures." if size < FEW_EFFECTIVE else "."),
        count=logged.coverage.n_alone,
    )
    if never := never_logged_note(logged.never_logged()):
        yield Finding(
            kind="never-logged",
            severity="missing",
            message=f"{never} No router tried here was allowed to ask them there.",
            where=tuple(f"{pair} on {domain}" for pair, domain in logged.never_logged()),
            count=len(logged.never_logged()),
        )
    if doubtful := logged.propensities.doubtful:
        yield Finding(
            kind="doubtful-propensities",
            severity="wrong",
            message=f"The column propensity of {len(doubtful)} pairs does not match how often they were logged. "
            "It must hold the probability with which the pair of the row was chosen; leave it out if it was not noted.",
            where=doubtful,
            count=len(doubtful),
        )
