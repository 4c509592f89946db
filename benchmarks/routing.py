"""What deciding costs: time on top of the encoder's own, and whether it grows with what was logged.

Overhead is the time of a decision over that of the encoder's `encode` on the same text, in the same run, nothing
cached: the two are measured in turns, and the medians compared. Growth is the time of a decision, with an encoder that
takes next to none, after learning from a thousand to a million logged queries: the router is fitted on the first
thousands and then takes in the rest by `partial_fit`, a part at a time, so that memory stays bounded.

What a large pool costs is measured the same way, in processor time, with a router fitted on a few outcomes of each of
many pairs.

Run with: make bench-routing
"""

from __future__ import annotations

import argparse
import statistics
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from common import RESULTS, Clock, check, show, show_checks, tell, write

from langchain_atlas import demo
from langchain_atlas.encoders import Encoder, SentenceTransformerEncoder
from langchain_atlas.evaluation.profiling.queries import read_queries
from langchain_atlas.outcomes import COLUMNS, OutcomeTable
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.trajectory import Query

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

BESIDE = {100: 100e-6, 10_000: 1e-3}
"""Processor time of a decision beside the encoder's, in seconds, at most; by number of pairs."""
POOL_QUERIES, FEWEST_A_QUERY = 400, 40
ONE, MANY = 1, 256
TARGETS = {ONE: 1.10, MANY: 1.05}
REPEATS = {ONE: 300, MANY: 10}
LOGGED = (1_000, 10_000, 100_000, 1_000_000)
FIRST, PART = 5_000, 50_000
"""Queries that are clustered, and queries that are then added at a time."""
N_PAIRS = 40
DIMENSION = 384
FLAT = 1.2
"""A decision after the most queries may take this much longer than after the fewest: the noise of a busy machine."""


class NumberedEncoder(Encoder):
    """Gives the text that ends in number n the sum of two fixed vectors, by n; takes next to no time."""

    def __init__(self) -> None:
        super().__init__("numbered", cache_size=0)
        draw = np.random.default_rng(0)
        self._coarse = draw.normal(size=(40, DIMENSION)).astype(np.float32)
        self._fine = draw.normal(size=(1009, DIMENSION)).astype(np.float32)

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        numbers = np.array([int(text.rpartition(" ")[2]) for text in texts])
        vectors: NDArray[np.float32] = self._coarse[numbers % 40] + self._fine[numbers % 1009]
        return vectors


def seconds(work: Callable[[], object]) -> float:
    """Return the wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def overhead(size: int, router: ClusterRouter, texts: list[str]) -> dict[str, float]:
    """Compare deciding with encoding, on batches of one size, in turns."""
    encoder = router.encoder
    draw = np.random.default_rng(size)
    deciding: list[float] = []
    encoding: list[float] = []
    for turn in range(REPEATS[size] + 1):
        batch = [texts[number] for number in draw.choice(len(texts), size, replace=False)]
        queries = [Query(text=text) for text in batch]
        decide = (lambda: router.decide(queries[0])) if size == ONE else (lambda: router.decide_batch(queries))  # noqa: B023
        works = [(deciding, decide), (encoding, lambda: encoder.encode(batch))]  # noqa: B023
        for times, work in works if turn % 2 else reversed(works):
            times.append(seconds(work))
    # The first turn warms both up.
    decided, encoded = statistics.median(deciding[1:]), statistics.median(encoding[1:])
    return {"decide_s": decided, "encode_s": encoded, "ratio": decided / encoded}


def measure_overhead() -> dict[int, dict[str, float]]:
    """Measure one query and a batch, on the demo's questions, with the default encoder and nothing remembered."""
    texts = [item.query.text for item in read_queries(demo.QUERIES)]
    while len(texts) < 2 * MANY:
        texts += [f"{text} (again, {len(texts)})" for text in texts]
    numbers = np.repeat(np.arange(len(texts)), N_PAIRS)
    outcomes = table_of(np.array(texts)[numbers], numbers, np.tile(np.arange(N_PAIRS), len(texts)))
    router = ClusterRouter(SentenceTransformerEncoder(cache_size=0)).fit(outcomes)
    return {size: overhead(size, router, texts) for size in (ONE, MANY)}


