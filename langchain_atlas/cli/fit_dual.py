"""``fit --router dual``: join a fitted and a trained router, with the switch calibrated on the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_atlas.cli.shared import common
from langchain_atlas.errors import OutcomeError, SettingError
from langchain_atlas.progress import Steps

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from langchain_atlas.evaluation.replay.runs import Runs
    from langchain_atlas.outcomes import OutcomeTable

_TWO = 2


def join(router: str, parts: str | None, table: OutcomeTable, out: Path, *, seed: int, json: Path | None) -> None:
    """Join two saved routers and save the result.

    Raises:
        SettingError: the options can't be combined, or a part is of the wrong kind.
        OutcomeError: most queries are recorded for one pair only.
    """
    from langchain_atlas.evaluation.replay.overlap import learned_from
    from langchain_atlas.evaluation.replay.runs import run_router
    from langchain_atlas.execution.replay import ReplayExecutor
    from langchain_atlas.routers.dual import DualRouter, calibrate
    from langchain_atlas.routers.saved.artifact import load_with_settings
    from langchain_atlas.routers.saved.fingerprints import fingerprints, united
    from langchain_atlas.routers.utility.unpaired import is_unpaired

    folders = [part.strip() for part in (parts or "").split(",") if part.strip()]
    if router != "dual" or len(folders) != _TWO:
        raise SettingError(
            f"--router {router!r} {'has no --parts' if parts is None else f'with --parts {parts!r}'}: a dual router is "
            "fitted with '--router dual --parts CLUSTER_DIR,RL_DIR', and no other kind has parts."
        )
    first, second = (load_with_settings(folder) for folder in folders)
    if is_unpaired(table.matrix("score")):
        raise OutcomeError(
            f"Most queries of {table.source} are recorded for one pair only, so the parts can't be compared on them. "
            "Record several pairs on some queries with 'langchain-atlas profile'."
        )
    dual = DualRouter(first, second)  # type: ignore[arg-type]  # it says which kinds it wants
    executor = ReplayExecutor(table)
    runs: list[Runs] = []
    with common.progress("calibrating") as bar:
        step = Steps(3 * len(table.query_ids), bar)
        runs = [run_router(part, executor, on_query=step) for part in (dual.cluster, dual.second, dual.rl)]
    measured = runs[0].measured & runs[1].measured & runs[2].measured

    def of(run: Runs) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return run.score[measured], run.cost[measured]

    found = calibrate(dual.distances(table.queries)[measured], of(runs[0]), of(runs[1]), seed=seed)
    joined = DualRouter(dual.cluster, dual.rl, calibration=found)
    joined.fitted_on = united(joined.fitted_on, fingerprints(table.queries))
    joined.save(out)
    told = joined.calibration
    terminal = common.console()
    if known := max(count or 0 for count in learned_from({"cluster": dual.cluster, "rl": dual.rl}, table).values()):
        terminal.print(
            f"Note: a part was fitted on {known} of these {len(table.query_ids)} queries, which flatters it and "
            "misleads the switch. Join them with outcomes of queries that neither part has seen."
        )
    terminal.print(
        f"On {told.queries} queries, {common.percent(told.share)} take the cluster path, which changes accuracy by "
        f"{100 * told.gain:+.1f} points against the policy alone; {100 * told.error:.1f} may be lost."
    )
    calls = {"calls_per_query": _mean(runs[1].calls, measured), "calls_of_policy": _mean(runs[2].calls, measured)}
    terminal.print(
        f"The others are asked about again only where that is expected to bring {100 * joined.least_gain:.1f} points: "
        f"{calls['calls_per_query']:.2f} calls a query, against {calls['calls_of_policy']:.2f} by the policy alone, "
        f"which changes accuracy by {100 * _mean(runs[1].score - runs[2].score, measured):+.1f} points."
    )
    common.saved(terminal, out)
    common.write_json(json, {"router": joined.kind, "settings": dict(joined.settings), **vars(told), **calls})


def _mean(values: NDArray[np.float64], measured: NDArray[np.bool_]) -> float:
    return float(values[measured].mean())
