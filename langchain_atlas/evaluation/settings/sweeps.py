"""A router at every setting of the trade-off between accuracy and cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_atlas.evaluation.logged.executor import LoggedExecutor, check_kind, check_support, reads_no_answers
from langchain_atlas.evaluation.logged.outcomes import logged_outcomes
from langchain_atlas.evaluation.replay.runs import Runs, run_router, shares
from langchain_atlas.evaluation.settings.words import named, setting_of
from langchain_atlas.execution.replay import ReplayExecutor
from langchain_atlas.routers.utility.unpaired import is_unpaired

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.evaluation.logged.outcomes import LoggedOutcomes
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.routers.base import Router
    from langchain_atlas.routers.operating import OperatingPoint

WEIGHTS = ("cost_weight",)
"""Settings that trade accuracy for cost, 0 to 1; a router has at most one of them."""

VALUE = "value"
"""The setting in dollars that a right answer is worth, of a router that was measured when it was fitted."""

N_STEPS = 21

_AROUND = np.concatenate([10.0 ** np.arange(3, 0, -0.5), [1.0], 10.0 ** -np.arange(0.5, 3.5, 0.5)])
"""Values of a right answer to try where none was measured, in that of the router, from the highest."""

_BATCH = 1000
"""Number of queries replayed at every setting before the next batch: an encoder caches at least these."""


@dataclass(frozen=True)
class Setting:
    """One value of the setting that is varied."""

    value: float | None
    """Its value: a cost weight, or dollars; None for accuracy alone, and when one pair answers everything."""
    label: str
    """The setting in words."""
    settings: dict[str, Any]
    """The settings to configure the router with."""


@dataclass(frozen=True)
class Sweep:
    """A router's results at several values of a setting."""

    router: Router
    """The router as given."""
    knob: str | None
    """Name of the setting that was varied; None if there is none."""
    settings: tuple[Setting, ...]
    """The values, from accuracy to cost; one if nothing was varied."""
    runs: tuple[Runs, ...]
    """The results at each value."""
    start: int
    """Index of the router's own value."""


@dataclass
class _Gathered:
    """Results of the batches so far, at one value."""

    parts: list[Runs] = field(default_factory=list)
    answered: list[NDArray[np.int64]] = field(default_factory=list)
    calls: list[NDArray[np.float64]] = field(default_factory=list)
    paths: list[tuple[int, ...]] = field(default_factory=list)


def sweep(
    router: Router,
    table: OutcomeTable,
    step: Callable[[int], None] | None = None,
    logged: LoggedOutcomes | None = None,
    *,
    replay: bool = False,
) -> Sweep:
    """Replay a router at every value of its trade-off setting.

    Args:
        router: the router.
        table: the outcomes.
        step: called with the number of queries replayed since the last call.
        logged: the log of one pair a query that the table is a part of, to estimate from; by default, results are
            estimated from the table if it is such a log.
        replay: whether to replay even then.

    Raises:
        PoolError: the router knows none of the table's pairs.
        OutcomeError: no query can be replayed.
    """
    knob, settings, start = settings_of(router)
    versions = [router.configure(**setting.settings) if setting.settings else router for setting in settings]
    if logged is None and not replay and (is_unpaired(table.matrix("score")) or reads_no_answers(router)):
        logged = logged_outcomes(table, getattr(router, "encoder", None))
    if logged is not None:
        return Sweep(router, knob, tuple(settings), tuple(_estimated(versions, start, table, logged, step)), start)
    gathered = [_Gathered() for _ in settings]
    for first in range(0, len(table.query_ids), _BATCH):
        part = table.select(query_ids=table.query_ids[first : first + _BATCH])
        executor = ReplayExecutor(part)
        number = np.array([*(table.pair_number(pair) for pair in part.pairs), -1])
        for version, into in zip(versions, gathered, strict=True):
            runs = run_router(version, executor)
            into.parts.append(runs)
            into.answered.append(number[runs.answered])
            into.paths += [tuple(int(number[column]) for column in path) for path in runs.paths]
            called = np.zeros(len(table.pairs))
            called[number[:-1]] = runs.call_share * np.nansum(runs.calls)
            into.calls.append(called)
            if step is not None:
                step(len(part.query_ids))
    return Sweep(router, knob, tuple(settings), tuple(_joined(each, len(table.pairs)) for each in gathered), start)


