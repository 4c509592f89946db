"""The measured accuracy and cost of a router's settings, and how a knob is looked up in them.

`fit` and `train` try many settings on held-out queries, and save all results with the router. A knob with a unit then
needs no data: ``DIR?target=1.0`` (points below the best that may be given up), ``DIR?budget=2`` (dollars per 1000
queries), ``DIR?value=0.05`` (dollars that a right answer is worth).
"""

from __future__ import annotations

from math import ceil, floor, isfinite, log10
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import SettingError
from langchain_atlas.records import Record

if TYPE_CHECKING:
    from collections.abc import Mapping

ALIASES = {"alpha": "cost_weight", "value": "value_usd"}
"""Other names of settings; `alpha` is the paper's name for the cost weight."""

LOOKED_UP = frozenset({"target", "budget"})
"""Knobs that are looked up among the measured settings."""

_KNOWN = 0.9
"""Fraction of the costs that must be known for a setting to be compared by cost."""

_ROUNDING = 1e-6
"""Relative difference that is allowed between sums of the same dollars."""

TRADES = ("target", "budget", "value", "value_usd", "alpha", "cost_weight")
"""Settings that each determine what accuracy is worth; only one of them can be given."""


class OperatingPoint(Record):
    """One setting, on held-out queries."""

    value_usd: float | None
    """Dollars that a right answer is worth; None for accuracy alone, and when one pair answers everything."""
    always: str | None
    """The pair that answers everything; None if the router routes."""
    accuracy: float
    """Mean score, 0 to 1."""
    accuracy_ci95: tuple[float, float]
    """95% confidence interval of the accuracy."""
    versus_single: float
    """Accuracy minus that of the best single pair, chosen without the held-out queries, -1 to 1."""
    cost_usd_per_1k: float | None
    """Dollars per 1000 queries, over those whose cost is known; None where none is."""
    cost_known: float
    """Fraction of the queries whose cost is known, 0 to 1."""
    latency_s_mean: float | None
    """Mean seconds per query, over those whose latency is known; None where none is."""
    calls_per_query: float
    """Mean number of calls."""

    @property
    def settings(self) -> dict[str, Any]:
        """The settings to configure a router with."""
        return {"value_usd": self.value_usd, "always": self.always}


class OperatingCurve(Record):
    """All settings that were tried, from expensive to cheap, and the chosen one."""

    points: tuple[OperatingPoint, ...]
    """The settings, the highest value of a right answer first; a single pair always comes last."""
    chosen: int
    """Index of the chosen point."""
    best: int
    """Index of the most accurate point."""
    n_queries: int
    """Number of held-out queries, each counted once."""
    reason: str
    """Why that point was chosen, in one sentence."""

    @property
    def choice(self) -> OperatingPoint:
        """The setting that was chosen."""
        return self.points[self.chosen]

    @property
    def single(self) -> OperatingPoint:
        """The setting in which one pair answers everything."""
        return self.points[-1]

    def within(self, points: float) -> OperatingPoint:
        """Return the cheapest setting with a measured accuracy at most `points` points below the best.

        Raises:
            SettingError: `points` is negative or not a number.
        """
        _check("target", points, "points below the best, from 0", low=0.0)
        bar = self.points[self.best].accuracy - points / 100
        good = [point for point in self.points if point.accuracy >= bar - 1e-12]
        return min(good, key=lambda point: (comparable_cost(point), -point.accuracy))

    def affordable(self, budget: float) -> OperatingPoint:
        """Return the most accurate setting with a measured cost of at most `budget` dollars per 1000 queries.

        Raises:
            SettingError: `budget` is not a number above 0, or no setting is that cheap.
        """
        check_budget(budget)
        cheap = [point for point in self.points if comparable_cost(point) <= budget * (1 + _ROUNDING)]
        if not cheap:
            least = min(self.points, key=comparable_cost)
            least_cost = comparable_cost(least)
            told = f"the least is {_rounded_up(least_cost):g}" if isfinite(least_cost) else "no cost is known"
            raise SettingError(
                f"budget is {budget!r} dollars for 1000 queries, and no setting was measured to be so cheap: {told}. "
                "Raise the budget to that or more, or add a cheaper model."
            )
        return max(cheap, key=lambda point: (point.accuracy, -comparable_cost(point)))


def resolved(settings: Mapping[str, Any], known: Mapping[str, Any], curve: OperatingCurve | None) -> dict[str, Any]:
    """Translate knobs to the router's own settings.

    Args:
        settings: the requested settings, aliases, and knobs that are looked up.
        known: the router's settings with their current values.
        curve: the router's measured settings.

    Raises:
        SettingError: two knobs contradict each other, or one can't be looked up or is out of range.
    """
    changed: dict[str, Any] = {}
    for name, value in settings.items():
        mine = name if name in known else ALIASES.get(name, name)
        mine = mine if mine in known or mine in LOOKED_UP else name
        if mine in changed:
            raise SettingError(f"{name!r} is another name of {mine!r}; give one of them.")
        changed[mine] = value
    trades = [name for name in changed if name in TRADES and changed[name] is not None]
    if len(trades) > 1:
        raise SettingError(f"{' and '.join(trades)} each say what a right answer may cost; give one of them.")
    if not trades or "value_usd" not in known:
        return changed
    if trades[0] not in LOOKED_UP:
        others = {name: None for name in ("value_usd", "always") if name not in changed}
        return {**changed, **others} if trades[0] != "value_usd" else {**changed, "always": changed.get("always")}
    wanted = changed.pop(trades[0])
    if curve is None:
        raise SettingError(
            f"{trades[0]}={wanted!r} is looked up among measured settings; this router holds none: it joins two, or "
            "was fitted with a setting given. Fit it again without one, or give value=DOLLARS or cost_weight=W."
        )
    point = curve.within(wanted) if trades[0] == "target" else curve.affordable(wanted)
    return {**changed, "cost_weight": 0.0, **point.settings}


def as_asked(error: SettingError, settings: Mapping[str, Any]) -> SettingError:
    """Return an error about a setting, with the alias by which it was requested."""
    for alias, name in ALIASES.items():
        if alias in settings and str(error).startswith(f"{name} is "):
            return SettingError(alias + str(error).removeprefix(name))
    return error


def check_budget(budget: Any) -> None:
    """Check that a budget is valid.

    Raises:
        SettingError: it is not a positive number.
    """
    _check("budget", budget, "dollars for 1000 queries, above 0", low=5e-324)


def _check(name: str, value: Any, valid: str, *, low: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value < low:
        raise SettingError(f"{name} is {value!r}; it must be a number: {valid}.")


def comparable_cost(point: OperatingPoint) -> float:
    """Return dollars per 1000 queries, for comparison: infinite if a tenth of the costs or more is unknown."""
    known = point.cost_usd_per_1k is not None and point.cost_known >= _KNOWN
    return float(point.cost_usd_per_1k) if known and point.cost_usd_per_1k is not None else float("inf")


def _rounded_up(value: float) -> float:
    """Round a positive number up to three significant digits, so that the displayed value is a sufficient budget."""
    if not 0 < value < float("inf"):
        return value
    digits = 10.0 ** (2 - floor(log10(value)))
    return ceil(value * digits * (1 - _ROUNDING)) / digits
