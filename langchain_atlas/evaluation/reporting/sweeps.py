"""A router at every setting of the knob between accuracy and cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.evaluation.runs import Runs, run_router, shares
from langchain_atlas.execution.replay import ReplayExecutor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.routers.base import Router

KNOBS = ("cost_weight",)
"""Settings that trade accuracy for cost, 0 to 1; a router has one of them at most."""

N_STEPS = 21

_BATCH = 1000
"""Queries replayed at every setting before the next: an encoder remembers at least these."""


@dataclass(frozen=True)
class Sweep:
    """What a router did at several settings of its knob."""

    router: Router
    """The router as it was given."""
    knob: str | None
    """Name of the setting that was varied; None when there is none."""
    values: tuple[float, ...]
    """Its values, ascending; one when there is no knob."""
    runs: tuple[Runs, ...]
    """What it did at each."""
    start: int
    """Number of the setting that it was given with."""


@dataclass
class _Gathered:
    """Results of the batches so far, for one setting."""

    parts: list[Runs] = field(default_factory=list)
    answered: list[NDArray[np.int64]] = field(default_factory=list)
    calls: list[NDArray[np.float64]] = field(default_factory=list)


def sweep(router: Router, table: OutcomeTable, step: Callable[[int], None] | None = None) -> Sweep:
    """Replay a router at every setting of its knob.

    Args:
        router: who decides.
        table: the outcomes.
        step: called with the number of queries that were replayed since the last call.

    Raises:
        PoolError: the router knows none of the table's pairs.
        OutcomeError: nothing of the router can be replayed.
    """
    knob, values, start = settings_of(router)
    versions = [router if knob is None else router.configure(**{knob: value}) for value in values]
    gathered = [_Gathered() for _ in values]
    for first in range(0, len(table.query_ids), _BATCH):
        part = table.select(query_ids=table.query_ids[first : first + _BATCH])
        executor = ReplayExecutor(part)
        number = np.array([*(table.pair_number(pair) for pair in part.pairs), -1])
        for version, into in zip(versions, gathered, strict=True):
            runs = run_router(version, executor)
            into.parts.append(runs)
            into.answered.append(number[runs.answered])
            called = np.zeros(len(table.pairs))
            called[number[:-1]] = runs.call_share * np.nansum(runs.calls)
            into.calls.append(called)
            if step is not None:
                step(len(part.query_ids))
    return Sweep(router, knob, tuple(values), tuple(_joined(each, len(table.pairs)) for each in gathered), start)


def settings_of(router: Router) -> tuple[str | None, list[float], int]:
    """Return a router's knob, the values to try, and the number of the one it stands at."""
    settings = router.settings
    knob = next((name for name in KNOBS if name in settings), None)
    if knob is None:
        return None, [0.0], 0
    now = float(settings[knob] or 0.0)
    values = sorted({now, *(round(float(value), 6) for value in np.linspace(0, 1, N_STEPS))})
    return knob, values, values.index(now)


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
    )
