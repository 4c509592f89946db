"""What somebody gets who runs `fit` and `train` as they come: never worse than the best single pair, and cheaper.

Parts: `splits` (random 70/30), `drift` (trained on a few kinds of query, tested on the others), `logs` (40 to 1,000
logged queries), `knobs` (each turns one way), `guard` (what it costs on familiar queries, and how long it takes).
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import combinations, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from bfcl import main_pool
from common import RESULTS, Clock, check, encoder_for, load, money, show, show_checks, split, tell, write

from langchain_atlas.cli.shared.setting import set_as_measured
from langchain_atlas.evaluation.replay.benchmark import evaluate
from langchain_atlas.evaluation.replay.frontier import average_quality
from langchain_atlas.evaluation.replay.reference_policies import SinglePairs
from langchain_atlas.evaluation.settings.crossvalidation import measure_router
from langchain_atlas.evaluation.settings.policy_trials import measure_policy
from langchain_atlas.outcomes import OutcomeMatrix
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.utility.guard import most_accurate
from langchain_atlas.trajectory import START

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.routers.base import Router

PARTS = ("splits", "drift", "logs", "knobs", "guard")
PATHS = ("cluster", "rl")
TABLES = {
    "BFCL": "bfcl_pairs.parquet",
    "reasoning": "reasoning_pairs.parquet",
    "RouterBench": "routerbench.parquet",
    "ZeroEval": "zeroeval.parquet",
    "agentic": "agentic_pairs.parquet",
    "RouterDC": "routerdc.parquet",
}
COST_BARS = {("BFCL", "cluster"): 0.3, ("BFCL", "rl"): 0.12, ("reasoning", "cluster"): 0.6, ("reasoning", "rl"): 0.45}
DRIFTS = {"BFCL": (3, 15), "reasoning": (3, 5), "RouterBench": (2, 3), "ZeroEval": (2, 3), "RouterDC": (4, 5)}
"""Of each table, on how many kinds a router is trained, and how many draws of them."""

SIZES = (40, 100, 300, 1000)
MOST_TESTED = 2000
ROUNDING = 1e-9


def fitted(table: OutcomeTable, encoder: Encoder, path: str, seed: int) -> Router:
    """Return a router as `fit` or `train` makes it when nothing else is said."""
    if path == "cluster":
        unfitted = ClusterRouter(encoder, random_state=seed)
        curve = measure_router(unfitted, table, seed=seed)
        return set_as_measured(unfitted.fit(table), curve, {}, single_of(table))
    from langchain_atlas.learning.recordings import Recordings
    from langchain_atlas.learning.training import train

    recordings = Recordings.of(table, encoder)
    router = train(table, encoder, seed=seed, recordings=recordings)
    curve = measure_policy(router, recordings, seed=seed)
    return set_as_measured(router, curve, {}, single_of(table))


def single_of(table: OutcomeTable) -> str:
    """Return the best single pair of a table."""
    return str(table.pairs[most_accurate(table.matrix("score"))])


def compared(router: Router, training: OutcomeTable, test: OutcomeTable) -> dict[str, Any]:
    """Return what a router does on a test part, against the best single pair in hindsight and of the training part."""
    evaluation = evaluate({"router": router}, test, n_bootstrap=10)
    runs, result, best = evaluation.runs["router"], evaluation.routers["router"], evaluation.baselines["best_single"]
    bar = evaluation.baseline_runs["best_single"].score
    score, cost = test.matrix("score"), test.matrix("cost_usd")
    # Of the pairs that the test part has outcomes of at all; where one has some, only those queries are compared.
    there = [pair for pair in training.pairs if pair in set(test.pairs)]
    column = test.pair_number(there[most_accurate(training.matrix("score", there))])
    both = ~np.isnan(runs.score) & ~np.isnan(score[:, column])
    trained_cost = float(np.nanmean(cost[both, column])) if (~np.isnan(cost[both, column])).any() else None
    return {
        "versus_hindsight": 100 * float(np.nanmean(runs.score - bar)),
        "versus_trained": 100 * float((runs.score[both] - score[both, column]).mean()),
        "cost": result.cost_usd_per_1k,
        "cost_known": result.cost_known,
        "hindsight_cost": best.cost_usd_per_1k if best.cost_known > 0.9 else None,  # noqa: PLR2004
        "trained_cost": None if trained_cost is None else 1000 * trained_cost,
        "calls": result.calls_per_query,
        "latency": result.latency_s_mean,
        "setting": {name: router.settings.get(name) for name in ("value_usd", "always")},
    }


def ratio(rows: Sequence[dict[str, Any]], bar: str = "hindsight_cost") -> float | None:
    """Return mean cost over mean cost of the bar; None where one is unknown."""
    known = [row for row in rows if row["cost"] is not None and row[bar] and row["cost_known"] == 1]
    return sum(row["cost"] for row in known) / sum(row[bar] for row in known) if known else None


class Bench:
    """All parts, with the figures of each kept in the file as they come."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.asked, self.clock = asked, Clock()
        self.tables = {name: load(TABLES[name]) for name in asked.tables}
        if "BFCL" in self.tables and asked.main_pool:
            self.tables["BFCL"] = main_pool(self.tables["BFCL"])
        tell("encoding")
        self.encoder = encoder_for(*self.tables.values())
        self.figures: dict[str, Any] = json.loads(asked.out.read_text()) if asked.out.is_file() else {}
        self.checks: list[dict[str, Any]] = []

    def splits(self) -> None:
        """Random splits of every table."""
        done = self.figures.setdefault("splits", {})
        for name, table in self.tables.items():
            for path in self.asked.paths:
                rows = done.setdefault(f"{name} {path}", [])
                for seed in range(len(rows) + self.asked.first, self.asked.first + self.asked.seeds):
                    training, test = split(table, seed)
                    with self.clock.part(f"{path} {name}"):
                        rows.append(compared(fitted(training, self.encoder, path, seed), training, test))
                    tell(f"  {name} {path} seed {seed}: {_said(rows[-1])}")
                    self.keep()
        show(
            "Random splits, as it comes",
            ("", "hindsight", "training's best", "share of its cost", "calls", "settings"),
            [
                (
                    key,
                    f"{np.mean([row['versus_hindsight'] for row in rows]):+.2f}",
                    f"{np.mean([row['versus_trained'] for row in rows]):+.2f}",
                    _percent(ratio(rows)),
                    f"{np.mean([row['calls'] for row in rows]):.2f}",
                    ", ".join(_setting(row["setting"]) for row in rows),
                )
                for key, rows in done.items()
            ],
        )
        for key, rows in done.items():
            name, path = key.rsplit(" ", 1)
            loss, share = np.mean([row["versus_hindsight"] for row in rows]), ratio(rows)
            if name == "RouterDC":
                continue
            bar = COST_BARS.get((name, path), 1.0)
            fine = share is None or share <= bar + 1e-9
            told = f"{loss:+.2f} points at {_percent(share)}"
            self.checks.append(check(f"{key}: -0.7 at {bar:.0%}", told, passed=bool(loss >= -0.7 and fine)))  # noqa: PLR2004

    def drift(self) -> None:
        """Trained on a few kinds of query, tested on all others."""
        done = self.figures.setdefault("drift", {})
        for name, table in self.tables.items():
            for path in self.asked.paths:
                rows = done.setdefault(f"{name} {path}", {})
                for kinds in drawn_kinds(name, table, self.asked.first, self.asked.drifts):
                    if (key := "+".join(kinds)) in rows:
                        continue
                    others = [kind for kind in dict.fromkeys(table.domains) if kind not in kinds]
                    training, test = table.select(domains=kinds), table.select(domains=others)
                    with self.clock.part(f"drift {path} {name}"):
                        rows[key] = compared(fitted(training, self.encoder, path, 0), training, test)
                    tell(f"  {name} {path} {key}: {_said(rows[key])}")
                    self.keep()
        table_rows: list[tuple[Any, ...]] = []
        means: dict[str, list[tuple[str, float, float, int]]] = {path: [] for path in PATHS}
        for key, by_kinds in done.items():
            losses = [row["versus_trained"] for row in by_kinds.values()]
            if losses:
                means[key.rsplit(" ", 1)[1]].append((key, float(np.mean(losses)), min(losses), len(losses)))
                share = ratio(list(by_kinds.values()), "trained_cost")
                table_rows.append((key, len(losses), f"{np.mean(losses):+.2f}", f"{min(losses):+.2f}", _percent(share)))
        show(
            "Other kinds of query: points to the training part's best pair",
            ("", "drifts", "mean", "worst", "cost"),
            [tuple(map(str, row)) for row in table_rows],
        )
        for path, found in means.items():
            if found:
                mean = np.average([mean for _, mean, _, _ in found], weights=[count for *_, count in found])
                worst = min(mean for _, mean, _, _ in found)
                told = (
                    f"mean {mean:+.2f}, worst table {worst:+.2f}, worst drift {min(low for *_, low, _ in found):+.2f}"
                )
                self.checks.append(check(f"never worse, {path}", told, passed=bool(mean >= -0.3 and worst >= -1.0)))  # noqa: PLR2004

    def logs(self) -> None:
        """Few logged queries: the default against the best single pair of those queries."""
        done = self.figures.setdefault("logs", {})
        for name, table in self.tables.items():
            for size in self.asked.sizes:
                if size > len(table.query_ids) - 200:
                    continue
                rows = done.setdefault(f"{name} {size}", [])
                for draw in range(len(rows) + self.asked.first, self.asked.first + self.asked.draws):
                    names = np.random.default_rng(10_000 + draw).permutation(table.query_ids)
                    training = table.select(query_ids=names[:size].tolist())
                    test = table.select(query_ids=names[size : size + MOST_TESTED].tolist())
                    with self.clock.part(f"logs {name} {size}"):
                        rows.append(compared(fitted(training, self.encoder, "cluster", draw), training, test))
                self.keep()
                losses = [row["versus_trained"] for row in rows]
                tell(f"  {name}, {size} queries: mean {np.mean(losses):+.2f}, worst {min(losses):+.2f}")
        show(
            "Few logged queries: points to their best pair",
            ("", "draws", "mean", "5%", "worst", "routed", "cost"),
            [
                (
                    key,
                    str(len(rows)),
                    *(f"{f([row['versus_trained'] for row in rows]):+.2f}" for f in (np.mean, _low, min)),
                    f"{np.mean([row['setting']['always'] is None for row in rows]):.0%}",
                    _percent(ratio(rows, "trained_cost")),
                )
                for key, rows in done.items()
                if rows
            ],
        )
        for key, rows in done.items():
            if rows:
                losses = [row["versus_trained"] for row in rows]
                told = f"mean {np.mean(losses):+.2f}, worst of {len(rows)} {min(losses):+.2f}"
                self.checks.append(check(f"few queries, {key}: -1 in no draw", told, passed=min(losses) >= -1.0))

    def knobs(self) -> None:
        """Each knob over twenty values: expected and measured cost never rise with more weight on cost."""
        done = self.figures.setdefault("knobs", {})
        for name, table in self.tables.items():
            training, test = split(table, 0)
            router = fitted(training, self.encoder, "cluster", 0)
            if router.curve is None or router.curve.single.cost_usd_per_1k is None:
                continue
            for knob, values in knob_values(router).items():
                costs = []
                for value in values:
                    runs = evaluate({"r": router.configure(**{knob: value})}, test, n_bootstrap=2).runs["r"]
                    costs.append(1000 * float(np.nanmean(runs.cost)))
                rises = [after / before - 1 for before, after in pairwise(costs) if before > 0]
                done[f"{name} {knob}"] = {"values": list(values), "cost": costs, "most_risen": max([0.0, *rises])}
                tell(f"  {name} {knob}: {money(costs[0])} to {money(costs[-1])}, most risen {max([0.0, *rises]):.2%}")
            self.keep()
        for key, row in done.items():
            told = f"{money(row['cost'][0])} to {money(row['cost'][-1])}, most risen {row['most_risen']:.2%}"
            self.checks.append(check(f"{key} turns one way, measured", told, passed=row["most_risen"] <= ROUNDING))

    def guard(self) -> None:
        """What the guard costs on familiar queries, and in microseconds."""
        done = self.figures.setdefault("guard", {})
        for name in ("BFCL", "reasoning"):
            if name not in self.tables:
                continue
            quality: dict[str, list[float]] = {"guard": [], "no guard": []}
            for seed in range(self.asked.seeds):
                training, test = split(self.tables[name], seed)
                router = ClusterRouter(self.encoder, random_state=seed).fit(training)
                singles = SinglePairs.of(OutcomeMatrix.of(test).scored())
                low, high = 1000 * float(np.nanmin(singles.priced_cost)), 1000 * float(singles.cost[singles.best])
                for kind, one in (("guard", router), ("no guard", router.configure(guard=0.0))):
                    points = swept(one, test)
                    quality[kind].append(average_quality(points[:, 0], points[:, 1], low=low, high=high))
            done[name] = {kind: float(np.mean(values)) for kind, values in quality.items()}
            lost = 100 * (done[name]["no guard"] - done[name]["guard"])
            told = f"AIQ {100 * done[name]['guard']:.2f}, without it {100 * done[name]['no guard']:.2f}"
            self.checks.append(check(f"{name}: the guard costs at most 0.2", told, passed=lost <= 0.2))  # noqa: PLR2004
            done[name]["microseconds"] = micro = guard_time(router, test)
            self.checks.append(check(f"{name}: under 100 microseconds", f"{micro:.0f}", passed=micro < 100))  # noqa: PLR2004
        self.keep()

    def keep(self) -> None:
        """Write what is measured so far, so that nothing is lost if the rest is cut off."""
        self.asked.out.parent.mkdir(parents=True, exist_ok=True)
        self.asked.out.write_text(json.dumps(self.figures, indent=1) + "\n")


