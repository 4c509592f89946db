"""What it costs that a model leaves: where its traffic moves, in points and in dollars."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_atlas.errors import PoolError, suggest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.pool.pairs import Pair
    from langchain_atlas.routers.base import Router


@dataclass(frozen=True)
class Leaving:
    """What changes if a model is called no more."""

    model: str
    """The model."""
    queries: int
    """Number of queries that were decided with it and without."""
    moved: int
    """Number of them that went to it, and move."""
    to: dict[str, float]
    """Share of what moves, by the pair that it moves to, the largest first."""
    accuracy: tuple[float, float] | None
    """Mean score of what moves, before and after, 0 to 1; None if no moved query has both scores."""
    accuracy_all: tuple[float, float] | None
    """Mean score of all queries, before and after."""
    cost_usd_per_1k: tuple[float, float] | None
    """Dollars for 1000 queries, of all of them, before and after; None if the costs of some are unknown."""
    unscored: int
    """Number of queries without both scores; they are left out of the accuracies."""
    unpriced: int
    """Number of queries without both costs."""

    def __str__(self) -> str:
        """Return it in a few sentences."""
        if not self.moved:
            return f"No query of {self.queries} goes to {self.model}: nothing moves."
        where = ", ".join(f"{share:.0%} to {pair}" for pair, share in list(self.to.items())[:3])
        text = f"Without {self.model}, {self.moved} of {self.queries} queries move: {where}."
        if self.accuracy is not None and self.accuracy_all is not None:
            before, after = self.accuracy
            whole = 100 * (self.accuracy_all[1] - self.accuracy_all[0])
            text += (
                f" Of these, {before:.1%} were right, and {after:.1%} would be ({whole:+.1f} points over all queries)."
            )
        if self.cost_usd_per_1k is None:
            return f"{text} What that costs is unknown: {self.unpriced} queries lack a cost."
        before, after = self.cost_usd_per_1k
        return f"{text} 1000 queries cost ${before:.3g} before and ${after:.3g} after."

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)


def leaving(router: Router, table: OutcomeTable, model: str) -> Leaving:
    """Decide each query of a table with a model and without it, and compare the recorded outcomes.

    Decisions are first decisions: for a router that asks again, what follows is not replayed.

    Args:
        router: the router.
        table: queries with outcomes, such as the router's own test part.
        model: the model that leaves.

    Raises:
        PoolError: the router does not know the model, or knows no other.
    """
    models = list(dict.fromkeys(pair.model for pair in router.pairs))
    if model not in models:
        raise PoolError(f"Model {model!r} is not in the router's pool. {suggest(model, models)}")
    rest = [pair for pair in router.pairs if pair.model != model]
    if not rest:
        raise PoolError(f"Model {model!r} is the router's only one; without it there is nothing to route to.")
    before = _pairs(router, table)
    after = _pairs(router.restrict(rest), table)
    moves = np.array([pair is not None and pair.model == model for pair in before])
    scores = np.stack([_taken(table, each, "score") for each in (before, after)])
    costs = np.stack([_taken(table, each, "cost_usd") for each in (before, after)])
    both, priced = ~np.isnan(scores).any(axis=0), ~np.isnan(costs).any(axis=0)
    moved_to = Counter(str(pair) for pair, is_moved in zip(after, moves, strict=True) if is_moved)
    return Leaving(
        model=model,
        queries=len(before),
        moved=int(moves.sum()),
        to={name: count / int(moves.sum()) for name, count in moved_to.most_common()},
        accuracy=_means(scores[:, both & moves]),
        accuracy_all=_means(scores[:, both]),
        cost_usd_per_1k=_means(1000 * costs) if priced.all() else None,
        unscored=int((~both).sum()),
        unpriced=int((~priced).sum()),
    )


def _pairs(router: Router, table: OutcomeTable) -> list[Pair | None]:
    return [decision.pair for decision in router.decide_batch(table.queries)]


def _taken(table: OutcomeTable, pairs: Sequence[Pair | None], column: str) -> NDArray[np.float64]:
    """Return a recorded number of each query's pair, shape [n_queries]; NaN where nothing is recorded."""
    values, columns = table.matrix(column), {pair: at for at, pair in enumerate(table.pairs)}
    return np.array(
        [
            np.nan if pair is None or pair not in columns else row[columns[pair]]
            for row, pair in zip(values, pairs, strict=True)
        ]
    )


def _means(values: NDArray[np.float64]) -> tuple[float, float] | None:
    """Return the mean before and after, of values of shape [2, n]; None without any."""
    return (float(values[0].mean()), float(values[1].mean())) if values.shape[1] else None
