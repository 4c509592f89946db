"""A second estimate next to the clusters: a forest whose leaves are small clusters, chosen to separate outcomes.

A cluster gives the same estimate for all its queries, which were grouped because they look alike, not because of
their outcomes. The trees of a forest (extremely randomised trees: Geurts, Ernst and Wehenkel 2006) split the same
queries by single words and by directions of their features, where pairs differ between the two sides. In each leaf a
pair's record is its mean score; the estimate is the mean over the trees. Only how pairs differ on a query decides
where to split, because what is hard or easy for all of them does not affect the choice.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_atlas.query_features import filled, products, without_context

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

FEWEST_QUERIES = 100
_MOST_QUERIES = 20_000
_COMPONENTS = 20
_BUCKETS = 2048
"""Number of buckets that words are hashed into; no word itself is stored."""
_MOST_WORDS = 400
"""Number of words that the trees may split on: those that occur in most queries."""
_FEWEST_IN_LEAF = 5
_MOST_LEAVES = 2000
_FEATURES_TRIED = 0.3
_DEPTH = 24
_SHORT, _STRIDE = 12, 4
"""Steps down the trees before it is first checked whether all paths have ended, and then between two checks."""
_FEW_NODES = 20_000
"""So many nodes are asked all at once for a lone query; of more, only those on its paths."""
_LONGEST_TEXT = 20_000
_DECIMALS = 6
_PREFIX = "forest_"
_WORDS = re.compile(r"\w\w+")


@dataclass(frozen=True)
class Forest:
    """Estimates each pair's success from the leaves that a query falls into; the trees are stacked."""

    projection: NDArray[np.float64]
    """Projection of the features, and a constant, to the principal components, shape [n_seen + 1, n_components]."""
    roots: NDArray[np.int32]
    """The root node of each tree, shape [n_trees]; leaves are nodes too, and come last."""
    features: NDArray[np.int32]
    """The feature that each node tests: a component, or else a word's bucket; shape [n_nodes]."""
    thresholds: NDArray[np.float64]
    """Threshold up to which a query goes left, shape [n_nodes]; infinity in a leaf."""
    children: NDArray[np.int32]
    """Left and right child of each node, shape [n_nodes, 2]; a leaf is its own child."""
    records: NDArray[np.float32]
    """Mean score of each pair in each leaf, shape [n_leaves, n_pairs]."""
    counts: NDArray[np.float64]
    """Number of each pair's outcomes in the fit, shape [n_pairs]."""

    @classmethod
    def learn(
        cls, texts: Sequence[str], seen: NDArray[np.float64], scores: NDArray[np.float64], n_trees: int, seed: int
    ) -> Forest:
        """Grow the trees.

        Args:
            texts: texts of the logged queries, `FEWEST_QUERIES` or more.
            seen: their features from a `Featurizer`, shape [n_queries, n_seen].
            scores: outcomes, shape [n_queries, n_pairs]; NaN where nothing is recorded.
            n_trees: number of trees.
            seed: seed of everything random.
        """
        from sklearn.decomposition import PCA
        from sklearn.ensemble import ExtraTreesRegressor

        order = np.random.default_rng(seed).permutation(len(seen))[:_MOST_QUERIES]
        counts = (~np.isnan(scores)).sum(axis=0).astype(np.float64)
        seen, targets = seen[order], np.clip(filled(scores)[order], 0, 1)
        size = min(_COMPONENTS, *seen.shape)
        solver = "randomized" if size < min(seen.shape) else "full"
        with np.errstate(invalid="ignore"):  # if all queries are identical, this divides by a variance of zero
            components = PCA(size, svd_solver=solver, random_state=seed).fit(seen)
        turned = components.components_.T
        projection = np.vstack([turned, -components.mean_ @ turned])
        features = _features([texts[row] for row in order], seen, projection)
        common = np.argsort(-(features[:, size:] > 0).sum(axis=0), kind="stable")[:_MOST_WORDS]
        used = np.concatenate([np.arange(size), size + np.sort(common)])
        apart = targets - targets.mean(axis=1, keepdims=True)
        trees = ExtraTreesRegressor(
            n_trees,
            min_samples_leaf=max(_FEWEST_IN_LEAF, len(order) // _MOST_LEAVES),
            max_features=_FEATURES_TRIED,
            max_depth=_DEPTH,
            random_state=seed,
        ).fit(features[:, used], apart[:, 0] if apart.shape[1] == 1 else apart)
        reached = trees.apply(features[:, used]).T
        return cls(projection=projection, counts=counts, **_joined(trees.estimators_, used, reached, targets))

    def success(self, texts: Sequence[str], seen: NDArray[np.float64]) -> NDArray[np.float64]:
        """Estimate each pair's success, shape [n_queries, n_pairs]."""
        features = _features(texts, seen, self.projection, self._short_projection)
        if len(features) == 1 and self._n_inner <= _FEW_NODES:
            leaves = self._leaves_of_one(features[0])
        else:
            leaves = self._leaves(features.ravel(), features.shape[1])
        reached = self.records.take(leaves, axis=0)
        estimates: NDArray[np.float64] = np.add.reduce(reached, axis=1, dtype=np.float64) / reached.shape[1]
        return estimates

    def _leaves(self, values: NDArray[np.float32], n_features: int) -> NDArray[np.intp]:
        """Return the leaf of each query in each tree, shape [n_queries, n_trees]; all go down step by step."""
        roots, tested, thresholds, following = self._doubled
        starts = np.arange(0, values.size, n_features)[:, None]
        at = np.tile(roots, (len(starts), 1))
        for steps in self._stretches:
            for _ in range(steps):
                at = following.take(at + (values.take(starts + tested.take(at)) > thresholds.take(at)))
            if (at >= 2 * self._n_inner).all():
                break
        return at // 2 - self._n_inner

    def _leaves_of_one(self, values: NDArray[np.float32]) -> NDArray[np.intp]:
        """Return the leaf of one query in each tree, shape [1, n_trees].

        Every node is asked at once where it leads, so that a step down is one operation.
        """
        inner, (tested, left, right) = self._n_inner, self._asked
        leads = left.copy()  # a leaf leads to itself
        np.copyto(leads[:inner], right, where=values.take(tested) > self._least[:inner])
        at = self._start
        for steps in self._stretches:
            for _ in range(steps):
                at = leads.take(at)
            if np.minimum.reduce(at, axis=None) >= inner:
                break
        return at - inner

    @cached_property
    def _asked(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Feature of the inner nodes, left child of all nodes, and right child of the inner nodes."""
        children = self.children.T.astype(np.intp)
        return self.features[: self._n_inner].astype(np.intp), children[0].copy(), children[1, : self._n_inner].copy()

    @cached_property
    def _least(self) -> NDArray[np.float32]:
        """The thresholds as the next lower number of the features' precision: above both are the same features."""
        near = self.thresholds.astype(np.float32)
        return np.where(near > self.thresholds, np.nextafter(near, np.float32(-np.inf)), near)

    @cached_property
    def _start(self) -> NDArray[np.intp]:
        return self.roots.astype(np.intp)[None]

    @cached_property
    def _doubled(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32], NDArray[np.intp]]:
        """The roots, and for each node its feature, its threshold and its children, with every node's number doubled.

        So that a node's number plus a comparison is where its child stands: one operation less for each step.
        """
        return (
            (2 * self.roots).astype(np.intp),
            np.repeat(self.features, 2).astype(np.intp),
            np.repeat(self._least, 2),
            (2 * self.children.ravel()).astype(np.intp),
        )

    @cached_property
    def _short_projection(self) -> NDArray[np.float64] | None:
        return without_context(self.projection)

    @cached_property
    def _stretches(self) -> tuple[int, ...]:
        """Steps to take before it is checked whether all paths have ended: most are far shorter than the longest."""
        at, steps = self.roots, 0
        while steps < _DEPTH and not (at >= self._n_inner).all():
            at, steps = np.unique(self.children[at]), steps + 1
        first = min(_SHORT, steps)
        return (first, *(min(_STRIDE, steps - start) for start in range(first, steps, _STRIDE)))

    @cached_property
    def _n_inner(self) -> int:
        return len(self.features) - len(self.records)

    def with_pairs(self, columns: NDArray[np.int64]) -> Forest:
        """Return the forest for other pairs: their columns here, or -1 for a pair without outcomes."""
        known = columns >= 0
        records = np.ascontiguousarray(np.where(known, self.records[:, columns], np.float32(0)))
        return replace(self, records=records, counts=np.where(known, self.counts[columns], 0.0))

    def fits(self, n_seen: int, n_pairs: int) -> bool:
        """Return whether the arrays match one another, the number of features and the number of pairs."""
        n_nodes, n_components = len(self.features), self.projection.shape[1]
        if (
            self.projection.shape != (n_seen + 1, n_components)
            or self.thresholds.shape != (n_nodes,)
            or self.children.shape != (n_nodes, 2)
            or self.records.shape[1:] != self.counts.shape
            or len(self.counts) > n_pairs
            or not _all_within(self.features, n_components + _BUCKETS)
            or not _all_within(self.children, n_nodes)
            or not _all_within(self.roots, n_nodes)
        ):
            return False
        at = self.roots
        for _ in range(_DEPTH):
            at = np.unique(self.children[at])
        return bool((at >= self._n_inner).all())  # every path ends in a leaf

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the learned arrays by name, for saving."""
        return {_PREFIX + field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Forest | None:
        """Rebuild a forest from the result of `arrays`; None when there is none."""
        if _PREFIX + "roots" not in arrays:
            return None
        return cls(**{field.name: arrays[_PREFIX + field.name] for field in fields(cls)})


def _joined(
    trees: Sequence[Any], used: NDArray[np.int64], reached: NDArray[np.int64], targets: NDArray[np.float64]
) -> dict[str, NDArray[Any]]:
    """Return roots, features, thresholds, children and records of scikit-learn's trees, by name.

    Args:
        trees: the trees.
        used: the features they were grown from.
        reached: the leaf of each query in each tree, shape [n_trees, n_queries].
        targets: scores of the queries, shape [n_queries, n_pairs].
    """
    grown = [tree.tree_ for tree in trees]
    starts = np.cumsum([0, *(tree.node_count for tree in grown)])
    features, thresholds, left, right = (
        np.concatenate([getattr(tree, name) for tree in grown])
        for name in ("feature", "threshold", "children_left", "children_right")
    )
    leaf = left < 0
    number = np.where(leaf, (~leaf).sum() + np.cumsum(leaf), np.cumsum(~leaf)) - 1  # leaves come last
    below = np.stack([left, right], axis=1) + np.repeat(starts[:-1], np.diff(starts))[:, None]
    children = np.where(leaf[:, None], number[:, None], number[np.where(leaf[:, None], 0, below)])
    total = np.zeros((int(leaf.sum()), targets.shape[1]))
    count = np.zeros((len(total), 1))
    for start, at in zip(starts, reached, strict=False):
        rows = number[start + at] - int((~leaf).sum())
        np.add.at(total, rows, targets)
        np.add.at(count, rows, 1.0)
    order = np.argsort(number)
    return {
        "roots": number[starts[:-1]].astype(np.int32),
        "features": np.where(leaf, 0, used[features])[order].astype(np.int32),
        "thresholds": np.where(leaf, np.inf, thresholds)[order],
        "children": children[order].astype(np.int32),
        "records": (total / count).astype(np.float32),
    }


def _all_within(numbers: NDArray[Any], end: int) -> bool:
    return bool(((numbers >= 0) & (numbers < end)).all())


def _features(
    texts: Sequence[str],
    seen: NDArray[np.float64],
    projection: NDArray[np.float64],
    short: NDArray[np.float64] | None = None,
) -> NDArray[np.float32]:
    """Return the components and how often each word occurs in the text, shape [n_queries, n_components + buckets].

    Rounded, because products of one row and of many differ in their last bits.
    """
    components = products(seen, projection, short).round(_DECIMALS)
    features = np.empty((len(texts), components.shape[1] + _BUCKETS), dtype=np.float32)
    features[:, : components.shape[1]] = components
    counted = features[:, components.shape[1] :]
    for row, text in enumerate(texts):
        words = _WORDS.findall(text[:_LONGEST_TEXT].lower())
        buckets = [zlib.crc32(word.encode("utf-8", "replace")) % _BUCKETS for word in words]
        counted[row] = np.bincount(np.array(buckets, dtype=np.intp), minlength=_BUCKETS)
    return features
