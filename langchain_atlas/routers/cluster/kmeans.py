"""Several k-means clusterings of the same queries, from coarse to fine."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.engines.products import product

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_MAX_ITERATIONS = 1000


@dataclass(frozen=True)
class Cluster:
    """A group of similar queries."""

    queries: int
    """Number of queries in it."""
    label: str
    """Domain of most of them."""


@dataclass(frozen=True)
class Clusterings:
    """Centres of several clusterings, stacked; a row number identifies a cluster of one of them."""

    centres: NDArray[np.float64]
    """Shape [n_rows, dimension]: the first clustering's centres, then the second's, and so on."""
    sizes: tuple[int, ...]
    """Number of clusters of each clustering."""

    @classmethod
    def fit(cls, vectors: NDArray[np.floating], sizes: Sequence[int], seed: int) -> Clusterings:
        """Cluster vectors once for every size, each time with another seed (section 2 of the paper, step 2).

        Args:
            vectors: shape [n, dimension].
            sizes: desired numbers of clusters; at most as many are made as there are distinct vectors.
            seed: seed of the first clustering; each further one adds 1.
        """
        from sklearn.cluster import KMeans

        distinct = len(np.unique(vectors, axis=0))
        centres = []
        for number, size in enumerate(min(size, distinct) for size in sizes):
            means = KMeans(
                n_clusters=size,
                init="k-means++",
                n_init="auto",
                max_iter=_MAX_ITERATIONS,
                algorithm="elkan" if size > 1 else "lloyd",  # Elkan's warns for one cluster
                random_state=(seed + number) % 2**32,
            ).fit(vectors)
            centres.append(means.cluster_centers_)
        return cls(np.vstack(centres).astype(np.float64), tuple(len(part) for part in centres))

    @cached_property
    def parts(self) -> tuple[slice, ...]:
        """Rows of each clustering."""
        ends = np.cumsum(self.sizes).tolist()
        return tuple(slice(end - size, end) for size, end in zip(self.sizes, ends, strict=True))

    @cached_property
    def _squares(self) -> NDArray[np.float64]:
        squares: NDArray[np.float64] = (self.centres**2).sum(axis=1)
        return squares

    def distances(self, vectors: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the distance of each vector to every centre, shape [n, n_rows]."""
        squared = (vectors**2).sum(axis=1, keepdims=True) - product(2 * vectors, self.centres.T) + self._squares
        distances: NDArray[np.float64] = np.sqrt(np.maximum(squared, 0))
        return distances

    def nearest(self, distances: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the row of the nearest centre in each clustering, shape [n, n_clusterings]."""
        rows = [part.start + distances[:, part].argmin(axis=1) for part in self.parts]
        return np.stack(rows, axis=1)

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return the centres by name, for saving."""
        return {"centres": self.centres}


def labelled(clusters: NDArray[np.int64], domains: Sequence[str], n_clusters: int) -> tuple[Cluster, ...]:
    """Describe clusters.

    Args:
        clusters: cluster of each query, shape [n_queries].
        domains: domain of each query, shape [n_queries].
        n_clusters: number of clusters.
    """
    members: list[Counter[str]] = [Counter() for _ in range(n_clusters)]
    for cluster, domain in zip(clusters, domains, strict=True):
        members[cluster][domain] += 1
    return tuple(Cluster(count.total(), count.most_common(1)[0][0] if count else "") for count in members)
