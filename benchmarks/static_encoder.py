"""What faster encoders cost in accuracy: int8 and a static encoder beside the default one, on the same splits.

The cluster router is fitted with each on 70% of the queries, and replayed on the others over its whole range of
settings; accuracy is read off at shares of the cost of the best single pair. Milliseconds are the processor time of
one query, alone, with nothing remembered.

Run with: make bench-static
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ablation import measure
from bfcl import main_pool
from common import RESULTS, ROOT, Clock, load, show, tell, write
from reasoning import INCOMPLETE

from langchain_atlas.encoders import SentenceTransformerEncoder, StaticEncoder
from langchain_atlas.encoders.cache import keeping_vectors

if TYPE_CHECKING:
    from langchain_atlas.encoders import Encoder
    from langchain_atlas.outcomes import OutcomeTable

TIMED = 200


def encoders(folder: Path, cache_size: int) -> dict[str, Encoder]:
    """Return the encoders by name; ONNX Runtime gives the vectors of torch, see `make bench-encoding`."""
    return {
        "fp32": SentenceTransformerEncoder(cache_size=cache_size),
        "int8": SentenceTransformerEncoder(cache_size=cache_size, precision="int8"),
        "static": StaticEncoder(str(folder), cache_size=cache_size),
    }


def tables() -> dict[str, OutcomeTable]:
    """Return the tables by name."""
    reasoning = load("reasoning_pairs.parquet")
    complete = [domain for domain in dict.fromkeys(reasoning.domains) if domain != INCOMPLETE]
    return {
        "BFCL": main_pool(load("bfcl_pairs.parquet")),
        "reasoning": reasoning.select(domains=complete),
        "RouterBench": load("routerbench.parquet"),
    }


def one_query(folder: Path, texts: list[str]) -> dict[str, float]:
    """Return the median processor time of one text, in seconds, the encoders taking turns."""
    made = encoders(folder, cache_size=0)
    seen: dict[str, list[float]] = {name: [] for name in made}
    for text in [texts[0], *texts]:
        for name, encoder in made.items():
            start = time.process_time()
            encoder.encode([text])
            seen[name].append(time.process_time() - start)
    return {name: statistics.median(seconds[1:]) for name, seconds in seen.items()}


def main() -> None:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(description="What faster encoders cost in accuracy.")
    parser.add_argument("--static", type=Path, default=ROOT / "static-encoder", help="folder that make distil wrote")
    parser.add_argument("--seeds", type=int, default=5, help="random splits (default %(default)s)")
    parser.add_argument("--tables", nargs="+", help="some of the tables: BFCL, reasoning, RouterBench")
    parser.add_argument("--out", type=Path, default=RESULTS / "static_encoder.json", help="file for the figures")
    given, clock = parser.parse_args(), Clock()
    measured = {name: table for name, table in tables().items() if name in (given.tables or tables())}
    accuracy: dict[str, dict[str, dict[str, float]]] = {}
    with keeping_vectors():
        compared = encoders(given.static, cache_size=10**6)
    for data, table in measured.items():
        for name, encoder in compared.items():
            tell(f"{data}, {name}")
            with clock.part(data):
                accuracy.setdefault(data, {})[name] = measure({}, table, encoder, given.seeds)
    draw = np.random.default_rng(0)
    texts = [query.text for table in measured.values() for query in table.queries]
    with clock.part("one query"):
        seconds = one_query(given.static, [texts[place] for place in draw.choice(len(texts), TIMED, replace=False)])
    for data, found in accuracy.items():
        rows = [[name, *(f"{100 * value:.2f}" for value in row.values())] for name, row in found.items()]
        title = f"{data}: right % at shares of the best single pair's cost, {given.seeds} splits"
        show(title, ["encoder", *found["fp32"]], rows)
    show("One query", ("encoder", "CPU, ms"), [(name, f"{1e3 * value:.3f}") for name, value in seconds.items()])
    write(given.out, {"accuracy": accuracy, "one_query_cpu_s": seconds}, clock)


if __name__ == "__main__":
    main()
