"""Shadow and canary on recorded outcomes: how often their verdicts are right, and after how many queries.

The live router and the candidate each send every query to one pair of BFCL's table. The two pairs are chosen by how far
their accuracies are apart. Queries come in random order, with repetition; every one is compared, until there is a
verdict. The runs feed the sequential test with the recorded scores; a few of them go through the whole of
`ShadowRouter`, with a loop, an executor and a check, and must end the same.

Run with: make bench-shadow
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from common import Clock, check, load, options, show, show_checks, write

from langchain_atlas import Observation, Pair, Query, ShadowRouter, solve
from langchain_atlas.routers.trial.canary_state import CanaryState
from langchain_atlas.routers.trial.sequential import SequentialTest
from langchain_atlas.routers.trial.state_file import StateFile
from langchain_atlas.testing import ScriptedExecutor, ScriptedRouter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from langchain_atlas.outcomes import OutcomeTable

GAIN = 0.02
ERROR = 0.05
RUNS = 400
WHOLE = 2
MOST = 40_000
MOST_CANARY = 200_000
LONG = 20_000
CANARIES = 250
APART = {"better by 5 points": 0.05, "better by 2 points": 0.02, "no better": 0.0, "worse by 2 points": -0.02}
ROLLED_BACK = {"no worse": 0.0, "worse by 5 points": -0.05, "worse by 10 points": -0.10}
SHARE = 0.05


@dataclass(frozen=True)
class Two:
    """Two pairs, and their scores on the same queries."""

    live: Pair
    """The live router's pair."""
    candidate: Pair
    """The candidate's pair."""
    scores: NDArray[np.float64]
    """Scores of both, shape [n_queries, 2]."""

    @property
    def difference(self) -> float:
        """Accuracy of the candidate minus that of the live router."""
        return float(np.diff(self.scores.mean(axis=0))[0])


def apart(table: OutcomeTable, wanted: float) -> Two:
    """Return the two pairs among the better half whose accuracies are apart by nearest to `wanted`."""
    scores = table.matrix("score")
    whole = np.flatnonzero((~np.isnan(scores)).all(axis=0))
    means = scores[:, whole].mean(axis=0)
    kept = whole[means >= np.median(means)]
    means = scores[:, kept].mean(axis=0)
    gaps = np.abs(means[None, :] - means[:, None] - wanted) + np.where(np.eye(len(kept), dtype=bool), 9.0, 0.0)
    live, candidate = np.unravel_index(int(gaps.argmin()), gaps.shape)
    columns = [int(kept[live]), int(kept[candidate])]
    return Two(table.pairs[columns[0]], table.pairs[columns[1]], scores[:, columns])


def watched(two: Two, seed: int) -> tuple[str, int]:
    """Return the verdict of the test, and after how many queries."""
    rng = np.random.default_rng(seed)
    test = SequentialTest(0.0, GAIN, ERROR)
    differences = two.scores[:, 1] - two.scores[:, 0]
    for at in rng.integers(0, len(differences), MOST):
        if test.add(float(differences[at])) != "open":
            break
    return {"above": "switch", "below": "don't", "open": "not yet"}[test.verdict], test.count


def watched_whole(two: Two, seed: int) -> tuple[str, int]:
    """Return the same from `ShadowRouter` itself, within the loop."""
    rng = np.random.default_rng(seed)
    column = {str(two.live): 0, str(two.candidate): 1}
    executor = ScriptedExecutor(lambda pair, _: Observation(pair=pair, answer=str(pair), cost_usd=0.0))

    def compare(query: Query, first: str, second: str) -> tuple[float, float]:
        row = two.scores[int(str(query.id))]
        return float(row[column[first]]), float(row[column[second]])

    live, candidate = ScriptedRouter(two.live), ScriptedRouter(two.candidate)
    settings: dict[str, Any] = {"share": 1.0, "max_cost": float("inf"), "gain": GAIN, "error": ERROR}
    with ShadowRouter(live, candidate, executor=executor, check=compare, **settings) as router:
        for count, at in enumerate(rng.integers(0, len(two.scores), MOST), 1):
            solve(Query(text="?", id=str(at)), router, executor)
            if count % 100 == 0:
                router.wait()
                if router.report().verdict != "not yet":
                    break
        return router.report().verdict, router.report().compared


