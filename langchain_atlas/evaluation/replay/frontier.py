"""Cost against quality: the frontier, its convex hull, and the average quality over a range of costs (AIQ)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.errors import SettingError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Mix:
    """A random mix of two points: the best that can be reached at a cost without looking at the query."""

    cheap: int
    """Index of the cheaper point."""
    dear: int
    """Index of the more expensive point; the same as `cheap` if the mix is a single point."""
    dear_share: float
    """Share of the queries that go to the more expensive point, 0 to 1."""


def pareto_frontier(costs: ArrayLike, qualities: ArrayLike) -> NDArray[np.int64]:
    """Find the points that no other point beats in both cost and quality.

    Args:
        costs: shape [n], 0 or more, in any one unit.
        qualities: shape [n], higher is better.

    Returns:
        Indices of those points, cheapest first; each is better than all cheaper ones. Points with an unknown (NaN) cost
        or quality are left out. Of equal points, the first is kept.
    """
    cost, quality = np.asarray(costs, dtype=np.float64), np.asarray(qualities, dtype=np.float64)
    kept: list[int] = []
    for point in np.lexsort((-quality, cost)):
        if np.isnan(cost[point]) or np.isnan(quality[point]):
            continue
        if not kept or quality[point] > quality[kept[-1]]:
            kept.append(int(point))
    return np.array(kept, dtype=np.int64)


def convex_hull(costs: ArrayLike, qualities: ArrayLike) -> NDArray[np.int64]:
    """Find the corners of the non-decreasing convex hull of cost and quality (RouterBench, section 3).

    A router that tosses a coin between two others reaches every point on the line between theirs, so the upper hull
    of a set of routers can be reached by mixing them; a higher cost never makes it worse.

    Args:
        costs: shape [n], 0 or more, in any one unit.
        qualities: shape [n], higher is better.

    Returns:
        Indices of the corners, from the cheapest point to the best one; between them quality rises with cost, and
        ever more slowly. Points with an unknown (NaN) cost or quality are left out.
    """
    cost, quality = np.asarray(costs, dtype=np.float64), np.asarray(qualities, dtype=np.float64)

    def slope(left: int, right: int) -> float:
        return float((quality[right] - quality[left]) / (cost[right] - cost[left]))

    corners: list[int] = []
    for point in map(int, pareto_frontier(cost, quality)):
        while len(corners) > 1 and slope(corners[-2], corners[-1]) <= slope(corners[-1], point):
            corners.pop()
        corners.append(point)
    return np.array(corners, dtype=np.int64)


def hull_quality(costs: ArrayLike, qualities: ArrayLike, at: ArrayLike) -> NDArray[np.float64]:
    """Read the non-decreasing convex hull at given costs.

    Left of the cheapest point, the hull is the line from (0, 0), where no pair is called, to that point; right of the
    best point it is constant. Both are RouterBench's ways to extend it (section 3).

    Args:
        costs: shape [n], the points' costs.
        qualities: shape [n], the points' qualities.
        at: the costs to read at, any shape, same unit.

    Returns:
        Quality, with the shape of `at`.

    Raises:
        SettingError: no point has both a known cost and a known quality.
    """
    cost, quality = np.asarray(costs, dtype=np.float64), np.asarray(qualities, dtype=np.float64)
    corners = convex_hull(cost, quality)
    if not len(corners):
        raise SettingError("No point has both a known cost and a known quality; there is no frontier.")
    x, y = cost[corners], quality[corners]
    if x[0] > 0:
        x, y = np.concatenate(([0.0], x)), np.concatenate(([0.0], y))
    read: NDArray[np.float64] = np.interp(np.asarray(at, dtype=np.float64), x, y)
    return read


def average_quality(
    costs: ArrayLike, qualities: ArrayLike, *, low: float | None = None, high: float | None = None
) -> float:
    """Return the AIQ (RouterBench): the hull's quality, averaged over a range of costs.

    ``AIQ = 1 / (high - low) * integral of hull_quality(c) dc from low to high``. Only values over one range can be
    compared; give the same `low` and `high` to all routers of a comparison.

    Args:
        costs: shape [n], mean cost of each setting of one router, in any one unit.
        qualities: shape [n], mean quality of each setting, such as accuracy from 0 to 1.
        low: where the range begins; by default, the lowest known cost.
        high: where it ends; by default, the highest known cost.

    Returns:
        The average, in the unit of quality. For a range of width zero, the hull's quality there.

    Raises:
        SettingError: the range is inverted or begins below 0, or no point is known.
    """
    cost = np.asarray(costs, dtype=np.float64)
    if np.isnan(cost).all():
        raise SettingError("No cost is known; AIQ needs a cost for at least one point.")
    start = float(np.nanmin(cost)) if low is None else low
    end = float(np.nanmax(cost)) if high is None else high
    if not 0 <= start <= end:
        raise SettingError(
            f"The range of costs is {start!r} to {end!r}; it must begin at 0 or above and not end before."
        )
    if start == end:
        return float(hull_quality(cost, qualities, start))
    corners = cost[convex_hull(cost, qualities)]
    x = np.concatenate(([start], corners[(corners > start) & (corners < end)], [end]))
    return float(trapezoid(hull_quality(cost, qualities, x), x) / (end - start))


def mix_at(costs: ArrayLike, qualities: ArrayLike, at: float) -> Mix:
    """Find the random mix of two points that costs `at` and is best in quality.

    Args:
        costs: shape [n], the points' costs.
        qualities: shape [n], the points' qualities.
        at: the cost to match, same unit.

    Returns:
        The mix. Below the cheapest corner of the hull it is that corner alone, although that costs more; above the
        best corner it is the best alone, which costs less.

    Raises:
        SettingError: no point has both a known cost and a known quality.
    """
    cost = np.asarray(costs, dtype=np.float64)
    corners = convex_hull(cost, qualities)
    if not len(corners):
        raise SettingError("No point has both a known cost and a known quality; there is nothing to mix.")
    x = cost[corners]
    right = int(np.searchsorted(x, at, side="left"))
    if right == 0 or right == len(corners):
        only = int(corners[min(right, len(corners) - 1)])
        return Mix(only, only, 1.0)
    share = (at - x[right - 1]) / (x[right] - x[right - 1])
    return Mix(int(corners[right - 1]), int(corners[right]), float(share))


def trapezoid(y: NDArray[np.float64], x: NDArray[np.float64]) -> float:
    """Integrate a piecewise linear curve through the points (x, y), x ascending."""
    return float((np.diff(x) * (y[1:] + y[:-1]) / 2).sum())
