"""What the policy remembers: recorded outcomes, answers compared, as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from langchain_atlas.pool import Pair


@dataclass(frozen=True)
class Memory:
    """Outcomes as numbers; rows are queries, columns are pairs."""

    pairs: tuple[Pair, ...]
    """The pairs."""
    vectors: NDArray[np.float32]
    """What is seen of each query, shape [n, dimension]."""
    scores: NDArray[np.float32]
    """Shape [n, n_pairs], 0 to 1; NaN where nothing is recorded."""
    costs: NDArray[np.float32]
    """Dollars of each call, likewise."""
    latencies: NDArray[np.float32]
    """Seconds of each call, likewise."""
    groups: NDArray[np.int64]
    """Answers of a query that say the same have one number, shape [n, n_pairs], which stands for what they say (see
    `Reading.key`); -1 where nothing is recorded."""
    styles: NDArray[np.int16]
    """Index of how each answer is written, likewise; -1 where there is none."""
    domains: NDArray[np.int16]
    """Number of each query's domain, shape [n]."""
    style_names: tuple[str, ...] = ()
    """The styles."""

    @property
    def recorded(self) -> NDArray[np.bool_]:
        """Where a score is recorded, shape [n, n_pairs]."""
        return ~np.isnan(self.scores)

    def columns(self, columns: Sequence[int]) -> Memory:
        """Return the memory of some pairs."""
        taken = list(columns)
        return Memory(
            pairs=tuple(self.pairs[column] for column in taken),
            vectors=self.vectors,
            scores=self.scores[:, taken],
            costs=self.costs[:, taken],
            latencies=self.latencies[:, taken],
            groups=self.groups[:, taken],
            styles=self.styles[:, taken],
            domains=self.domains,
            style_names=self.style_names,
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the numbers by name, for saving."""
        names = ("vectors", "scores", "costs", "latencies", "groups", "styles", "domains")
        return {name: getattr(self, name) for name in names}

    def with_pairs(self, other: Memory) -> Memory:
        """Return a memory that also holds the outcomes of another one's pairs that this one lacks.

        A query that both remember is one row; its answers in the two memories agree where they have one number.
        """
        fresh = [column for column, pair in enumerate(other.pairs) if pair not in set(self.pairs)]
        known = {vector.tobytes(): row for row, vector in enumerate(self.vectors)}
        rows = [known.get(vector.tobytes(), -1) for vector in other.vectors]
        added = [row for row, found in enumerate(rows) if found < 0]
        place = {row: len(self.vectors) + number for number, row in enumerate(added)}
        target = np.array([place.get(row, found) for row, found in enumerate(rows)])
        shape = (len(self.vectors) + len(added), len(self.pairs) + len(fresh))

        def joined(name: str, empty: float) -> NDArray[Any]:
            mine, theirs = getattr(self, name), getattr(other, name)
            full = np.full(shape, empty, dtype=mine.dtype)
            full[: len(mine), : mine.shape[1]] = mine
            if fresh:
                full[np.ix_(target, np.arange(len(self.pairs), shape[1]))] = theirs[:, fresh]
            return full

        return Memory(
            pairs=(*self.pairs, *(other.pairs[column] for column in fresh)),
            vectors=np.concatenate([self.vectors, other.vectors[added]]),
            scores=joined("scores", np.nan),
            costs=joined("costs", np.nan),
            latencies=joined("latencies", np.nan),
            groups=joined("groups", -1),
            styles=joined("styles", -1),
            domains=np.concatenate([self.domains, np.full(len(added), -1, dtype=self.domains.dtype)]),
            style_names=self.style_names,
        )
