"""Other routers on the same queries and splits: accuracy, cost, and the time of a decision.

A peer that routes between a few models gets, for its tiers, the most accurate pairs of the training part within a cost;
one that learns gets the training part. Its choices are looked up in the test part. The peers live in an environment of
their own (`make bench-peers` makes it), because they pin other versions.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from as_it_comes import fitted
from common import RESULTS, ROOT, Clock, encoder_for, load, show, split, tell, write

from langchain_atlas.routers.utility.guard import most_accurate
from langchain_atlas.trajectory import START

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.outcomes import OutcomeTable

TABLES = {"BFCL": "bfcl_pairs.parquet", "reasoning": "reasoning_pairs.parquet"}
PYTHON = ROOT / ".venv-peers" / "bin" / "python"
SHARES = (1 / 30, 1 / 10, 1 / 3, 1.0)
"""What the pair of each of four tiers may cost, as a share of the cost of the most accurate pair."""
ALWAYS, OURS = "always the best single pair", "langchain-atlas, fit as it comes"


def tiers(training: OutcomeTable) -> list[int]:
    """Return the columns of four pairs, cheapest tier first, chosen on the training part."""
    score, cost = training.matrix("score"), np.nanmean(training.matrix("cost_usd"), axis=0)
    accuracy, best = np.nanmean(score, axis=0), most_accurate(score)
    found = []
    for share in SHARES[:-1]:
        affordable = cost <= share * cost[best]
        within = affordable if affordable.any() else cost == cost.min()
        found.append(int(np.argmax(np.where(within, accuracy, -1))))
    return [*found, best]


def looked_up(test: OutcomeTable, columns: NDArray[np.int64]) -> dict[str, Any]:
    """Return accuracy and cost of the chosen pairs, over queries on which they are recorded."""
    rows = np.arange(len(columns))
    score, cost = (test.matrix(name)[rows, columns] for name in ("score", "cost_usd"))
    return {
        "accuracy": 100 * float(np.nanmean(score)),
        "usd_per_1k": 1000 * float(np.nanmean(cost)),
        "unknown": float(np.isnan(score).mean()),
    }


def asked(
    training: OutcomeTable, test: OutcomeTable, encoder: Encoder, python: Path, chosen: Sequence[int]
) -> dict[str, Any]:
    """Ask all peers, in their environment."""
    texts = [[query.text for query in table.queries] for table in (training, test)]
    task = {
        "tiers": list(chosen),
        "training": texts[0],
        "test": texts[1],
        "contexts": [query.context for query in test.queries],
        "scores": training.matrix("score").tolist(),
        "cost": np.nanmean(training.matrix("cost_usd"), axis=0).tolist(),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "task.json").write_text(json.dumps(task))
        vectors = [encoder.encode(part) for part in texts]
        np.savez(folder / "vectors.npz", training=vectors[0], test=vectors[1])
        command = [str(python), str(Path(__file__).with_name("peers_decide.py")), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"The peers could not be asked: {done.stderr[-2000:]}")
        answers: dict[str, Any] = json.loads((folder / "answers.json").read_text())
    return answers


def ours(training: OutcomeTable, test: OutcomeTable, encoder: Encoder, seed: int) -> dict[str, Any]:
    """Return what this library does: `fit` with nothing else said."""
    router = fitted(training, encoder, "cluster", seed)
    numbers = {pair: column for column, pair in enumerate(test.pairs)}
    encoder.encode([query.text for query in test.queries])
    start = time.perf_counter()
    decisions = [router.decide(query, START) for query in test.queries]
    seconds = (time.perf_counter() - start) / len(decisions)
    columns = np.array([numbers[decision.pair] for decision in decisions if decision.pair is not None])
    return looked_up(test, columns) | {"seconds": seconds}


def compared(table: OutcomeTable, encoder: Encoder, python: Path, seed: int) -> dict[str, Any]:
    """Compare all on one split."""
    training, test = split(table, seed)
    number = [test.pair_number(pair) for pair in training.pairs]
    chosen = tiers(training)
    same = np.full(len(test.query_ids), number[chosen[-1]])
    rows = {ALWAYS: looked_up(test, same) | {"seconds": 0.0}, OURS: ours(training, test, encoder, seed)}
    for tier, column in zip(("lowest", "second", "third"), chosen, strict=False):
        told = looked_up(test, np.full(len(same), number[column]))
        rows[f"always the {tier} tier's pair"] = told | {"seconds": 0.0}
    for name, answer in asked(training, test, encoder, python, chosen).items():
        if "failed" in answer:
            rows[name] = {"failed": answer["failed"]}
        else:
            columns = np.array([number[column] for column in answer["chosen"]])
            rows[name] = looked_up(test, columns) | {"seconds": answer["seconds"]}
    return rows


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--seeds", type=int, default=3, help="splits (default %(default)s)")
    parser.add_argument("--python", type=Path, default=PYTHON, help="python of the peers' environment")
    parser.add_argument("--out", type=Path, default=RESULTS / "peers.json")
    given = parser.parse_args()
    clock, figures = Clock(), {}
    for name in given.tables:
        table = load(TABLES[name])
        encoder = encoder_for(table)
        splits = []
        for seed in range(given.seeds):
            with clock.part(name):
                splits.append(compared(table, encoder, given.python, seed))
            tell(f"  {name}, split {seed}: " + "; ".join(f"{key} {_short(row)}" for key, row in splits[-1].items()))
        figures[name] = splits
        rows = [(key, *_means([one[key] for one in splits])) for key in splits[0]]
        show(f"{name}, {given.seeds} splits", ("", "right", "$ / 1000", "ms / decision"), rows)
    write(given.out, figures, clock)


def _short(row: dict[str, Any]) -> str:
    return row["failed"] if "failed" in row else f"{row['accuracy']:.1f} at ${row['usd_per_1k']:.3g}"


def _means(rows: Sequence[dict[str, Any]]) -> tuple[str, str, str]:
    if any("failed" in row for row in rows):
        return "not run", "", ""
    mean = {key: float(np.mean([row[key] for row in rows])) for key in ("accuracy", "usd_per_1k", "seconds")}
    return f"{mean['accuracy']:.1f}", f"{mean['usd_per_1k']:.3g}", f"{1000 * mean['seconds']:.2f}"


if __name__ == "__main__":
    main()
