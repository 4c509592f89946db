"""A third estimate next to clusters and forest: ridge regression of the outcomes on all features of a query.

A cluster gives the same estimate for every query near a centre, a tree for every query in a leaf; a linear estimate
changes smoothly from one query to the next. The three err in different ways, so their mean errs less than each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_atlas.query_features import filled, products, ridge_coefficients, without_context

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_PENALTY = 100.0
_DECIMALS = 4
_MOST_QUERIES = 20_000
_PREFIX = "ridge_"


@dataclass(frozen=True)
class Ridge:
    """Estimates each pair's success as a weighted sum of a query's features."""

    coefficients: NDArray[np.float32]
    """Coefficients from the features, and a constant, to the success of each pair, shape [n_seen + 1, n_pairs]."""
    counts: NDArray[np.float64]
    """Number of each pair's outcomes in the fit, shape [n_pairs]."""

    @classmethod
    def learn(cls, seen: NDArray[np.float64], scores: NDArray[np.float64], seed: int) -> Ridge:
        """Fit the coefficients.

        Args:
            seen: features of the logged queries from a `Featurizer`, shape [n_queries, n_seen].
            scores: outcomes, shape [n_queries, n_pairs]; NaN where nothing is recorded.
            seed: seed of the subsample that is drawn when there are very many queries.
        """
        order = np.random.default_rng(seed).permutation(len(seen))[:_MOST_QUERIES]
        coefficients = ridge_coefficients(seen[order], filled(scores)[order], _PENALTY)
        counts = (~np.isnan(scores)).sum(axis=0).astype(np.float64)
        return cls(np.ascontiguousarray(coefficients, dtype=np.float32), counts)

    def success(self, seen: NDArray[np.float64]) -> NDArray[np.float64]:
        """Estimate each pair's success, shape [n_queries, n_pairs], 0 to 1."""
        said = products(seen.astype(np.float32), self.coefficients, self._short).astype(np.float64)
        # Rounded, because products of one row and of many, or of some pairs and of all, differ in their last bits.
        estimates: NDArray[np.float64] = np.minimum(np.maximum(said.round(_DECIMALS), 0), 1)
        return estimates

    @cached_property
    def _short(self) -> NDArray[np.float32] | None:
        return without_context(self.coefficients)

    def with_pairs(self, columns: NDArray[np.int64]) -> Ridge:
        """Return the estimate for other pairs: their columns here, or -1 for a pair without outcomes."""
        known = columns >= 0
        taken = np.ascontiguousarray(np.where(known, self.coefficients[:, columns], np.float32(0)))
        return replace(self, coefficients=taken, counts=np.where(known, self.counts[columns], 0.0))

    def fits(self, n_seen: int, n_pairs: int) -> bool:
        """Return whether the arrays match one another, the number of features and the number of pairs."""
        return self.coefficients.shape == (n_seen + 1, len(self.counts)) and len(self.counts) <= n_pairs

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the learned arrays by name, for saving."""
        return {_PREFIX + "coefficients": self.coefficients, _PREFIX + "counts": self.counts}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Ridge | None:
        """Rebuild it from the result of `arrays`; None when there is none."""
        if _PREFIX + "coefficients" not in arrays:
            return None
        return cls(arrays[_PREFIX + "coefficients"], arrays[_PREFIX + "counts"])
