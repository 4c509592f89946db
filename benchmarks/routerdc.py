"""RouterDC's training data: five tasks, seven models, scores only; cross-validated, beside published figures.

Run with: make bench-routerdc
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
from common import Clock, encoder_for, families, folds, listed, load, options, points, show, tell, write

from langchain_atlas.evaluation.replay.benchmark import evaluate
from langchain_atlas.evaluation.replay.results import by_domain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from common import Make

    from langchain_atlas.outcomes import OutcomeTable

FOLDS = 5
PUBLISHED = {"RouterDC, as published": {"gsm8k": 0.7032, "humaneval": 0.5102}}
"""Accuracy on their own test split, which is not this data (Chen et al. 2024, arXiv 2409.19886)."""


def cross_validate(
    table: OutcomeTable, routers: Mapping[str, Make], seeds: Sequence[int], clock: Clock
) -> dict[str, list[dict[str, float | None]]]:
    """Return accuracy by domain, and over all, of each router, a seed at a time; every query is tested once a seed."""
    measured: dict[str, list[dict[str, float | None]]] = defaultdict(list)
    for seed in seeds:
        parts: dict[str, dict[str, float]] = defaultdict(dict)
        for number, (training, test) in enumerate(folds(table, FOLDS, seed), 1):
            fitted = {}
            for name, make in routers.items():
                with clock.part(name):
                    fitted[name] = make(seed).fit(training).configure(cost_weight=0.0)
            with clock.part("replay"):
                for name, runs in evaluate(fitted, test).runs.items():
                    parts[name].update(zip(test.query_ids, runs.score.tolist(), strict=True))
            tell(f"  seed {seed}, fold {number} of {FOLDS}")
        for name, part in parts.items():
            measured[name].append(_by_task(np.array([part[query] for query in table.query_ids]), table))
    return measured


def singles(table: OutcomeTable) -> dict[str, dict[str, Any]]:
    """Return the accuracy of every model by domain, and the best of each column."""
    score = table.matrix("score")
    alone = {str(pair.model): _by_task(score[:, column], table) for column, pair in enumerate(table.pairs)}
    best = max(alone, key=lambda name: alone[name]["all"] or 0.0)
    columns = alone[best]
    return {
        f"best single model: {best}": columns,
        "best single model of each column": {task: max(row[task] or 0.0 for row in alone.values()) for task in columns},
        "oracle": _by_task(np.nanmax(score, axis=1), table),
    }


def _by_task(score: np.ndarray[Any, np.dtype[np.float64]], table: OutcomeTable) -> dict[str, float | None]:
    return {**by_domain(score, table.domains), "all": float(np.nanmean(score))}


def main() -> None:
    """Measure, print, and write the figures."""
    asked, clock = options("routerdc", "Routers on RouterDC's training data."), Clock()
    table = load("routerdc.parquet")
    with clock.part("encode"):
        routers = families(encoder_for(table), bert=asked.bert)
    measured = cross_validate(table, routers, asked.seeds, clock)
    means = {
        name: {task: float(np.mean([part[task] for part in parts])) for task in parts[0]}
        for name, parts in measured.items()
    }
    rows = {**means, **singles(table), **PUBLISHED}
    tasks = list(next(iter(means.values())))
    show(
        f"RouterDC's data, right %, {FOLDS}-fold cross-validated, seeds {listed(asked.seeds)}",
        ("", *tasks),
        [(name, *(points(row.get(task)) for task in tasks)) for name, row in rows.items()],
        "Choice tasks hold the probability of the right choice. Published figures are of RouterDC's own test split.",
    )
    write(asked.out, {"rows": rows, "per_seed": measured, "seeds": asked.seeds, "folds": FOLDS}, clock)


if __name__ == "__main__":
    main()
