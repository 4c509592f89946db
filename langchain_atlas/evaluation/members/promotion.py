"""Promotion of a new pair, or its rollback, by a few probes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from langchain_atlas.errors import PoolError, SettingError
from langchain_atlas.pool.pairs import Pair, as_pairs
from langchain_atlas.routers.trial.sequential import DEFAULT_ERROR, SequentialTest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.routers.cluster.router import ClusterRouter


@dataclass(frozen=True)
class Promotion:
    """What a new pair's probes say."""

    verdict: Literal["promote", "roll back", "not yet"]
    """``promote``: it loses less than `loss` against the other pair. ``roll back``: it is worse."""
    pair: Pair
    """The new pair."""
    against: Pair
    """The pair that it is compared with."""
    difference: float | None
    """Mean score of the new pair minus that of the other; None without probes."""
    interval: tuple[float, float]
    """Confidence interval of the difference that holds at all times together, with probability ``1 - error``."""
    probes: int
    """Number of the new pair's probes with a score."""
    paired: int
    """Number of them on which the other pair has a score too; for the rest, the router's record of it is taken."""
    more: int
    """About how many more probes it takes; 0 with a verdict."""

    def __str__(self) -> str:
        """Return the verdict in one sentence."""
        if self.difference is None:
            return f"not yet: {self.pair} has no probes."
        low, high = (f"{100 * bound:+.1f}" for bound in self.interval)
        figures = f"{100 * self.difference:+.1f} points ({low} to {high}) on {self.probes} probes"
        rest = f"; about {self.more} more are needed" if self.verdict == "not yet" else ""
        return f"{self.verdict}: {self.pair} against {self.against}: {figures}{rest}."

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {**asdict(self), "pair": str(self.pair), "against": str(self.against)}


def promotion(
    router: ClusterRouter,
    probes: OutcomeTable,
    pair: Pair | str,
    against: Pair | str,
    *,
    loss: float = 0.1,
    error: float = DEFAULT_ERROR,
) -> Promotion:
    """Compare a new pair with a known one, query by query, by the sequential test of shadows and canaries.

    Call it again with all probes so far whenever there are more: a verdict is as sure as it says however often one
    looks.

    Args:
        router: a router that knows the other pair.
        probes: outcomes of the new pair in the order in which they came; of the other one too, if it answered the same
            queries, which takes fewer probes.
        pair: the new pair.
        against: the pair that it is compared with, such as its predecessor.
        loss: how much worse it may be and still be promoted; 0 to 1.
        error: probability of a wrong verdict.

    Raises:
        PoolError: the new pair has no outcomes, or the router does not know the other one.
        SettingError: `loss` or `error` is out of range.
    """
    new, other = as_pairs((pair, against))
    if not 0 < loss <= 1:
        raise SettingError(f"loss is {loss!r}; it must be a number above 0, up to 1.")
    if other not in router.pairs:
        raise PoolError(f"The router does not know {str(other)!r}; compare with one of its pairs.")
    scores = probes.matrix("score", [new])[:, 0]
    theirs = probes.matrix("score", [other])[:, 0] if other in probes.pairs else np.full(len(scores), np.nan)
    expected = _expected(router, probes, other)
    marked = ~np.isnan(scores)
    test = SequentialTest(-loss, 0.0, error)
    for score, recorded, usual in zip(scores[marked], theirs[marked], expected[marked], strict=True):
        test.add(float(score - (usual if np.isnan(recorded) else recorded)))
    return Promotion(
        verdict={"above": "promote", "below": "roll back", "open": "not yet"}[test.verdict],  # type: ignore[arg-type]
        pair=new,
        against=other,
        difference=test.mean,
        interval=test.interval,
        probes=test.count,
        paired=int((~np.isnan(theirs[marked])).sum()),
        more=test.more,
    )


def _expected(router: ClusterRouter, probes: OutcomeTable, pair: Pair) -> NDArray[np.float64]:
    """Return the pair's success in each query's cluster by the router's record, shape [n_queries]."""
    strength = router.natural_strength_ if router.strength is None else router.strength
    estimates = router.statistics_.estimates(strength).success
    success: NDArray[np.float64] = estimates[router.place(probes.queries), router.pairs.index(pair)]
    return success