def table_of(texts: NDArray[np.str_], numbers: NDArray[np.int64], pairs: NDArray[np.int64]) -> OutcomeTable:
    """Make up outcomes: query number n is of one of 40 kinds, and a pair is right on its own, and now and then."""
    right = (numbers % 40 == pairs) | ((numbers + pairs) * 7919 % 3 == 0)
    columns = {
        "query_id": pa.array([f"q{number}" for number in numbers]),
        "query": pa.array(texts),
        "domain": pa.array(["logged"] * len(numbers)),
        "model": pa.array([f"model-{pair}" for pair in pairs]),
        "tool": pa.array(["none"] * len(numbers)),
        "score": pa.array(right.astype(np.float64)),
        "cost_usd": pa.array(0.001 * (1.0 + pairs)),
        "latency_s": pa.array(0.5 + 0.1 * pairs),
    }
    given = pa.table(columns)
    for column in COLUMNS:
        if column.name not in columns:
            given = given.append_column(column.name, pa.nulls(len(numbers)))
    return OutcomeTable(given, "made-up outcomes")


def logged(start: int, stop: int) -> OutcomeTable:
    """Make outcomes of queries `start` to `stop`, of one pair each."""
    numbers = np.arange(start, stop)
    return table_of(np.array([f"logged query {number}" for number in numbers]), numbers, numbers // 3 % N_PAIRS)


def measure_growth(most: int) -> dict[int, dict[str, float]]:
    """Measure decisions after learning from ever more logged queries; one router, which goes on learning."""
    router, known, spent = ClusterRouter(NumberedEncoder()), 0, 0.0
    measured = {}
    for count in (number for number in LOGGED if number <= most):
        spent += seconds(partial(learn, router, known, count))
        known = count
        measured[count] = {**decision_times(router), "learned_in_s": spent}
        tell(f"  {count:,} logged queries: {1e6 * measured[count]['decide_s']:.0f} microseconds a decision")
    return measured


def learn(router: ClusterRouter, known: int, count: int) -> None:
    """Let a router that knows the first logged queries learn those up to `count`."""
    if known < FIRST:
        known = min(count, FIRST)
        router.fit(logged(0, known))
    for place in range(known, count, PART):
        router.partial_fit(logged(place, min(place + PART, count)))


def decision_times(router: ClusterRouter) -> dict[str, float]:
    """Return the median seconds of a decision and of a batch, on queries that were not logged."""
    asked = [Query(text=f"new query {number}") for number in range(10**7, 10**7 + MANY)]
    one = [seconds(partial(router.decide, query)) for query in asked]
    many = [seconds(lambda: router.decide_batch(asked)) for _ in range(REPEATS[MANY])]
    return {"decide_s": statistics.median(one[10:]), "decide_batch_s": statistics.median(many[1:])}


def pool_of(n_pairs: int) -> OutcomeTable:
    """Make outcomes of a pool of so many pairs: of each pair some, and of each query at least 40."""
    each = max(FEWEST_A_QUERY, -(-n_pairs // POOL_QUERIES))
    numbers = np.repeat(np.arange(POOL_QUERIES), each)
    texts = np.array([f"logged query {number}" for number in numbers])
    return table_of(texts, numbers, np.arange(len(numbers)) % n_pairs)


def measure_pool(n_pairs: int) -> dict[str, float]:
    """Return the median processor time of a decision over a pool, and of the encoder in it, in turns."""
    router = ClusterRouter(NumberedEncoder()).fit(pool_of(n_pairs))
    deciding: list[float] = []
    encoding: list[float] = []
    for number in range(10**7, 10**7 + MANY):
        query = Query(text=f"new query {number}")
        for times, work in (
            (deciding, partial(router.decide, query)),
            (encoding, partial(router.encoder.encode, [query.text])),
        ):
            start = time.thread_time()
            work()
            times.append(time.thread_time() - start)
    decided, encoded = statistics.median(deciding[10:]), statistics.median(encoding[10:])
    return {"decide_s": decided, "encode_s": encoded, "beside_s": decided - encoded}


def main() -> None:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(description="What deciding costs.")
    parser.add_argument("--most", type=int, default=LOGGED[-1], help="most logged queries to learn from")
    parser.add_argument("--pairs", type=int, nargs="*", default=list(BESIDE), help="sizes of pools to decide over")
    parser.add_argument("--out", type=Path, default=RESULTS / "routing.json", help="file for the figures")
    given, clock = parser.parse_args(), Clock()
    with clock.part("overhead"):
        ratios = measure_overhead()
    with clock.part("growth"):
        growth = measure_growth(max(given.most, LOGGED[0]))
    with clock.part("pools"):
        pools = {n_pairs: measure_pool(n_pairs) for n_pairs in given.pairs}
    show(
        "Deciding over a pool, processor time beside the encoder, medians",
        ("pairs", "microseconds", "target"),
        [
            (f"{n_pairs:,}", f"{1e6 * it['beside_s']:.0f}", f"{1e6 * BESIDE[n_pairs]:.0f}" if n_pairs in BESIDE else "")
            for n_pairs, it in pools.items()
        ],
    )
    show(
        "Deciding against encoding alone, medians",
        ("queries at once", "decide, ms", "encode, ms", "ratio", "target"),
        [
            (
                str(size),
                f"{1e3 * it['decide_s']:.2f}",
                f"{1e3 * it['encode_s']:.2f}",
                f"{it['ratio']:.3f}",
                f"{TARGETS[size]:.2f}",
            )
            for size, it in ratios.items()
        ],
    )
    show(
        "Deciding after learning from ever more logged queries, without the encoder, medians",
        ("logged queries", "one, microseconds", f"batch of {MANY}, ms", "learned in, s"),
        [
            (
                f"{count:,}",
                f"{1e6 * it['decide_s']:.0f}",
                f"{1e3 * it['decide_batch_s']:.1f}",
                f"{it['learned_in_s']:.1f}",
            )
            for count, it in growth.items()
        ],
        f"The first {FIRST:,} queries are clustered; the rest is added with partial_fit, {PART:,} at a time.",
    )
    checks = [*_checks(ratios, growth), *_pool_checks(pools)]
    show_checks(checks)
    write(given.out, {"overhead": ratios, "growth": growth, "pools": pools, "must_show": checks}, clock)


def _pool_checks(pools: dict[int, dict[str, float]]) -> list[dict[str, Any]]:
    return [
        check(
            f"beside the encoder, over {n_pairs:,} pairs: at most {1e6 * BESIDE[n_pairs]:.0f} microseconds",
            f"{1e6 * it['beside_s']:.0f}",
            passed=it["beside_s"] <= BESIDE[n_pairs],
        )
        for n_pairs, it in pools.items()
        if n_pairs in BESIDE
    ]


def _checks(ratios: dict[int, dict[str, float]], growth: dict[int, dict[str, float]]) -> list[dict[str, Any]]:
    few, most = min(growth), max(growth)
    ratio = growth[most]["decide_s"] / growth[few]["decide_s"]
    checks = [
        check(
            f"deciding takes at most {target:.2f} times the encoder's time, {size} at once",
            f"{ratios[size]['ratio']:.3f}",
            passed=ratios[size]["ratio"] <= target,
        )
        for size, target in TARGETS.items()
    ]
    flat = f"flat from {few:,} to {most:,} logged queries"
    return [*checks, check(flat, f"{ratio:.2f} times as long", passed=ratio <= FLAT)]


if __name__ == "__main__":
    main()
