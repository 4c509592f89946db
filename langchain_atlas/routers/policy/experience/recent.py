"""What was looked up for the latest queries, so that the turns of a query, and its settings, share one look-up."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.trajectory import Query

    Numbers = tuple[NDArray[np.float32], ...]
    """Arrays with one row per query."""

_MOST_CELLS = 2_000_000
_MOST_QUERIES = 2048


class RecentNumbers:
    """The numbers of the latest queries, by their text and context; threads may share it.

    Args:
        n_pairs: number of pairs, which bounds how many queries are kept.
    """

    def __init__(self, n_pairs: int) -> None:
        self._most = max(1, min(_MOST_QUERIES, _MOST_CELLS // max(n_pairs, 1)))
        self._encoder: Encoder | None = None
        self._kept: dict[tuple[str, str | None], Numbers] = {}
        self._lock = threading.Lock()

    def of(
        self, queries: Sequence[Query], encoder: Encoder, look_up: Callable[[list[Query]], Sequence[NDArray[Any]]]
    ) -> Numbers:
        """Return the numbers of some queries.

        Args:
            queries: the queries, at least one.
            encoder: embeds them; the numbers of another encoder are dropped.
            look_up: looks up the numbers of the queries that are not kept, all at once.
        """
        keys = [(query.text, query.context) for query in queries]
        with self._lock:
            if self._encoder is not encoder:
                self._encoder, self._kept = encoder, {}
            kept = self._kept
            found = {key: kept[key] for key in keys if key in kept}
        missing = {key: query for key, query in zip(keys, queries, strict=True) if key not in found}
        if missing:
            numbers = look_up(list(missing.values()))
            found.update(zip(missing, zip(*numbers, strict=True), strict=True))
            with self._lock:
                for key in missing:
                    kept[key] = found[key]
                for key in list(kept)[: max(0, len(kept) - self._most)]:
                    del kept[key]
        return tuple(np.stack(part) for part in zip(*(found[key] for key in keys), strict=True))
