"""What large work costs: many settings replayed, a table of ten million outcomes, path two beside path one.

Parts: `replay` (nine settings of path two, together and each query alone, in one run), `fit` (made-up outcomes, learned
in parts; an encoder that takes next to no time), `decide` (both paths on new texts, nothing remembered, with the
process's own threads).

Run with: make bench-scale
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
from bfcl import main_pool
from common import RESULTS, Clock, check, encoder_for, load, show_checks, split, tell, write
from routing import N_PAIRS, NumberedEncoder, decision_times, seconds, table_of

from langchain_atlas.encoders import SentenceTransformerEncoder
from langchain_atlas.evaluation.replay.runs import run_routers
from langchain_atlas.execution.replay import ReplayExecutor
from langchain_atlas.learning.ppo import PPOConfig
from langchain_atlas.learning.training import TrainingConfig, train
from langchain_atlas.loop.turns import solve
from langchain_atlas.outcomes.parts import parted
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.cluster.streaming import fitted_on_parts
from langchain_atlas.trajectory import Query

if TYPE_CHECKING:
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.outcomes.parts import Parts
    from langchain_atlas.routers.policy.router import RLRouter

PARTS = ("replay", "fit", "decide")
WEIGHTS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
PER_QUERY = 10
"""Outcomes of each made-up query."""
WRITTEN = 50_000
REPEATS = 60
SLOWER, MINUTES, GIGABYTES = 1.5, 10, 6


def trained(training: OutcomeTable, encoder: Any) -> RLRouter:
    """Return a policy of few steps: what it costs does not depend on how good it is."""
    return train(training, encoder, config=TrainingConfig(ppo=PPOConfig(steps=10)), seed=0)


def replay(router: RLRouter, test: OutcomeTable) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Replay nine settings together, and each query of each setting alone; the same paths must come of it."""
    executor = ReplayExecutor(test)
    routers = {str(weight): router.configure(cost_weight=weight).restrict(test.pairs) for weight in WEIGHTS}
    start = time.process_time()
    runs = run_routers(routers, executor)
    together, start = time.process_time() - start, time.process_time()
    differing = 0
    for name, one in routers.items():
        for number, query in enumerate(test.queries):
            wanted = query.replace(constraints=query.constraints.replace(pairs=executor.recorded(query)))
            path = tuple(test.pair_number(seen.pair) for seen in solve(wanted, one, executor).observations)
            differing += path != runs[name].paths[number]
    alone = time.process_time() - start
    figures = {"together_s": together, "alone_s": alone, "ratio": alone / together, "differing": differing}
    what = f"nine settings on {len(test.query_ids)} queries come to the same, together and each query alone"
    told = f"{together:.1f} s of CPU against {alone:.1f}; {differing} paths differ"
    return figures, [check(what, told, passed=differing == 0)]


def written(path: Path, n_queries: int) -> None:
    """Write made-up outcomes, in parts."""
    writer = None
    for start in range(0, n_queries, WRITTEN):
        numbers = np.repeat(np.arange(start, min(start + WRITTEN, n_queries)), PER_QUERY)
        pairs = (numbers * 7 + np.tile(np.arange(PER_QUERY), len(numbers) // PER_QUERY) * 4) % N_PAIRS
        part = table_of(np.array([f"logged query {number}" for number in numbers]), numbers, pairs).table
        writer = writer or pq.ParquetWriter(path, part.schema)
        writer.write_table(part)
    if writer is not None:
        writer.close()


def learned(parts: Parts) -> ClusterRouter:
    """Fit a router on the first part, and let it learn the others."""
    first, *others = parts.paths
    router = ClusterRouter(NumberedEncoder()).fit(parts.read(first))
    return fitted_on_parts(router, map(parts.read, others))


def fit(n_outcomes: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Fit on a large table, read from disk in parts."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outcomes.parquet"
        written(path, n_outcomes // PER_QUERY)
        tell("  written; learning")
        began, start = time.perf_counter(), time.process_time()
        with parted(path) as parts:
            router = learned(parts)
        wall, cpu = time.perf_counter() - began, time.process_time() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    figures = {"outcomes": n_outcomes, "wall_s": wall, "cpu_s": cpu, "memory_gb": memory, **decision_times(router)}
    what = f"{n_outcomes:,} outcomes learned within {MINUTES} minutes and {GIGABYTES} GB"
    passed = wall <= 60 * MINUTES and memory <= GIGABYTES
    return figures, [check(what, f"{wall:.0f} s ({cpu:.0f} of CPU), {memory:.1f} GB", passed=passed)]


def decide(router: RLRouter, training: OutcomeTable) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Measure both paths in turns on texts that nobody has seen."""
    cluster = ClusterRouter(router.encoder).fit(training)
    cluster.encoder = router.encoder = SentenceTransformerEncoder(cache_size=0)
    times: dict[str, list[float]] = {"cluster": [], "rl": []}
    for number in range(REPEATS):
        query = Query(text=f"What is the weather in town number {number} tomorrow?")
        for name, one in (("cluster", cluster), ("rl", router)):
            times[name].append(seconds(partial(one.decide, query)))
    median = {name: statistics.median(each[REPEATS // 6 :]) for name, each in times.items()}
    ratio = median["rl"] / median["cluster"]
    what = f"path two decides in at most {SLOWER} times path one's time"
    return {"median_s": median, "ratio": ratio}, [check(what, f"{ratio:.2f}", passed=ratio <= SLOWER)]


def main() -> None:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(description="What large work costs.")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure (default: all)")
    parser.add_argument("--outcomes", type=int, default=10_000_000, help="outcomes to fit on (default %(default)s)")
    parser.add_argument("--out", type=Path, default=RESULTS / "scale.json", help="file for the figures")
    asked, clock = parser.parse_args(), Clock()
    figures: dict[str, Any] = {}
    checks: list[dict[str, Any]] = []
    if "fit" in asked.parts:
        with clock.part("fit"):
            figures["fit"], shown = fit(asked.outcomes)
        checks += shown
    if {"replay", "decide"} & set(asked.parts):
        training, test = split(main_pool(load("bfcl_pairs.parquet")), 0)
        with clock.part("train"):
            router = trained(training, encoder_for(training, test))
        if "replay" in asked.parts:
            with clock.part("replay"):
                figures["replay"], shown = replay(router, test)
            checks += shown
        if "decide" in asked.parts:
            with clock.part("decide"):
                figures["decide"], shown = decide(router, training)
            checks += shown
    show_checks(checks)
    write(asked.out, {**figures, "must_show": checks}, clock)


if __name__ == "__main__":
    main()
