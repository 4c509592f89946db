"""What the benchmarks share: the data, the routers that are compared, tables on the terminal, result files."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
from rich.console import Console
from rich.table import Table

from langchain_atlas.encoders import SentenceTransformerEncoder
from langchain_atlas.encoders.cache import keeping_vectors
from langchain_atlas.files import write_text
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.learned.bert import BertRouter
from langchain_atlas.routers.learned.knn import KNNRouter
from langchain_atlas.routers.learned.linear import LinearRouter
from langchain_atlas.routers.learned.matrix_factorization import MatrixFactorizationRouter
from langchain_atlas.routers.learned.mlp import MLPRouter
from langchain_atlas.routers.learned.routerdc import RouterDCRouter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Make = Callable[[int], Any]
    """Makes an unfitted router, given the seed of everything random in it."""

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
RESULTS = ROOT / "benchmarks" / "results"
TRAINING_PART = 0.7
MISTAKE = 2

PAPER: dict[str, Any] = {"n_clusters": 8, "strength": 0.0, "n_refinements": 0, "view": "text", "n_directions": 0}
"""Settings that make the cluster router the paper's: k-means on the text's embedding, plain means in each cluster."""


@dataclass
class Clock:
    """Adds up how long each part took."""

    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time by part."""

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time what happens inside the block."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


@dataclass(frozen=True)
class Options:
    """What the benchmark was asked for."""

    seeds: tuple[int, ...]
    """Seeds of the splits, and of everything random in the routers."""
    bert: bool
    """Whether to fit the text classifier, which takes minutes."""
    out: Path
    """File for the figures."""


def options(name: str, description: str, seeds: int = 3) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seeds", type=int, default=seeds, help="how many seeds: 0, 1, ... (default %(default)s)")
    parser.add_argument("--bert", action="store_true", help="also fine-tune a text classifier, which takes minutes")
    parser.add_argument("--out", type=Path, default=RESULTS / f"{name}.json", help="file for the figures")
    given = parser.parse_args()
    if given.seeds < 1:
        parser.error(f"--seeds is {given.seeds}; it must be 1 or more.")
    return Options(seeds=tuple(range(given.seeds)), bert=given.bert, out=given.out)


def load(file: str) -> OutcomeTable:
    """Load a table of the shared data folder; leave with exit status 2 where that is not there."""
    path = DATA / file
    if not path.is_file():
        sys.stderr.write(
            f"{os.path.relpath(path)} is not there. This benchmark needs the shared data folder beside the "
            f"repository ({os.path.relpath(DATA)}).\n"
        )
        sys.exit(MISTAKE)
    return OutcomeTable.load(path)


def encoder_for(*tables: OutcomeTable) -> SentenceTransformerEncoder:
    """Return an encoder that has seen all queries, and remembers whatever it sees, on disk too."""
    with keeping_vectors():
        encoder = SentenceTransformerEncoder(cache_size=10**6)
    for table in tables:
        encoder.encode([query.text for query in table.queries])
    return encoder


def families(encoder: SentenceTransformerEncoder, *, bert: bool = False) -> dict[str, Make]:
    """Return the routers that are compared, by name; all route once, and all use the same encoder."""
    made: dict[str, Make] = {
        "cluster": lambda seed: ClusterRouter(encoder, random_state=seed),
        "cluster (paper)": lambda seed: ClusterRouter(encoder, random_state=seed, **PAPER),
        "knn": lambda seed: KNNRouter(encoder, random_state=seed),
        "linear": lambda seed: LinearRouter(encoder, random_state=seed),
        "mlp": lambda seed: MLPRouter(encoder, random_state=seed),
        "mf": lambda seed: MatrixFactorizationRouter(encoder, random_state=seed),
        "routerdc": lambda seed: RouterDCRouter(encoder, random_state=seed),
    }
    if bert:
        made["bert"] = lambda seed: BertRouter(random_state=seed)
    return made


def two_models(questions: int) -> OutcomeTable:
    """Make up outcomes of a cheap and a dear model, each right on one of two kinds of question.

    Args:
        questions: number of questions of each kind.
    """
    rows = [
        {
            "query_id": f"{kind}{number}",
            "query": f"{kind} question {number}",
            "domain": kind,
            "model": model,
            "tool": "none",
            "score": float(model == best),
            "cost_usd": cost,
        }
        for kind, best in (("history", "small"), ("algebra", "large"))
        for number in range(questions)
        for model, cost in (("small", 1e-4), ("large", 1e-3))
    ]
    return OutcomeTable.from_rows(rows, "the benchmark")


def split(table: OutcomeTable, seed: int, part: float = TRAINING_PART) -> tuple[OutcomeTable, OutcomeTable]:
    """Part a table by query, at random, into what is fitted on and what is tested on."""
    names = np.array(table.query_ids)[np.random.default_rng(seed).permutation(len(table.query_ids))]
    cut = round(part * len(names))
    return table.select(query_ids=names[:cut].tolist()), table.select(query_ids=names[cut:].tolist())


def folds(table: OutcomeTable, count: int, seed: int) -> Iterator[tuple[OutcomeTable, OutcomeTable]]:
    """Part a table by query into folds, at random; yield for each what is fitted on, and the fold."""
    names = np.array(table.query_ids)[np.random.default_rng(seed).permutation(len(table.query_ids))]
    for fold in range(count):
        held = np.arange(len(names)) % count == fold
        yield table.select(query_ids=names[~held].tolist()), table.select(query_ids=names[held].tolist())


def tell(message: str) -> None:
    """Say on standard error how far things are."""
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


def show(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> None:
    """Print a table; wide enough for its content even where there is no terminal."""
    table = Table(box=None, pad_edge=False)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False)
    console.width = max(console.width, 140)
    console.print(title, style="bold")
    console.print(table)
    if note:
        console.print(note, style="dim")
    console.print()


def show_checks(checks: Sequence[Mapping[str, Any]]) -> None:
    """Print what must be shown, and whether it was."""
    for check in checks:
        print(f"{'PASS ' if check['passed'] else 'short'}  {check['what']}: {check['figure']}")
    print()


def check(what: str, figure: str, *, passed: bool) -> dict[str, Any]:
    """Note something that must be shown."""
    return {"what": what, "figure": figure, "passed": bool(passed)}


def write(path: Path, figures: Mapping[str, Any], clock: Clock) -> None:
    """Write the figures, with how long they took, and say both."""
    seconds = {name: round(value, 1) for name, value in clock.seconds.items()}
    write_text(path, json.dumps({**figures, "seconds": seconds}, indent=1, ensure_ascii=False) + "\n")
    parts = ", ".join(f"{name} {value:.0f} s" for name, value in seconds.items())
    print(f"Took {sum(seconds.values()):.0f} s: {parts}. Written to {os.path.relpath(path)}.")


def points(value: float | None) -> str:
    """Write an accuracy in points."""
    return "" if value is None else f"{100 * value:.1f}"


def money(value: float | None) -> str:
    """Write dollars for 1000 queries."""
    return "?" if value is None else f"{value:.3g}"


def listed(seeds: Sequence[int]) -> str:
    """Write seeds one after the other."""
    return ", ".join(map(str, seeds))
