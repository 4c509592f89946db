"""What each part of the cluster router is worth: one part changed at a time, in distribution.

Run with: make bench-ablation
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from bfcl import main_pool
from common import RESULTS, Clock, encoder_for, load, show, split, tell, write
from reasoning import INCOMPLETE
from selection import Bar, replay

from langchain_atlas.evaluation.replay.frontier import average_quality
from langchain_atlas.routers.cluster.router import ClusterRouter

if TYPE_CHECKING:
    from langchain_atlas.encoders import Encoder
    from langchain_atlas.outcomes import OutcomeTable

SEEDS = {"BFCL": 6, "reasoning": 3}
SHARES = (0.1, 0.25, 0.5, 1.0)
"""Shares of the best single pair's cost at which accuracy is read off the curve."""

VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "without the forest": {"n_trees": 0},
    "8 clusters only": {"n_refinements": 0},
    "16 clusters and finer": {"n_clusters": 16},
    "32 clusters and finer": {"n_clusters": 32},
    "without outcome directions": {"n_directions": 0},
    "6 outcome directions": {"n_directions": 6},
    "text alone": {"view": "text"},
    "no shrinkage": {"strength": 0.0},
    "strength 20": {"strength": 20.0},
    "strength 50": {"strength": 50.0},
    "as in the paper": {"n_refinements": 0, "view": "text", "strength": 0.0},
}


def measure(settings: dict[str, Any], table: OutcomeTable, encoder: Encoder, seeds: int) -> dict[str, float]:
    """Return the mean over seeds of the accuracy at each share of the best single pair's cost, and of the AIQ."""
    rows = []
    for seed in range(seeds):
        train, test = split(table, seed)
        scores, costs = replay(ClusterRouter(encoder, random_state=seed, **settings).fit(train), test)
        accuracy, cost, bar = scores.mean(axis=1), costs.mean(axis=1), Bar.of(test)
        order = np.argsort(cost)
        at = [np.interp(share * bar.cost, cost[order], accuracy[order]) for share in SHARES]
        cheapest = float(1000 * test.matrix("cost_usd").mean(axis=0).min())
        rows.append([*at, average_quality(cost, accuracy, low=cheapest, high=bar.cost)])
    return dict(zip([*(f"{share:.0%}" for share in SHARES), "AIQ"], np.mean(rows, axis=0).tolist(), strict=True))


def main() -> None:
    """Measure, print, and write the figures."""
    clock, figures = Clock(), {}
    reasoning = load("reasoning_pairs.parquet")
    complete = [domain for domain in dict.fromkeys(reasoning.domains) if domain != INCOMPLETE]
    tables = {"BFCL": main_pool(load("bfcl_pairs.parquet")), "reasoning": reasoning.select(domains=complete)}
    encoder = encoder_for(*tables.values())
    for data, table in tables.items():
        found = {}
        for name, settings in VARIANTS.items():
            tell(f"{data}, {name}")
            with clock.part(data):
                found[name] = measure(settings, table, encoder, SEEDS[data])
        rows = [[name, *(f"{100 * value:.2f}" for value in row.values())] for name, row in found.items()]
        show(f"{data}: right % at shares of the best single pair's cost", ["", *found["default"]], rows)
        figures[data] = found
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS / "ablation.json", figures, clock)


if __name__ == "__main__":
    main()