def drawn_kinds(name: str, table: OutcomeTable, first: int, most: int | None) -> Iterator[list[str]]:
    """Draw kinds of query to train on; always the same ones, from the given one on."""
    if name not in DRIFTS:
        return
    size, count = DRIFTS[name]
    found = list(combinations(sorted(set(table.domains)), size))
    order = np.random.default_rng(14).permutation(len(found))
    for number in order[:count][first:][:most]:
        yield list(found[number])


def knob_values(router: Router) -> dict[str, list[float]]:
    """Return twenty values of each knob, each list with ever more weight on cost."""
    curve = router.curve
    assert curve is not None  # noqa: S101  # the caller saw to it
    dear, cheap = (pick(point.cost_usd_per_1k or 0.0 for point in curve.points) for pick in (max, min))
    top = max(point.value_usd or 0.0 for point in curve.points)
    return {
        "value_usd": np.geomspace(top, top * 1e-6, 20).tolist(),
        "alpha": np.linspace(0.0, 1.0, 20).tolist(),
        "target": np.linspace(0.0, 10.0, 20).tolist(),
        "budget": np.geomspace(dear, cheap * 1.001, 20).tolist(),
    }


def swept(router: ClusterRouter, test: OutcomeTable) -> np.ndarray[Any, Any]:
    """Return dollars for 1000 queries and accuracy at many settings, shape [n_settings, 2]."""
    score, cost = test.matrix("score", router.pairs), test.matrix("cost_usd", router.pairs)
    values = np.nanmax(cost.mean(axis=0)) * np.geomspace(1e-2, 1e4, 61)
    chosen = router.sweep(test.queries, ~np.isnan(score), values)
    rows = np.arange(len(score))
    return np.array([(1000 * np.nanmean(cost[rows, at]), np.nanmean(score[rows, at])) for at in chosen])


