"""What encoding takes: ONNX Runtime beside sentence-transformers' own `encode`, and whether routers choose the same."""

from __future__ import annotations

import argparse
import statistics
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from common import RESULTS, ROOT, Clock, check, load, show, show_checks, tell, write

from langchain_atlas.encoders import SentenceTransformerEncoder, StaticEncoder
from langchain_atlas.routers.cluster.router import ClusterRouter

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.outcomes import OutcomeTable

QUERY = "What is the capital of France, and how many people live there?"
SEED = 0
TARGETS = {"onnx": 0.36, "int8": 0.13, "static": 0.02}
SAME = {"onnx": 0.995, "int8": 0.97}
TABLE_TARGET = 3.0
TURN = 10
PAUSE_S = 0.05


def encoders(static: Path) -> dict[str, Encoder]:
    """Return the encoders, none of which remembers a text; the static one only where it was distilled."""
    made: dict[str, Encoder] = {
        "torch": SentenceTransformerEncoder(cache_size=0, backend="torch"),
        "onnx": SentenceTransformerEncoder(cache_size=0, backend="onnx"),
        "int8": SentenceTransformerEncoder(cache_size=0, backend="onnx", precision="int8"),
    }
    if static.is_dir():
        made["static"] = StaticEncoder(str(static), cache_size=0)
    return made


def ways(made: dict[str, Encoder]) -> dict[str, Callable[[list[str]], Any]]:
    """Return what is timed: sentence-transformers' own method, and ours."""
    torch: Any = made["torch"]
    own = torch._model().model.encode  # noqa: SLF001  # the original, without ours around it
    theirs = {"sentence-transformers": lambda texts: own(texts, show_progress_bar=False)}
    return {**theirs, **{name: encoder.encode for name, encoder in made.items() if name != "torch"}}


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Return the seconds of some work: of the clock, and of all processors."""
    start, spent = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - spent


def one_query(given: dict[str, Callable[[list[str]], Any]], repeats: int) -> dict[str, dict[str, float]]:
    """Return the medians of one query, the ways taking turns, so that what else runs slows all alike.

    A turn is several encodings, after a pause: torch's threads go on waiting for work on the other processors for a
    while, and would hold up whoever comes next.
    """
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in given}
    for way in given.values():
        way([QUERY])  # loads
    for _ in range(-(-repeats // TURN)):
        for name, way in given.items():
            time.sleep(PAUSE_S)
            way([QUERY])
            seen[name] += [timed(partial(way, [QUERY])) for _ in range(TURN)]
    return {
        name: {
            "p50_s": statistics.median(wall for wall, _ in figures),
            "cpu_s": statistics.median(spent for _, spent in figures),
        }
        for name, figures in seen.items()
    }


def whole_table(given: dict[str, Callable[[list[str]], Any]], texts: list[str]) -> dict[str, dict[str, float]]:
    """Return how long many texts of mixed length take."""
    figures = {}
    for name, way in given.items():
        wall, spent = timed(partial(way, texts))
        figures[name] = {"wall_s": wall, "cpu_s": spent}
        tell(f"  {len(texts):,} texts with {name}: {wall:.1f} s")
    return figures


def mixed(tables: list[OutcomeTable], count: int) -> list[str]:
    """Return texts of all lengths: queries of several tables, and joined ones."""
    texts = [query.text for table in tables for query in table.queries]
    rng = np.random.default_rng(SEED)
    texts += [" ".join(rng.choice(texts, size=int(rng.integers(2, 5)))) for _ in range(max(0, count - len(texts)))]
    return [texts[place] for place in rng.permutation(len(texts))[:count]]


def same_choices(table: OutcomeTable, made: dict[str, Encoder], count: int) -> dict[str, float]:
    """Return the share of queries for which a router fitted with torch chooses the same pair with another encoder."""
    names = np.array(table.query_ids)[np.random.default_rng(SEED).permutation(len(table.query_ids))]
    part = table.select(query_ids=names[: 2 * count].tolist())
    fitted = ClusterRouter(SentenceTransformerEncoder(backend="torch"), random_state=SEED).fit(part)
    queries = part.queries[:count]
    chosen = [decision.pair for decision in fitted.decide_batch(queries)]
    shares = {}
    for name in ("onnx", "int8"):
        fitted.encoder = made[name]
        found = [decision.pair for decision in fitted.decide_batch(queries)]
        shares[name] = float(np.mean([one == other for one, other in zip(chosen, found, strict=True)]))
    return shares


def main() -> None:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(description="What encoding takes.")
    parser.add_argument("--repeats", type=int, default=200, help="encodings of one query (default %(default)s)")
    parser.add_argument("--texts", type=int, default=4096, help="texts of mixed length (default %(default)s)")
    parser.add_argument("--queries", type=int, default=400, help="decisions compared a table (default %(default)s)")
    parser.add_argument("--static", type=Path, default=ROOT / "static-encoder", help="folder that make distil wrote")
    parser.add_argument("--out", type=Path, default=RESULTS / "encoding.json", help="file for the figures")
    given, clock = parser.parse_args(), Clock()
    tables = {"bfcl": load("bfcl_pairs.parquet"), "reasoning": load("reasoning_pairs.parquet")}
    made = encoders(given.static)
    targets = {name: bar for name, bar in TARGETS.items() if name in made}
    timings = ways(made)
    with clock.part("one query"):
        one = one_query(timings, given.repeats)
    with clock.part("many texts"):
        many = whole_table(timings, mixed(list(tables.values()), given.texts))
    with clock.part("choices"):
        same = {name: same_choices(table, made, given.queries) for name, table in tables.items()}
    base = "sentence-transformers"
    ratios = {name: one[name]["p50_s"] / one[base]["p50_s"] for name in targets}
    speed = {name: many[base]["wall_s"] / many[name]["wall_s"] for name in targets}
    show(
        f"One query, and {given.texts:,} texts of mixed length",
        ("encoder", "query p50, ms", "its CPU, ms", "ratio", "texts, s", "their CPU, s", "times as fast"),
        [
            (
                name,
                *(f"{1e3 * one[name][key]:.2f}" for key in ("p50_s", "cpu_s")),
                f"{one[name]['p50_s'] / one[base]['p50_s']:.3f}",
                *(f"{many[name][key]:.1f}" for key in ("wall_s", "cpu_s")),
                f"{many[base]['wall_s'] / many[name]['wall_s']:.2f}",
            )
            for name in timings
        ],
    )
    checks = [
        *(
            check(f"one query with {name}: at most {bar:g}", f"{ratios[name]:.3f}", passed=ratios[name] <= bar)
            for name, bar in targets.items()
        ),
        check(
            f"many texts: {TABLE_TARGET:g} times as fast",
            f"{speed['onnx']:.2f}",
            passed=speed["onnx"] >= TABLE_TARGET,
        ),
        *(
            check(f"same choices on {table}, {name}", f"{share:.1%}", passed=share >= SAME[name])
            for table, shares in same.items()
            for name, share in shares.items()
        ),
    ]
    show_checks(checks)
    write(given.out, {"one_query": one, "many_texts": many, "same_choices": same, "must_show": checks}, clock)


if __name__ == "__main__":
    main()
