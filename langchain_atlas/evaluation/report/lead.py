"""What a report leads with: figures of queries that were kept aside when the router was fitted, if it has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_atlas.evaluation.settings.words import point_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_atlas.routers.base import Router
    from langchain_atlas.routers.held_out import HeldOutFigures
    from langchain_atlas.routers.operating import OperatingPoint


def when_fitted(router: Router) -> dict[str, Any] | None:
    """Return what held-out queries gave at a router's setting when it was fitted, if it keeps that.

    Returns:
        ``accuracy``, ``interval``, ``count``, ``cost`` (per 1000 queries), ``cost_known``, and the same of the best
        single pair as ``bar``.
    """
    point, curve = point_of(router, router.curve), router.curve
    if point is None or curve is None:
        return None
    return {**_measured(point, curve.n_queries), "bar": _measured(curve.single, curve.n_queries)}


def of_held_out(held: HeldOutFigures, step: Mapping[str, Any], bar: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same of queries that were kept aside, with the verdict that `fit` gave as ``verdict``.

    Args:
        held: the figures.
        step: the router's figures in a replay, for the share of its costs that is known.
        bar: those of the best single pair, for the same.
    """
    rival = held.fitted_single
    return {
        "accuracy": held.accuracy,
        "interval": list(held.accuracy_ci95),
        "count": held.n_queries,
        "cost": held.cost_usd_per_1k,
        "cost_known": step["cost_known"],
        "bar": {
            "pairs": [rival.pair],
            "accuracy": rival.accuracy,
            "interval": None,
            "count": held.n_queries,
            "cost": rival.cost_usd_per_1k,
            "cost_known": bar["cost_known"],
        },
        "verdict": held.reason,
    }


def in_place(step: Mapping[str, Any], held: HeldOutFigures) -> dict[str, Any]:
    """Return a router's figures at its own setting with those of the queries that were kept aside.

    Whom it asks stays as it is, and so do rates by domain and cluster.
    """
    single, cost = held.hindsight_single, held.cost_usd_per_1k
    both = cost is not None and single.cost_usd_per_1k is not None
    saved = (single.cost_usd_per_1k or 0.0) - (cost or 0.0) if both else None
    return {
        **step,
        "accuracy": held.accuracy,
        "interval": list(held.accuracy_ci95),
        "count": held.n_queries,
        "gain": single.gain,
        "gain_interval": list(single.gain_ci95),
        "cost": cost,
        "cost_interval": None,
        "cost_ratio": (cost or 0.0) / single.cost_usd_per_1k if both and single.cost_usd_per_1k else None,
        "saved": saved,
        "saved_interval": None,
        "latency": held.latency_s_mean,
        "calls": held.calls_per_query,
        "held_out": True,
    }


def _measured(point: OperatingPoint, count: int) -> dict[str, Any]:
    return {
        "pairs": [point.always],
        "accuracy": point.accuracy,
        "interval": list(point.accuracy_ci95),
        "count": count,
        "cost": point.cost_usd_per_1k,
        "cost_known": point.cost_known,
    }
