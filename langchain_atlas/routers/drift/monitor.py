"""The monitor: what is decided and scored goes in, events come out."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from langchain_atlas.errors import SettingError
from langchain_atlas.routers.drift.events import DriftEvent
from langchain_atlas.routers.drift.stream import SETTLED, GrowingRange, ReferenceRange, Stream

if TYPE_CHECKING:
    from langchain_atlas.pool.pairs import Pair
    from langchain_atlas.routers.drift.events import Kind
    from langchain_atlas.routers.drift.stream import Change

_STATISTICS = 8
"""Number of sums that a query adds to at most: success in the cluster and overall, distance, share; up and down."""
_TOLERANCE = 0.02
_FAR_IN_TRAINING, _FAR_AT_MOST = 0.05, 0.5
"""Share of the training queries that count as far, and of the first live queries that is not remarkable: much more is
usual for queries that the clusters were not made from, if they were made from few."""
_MANY = 1000
"""Number of queries that the references of shares are made of: every query counts, with a score or without."""
_COLLAPSED = 0.8
_RECENT = 100


@dataclass
class _Watched:
    """A stream with its reference."""

    reference: GrowingRange
    stream: Stream


@dataclass
class DriftMonitor:
    """Watches success, distance and concentration, each by `EDetector`.

    The reference of a pair in a cluster is its first outcomes there, as routers choose it: its mean in the training
    data is that on all queries of the cluster, and not on those on which a router would choose it.

    Args:
        queries_per_false_alarm: average number of queries for each false alarm, of all tests together.
        tolerance: change of a success that nobody needs to hear of; 0 to 1.

    Raises:
        SettingError: a setting is out of range.
    """

    queries_per_false_alarm: float = 100_000
    tolerance: float = _TOLERANCE
    _cells: dict[tuple[Pair, int | None], _Watched] = field(default_factory=dict, init=False, repr=False)
    _pairs: dict[Pair, Stream] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.queries_per_false_alarm >= 1:
            raise SettingError(f"queries_per_false_alarm is {self.queries_per_false_alarm!r}; it must be 1 or more.")
        if not 0 <= self.tolerance < 1:
            raise SettingError(f"tolerance is {self.tolerance!r}; it must be a number from 0 to below 1.")
        self._threshold = _STATISTICS * self.queries_per_false_alarm
        self._far, self._share = self._watched(_MANY), self._watched(_MANY)
        self._is_first = True
        self._latest: deque[Pair] = deque(maxlen=_RECENT)
        self._counts: Counter[Pair] = Counter()

    def decided(self, pair: Pair, *, far: bool | None = None, at: float) -> list[DriftEvent]:
        """Take in a decision; return what it shows.

        Args:
            pair: the pair that was chosen.
            far: whether the query is far from the training data; None if unknown.
            at: when, in seconds since 1970.
        """
        events = []
        if far is not None:
            change = self._moved_away(float(far), at)
            if change is not None:
                events.append(_event("distance", change, at))
        if len(self._latest) == _RECENT:
            most = self._counts.most_common(1)[0][0]  # chosen before this decision is looked at
            change = self._collapsed(float(pair == most), at)
            if change is not None:
                events.append(_event("collapse", change, at, most))
            self._counts[self._latest[0]] -= 1
        self._latest.append(pair)
        self._counts[pair] += 1
        return events

    def scored(self, pair: Pair, cluster: int | None, score: float, *, at: float) -> list[DriftEvent]:
        """Take in a score; return what it shows.

        Args:
            pair: the pair that answered.
            cluster: the query's cluster; None if unknown.
            score: 0 to 1.
            at: when, in seconds since 1970.
        """
        cell = self._cells.get((pair, cluster))
        if cell is None:
            cell = self._cells[pair, cluster] = self._watched()
        reference = cell.reference.take(score)
        if reference is None:
            return []
        overall = self._pairs.setdefault(pair, self._stream()).add(score, reference, at)
        change = cell.stream.add(score, reference, at)
        if overall is not None:
            for (other, _), each in self._cells.items():
                if other == pair:
                    each.reference.forget()
                    each.stream = self._stream()
            return [_event("success", overall, at, pair)]
        if change is not None:
            cell.reference.forget()
            return [_event("success", change, at, pair, cluster)]
        return []

    def _stream(self) -> Stream:
        return Stream(self._threshold, self.tolerance)

    def _watched(self, settled: int = SETTLED) -> _Watched:
        return _Watched(GrowingRange(self.tolerance, settled), self._stream())

    def _moved_away(self, is_far: float, at: float) -> Change | None:
        known = self._far.reference.take(is_far)
        if self._is_first:  # beside the first queries, the training data is a reference
            low, high = (0.0, 1.0) if known is None else (known.low, known.high)
            known = ReferenceRange(_FAR_IN_TRAINING, low, min(high, _FAR_AT_MOST))
        change = None if known is None else self._far.stream.add(is_far, known, at)
        if change is not None:
            self._far.reference.forget()
            self._is_first = False
        return change

    def _collapsed(self, is_most: float, at: float) -> Change | None:
        reference = self._share.reference.take(is_most)
        if reference is None:
            return None
        # Only a concentration that leaves hardly anything for the others is news, and its end.
        low = min(reference.low, _COLLAPSED) if reference.mean > _COLLAPSED else 0.0
        bounded = ReferenceRange(reference.mean, low, max(reference.high, _COLLAPSED))
        change = self._share.stream.add(is_most, bounded, at)
        if change is not None:
            self._share.reference.forget()
        return change


def _event(kind: Kind, change: Change, at: float, pair: Pair | None = None, cluster: int | None = None) -> DriftEvent:
    return DriftEvent(kind, pair, cluster, change.before, change.now, change.count, change.since, at)