def guard_time(router: ClusterRouter, test: OutcomeTable, repeats: int = 7) -> float:
    """Return the microseconds that the guard adds to a decision, at the median over repeats."""
    items = router._prepare(test.queries[:200])  # noqa: SLF001  # the encoder's time is not the guard's
    query, found = test.queries[0], []
    for _ in range(repeats):
        took = []
        for one in (router, router.configure(guard=0.0)):
            start = time.perf_counter()
            for item in items:
                one._decide(query, START, item)  # noqa: SLF001
            took.append((time.perf_counter() - start) / len(items))
        found.append(1e6 * (took[0] - took[1]))
    return float(np.median(found))


def _low(values: Sequence[float]) -> float:
    return float(np.quantile(values, 0.05))


def _said(row: dict[str, Any]) -> str:
    return (
        f"hindsight {row['versus_hindsight']:+.2f}, trained {row['versus_trained']:+.2f}, ${money(row['cost'])} "
        f"(${money(row['trained_cost'])}), {row['calls']:.2f} calls, {_setting(row['setting'])}"
    )


def _setting(setting: dict[str, Any]) -> str:
    return (
        "one pair"
        if setting["always"]
        else "accuracy"
        if setting["value_usd"] is None
        else f"{setting['value_usd']:.2g}"
    )


def _percent(share: float | None) -> str:
    return "?" if share is None else f"{share:.0%}"


def main() -> None:
    """Measure, print, and write the figures; what the file holds already is not measured again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--paths", nargs="+", choices=PATHS, default=PATHS)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--seeds", type=int, default=5, help="how many splits (default %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first split, drift or draw (default %(default)s)")
    parser.add_argument("--drifts", type=int, default=None, help="most drifts of a table (default: all)")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of logged queries (default: all)")
    parser.add_argument("--draws", type=int, default=100, help="draws of few queries (default %(default)s)")
    parser.add_argument("--main-pool", action="store_true", help="BFCL's main pool of 38 pairs in place of all 71")
    parser.add_argument("--out", type=Path, default=RESULTS / "as_it_comes.json")
    asked = parser.parse_args()
    bench = Bench(asked)
    for part in asked.parts:
        getattr(bench, part)()
    show_checks(bench.checks)
    write(asked.out, bench.figures, bench.clock)


if __name__ == "__main__":
    main()
