"""Pairs that joined after training: of whom each inherits, and which of them may be taken over the others.

The best of many pairs with few probes each is mostly the luckiest. So a newcomer is taken over the pairs that were
there before only if its probes support it: on the same queries, it must beat the best of those that cost no more than
it does, by more than chance. One that is not supported yet is called only where nothing else may be. If all newcomers
together are ahead in this sense, they are a new generation, and all are taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.errors import PoolError, suggest
from langchain_atlas.pool.pairs import Pair
from langchain_atlas.pool.succession import inherits_from

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.outcomes.matrix import OutcomeMatrix

    Newcomers = Mapping[Pair, Pair | None]
    """The pair of which each newcomer inherits; None for a newcomer that inherits of none."""

_STRENGTH = 10.0
"""Number of probes that the expectation before any probe counts as: the difference of its predecessor to the same pair;
without one, no difference."""

_UNSEEN = 2.0
"""Squared differences added to those observed: one query won and one lost."""


def with_predecessors(fresh: Sequence[Pair], known: Sequence[Pair], told: Mapping[str, str] | None = None) -> Newcomers:
    """Return new pairs with the pair of which each inherits: the same tool with an earlier model, or with its base.

    Args:
        fresh: the new pairs.
        known: the pairs that were there before.
        told: model by new model, where names don't tell; see `inherits_from`.

    Raises:
        PoolError: a model that is told is not new, or is not known.
    """
    models, names = list(dict.fromkeys(pair.model for pair in known)), sorted({pair.model for pair in fresh})
    for new, old in (told or {}).items():
        if new not in names:
            raise PoolError(f"predecessors has {new!r}, which is no model of the new pairs. {suggest(new, names)}")
        if old not in models:
            raise PoolError(f"Predecessor {old!r} is not a model of this router. {suggest(old, models)}")
    found: dict[Pair, Pair | None] = {}
    for pair in fresh:
        base = (told or {}).get(pair.model) or inherits_from(pair.model, models)
        earlier = None if base is None else Pair(base, pair.tool)
        found[pair] = earlier if earlier in known else None
    return found


def supported(outcomes: OutcomeMatrix, newcomers: Newcomers, errors: float) -> NDArray[np.bool_]:
    """Return which pairs may be taken over others: all but the newcomers whose probes don't support it.

    Args:
        outcomes: the outcomes of all pairs.
        newcomers: the newcomers among them.
        errors: number of standard errors by which a newcomer must be ahead; minus infinity to support all.

    Returns:
        Shape [n_pairs]; all True if every pair is a newcomer.
    """
    number = {pair: column for column, pair in enumerate(outcomes.pairs)}
    before = [column for pair, column in number.items() if pair not in newcomers]
    fresh = [pair for pair in number if pair in newcomers]
    found = np.ones(len(number), dtype=bool)
    if not before or not fresh or np.isneginf(errors):
        return found
    apart = {pair: _compared(outcomes, number[pair], before, newcomers[pair]) for pair in fresh}
    told = np.concatenate([differences for differences, _ in apart.values()])
    if _ahead(told, 0.0, errors):  # a new generation: to take the best of those that are ahead needs no luck
        return found
    for pair, (differences, expected) in apart.items():
        found[number[pair]] = _ahead(differences, expected or 0.0, errors)
    return found


def _compared(
    outcomes: OutcomeMatrix, column: int, before: list[int], earlier: Pair | None
) -> tuple[NDArray[np.float64], float | None]:
    """Compare a newcomer with the best pair that costs no more, on the queries of both.

    Returns:
        The differences in score, shape [n_common], and the expected one by its predecessor; None without one.
    """
    rows = np.flatnonzero(outcomes.recorded[:, column])
    scores, costs = outcomes.scores.astype(np.float64), outcomes.costs.astype(np.float64)
    price = {one: _mean(costs[:, one]) for one in before}
    limit = _mean(costs[rows, column])
    within = before if np.isnan(limit) else [one for one in before if price[one] <= limit]
    if not within:  # it is the cheapest: the next one is what it would replace
        within = [min(before, key=lambda one: np.nan_to_num(price[one], nan=np.inf))]
    success = {one: np.nan_to_num(_mean(scores[:, one]), nan=-np.inf) for one in within}
    rival = max(within, key=lambda one: success[one])
    both = rows[outcomes.recorded[rows, rival]]
    expected = None if earlier is None else _mean(scores[:, outcomes.pairs.index(earlier)]) - float(success[rival])
    return scores[both, column] - scores[both, rival], expected


def _ahead(apart: NDArray[np.float64], expected: float, errors: float) -> bool:
    """Whether differences in score are above 0 by more than chance."""
    count = len(apart)
    mean = (apart.sum() + _STRENGTH * expected) / (count + _STRENGTH)
    spread = np.sqrt(((apart**2).sum() + _UNSEEN) / (count + _UNSEEN))
    return bool(count and mean > errors * spread / np.sqrt(count + _STRENGTH))


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
