"""A router's setting in words: the same sentence and figures in `fit`, `train`, `evaluate`, `doctor` and `report`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_atlas.routers.base import Router
    from langchain_atlas.routers.held_out import HeldOutFigures
    from langchain_atlas.routers.operating import OperatingCurve, OperatingPoint


def setting_of(router: Router) -> dict[str, Any]:
    """Return a router's setting, in the form of `OperatingPoint.settings`."""
    return {name: router.settings.get(name) for name in ("value_usd", "always")}


def point_of(router: Router, curve: OperatingCurve | None) -> OperatingPoint | None:
    """Return what was measured at a router's setting when it was fitted; None if nothing was measured."""
    if curve is None or router.settings.get("cost_weight"):
        return None
    return next((point for point in curve.points if point.settings == setting_of(router)), None)


def held_out_of(router: Router) -> HeldOutFigures | None:
    """Return what a router did, at its setting, on queries that were kept aside; None if that was not measured."""
    held = router.held_out
    return held if held is not None and held.settings == trade_of(router) else None


def trade_of(router: Router) -> dict[str, Any]:
    """Return all of a router's settings that trade accuracy for cost; a cost weight only where it decides."""
    setting = setting_of(router)
    decides = setting["value_usd"] is None and setting["always"] is None
    return {**setting, "cost_weight": router.settings.get("cost_weight") if decides else None}


def expected_held(held: HeldOutFigures) -> str:
    """Describe what a router did on queries that were kept aside."""
    low, high = held.accuracy_ci95
    rival, cost = held.fitted_single, held.cost_usd_per_1k
    parts = [f"{100 * held.accuracy:.1f}% right (95% interval {100 * low:.1f} to {100 * high:.1f})"]
    share = ""
    if not held.settings.get("always"):
        parts.append(f"{100 * rival.gain:+.1f} points to {rival.pair}")
        if cost and rival.cost_usd_per_1k and held.cost_known == 1:
            share = f" ({cost / rival.cost_usd_per_1k:.0%} of its)"
    parts.append(cost_of(held) if cost is None else f"{cost_of(held)} per 1000 queries{share}")
    if held.calls_per_query > 1:
        parts.append(f"{held.calls_per_query:.1f} calls a query")
    if held.latency_s_mean is not None:
        parts.append(f"{held.latency_s_mean:.1f} s")
    return ", ".join(parts)


def told(name: str, router: Router) -> list[str]:
    """Describe a router's setting, and what was measured at it when it was fitted; empty if unknown."""
    held = held_out_of(router)
    if held is not None:
        return [f"{name}: queries that it was not fitted on gave {expected_held(held)} when it was fitted."]
    point = point_of(router, router.curve)
    if point is None or router.curve is None or (point.value_usd is None and not point.always):
        return []
    return [f"{name}: {named(point)}; held-out queries gave {expected(point, router.curve)} when it was fitted."]


def named(point: OperatingPoint) -> str:
    """Name a setting."""
    if point.always:
        return f"{point.always} always"
    return "accuracy alone" if point.value_usd is None else f"a right answer at ${point.value_usd:.3g}"


def expected(point: OperatingPoint, curve: OperatingCurve) -> str:
    """Describe what was measured at a setting on held-out queries."""
    low, high = point.accuracy_ci95
    parts = [f"{100 * point.accuracy:.1f}% right (95% interval {100 * low:.1f} to {100 * high:.1f})"]
    if point.always is None:
        parts.append(f"{100 * point.versus_single:+.1f} points to {curve.single.always}")
    share = None
    if point.always is None and point.cost_usd_per_1k and curve.single.cost_usd_per_1k:
        share = point.cost_usd_per_1k / curve.single.cost_usd_per_1k
    parts.append(f"{cost_of(point)} per 1000 queries" + ("" if share is None else f" ({share:.0%} of its)"))
    if point.calls_per_query > 1:
        parts.append(f"{point.calls_per_query:.1f} calls a query")
    if point.latency_s_mean is not None:
        parts.append(f"{point.latency_s_mean:.1f} s")
    return ", ".join(parts)


def cost_of(point: OperatingPoint | HeldOutFigures) -> str:
    """Format the cost of what was measured; a lower bound if some costs are unknown."""
    if point.cost_usd_per_1k is None:
        return "an unknown cost"
    if point.cost_known < 1:
        least = point.cost_usd_per_1k * point.cost_known
        return f"at least ${least:.3g} (the cost of {1 - point.cost_known:.0%} is unknown)"
    return f"${point.cost_usd_per_1k:.3g}"
