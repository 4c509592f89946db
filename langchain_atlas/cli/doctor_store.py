"""``doctor --store``: what has changed since a store began, week by week."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_atlas.cli.shared import common

if TYPE_CHECKING:
    from rich.console import Console

    from langchain_atlas.evaluation.drift.report import DriftReport

_LISTED = 40


def look_for_drift(store: str, router: str | None, weeks: float) -> dict[str, Any]:
    """Go through a store, and show its weeks and what has changed; return the figures.

    Args:
        store: address of the store.
        router: saved router, as fitted.
        weeks: how many weeks back to begin.

    Raises:
        OutcomeError: there is no such store, or it can't be read.
        SettingError: a setting is out of range.
    """
    from langchain_atlas.evaluation.drift.report import drift_report
    from langchain_atlas.outcomes.store.loading import opened
    from langchain_atlas.routers.base import Router

    fitted = None if router is None else Router.load(router)
    with opened(store) as there:
        report = drift_report(there, fitted, weeks=weeks)
    _show(report, common.console())
    return report.to_json()


def _show(report: DriftReport, terminal: Console) -> None:
    from rich.markup import escape
    from rich.table import Table

    from langchain_atlas.evaluation.drift.page import percent

    if not report.decisions:
        terminal.print("[bold yellow]NOTHING TO LOOK AT[/bold yellow]: no call ended in this time.")
    elif report.events:
        terminal.print(f"[bold yellow]DRIFT[/bold yellow]: {len(report.events)} changes were found.")
    else:
        terminal.print("[bold green]NO DRIFT[/bold green] was found.")
    scored = f"{report.scored} of {report.decisions} calls have a score"
    terminal.print(f"{scored}; {report.canary_answers} answers to canary questions.")
    for event in report.events[-_LISTED:]:
        terminal.print(escape(event.message))
    if report.weeks:
        headings = ("week of", "calls", "failed", "scored", "score", "expected", "dollars", "far", "most used")
        table = Table(*headings, box=None, pad_edge=False)
        for week in report.weeks:
            name, share = next(iter(week.pair_share.items()))
            table.add_row(
                week.begins,
                str(week.decisions),
                str(week.failed),
                str(week.scored),
                percent(week.mean_score),
                percent(week.expected_score),
                "unknown" if week.cost_usd is None else f"{week.cost_usd:.2f}{'+' if week.unpriced else ''}",
                percent(week.far_share),
                escape(f"{name} {share:.0%}"),
            )
        terminal.print()
        terminal.print(table)
    for note in report.notes:
        terminal.print(f"Note: {escape(note)}")
