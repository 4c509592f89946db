"""A second opinion beside the clusters: what queries near some logged ones, the landmarks, say of each pair.

A cluster says the same of all its queries. Whether a single one is hard shows, a little, in how near it lies to others
that were. So each pair's success is also estimated by a Gaussian process over what is seen of a query, reduced to a few
principal components and to a few hundred landmarks (Nyström's approximation: Williams and Seeger 2001). Outcomes are
turned into their principal directions first, and each direction is smoothed as much as predicts left-out queries best;
so what all pairs have in common is learned well, and what is only noise is not learned at all.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_atlas.routers.views import filled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

FEWEST_QUERIES = 100
_MOST_QUERIES = 20_000
_COMPONENTS = 64
_WIDTH = 0.25
"""Of the Gaussian, as a part of the landmarks' median distance."""
_MEASURED = 300
_DETAIL_WEIGHT = 0.4
_MOST_DEVIATIONS = 3.0
_NOISES = np.geomspace(0.1, 300, 15)
_SMALLEST = 1e-6
_DECIMALS = 9
_PREFIX = "landmark_"


@dataclass(frozen=True)
class Landmarks:
    """Estimates each pair's success from how near a query lies to landmarks."""

    centre: NDArray[np.float64]
    """Mean of each detail, shape [n_details]."""
    spread: NDArray[np.float64]
    """Standard deviation of each detail, likewise; zero where it did not vary, and so tells nothing."""
    projection: NDArray[np.float64]
    """From what is seen, and a constant, to the principal components, shape [n_seen + 1, n_components]."""
    points: NDArray[np.float64]
    """The landmarks, shape [n_landmarks, n_components]."""
    width: NDArray[np.float64]
    """Twice the squared width of the Gaussian, shape [1]."""
    weights: NDArray[np.float64]
    """Of each landmark for each pair, shape [n_landmarks, n_pairs]."""
    means: NDArray[np.float64]
    """Mean score of each pair, shape [n_pairs]; a query far from all landmarks gets these."""
    counts: NDArray[np.float64]
    """Number of each pair's outcomes that were learned from, shape [n_pairs]."""

    @classmethod
    def learn(
        cls,
        found: NDArray[np.float64],
        seen: NDArray[np.float64],
        scores: NDArray[np.float64],
        n_landmarks: int,
        seed: int,
    ) -> Landmarks:
        """Learn the estimates.

        Args:
            found: details of the logged queries, `FEWEST_QUERIES` or more, shape [n_queries, n_details].
            seen: what a `QueryView` sees of them, shape [n_queries, n_seen].
            scores: outcomes, shape [n_queries, n_pairs]; NaN where nothing is recorded.
            n_landmarks: how many of the queries become landmarks.
            seed: seed of the choice.
        """
        from sklearn.decomposition import PCA

        order = np.random.default_rng(seed).permutation(len(found))[:_MOST_QUERIES]
        counts = (~np.isnan(scores)).sum(axis=0).astype(np.float64)
        found, targets = found[order], filled(scores)[order]
        centre, spread = found.mean(axis=0), np.where(np.ptp(found, axis=0) > 0, found.std(axis=0), 0.0)
        features = np.hstack([seen[order], _deviations(found, centre, spread)])
        size = min(_COMPONENTS, *features.shape)
        solver = "randomized" if size < min(features.shape) else "full"
        components = PCA(size, svd_solver=solver, random_state=seed).fit(features)
        turned = components.components_.T
        projection = np.vstack([turned, -components.mean_ @ turned])
        places = features @ projection[:-1] + projection[-1]
        points = np.unique(places[:n_landmarks].round(_DECIMALS), axis=0)
        apart = _squares(points[:_MEASURED], points[:_MEASURED])
        width = np.array([max(2 * _WIDTH**2 * float(np.median(apart)), 1e-9)])
        means = targets.mean(axis=0)
        weights = _fitted(_near(points, points, width), _near(places, points, width), targets - means)
        return cls(centre, spread, projection, points, width, weights, means, counts)

    def success(self, found: NDArray[np.float64], seen: NDArray[np.float64]) -> NDArray[np.float64]:
        """Estimate each pair's success, shape [n_queries, n_pairs].

        Rounded, as the products of one row and of many differ in their last bits.
        """
        features = np.hstack([seen, _deviations(found, self.centre, self.spread)])
        places = features @ self.projection[:-1] + self.projection[-1]
        estimates = self.means + _near(places, self.points, self.width) @ self.weights
        cut: NDArray[np.float64] = np.clip(estimates, 0, 1).round(_DECIMALS)
        return cut

    def with_pairs(self, columns: NDArray[np.int64]) -> Landmarks:
        """Return the same for other pairs: their columns, or -1 for one of which nothing was learned."""
        known = columns >= 0
        return Landmarks(
            self.centre,
            self.spread,
            self.projection,
            self.points,
            self.width,
            np.ascontiguousarray(np.where(known, self.weights[:, columns], 0.0)),
            np.where(known, self.means[columns], 0.0),
            np.where(known, self.counts[columns], 0.0),
        )

    def fits(self, n_seen: int, n_pairs: int) -> bool:
        """Say whether the arrays fit one another, a view and the number of pairs."""
        n_landmarks, n_components = self.points.shape
        return (
            self.projection.shape == (n_seen + len(self.centre) + 1, n_components)
            and self.weights.shape == (n_landmarks, len(self.means))
            and self.centre.shape == self.spread.shape
            and self.means.shape == self.counts.shape
            and len(self.means) <= n_pairs
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what was learned by name, for saving."""
        return {_PREFIX + field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Landmarks | None:
        """Rebuild landmarks from what `arrays` gave; None where there are none."""
        if _PREFIX + "points" not in arrays:
            return None
        return cls(**{field.name: arrays[_PREFIX + field.name] for field in fields(cls)})


def _fitted(among: NDArray[np.float64], near: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each landmark's weight for each pair, each principal direction of the targets smoothed by itself."""
    values, vectors = np.linalg.eigh(among)
    kept = values > _SMALLEST * values.max()
    whitened = vectors[:, kept] / np.sqrt(values[kept])
    features = near @ whitened
    strengths, turn = np.linalg.eigh(features.T @ features)
    strengths, features = np.maximum(strengths, 0), features @ turn
    axes = np.linalg.svd(targets, full_matrices=False)[2]
    wanted = targets @ axes.T
    products = features.T @ wanted
    coefficients, least = np.zeros_like(products), np.full(len(axes), np.inf)
    for noise in _NOISES:
        shrunk = products / (strengths + noise)[:, None]
        leverage = (features**2) @ (1 / (strengths + noise))
        error = (((wanted - features @ shrunk) / (1 - leverage)[:, None]) ** 2).mean(axis=0)  # of a query left out
        better = error < least
        coefficients[:, better], least[better] = shrunk[:, better], error[better]
    weights: NDArray[np.float64] = whitened @ turn @ coefficients @ axes
    return weights


def _deviations(
    found: NDArray[np.float64], centre: NDArray[np.float64], spread: NDArray[np.float64]
) -> NDArray[np.float64]:
    deviations = np.where(spread > 0, (found - centre) / np.where(spread > 0, spread, 1.0), 0.0)
    clipped: NDArray[np.float64] = _DETAIL_WEIGHT * np.clip(deviations, -_MOST_DEVIATIONS, _MOST_DEVIATIONS)
    return clipped


def _near(places: NDArray[np.float64], points: NDArray[np.float64], width: NDArray[np.float64]) -> NDArray[np.float64]:
    near: NDArray[np.float64] = np.exp(-_squares(places, points) / width)
    return near


def _squares(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2 * left @ right.T
    positive: NDArray[np.float64] = np.maximum(squares, 0.0)
    return positive
