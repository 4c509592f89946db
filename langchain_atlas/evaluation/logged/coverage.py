"""How much of a table can be replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np

from langchain_atlas.records import Record
from langchain_atlas.routers.utility.unpaired import is_unpaired

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_ALONE = 0.1
"""Share of the scored queries recorded for one pair only, above which results are estimated instead of replayed."""


class Coverage(Record):
    """How many queries of a table are recorded for how many pairs."""

    n_scored: int
    """Number of queries with a score."""
    n_alone: int
    """Number of these that are recorded for one pair only. Replay can't judge a router there: it has no choice."""
    n_complete: int
    """Number of these that are recorded for every pair."""
    pairs_per_query: float
    """Mean number of pairs recorded on a scored query; 0 if there is none."""

    @classmethod
    def of(cls, scores: NDArray[np.floating]) -> Self:
        """Count the outcomes of each query; `scores` has shape [n_queries, n_pairs], NaN where nothing is recorded."""
        known = ~np.isnan(scores)
        count, n_pairs = known.sum(axis=1), int(known.any(axis=0).sum())
        scored = count > 0
        return cls(
            n_scored=int(scored.sum()),
            n_alone=int((count == 1).sum()) if n_pairs > 1 else 0,
            n_complete=int((scored & (count == n_pairs)).sum()),
            pairs_per_query=float(count[scored].mean()) if scored.any() else 0.0,
        )

    @property
    def replayable(self) -> float:
        """Share of the scored queries on which a router has a choice, 0 to 1."""
        return 1 - self.n_alone / self.n_scored if self.n_scored else 0.0


def must_estimate(scores: NDArray[np.floating]) -> bool:
    """Return whether too many queries are recorded for one pair only, so that replay would mislead."""
    return is_unpaired(scores, MOST_ALONE)
