"""Several trajectories of each query: pass@k and self-consistency, for routers that do not always decide the same."""

from __future__ import annotations

from math import comb
from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.answers import AnswerAgreement
from langchain_atlas.errors import SettingError
from langchain_atlas.evaluation.replay.bootstrap import accuracy_interval
from langchain_atlas.evaluation.replay.metrics import known_mean
from langchain_atlas.evaluation.replay.runs import run_router
from langchain_atlas.loop.limits.trajectory_limits import MAX_TURNS
from langchain_atlas.records import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.answers import Agreement
    from langchain_atlas.evaluation.replay.runs import Runs
    from langchain_atlas.execution.replay import ReplayExecutor
    from langchain_atlas.routers.base import Router

RIGHT = 0.5
"""Lowest score of an answer that counts as right."""


class Estimate(Record):
    """A share with its interval."""

    value: float
    """The share, 0 to 1."""
    ci95: tuple[float, float]
    """95% confidence interval, from a bootstrap over queries."""


class Repeated(Record):
    """What several trajectories of each query come to."""

    samples: int
    """Number of trajectories of each query."""
    pass_at: dict[int, Estimate]
    """Share of queries that one of k trajectories answers right, by k."""
    self_consistency: Estimate
    """Mean score of the answer that most trajectories agree on."""
    cost_usd_per_1k: float | None
    """Dollars per 1000 queries, over all trajectories; None when unknown."""


def repeat(
    router: Router,
    executor: ReplayExecutor,
    *,
    samples: int = 16,
    agreement: Agreement | None = None,
    max_turns: int = MAX_TURNS,
    seed: int = 0,
    on_query: Callable[[], None] | None = None,
) -> Repeated:
    """Run a router several times on every query of a recorded table.

    A router that decides the same every time gives the same for any number of samples: use one that draws, such as a
    `PromptedRouter` whose model has a temperature.

    Args:
        router: the router.
        executor: the recorded outcomes.
        samples: number of trajectories of each query.
        agreement: says which answers are the same.
        max_turns: maximum number of turns in a trajectory.
        seed: seed of the resampling behind the intervals.
        on_query: called after every trajectory.

    Raises:
        SettingError: `samples` is below 1.
        PoolError: the router knows none of the table's pairs.
    """
    if samples < 1:
        raise SettingError(f"samples is {samples!r}; it must be a whole number from 1.")
    runs = [run_router(router, executor, max_turns=max_turns, on_query=on_query) for _ in range(samples)]
    scores = np.stack([run.score for run in runs], axis=1)
    measured = ~np.isnan(scores).any(axis=1)
    right = (scores[measured] >= RIGHT).sum(axis=1)
    cost = known_mean(np.stack([run.cost for run in runs]).sum(axis=0))
    voted = _majority(runs, executor, agreement or AnswerAgreement())[measured]
    return Repeated(
        samples=samples,
        pass_at={k: _estimate(pass_at_k(right, samples, k), seed) for k in _ks(samples)},
        self_consistency=_estimate(voted, seed),
        cost_usd_per_1k=None if cost is None else 1000 * cost,
    )


def pass_at_k(right: NDArray[np.int64], samples: int, k: int) -> NDArray[np.float64]:
    """Estimate, for each query, the chance that one of k trajectories is right, from `samples` of them.

    The unbiased estimator of Chen et al. (2021, arXiv 2107.03374): one minus the share of the ways to draw k of the
    trajectories that hold no right one.

    Args:
        right: number of right trajectories of each query, shape [n_queries].
        samples: number of trajectories.
        k: number that is drawn, from 1 to `samples`.

    Returns:
        Shape [n_queries], 0 to 1.

    Raises:
        SettingError: k is out of range.
    """
    if not 1 <= k <= samples:
        raise SettingError(f"k is {k!r}; it must be a whole number from 1 to {samples}, the number of samples.")
    whole = comb(samples, k)
    return np.array([1 - comb(samples - int(count), k) / whole for count in right], dtype=np.float64)


def _ks(samples: int) -> list[int]:
    """Return the powers of two up to the number of samples, and that number."""
    powers = [2**power for power in range(samples.bit_length()) if 2**power <= samples]
    return sorted({*powers, samples})


def _estimate(values: NDArray[np.float64], seed: int) -> Estimate:
    return Estimate(value=float(values.mean()), ci95=accuracy_interval(values, seed=seed))


def _majority(runs: Sequence[Runs], executor: ReplayExecutor, agreement: Agreement) -> NDArray[np.float64]:
    """Return the score of the answer that most trajectories agree on, the first of those that are equally frequent."""
    table = executor.table
    responses, queries = table.texts("response"), table.queries
    scores = np.stack([run.score for run in runs], axis=1)
    columns = np.stack([run.answered for run in runs], axis=1)
    voted = np.zeros(len(queries))
    for row, query in enumerate(queries):
        given = [(responses[row][column] if column >= 0 else None) for column in columns[row]]
        groups = agreement.groups([agreement.read(answer, query) for answer in given], query)
        answered = [group if column >= 0 else -1 for group, column in zip(groups, columns[row], strict=True)]
        counts = {group: answered.count(group) for group in dict.fromkeys(answered) if group >= 0}
        if counts:
            most = max(counts, key=lambda group: counts[group])
            voted[row] = scores[row, answered.index(most)]
    return voted
