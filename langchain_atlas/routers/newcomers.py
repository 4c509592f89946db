"""Pairs with few outcomes beside pairs with many: what the many tell of the queries helps to place the few.

A pair that joins brings 20 to 50 probes. Whether these were easy, and whether a query at hand is, settled pairs tell.
Where every pair has as many outcomes as the others, nothing here changes anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SETTLED = 0.5

_SHARED_EASE = 0.5
"""How much of what makes a query easy for the settled pairs is taken to make it easy for a newcomer."""


def settled_pairs(count: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return which pairs have more than half as many outcomes as the pair with the most, shape [n_pairs]."""
    most = count.max(initial=0)
    return np.asarray(count > _SETTLED * most) if most else np.ones(len(count), dtype=bool)


def luck_of_probes(
    scores: NDArray[np.float64], known: NDArray[np.bool_], settled: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return how much better the settled pairs do on each newcomer's queries than on all; 0 for settled pairs.

    Args:
        scores: shape [n, n_pairs].
        known: which of them are recorded, likewise.
        settled: see `settled_pairs`.

    Returns:
        Parts of a right answer, shape [n_pairs].
    """
    count = known[:, settled].sum(axis=1)
    seen = count > 0
    if settled.all() or not seen.any():
        return np.zeros(len(settled))
    ease = (scores[:, settled] * known[:, settled]).sum(axis=1) / np.maximum(count, 1)
    above = np.where(seen, ease - ease[seen].mean(), 0.0)
    luck = (known * above[:, None]).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(settled, 0.0, luck)


def agreement_by_success(
    usual: tuple[float, float], overall: NDArray[np.float64], settled: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how often the column's pair may say what the row's says, where that is right and where it is wrong.

    A newcomer that is right more often than the settled pairs agrees more with right answers, and less with wrong ones.

    Args:
        usual: how often any pair agrees with a right answer of another, and with a wrong one.
        overall: success of each pair, shape [n_pairs].
        settled: see `settled_pairs`.

    Returns:
        Two arrays of shape [n_pairs, n_pairs]; `usual` between settled pairs.
    """
    between = settled[:, None] & settled[None]
    mean = float(np.clip(overall[settled].mean(), 1e-3, 1 - 1e-3))
    with_right = usual[0] * np.broadcast_to(overall / mean, between.shape)
    with_wrong = usual[1] * np.broadcast_to((1 - overall) / (1 - mean), between.shape)
    return np.where(between, usual[0], with_right.clip(0, 1)), np.where(between, usual[1], with_wrong.clip(0, 1))


def eased(
    near: NDArray[np.float32], ease: NDArray[np.float32], count: NDArray[np.float32], settled: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the newcomers' success near queries, moved part of the way by how easy the settled pairs find these.

    Args:
        near: success near each query, as logits, shape [n_queries, n_pairs].
        ease: how much better the settled pairs do near the query than overall, likewise, shape [n_queries].
        count: outcomes of each pair, shape [n_pairs].
        settled: see `settled_pairs`.
    """
    lacking = np.where(settled, 0.0, 1 - count / max(float(count.max(initial=0)), 1.0))
    return np.asarray(near + _SHARED_EASE * ease[:, None] * lacking, dtype=np.float32)
