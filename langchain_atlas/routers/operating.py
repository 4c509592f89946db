"""What a router was measured to do at each of its settings, and how a knob is looked up there.

`fit` and `train` try many settings on queries that were held out, and keep all of them with the router. A knob with a
unit then needs no data: ``DIR?target=1.0`` (points below the best that may be given up), ``DIR?budget=2`` (dollars for
1000 queries), ``DIR?value=0.05`` (dollars that a right answer is worth).
"""

from __future__ import annotations

from math import ceil, floor, isfinite, log10
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import SettingError
from langchain_atlas.records import Record

if TYPE_CHECKING:
    from collections.abc import Mapping

ALIASES = {"alpha": "cost_weight", "value": "value_usd"}
"""Other names of settings; `alpha` is what the paper calls the cost weight."""

LOOKED_UP = frozenset({"target", "budget"})
"""Knobs that are looked up among what was measured."""

_KNOWN = 0.9
"""Part of the costs that must be known for a setting to be compared by them."""

_ROUNDING = 1e-6
"""Part by which sums of the same dollars may differ."""

TRADES = ("target", "budget", "value", "value_usd", "alpha", "cost_weight")
"""Settings of which each says by itself what accuracy is worth; one of them holds at a time."""


class OperatingPoint(Record):
    """One setting, on held-out queries."""

    value_usd: float | None
    """Dollars that a right answer is worth; None for accuracy alone, and for one pair always."""
    always: str | None
    """The pair that is asked always; None where the router routes."""
    accuracy: float
    """Mean score, 0 to 1."""
    accuracy_ci95: tuple[float, float]
    """95% interval of it."""
    versus_single: float
    """Accuracy less that of the best single pair chosen without the held-out queries, -1 to 1."""
    cost_usd_per_1k: float | None
    """Dollars for 1000 queries, over those whose cost is known; None where none is."""
    cost_known: float
    """Part of the queries whose cost is known, 0 to 1."""
    latency_s_mean: float | None
    """Mean seconds a query, over those whose latency is known; None where none is."""
    calls_per_query: float
    """Mean number of calls."""

    @property
    def settings(self) -> dict[str, Any]:
        """What to configure a router with."""
        return {"value_usd": self.value_usd, "always": self.always}


class OperatingCurve(Record):
    """Every setting that was tried, from dear to cheap, and the one chosen."""

    points: tuple[OperatingPoint, ...]
    """The settings, the highest value of a right answer first; one pair always stands last."""
    chosen: int
    """Number of the point that was chosen."""
    best: int
    """Number of the most accurate point."""
    n_queries: int
    """Queries that were held out, each once."""
    reason: str
    """Why that one was chosen, in one sentence."""

    @property
    def choice(self) -> OperatingPoint:
        """The setting that was chosen."""
        return self.points[self.chosen]

    @property
    def single(self) -> OperatingPoint:
        """One pair always."""
        return self.points[-1]

    def within(self, points: float) -> OperatingPoint:
        """Return the cheapest setting that was measured at most so many points below the best.

        Raises:
            SettingError: `points` is negative or no number.
        """
        _check("target", points, "points below the best, from 0", low=0.0)
        bar = self.points[self.best].accuracy - points / 100
        good = [point for point in self.points if point.accuracy >= bar - 1e-12]
        return min(good, key=lambda point: (comparable_cost(point), -point.accuracy))

    def affordable(self, budget: float) -> OperatingPoint:
        """Return the most accurate setting that was measured to cost at most so many dollars for 1000 queries.

        Raises:
            SettingError: `budget` is no number above 0, or nothing is that cheap.
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
    """Turn knobs into the settings that a router has.

    Args:
        settings: what was asked for: names of settings, aliases of them, and knobs that are looked up.
        known: the router's settings with their values now.
        curve: what the router was measured to do.

    Raises:
        SettingError: two knobs say what accuracy is worth, one can't be looked up, or is out of range.
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
    """Return an error about a setting by the name that was asked for, where that is an alias of it."""
    for alias, name in ALIASES.items():
        if alias in settings and str(error).startswith(f"{name} is "):
            return SettingError(alias + str(error).removeprefix(name))
    return error


def check_budget(budget: Any) -> None:
    """Make sure that a budget is one.

    Raises:
        SettingError: it is not a positive number.
    """
    _check("budget", budget, "dollars for 1000 queries, above 0", low=5e-324)


def _check(name: str, value: Any, valid: str, *, low: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value < low:
        raise SettingError(f"{name} is {value!r}; it must be a number: {valid}.")


def comparable_cost(point: OperatingPoint) -> float:
    """Return dollars for 1000 queries, for comparison: infinite where a tenth of the costs or more is unknown."""
    known = point.cost_usd_per_1k is not None and point.cost_known >= _KNOWN
    return float(point.cost_usd_per_1k) if known and point.cost_usd_per_1k is not None else float("inf")


def _rounded_up(value: float) -> float:
    """Round a positive number up to three significant digits, so that a budget of what is shown will do."""
    if not 0 < value < float("inf"):
        return value
    digits = 10.0 ** (2 - floor(log10(value)))
    return ceil(value * digits * (1 - _ROUNDING)) / digits
