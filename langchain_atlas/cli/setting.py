"""The setting of a router as the commands choose it, say it, and take it: one place for `fit`, `train` and the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_atlas.cli import common
from langchain_atlas.errors import OutcomeError, SettingError

if TYPE_CHECKING:
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.routers.base import Router
    from langchain_atlas.routers.operating import OperatingCurve, OperatingPoint


def asked_for(
    *,
    cost_weight: float | None = None,
    alpha: float | None = None,
    target: float | None = None,
    budget: float | None = None,
    value: float | None = None,
) -> dict[str, float]:
    """Return the one knob that was given, by the name that `Router.configure` knows; empty where none was.

    Raises:
        SettingError: more than one was given, or it is out of range.
    """
    from langchain_atlas.routers.operating import check_budget

    given = {
        name: number
        for name, number in (
            ("cost_weight", cost_weight),
            ("alpha", alpha),
            ("target", target),
            ("budget", budget),
            ("value", value),
        )
        if number is not None
    }
    if len(given) > 1:
        told = " with ".join(f"--{name.replace('_', '-')} {number:g}" for name, number in given.items())
        raise SettingError(f"{told}: each of them says what a right answer may cost. Give one.")
    if budget is not None:
        check_budget(budget)
    for name, number, low in (("target", target, 0.0), ("value", value, 5e-324)):
        if number is not None and not low <= number < float("inf"):
            raise SettingError(f"{name} is {number!r}; it must be a number {'from' if not low else 'above'} 0.")
    for name, number in (("cost_weight", cost_weight), ("alpha", alpha)):
        if number is not None and not 0 <= number <= 1:
            raise SettingError(f"{name} is {number!r}; it must be a number from 0 (accuracy alone) to 1 (cost alone).")
    return given


def measure(router: Any, table: OutcomeTable, *, seed: int) -> OperatingCurve | None:
    """Measure a router that was not fitted yet at many settings; None with too few queries."""
    from langchain_atlas.evaluation.crossvalidation import measure_router

    with common.progress("measuring settings") as bar:
        return measure_router(router, table, seed=seed, progress=bar)


def set_as_measured(router: Any, curve: OperatingCurve | None, given: dict[str, float], single: str) -> Router:
    """Return a fitted router at the setting that was asked for, or else at the one that was chosen.

    Args:
        router: the fitted router.
        curve: what was measured; None where nothing could be.
        given: see `asked_for`.
        single: the best single pair, which is asked where nothing could be measured and no setting is given.

    Raises:
        OutcomeError: the setting is to be looked up, and nothing was measured.
        SettingError: it is out of range.
    """
    router.curve = curve
    if curve is None and {"target", "budget"} & given.keys():
        raise OutcomeError(
            "There are too few queries to measure settings on, so neither --target nor --budget can be looked up. "
            "Record more with 'profile', or give --value or --cost-weight."
        )
    if given:
        return router.configure(**given)  # type: ignore[no-any-return]
    settings = {"value_usd": None, "always": single} if curve is None else curve.choice.settings
    return router.configure(cost_weight=0.0).configure(**settings)  # type: ignore[no-any-return]


def say(curve: OperatingCurve | None, router: Router, given: dict[str, float]) -> None:
    """Print in two lines which setting was chosen, why, and what to expect of it."""
    terminal = common.console()
    if curve is None:
        if not given:
            terminal.print(
                f"Too few queries to tell settings apart: {router.settings['always']} is asked always.", markup=False
            )
        return
    if curve.single.cost_known < 1:
        terminal.print(
            f"Note: the price of {curve.single.always}, the best single pair, is missing for "
            f"{1 - curve.single.cost_known:.0%} of its calls, so nothing can be said to be cheaper than it. 'doctor' "
            "lists all prices that are missing.",
            markup=False,
        )
    point = curve.choice
    if given:
        matching = [one for one in curve.points if one.settings == _of(router)]
        if not matching:
            return
        point = matching[0]
    else:
        terminal.print(curve.reason, markup=False)
    terminal.print(f"Expected on new queries like these: {_expected(point, curve)}.", markup=False)


def told(name: str, router: Router) -> list[str]:
    """Say how a router is set, and what was measured of that when it was fitted; nothing where that is not known."""
    if router.curve is None:
        return []
    matching = [point for point in router.curve.points if point.settings == _of(router)]
    if not matching or (matching[0].value_usd is None and not router.settings["always"]):
        return []
    point = matching[0]
    what = f"{point.always} always" if point.always else f"a right answer at ${point.value_usd:.3g}"
    return [f"{name}: {what}; held-out queries gave {_expected(point, router.curve)} when it was fitted."]


def _of(router: Router) -> dict[str, Any]:
    return {name: router.settings.get(name) for name in ("value_usd", "always")}


def _expected(point: OperatingPoint, curve: OperatingCurve) -> str:
    low, high = point.accuracy_ci95
    parts = [f"{common.percent(point.accuracy)} right (95% interval {100 * low:.1f} to {100 * high:.1f})"]
    if point.always is None:
        parts.append(f"{100 * point.versus_single:+.1f} points to {curve.single.always}")
    cost = cost_of(point)
    share = None
    if point.always is None and point.cost_usd_per_1k and curve.single.cost_usd_per_1k:
        share = point.cost_usd_per_1k / curve.single.cost_usd_per_1k
    parts.append(f"{cost} per 1000 queries" + ("" if share is None else f" ({share:.0%} of its)"))
    if point.calls_per_query > 1:
        parts.append(f"{point.calls_per_query:.1f} calls a query")
    if point.latency_s_mean is not None:
        parts.append(f"{point.latency_s_mean:.1f} s")
    return ", ".join(parts)


def cost_of(point: OperatingPoint) -> str:
    """Write what a setting costs; a lower bound where some costs are unknown."""
    if point.cost_usd_per_1k is None:
        return "an unknown cost"
    if point.cost_known < 1:
        least = point.cost_usd_per_1k * point.cost_known
        return f"at least ${least:.3g} (the cost of {1 - point.cost_known:.0%} is unknown)"
    return f"${point.cost_usd_per_1k:.3g}"
