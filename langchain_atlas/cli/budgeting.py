"""``fit --budget``: the alpha that makes the most of some dollars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_atlas.cli import common
from langchain_atlas.errors import SettingError

if TYPE_CHECKING:
    from langchain_atlas.evaluation.budget import BudgetChoice
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.routers.cluster import ClusterRouter
    from langchain_atlas.routers.embedding import EmbeddingRouter

    Fitted = ClusterRouter | EmbeddingRouter

KINDS = ("cluster", "knn")
"""Kinds of router whose alpha is chosen for a budget; those that `doctor` tries."""


def check_options(router: str, alpha: float | None, budget: float | None, parts: str | None) -> None:
    """Make sure that the options go together, before anything is read.

    Raises:
        SettingError: they don't, or the budget is not positive.
    """
    from langchain_atlas.evaluation.budget import check_budget

    if budget is None:
        return
    check_budget(budget)
    if alpha is not None:
        raise SettingError(
            f"--alpha {alpha:g} with --budget {budget:g}: a budget chooses alpha. Leave one of the two out."
        )
    if router not in KINDS or parts is not None:
        raise SettingError(
            f"--budget {budget:g} with --router {router!r}: a budget chooses the alpha of a "
            f"{' or '.join(map(repr, KINDS))} router. For others, compare settings: evaluate --router 'DIR?alpha=0.2'."
        )


def within_budget(
    router: Fitted, table: OutcomeTable, budget: float | None, *, seed: int
) -> tuple[Fitted, dict[str, Any] | None]:
    """Return a router that was not fitted yet with the alpha for a budget, and the choice for JSON; print it.

    Raises:
        SettingError: nothing stays within the budget.
        OutcomeError: the table does not do for it.
    """
    if budget is None:
        return router, None
    from langchain_atlas.evaluation.budget import choose_alpha

    with common.progress("choosing alpha") as bar:
        choice = choose_alpha(router, table, budget, seed=seed, progress=bar)  # type: ignore[arg-type]  # one of KINDS
    _show(choice)
    return router.configure(alpha=choice.alpha), choice.to_json()


def _show(choice: BudgetChoice) -> None:
    low, high = choice.cost_usd_per_1k_ci95
    common.console().print(
        f"Of the {len(choice.tried)} alphas tried, {choice.alpha:g} is the most accurate that stays within "
        f"${choice.budget_usd_per_1k:.3g} per 1000 queries. Expected on new queries like these: "
        f"{common.percent(choice.accuracy)} right "
        f"(95% interval {common.percent(choice.accuracy_ci95[0])} to {common.percent(choice.accuracy_ci95[1])}), "
        f"${choice.cost_usd_per_1k:.3g} per 1000 (${low:.3g} to ${high:.3g}).",
        markup=False,
    )
