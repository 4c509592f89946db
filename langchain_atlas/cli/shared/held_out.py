"""Queries kept aside by `fit` and `train`: measured and told in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from langchain_atlas.cli.shared import common

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

    from langchain_atlas.evaluation.settings.choosing import Trials
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.routers.base import Router
    from langchain_atlas.routers.held_out import HeldOutFigures
    from langchain_atlas.routers.operating import OperatingCurve

HoldOutOption = Annotated[
    float,
    typer.Option("--hold-out", help="Share of the queries kept aside, to say what the router is worth; 0 for none."),
]


_FEW = 500
"""Number of queries up to which every part is kept aside once."""


def check(share: float) -> None:
    """Check the option.

    Raises:
        SettingError: it is not from 0 to 0.5.
    """
    from langchain_atlas.evaluation.settings.holding_out import check_share

    check_share(share)


def by_trials(
    trials: Trials, curve: OperatingCurve, given: dict[str, float], table: OutcomeTable, *, share: float, seed: int
) -> HeldOutFigures | None:
    """Return what a measured router does on queries kept aside; nothing is fitted for that."""
    from langchain_atlas.cli.shared.setting import asked_point
    from langchain_atlas.evaluation.settings.crossvalidation import choose_setting
    from langchain_atlas.evaluation.settings.holding_out import cross_fitted

    if not share:
        return None

    def chosen(part: Trials) -> int:
        found = choose_setting(part, table, seed=seed)
        return found.points.index(asked_point(found, given))

    return cross_fitted(trials, asked_point(curve, given), chosen, share=share, seed=seed)


def by_part(
    fit: Callable[[OutcomeTable], tuple[Router, str]],
    table: OutcomeTable,
    encoder: Any,
    *,
    share: float,
    seed: int,
    every: bool = False,
) -> HeldOutFigures | None:
    """Return what a router does on a part of the queries that is kept aside; one is fitted without it for that.

    Of few queries, a part says little: then each part is kept aside once, if that is quick.

    Args:
        fit: fits a router on a table, and names the table's best single pair.
        table: the outcomes.
        encoder: finds near duplicates; None if there is none.
        share: share of the queries that is kept aside.
        seed: seed of the parts.
        every: whether the kind of router is fitted quickly.
    """
    from langchain_atlas.errors import OutcomeError
    from langchain_atlas.evaluation.logged.coverage import must_estimate
    from langchain_atlas.evaluation.settings.holding_out import judged_parts, splits

    parts = splits(table, encoder, share=share, seed=seed)
    if not parts:
        return None
    if not every or len(table.query_ids) > _FEW or must_estimate(table.matrix("score")):
        parts = parts[:1]
    fitted = []
    for kept, held in parts:
        router, single = fit(table.select(query_ids=kept))
        fitted.append((router, table.select(query_ids=held), single))
    try:
        return judged_parts(fitted, single=_most_frequent([name for _, _, name in fitted]), share=share, seed=seed)
    except OutcomeError as error:
        common.console().print(f"Note: nothing is said of queries kept aside. {error}", markup=False)
        return None


def _most_frequent(names: Sequence[str]) -> str:
    return max(names, key=names.count)


def say(held: HeldOutFigures | None, terminal: Console, *, share: float, saved: str) -> None:
    """Print what a router did on the queries kept aside, against the pairs one would use instead, and the verdict.

    Args:
        held: the figures; None if there are none.
        terminal: where to print.
        share: the share that was asked for.
        saved: what the saved router was fitted on, in a sentence.
    """
    if not share:
        return
    if held is None:
        terminal.print("Too few queries to keep some aside, so nothing is said of what the router is worth.")
        return
    low, high = held.accuracy_ci95
    which = f"each part of {held.share:.0%} once" if held.how == "cross-fitted" else f"{held.share:.0%}, a part"
    how = "estimated, " if held.estimated else ""
    terminal.print(
        f"Kept aside ({which}): {common.percent(held.accuracy)} right (95% interval {100 * low:.1f} to "
        f"{100 * high:.1f}; {how}{held.n_queries} queries that it was neither fitted nor set on).",
        markup=False,
    )
    for name, rival in (
        ("the best single pair of the fitted part", held.fitted_single),
        ("the best single pair in hindsight", held.hindsight_single),
    ):
        low, high = rival.gain_ci95
        terminal.print(
            f"  to {name}, {rival.pair} ({common.percent(rival.accuracy)}): {100 * rival.gain:+.1f} points "
            f"({100 * low:+.1f} to {100 * high:+.1f})",
            markup=False,
        )
    terminal.print(held.reason, markup=False)
    terminal.print(saved, markup=False)