def _estimated(
    versions: Sequence[Router],
    start: int,
    table: OutcomeTable,
    logged: LoggedOutcomes,
    step: Callable[[int], None] | None,
) -> list[Runs]:
    """Estimate a router's results at several values, on a log of one pair a query; see `sweep`."""
    found = []
    for number, version in enumerate(versions):
        name = version.kind or type(version).__name__
        check_kind(name, version)
        # Elsewhere than at its own value, the router keeps to pairs of which something is known.
        runs = run_router(version, LoggedExecutor(table, logged, free=number == start))
        if number == start:
            check_support(name, runs, logged)
        found.append(runs)
        if step is not None:
            step(len(table.query_ids))
    return found


def settings_of(router: Router) -> tuple[str | None, list[Setting], int]:
    """Return the setting to vary, its values, from accuracy to cost, and the index of the router's own value.

    The setting is the value of a right answer if the router is set to one, otherwise the cost weight; none if one pair
    answers everything and nothing was measured.
    """
    settings = router.settings
    knob = next((name for name in WEIGHTS if name in settings), None)
    now: dict[str, Any] = setting_of(router)
    if router.curve is not None and (now["value_usd"] is not None or now["always"]):
        return _measured(router.curve.points, now["value_usd"], now["always"])
    # A cost weight would take the place of a setting that was given and not measured, so the router would be another.
    if now["always"]:
        return None, [Setting(None, f"{now['always']} always", now)], 0
    if now["value_usd"] is not None:
        return VALUE, [_at(float(value)) for value in now["value_usd"] * _AROUND], int(np.argmin(np.abs(_AROUND - 1)))
    if knob is None:
        return None, [Setting(None, "", {})], 0
    weight = float(settings[knob] or 0.0)
    values = sorted({weight, *(round(float(value), 6) for value in np.linspace(0, 1, N_STEPS))})
    return knob, [Setting(value, f"{knob} {value:g}", {knob: value}) for value in values], values.index(weight)


def _measured(
    points: Sequence[OperatingPoint], value: float | None, always: str | None
) -> tuple[str, list[Setting], int]:
    """Return some of the measured values, from the highest to the lowest, and the router's own."""
    routed = {point.value_usd: named(point) for point in points if not point.always}
    kept = [list(routed)[number] for number in np.unique(np.linspace(0, len(routed) - 1, N_STEPS - 1).astype(int))]
    if not always and value not in kept:
        kept.append(value)
    kept.sort(key=lambda one: np.inf if one is None else one, reverse=True)
    found = [_at(one, routed.get(one)) for one in kept]
    single = always or points[-1].always
    found.append(Setting(None, f"{single} always", {"value_usd": None, "always": single}))
    return VALUE, found, len(found) - 1 if always else kept.index(value)


def _at(value: float | None, label: str | None = None) -> Setting:
    return Setting(value, label or f"a right answer at ${value:.3g}", {"value_usd": value, "always": None})


def _joined(gathered: _Gathered, n_pairs: int) -> Runs:
    def whole(parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        return np.concatenate(parts)

    answered, calls = np.concatenate(gathered.answered), np.sum(gathered.calls, axis=0)
    return Runs(
        score=whole([part.score for part in gathered.parts]),
        cost=whole([part.cost for part in gathered.parts]),
        latency=whole([part.latency for part in gathered.parts]),
        calls=whole([part.calls for part in gathered.parts]),
        answered=answered,
        answer_share=shares(answered, n_pairs),
        call_share=calls / max(float(calls.sum()), 1.0),
        choices=gathered.parts[0].choices,
        refused=sum(part.refused for part in gathered.parts),
        paths=tuple(gathered.paths),
        stops=tuple(stop for part in gathered.parts for stop in part.stops),
    )