def rolled_back(two: Two, seed: int, most: int) -> tuple[str, int]:
    """Return what becomes of a canary, and after how many queries of both; outcomes go to its state."""
    rng = np.random.default_rng(seed)
    state = CanaryState(SequentialTest(-GAIN, 0.0, ERROR), StateFile(None, "canary", {}))
    rows, drawn = rng.integers(0, len(two.scores), most), rng.random(most) < SHARE
    for count, (row, is_candidate) in enumerate(zip(rows, drawn, strict=True), 1):
        state.take("candidate" if is_candidate else "live", float(two.scores[row, int(is_candidate)]))
        if state.test.is_below:
            return "rolled back", count
    return "running", most


def spread(counts: list[int]) -> str:
    """Return the median, and where nine of ten lie."""
    low, middle, high = np.quantile(np.array(counts), [0.05, 0.5, 0.95])
    return f"{middle:,.0f} ({low:,.0f} to {high:,.0f})"


def shadows(table: OutcomeTable, seeds: Sequence[int], clock: Clock) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the figures and the checks of the shadow router."""
    rows, checks, figures = [], [], {}
    for name, wanted in APART.items():
        two = apart(table, wanted)
        right = "switch" if wanted > 0 else "don't"
        with clock.part("shadow"):
            ended = [watched(two, seed) for seed in seeds]
            whole = [watched_whole(two, seed) for seed in range(WHOLE)]
        share = sum(verdict == right for verdict, _ in ended) / len(ended)
        counts = [count for _, count in ended]
        differing = float((two.scores[:, 0] != two.scores[:, 1]).mean())
        gap = f"{100 * two.difference:+.2f}"
        rows.append((name, gap, f"{100 * differing:.0f}%", right, f"{100 * share:.1f}%", spread(counts)))
        checks.append(check(f"shadow, {name}: 95 of 100 are right", f"{100 * share:.1f}%", passed=share >= 1 - ERROR))
        checks.append(check(f"shadow, {name}: the router ends as the test", f"{whole}", passed=whole == ended[:WHOLE]))
        figures[name] = {"points": 100 * two.difference, "differing": differing, "right": share, "queries": counts}
    show("Shadow", ("candidate", "points", "differing", "right", "right verdicts", "queries, median (90%)"), rows)
    return figures, checks


def canaries(table: OutcomeTable, seeds: Sequence[int], clock: Clock) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the figures and the checks of the canary."""
    rows, checks, figures = [], [], {}
    for name, wanted in ROLLED_BACK.items():
        two = apart(table, wanted)
        with clock.part("canary"):
            ended = [rolled_back(two, seed, MOST_CANARY if wanted else LONG) for seed in seeds]
        share = sum(status == "rolled back" for status, _ in ended) / len(ended)
        counts = [count for _, count in ended]
        rows.append((name, f"{100 * two.difference:+.2f}", f"{100 * share:.0f}%", spread(counts)))
        is_right = share >= 1 - ERROR if wanted else share <= ERROR
        checks.append(check(f"canary, {name}", f"{100 * share:.0f}% rolled back", passed=is_right))
        figures[name] = {"points": 100 * two.difference, "rolled_back": share, "queries": counts}
    show("Canary", ("candidate", "points", "rolled back", "queries of both, median (90%)"), rows)
    return figures, checks


def main() -> None:
    """Run the benchmark."""
    given = options("shadow", str(__doc__), seeds=RUNS)
    clock, table = Clock(), load("bfcl_pairs.parquet")
    shadow, checks = shadows(table, given.seeds, clock)
    canary, more = canaries(table, given.seeds[:CANARIES], clock)
    show_checks([*checks, *more])
    write(given.out, {"shadow": shadow, "canary": canary, "checks": [*checks, *more]}, clock)


if __name__ == "__main__":
    main()
