"""What a store adds to a decision: the time that the answer's thread spends on it, and how fast the rows are written.

    python benchmarks/store.py [--url sqlite:///...] [--decisions 5000]

Times are medians over decisions of the whole loop (`solve` with a scripted router and executor), with and without a
store, taken in turn; and of the two calls of `Store.keep` alone.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from langchain_atlas import Query, Store, solve
from langchain_atlas.loop.identity import identified
from langchain_atlas.routers.baselines import SinglePairRouter
from langchain_atlas.testing import ScriptedExecutor
from langchain_atlas.trajectory import START

ROUTER = SinglePairRouter("small@@none")
EXECUTOR = ScriptedExecutor({"small@@none": "An answer of some length, as answers have."})


def microseconds(query: Query, store: Store | None) -> float:
    """Return how long one answer takes."""
    start = time.perf_counter_ns()
    solve(query, ROUTER, EXECUTOR, store=store)
    return (time.perf_counter_ns() - start) / 1000


def kept(query: Query, store: Store) -> float:
    """Return how long it takes to give a decision an id, and to queue it and its outcome."""
    decision, observation = ROUTER.decide(query), EXECUTOR.run(ROUTER.pair, query)
    start = time.perf_counter_ns()
    decision = identified(decision, ROUTER)
    store.keep(query, START, decision)
    store.keep(query, START, decision, observation)
    return (time.perf_counter_ns() - start) / 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url")
    parser.add_argument("--decisions", type=int, default=5000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = given.url or f"sqlite:///{Path(folder)}/atlas.db"
        store = Store(url, queue_size=10 * given.decisions, spill_folder=Path(folder) / "spill")
        queries = [Query(text=f"How much is {number} times {number}?") for number in range(given.decisions)]
        for query in queries[:200]:
            microseconds(query, store)
        without, with_it = [], []
        start = time.perf_counter()
        for query in queries:
            without.append(microseconds(query, None))
            with_it.append(microseconds(query, store))
        alone = [kept(query, store) for query in queries]
        store.flush(600)
        took = time.perf_counter() - start
        base, full, queue = map(statistics.median, (without, with_it, alone))
        print(f"answer without a store: {base:.1f} us, with: {full:.1f} us, difference {full - base:.1f} us (medians)")
        tail = statistics.quantiles(alone, n=100)[98]
        print(f"id, decision and outcome queued: {queue:.1f} us at the median, {tail:.1f} us at the 99th percentile")
        print(f"{store.counts.written} rows written in {took:.1f} s while answering; {store.counts}")
        store.close()


if __name__ == "__main__":
    main()
