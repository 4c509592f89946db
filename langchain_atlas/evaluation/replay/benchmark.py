"""Replays routers on recorded outcomes, and compares them with the baselines that they must beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.engines import current_engine
from langchain_atlas.errors import OutcomeError, SettingError
from langchain_atlas.evaluation.logged.executor import judge, reads_no_answers
from langchain_atlas.evaluation.logged.outcomes import logged_outcomes
from langchain_atlas.evaluation.replay import reference_policies
from langchain_atlas.evaluation.replay.comparison import Evaluation
from langchain_atlas.evaluation.replay.overlap import learned_from
from langchain_atlas.evaluation.replay.repeats import lasting_oracle
from langchain_atlas.evaluation.replay.robustness import robustness
from langchain_atlas.evaluation.replay.runs import Runs, named, run_routers
from langchain_atlas.evaluation.replay.unseen import unseen_figures
from langchain_atlas.execution.replay import ReplayExecutor
from langchain_atlas.loop.limits.trajectory_limits import MAX_TURNS
from langchain_atlas.outcomes import OutcomeMatrix
from langchain_atlas.progress import Progress, Steps
from langchain_atlas.routers.utility.unpaired import is_unpaired

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.evaluation.logged.outcomes import LoggedOutcomes
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.routers.base import Router

__all__ = ["Evaluation", "evaluate"]


def evaluate(
    routers: Mapping[str, Router],
    table: OutcomeTable,
    *,
    seed: int = 0,
    n_bootstrap: int = 1000,
    progress: Progress | None = None,
    max_turns: int = MAX_TURNS,
    edits: int = 0,
    estimate: bool = True,
) -> Evaluation:
    """Replay routers on recorded outcomes; where most queries are recorded for one pair only, estimate instead.

    Args:
        routers: the routers, by name; may be empty, for the baselines alone.
        table: the outcomes to replay; if a router was fitted on some of the queries, the notes say so.
        seed: seed of the resampling and the edits.
        n_bootstrap: number of resamples behind every interval.
        progress: called with the number of queries done, and of all, over all routers.
        max_turns: maximum number of turns in a trajectory.
        estimate: whether results may be estimated; otherwise they are replayed in any case.
        edits: number of slightly edited versions of each query to test robustness with; 0 for no test.

    Returns:
        The results of the routers, and of the baselines.

    Raises:
        SettingError: `n_bootstrap` or `max_turns` is below 1, or `edits` below 0.
        PoolError: a router knows none of the table's pairs.
        OutcomeError: no outcome has a score, no query can be replayed, or a router calls a pair that is not recorded;
            where results are estimated, also that a router can't be judged on such a log, see `logged.executor.judge`.
    """
    _check(n_bootstrap, max_turns, edits)
    recorded = OutcomeMatrix.of(table).scored()
    if np.isnan(recorded.scores).all():
        raise OutcomeError(f"{table.source} has no outcome with a score; there is nothing to evaluate.")
    logged = estimated_from(routers, table) if estimate else None
    step = Steps(len(routers) * len(table.query_ids), progress)
    runs = _runs(routers, table, logged, max_turns=max_turns, step=step)
    return Evaluation(
        runs=runs,
        baseline_runs=_baselines(table, recorded, logged),
        recorded=recorded if logged is None else logged.completed,
        logged=logged,
        n_bootstrap=n_bootstrap,
        seed=seed,
        robustness={
            name: robustness(router.restrict(table.pairs), table.queries, versions=edits, seed=seed)
            for name, router in routers.items()
            if edits
        },
        learned_from=learned_from(routers, table),
        unseen={name: held for name, router in routers.items() if (held := unseen_figures(router, table)) is not None},
    )


def _runs(
    routers: Mapping[str, Router], table: OutcomeTable, logged: LoggedOutcomes | None, *, max_turns: int, step: Steps
) -> dict[str, Runs]:
    """Replay routers, or estimate their results."""
    engine = current_engine()
    if not engine.is_local:
        for encoder in {id(one): one for one in _encoders(routers.values())}.values():
            encoder.encode([query.text for query in table.queries])  # once, not on every machine
        shared = dict(routers), table, logged, max_turns
        found = engine.map(_run_one, shared, list(routers), lambda _: step(len(table.query_ids)))
        return dict(zip(routers, found, strict=True))
    if logged is None:
        return run_routers(routers, ReplayExecutor(table), max_turns=max_turns, on_query=step)
    runs: dict[str, Runs] = {}
    for name, router in routers.items():
        with named(name):
            runs[name] = judge(name, router, table, logged, on_query=step)
    return runs


def _run_one(shared: tuple[dict[str, Router], OutcomeTable, LoggedOutcomes | None, int], name: str) -> Runs:
    """Replay one router, or estimate its results."""
    routers, table, logged, max_turns = shared
    if logged is None:
        return run_routers({name: routers[name]}, ReplayExecutor(table), max_turns=max_turns)[name]
    with named(name):
        return judge(name, routers[name], table, logged)


def estimated_from(routers: Mapping[str, Router], table: OutcomeTable) -> LoggedOutcomes | None:
    """Return what results are estimated from; None if they are replayed, as those of routers that read answers."""
    if not is_unpaired(table.matrix("score")) and not all(reads_no_answers(router) for router in routers.values()):
        return None
    return logged_outcomes(table, next(_encoders(routers.values()), None))


def _encoders(routers: Iterable[Router]) -> Iterator[Encoder]:
    for router in routers:
        encoder: Encoder | None = getattr(router, "encoder", None)
        if encoder is not None:
            yield encoder


def _check(n_bootstrap: int, max_turns: int, edits: int) -> None:
    if n_bootstrap < 1 or max_turns < 1 or edits < 0:
        raise SettingError(
            f"n_bootstrap is {n_bootstrap!r}, max_turns {max_turns!r} and edits {edits!r}; "
            "the first two must be whole numbers from 1, the last from 0."
        )


def _baselines(table: OutcomeTable, recorded: OutcomeMatrix, logged: LoggedOutcomes | None) -> dict[str, Runs]:
    recorded = recorded if logged is None else logged.completed
    singles = reference_policies.SinglePairs.of(recorded)
    baselines = {"best_single": reference_policies.single_pair(recorded, singles.best)}
    filled = reference_policies.filled_pair(recorded, singles)
    if filled is not None:
        baselines["best_single_filled"] = filled
    if singles.cheapest is not None:
        baselines["cheapest"] = reference_policies.single_pair(recorded, singles.cheapest)
    baselines["random"] = reference_policies.random_pair(recorded)
    baselines["oracle"] = reference_policies.oracle(recorded) if logged is None else logged.runs(logged.best)
    if (lasting := lasting_oracle(table)) is not None:
        baselines["oracle_repeated"] = lasting
    return baselines
