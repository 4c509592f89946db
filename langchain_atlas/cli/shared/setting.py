"""The setting of a router in the commands: chosen, printed and applied in one place for `fit`, `train` and others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_atlas.cli.shared import common
from langchain_atlas.errors import OutcomeError, SettingError
from langchain_atlas.evaluation.settings.words import expected, expected_held, point_of

if TYPE_CHECKING:
    from langchain_atlas.evaluation.settings.choosing import Trials
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.routers.base import Router
    from langchain_atlas.routers.held_out import HeldOutFigures
    from langchain_atlas.routers.operating import OperatingCurve, OperatingPoint


def asked_for(
    *,
    cost_weight: float | None = None,
    alpha: float | None = None,
    target: float | None = None,
    budget: float | None = None,
    value: float | None = None,
) -> dict[str, float]:
    """Return the knob that was given, by its name in `Router.configure`; empty if none was given.

    Raises:
        SettingError: more than one was given, or one is out of range.
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


def measure(router: Any, table: OutcomeTable, *, seed: int) -> Trials | None:
    """Measure an unfitted router at many settings; None with too few queries."""
    from langchain_atlas.evaluation.settings.crossvalidation import cross_validate

    with common.progress("measuring settings") as bar:
        return cross_validate(router, table, seed=seed, progress=bar)


def asked_point(curve: OperatingCurve, given: dict[str, float]) -> OperatingPoint:
    """Return the measured setting that was asked for, or else the chosen one; the single pair if no other will do."""
    try:
        if "target" in given:
            return curve.within(given["target"])
        return curve.affordable(given["budget"]) if "budget" in given else curve.choice
    except SettingError:
        return curve.single


def set_as_measured(router: Any, curve: OperatingCurve | None, given: dict[str, float], single: str) -> Router:
    """Return a fitted router at the requested setting, or else at the chosen one.

    Args:
        router: the fitted router.
        curve: the measurements; None if there are none.
        given: see `asked_for`.
        single: the best single pair, which is used if nothing was measured and no setting is given.

    Raises:
        OutcomeError: the setting must be looked up, and nothing was measured.
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


def say(
    curve: OperatingCurve | None, router: Router, given: dict[str, float], held: HeldOutFigures | None = None
) -> None:
    """Print in two lines which setting was chosen, why, and the accuracy and cost to expect.

    Args:
        curve: the measurements.
        router: the router at its setting.
        given: see `asked_for`.
        held: what it did on queries that were kept aside, which are then the figures to expect.
    """
    terminal = common.console()
    if curve is None:
        if not given:
            terminal.print(
                f"Too few queries to compare settings: every query goes to {router.settings['always']}. Whether "
                "routing may pay already, 'doctor' says. A setting of your own follows the folder: DIR?value=0.05.",
                markup=False,
            )
        return
    if curve.single.cost_known < 1:
        terminal.print(
            f"Note: the price of {curve.single.always}, the best single pair, is missing for "
            f"{1 - curve.single.cost_known:.0%} of its calls, so nothing can be said to be cheaper than it. 'doctor' "
            "lists all prices that are missing.",
            markup=False,
        )
    point = point_of(router, curve) if given else curve.choice
    if point is None:
        return
    if not given:
        terminal.print(curve.reason, markup=False)
    told = expected(point, curve) if held is None else expected_held(held)
    terminal.print(f"Expected on new queries like these: {told}.", markup=False)
