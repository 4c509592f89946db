"""The oracle that is not luck, from repeated runs of pairs on the same queries.

An oracle picks the pair whose recorded answer is right. Where answers vary from run to run, part of that is luck: run
again, the same pair may fail. With two runs or more of each pair, the pair is picked by one half of the runs and judged
by the other, which no luck of the first half helps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.evaluation.replay.runs import Runs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from langchain_atlas.outcomes import OutcomeTable

FEWEST_QUERIES = 10
"""With fewer queries that several pairs ran on repeatedly, it is not computed."""


def lasting_oracle(table: OutcomeTable) -> Runs | None:
    """Pick the best pair of each query by half of its runs, and judge it by the other half.

    Both halves pick once, and the results are averaged. Only queries count on which two pairs or more have two scored
    runs or more, and only these pairs; the others are left out.

    Returns:
        The results, expectations over the two halves; None with fewer than `FEWEST_QUERIES` such queries.
    """
    if not table.repeats:
        return None
    scores, costs, latencies = (_halves(table, column) for column in ("score", "cost_usd", "latency_s"))
    able: NDArray[np.bool_] = ~np.any(np.isnan(scores), axis=0)
    there: NDArray[np.bool_] = np.asarray(able.sum(axis=1) > 1)
    if there.sum() < FEWEST_QUERIES:
        return None
    usual = np.where(able, scores.mean(axis=0), 0.0).sum(axis=0) / np.maximum(able.sum(axis=0), 1)
    rows = np.arange(len(able))
    found: dict[str, list[NDArray[np.float64]]] = {"score": [], "cost": [], "latency": []}
    share = np.zeros(able.shape[1])
    for picking, judging in ((0, 1), (1, 0)):
        # Among equals the pair that is better elsewhere, which is no luck of this half.
        picked = np.where(able, scores[picking] + 1e-6 * usual, -np.inf).argmax(axis=1)
        np.add.at(share, picked[there], 0.5 / there.sum())
        for name, values in (("score", scores), ("cost", costs), ("latency", latencies)):
            found[name].append(np.where(there, values[judging][rows, picked], np.nan))
    score, cost, latency = (np.mean(values, axis=0) for values in found.values())
    return Runs(
        score=score,
        cost=cost,
        latency=latency,
        calls=np.where(there, 1.0, np.nan),
        answered=np.full(len(there), -1, dtype=np.int64),
        answer_share=share,
        call_share=share,
        choices=able.shape[1],
        drawn=True,
    )


def _halves(table: OutcomeTable, column: str) -> NDArray[np.float64]:
    """Return the mean of the even and of the odd runs of each pair on each query, shape [2, n_queries, n_pairs]."""
    queries = {name: number for number, name in enumerate(table.query_ids)}
    pairs = {(pair.model, pair.tool): number for number, pair in enumerate(table.pairs)}
    total, count = (np.zeros((2, len(queries), len(pairs))) for _ in range(2))
    seen = np.zeros((len(queries), len(pairs)), dtype=np.int64)
    rows = table.table.select(list(dict.fromkeys(_keys(column)))).to_pydict()
    for name, model, tool, score, value in zip(*(rows[key] for key in _keys(column)), strict=True):
        if score is None:
            continue
        row, at = queries[name], pairs[model, tool]
        half = seen[row, at] % 2
        seen[row, at] += 1
        if value is not None:
            total[half, row, at] += value
            count[half, row, at] += 1
    with np.errstate(invalid="ignore"):
        means: NDArray[np.float64] = total / count
    return means


def _keys(column: str) -> tuple[str, ...]:
    return "query_id", "model", "tool", "score", column
