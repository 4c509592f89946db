"""Whether the arrays of a saved cluster router fit one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_atlas.routers.cluster.router import ClusterRouter


def fits_together(router: ClusterRouter, n_pairs: int, encoded: int) -> bool:
    """Return whether a router's clusters, statistics and estimates match one another.

    Args:
        router: the router as it was read.
        n_pairs: number of its pairs.
        encoded: length of its encoder's vectors.
    """
    rows, view = sum(router.clusterings_.sizes), router.view_
    sums = (router.statistics_, router.paired_)
    shapes = {array.shape for part in sums for array in part.arrays().values()}
    further = [part for part in (router.forest_, router.ridge_) if part is not None]
    return (
        all(view is not None and part.fits(view.n_seen(encoded), n_pairs) for part in further)
        and len(further) != 1
        and shapes == {(rows, n_pairs)}
        and router.clusterings_.centres.shape == (rows, encoded if view is None else view.dimension(encoded))
        and len(router.clusters_) == router.clusterings_.sizes[0]
    )
