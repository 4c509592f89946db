"""What the policy sees when it decides: one batch of situations, each a query with the calls made so far.

Nothing here knows a pair by its place: every number about a pair is a property of it, of its record, or of how it
relates to the pairs already called. Axes are named B (situations), P (pairs), T (calls made, at most), V (records).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

from langchain_atlas.agreement import MARKS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from langchain_atlas.agreement import Reading
    from langchain_atlas.routers.nearby import Nearby
    from langchain_atlas.routers.track_record import TrackRecord

MAX_CALLS = 4
"""Most calls of a trajectory (section 3 of the paper)."""

KINDS = ("calls", "no-call", "nothing")
"""Kinds of answer that are told apart; all others count as one more."""

PAIR_FEATURES = (
    "success",
    "count",
    "success_near",
    "success_around",
    "count_around",
    "worst_domain",
    "success_of_model",
    "success_of_tool",
    "log_cost",
    "cost",
    "log_latency",
    "suits",
)
"""Names of the numbers about a pair, in their order."""

QUERY_FEATURES = ("nearest", "near", "ease", "fit", "items", "length", "numbers")
"""Names of the numbers about a query, in their order."""

N_FLAGS = MARKS.index("ungrounded")
"""How many of an answer's marks, the first ones, say that it breaks a schema."""

N_ANSWER_FEATURES = len(MARKS) + len(KINDS) + 1
"""How many numbers there are about an answer: its marks, and one for each kind."""


@dataclass(frozen=True)
class Prospect:
    """What is known of every pair before anything is called."""

    pairs: Tensor
    """Numbers about each pair on each query, shape [B, P, len(PAIR_FEATURES)]."""
    query: Tensor
    """Numbers about each query, shape [B, len(QUERY_FEATURES)]."""
    cost: Tensor
    """Expected cost of a call, 1 for the dearest pair of the pool that was learned on, shape [B, P]."""
    record: Tensor
    """Which record each situation is seen through, shape [B]."""
    rescue: Tensor
    """See `TrackRecord.rescue`, shape [V, P, P]."""
    if_agreed: Tensor
    """See `TrackRecord.if_agreed`, shape [V, P, P]."""
    if_differed: Tensor
    """See `TrackRecord.if_differed`, shape [V, P, P]."""
    by_style: Tensor
    """See `TrackRecord.by_style`, shape [V, P, n_styles + 1]."""
    same_model: Tensor
    """1 where two pairs have one model, shape [P, P]."""
    same_tool: Tensor
    """1 where two pairs have one tool, shape [P, P]."""
    likeness: Tensor
    """Cosine of the pairs' descriptions, shape [P, P]."""

    def rows(self, rows: Tensor) -> Prospect:
        """Return the prospect of some situations."""
        changed = {name: getattr(self, name)[rows] for name in ("pairs", "query", "cost", "record")}
        return replace(self, **changed)


@dataclass(frozen=True)
class Situation:
    """A batch of queries with what has been called; shape [B, T] unless said otherwise."""

    prospect: Prospect
    """What was known before."""
    allowed: Tensor
    """Which pairs may be called now, shape [B, P]."""
    called: Tensor
    """Column of each pair called, -1 for calls not made."""
    same: Tensor
    """Whether two answers say the same, shape [B, T, T]."""
    answers: Tensor
    """Numbers about each answer: its marks and its kind, shape [B, T, N_ANSWER_FEATURES]."""
    styles: Tensor
    """How each answer is written: a column of `by_style`."""
    turns: Tensor
    """Calls that may still be made, shape [B]."""
    price: Tensor
    """Score that one unit of cost is worth: cost weight over one less it, shape [B]."""

    @property
    def made(self) -> Tensor:
        """Which calls were made."""
        return self.called >= 0

    def rows(self, rows: Tensor) -> Self:
        """Return some of the situations."""
        changed = {field.name: getattr(self, field.name)[rows] for field in fields(self) if field.name != "prospect"}
        return replace(self, prospect=self.prospect.rows(rows), **changed)


def answer_features(reading: Reading) -> NDArray[np.float32]:
    """Return the numbers about an answer, shape [N_ANSWER_FEATURES]."""
    kinds = [float(reading.kind == kind) for kind in KINDS]
    return np.array([*reading.marks, *kinds, float(not any(kinds))], dtype=np.float32)


def prospect_of(
    nearby: Nearby,
    record: TrackRecord,
    queries: NDArray[np.float32],
    suits: NDArray[np.float32],
    scale: tuple[float, float, float],
) -> tuple[Tensor, Tensor, Tensor]:
    """Put the numbers about pairs and queries together.

    Args:
        nearby: what is recorded near the queries.
        record: what is recorded overall.
        queries: fit, items, length and numbers of each query, shape [B, 4].
        suits: cosine of each query with each pair's description, shape [B, P].
        scale: dollars and seconds that count as 1, and the usual distance between neighbours.

    Returns:
        `Prospect.pairs`, `Prospect.query` and `Prospect.cost`.
    """
    dollars, seconds, distance = scale
    shape = nearby.cost.shape
    cost = np.where(np.isnan(nearby.cost), 1.0, nearby.cost / dollars)  # unknown counts as the dearest, never as free
    latency = np.where(np.isnan(nearby.latency), 1.0, nearby.latency / seconds)

    def everywhere(values: NDArray[Any]) -> NDArray[Any]:
        return np.broadcast_to(values, shape)

    pairs: NDArray[Any] = np.stack(
        [
            everywhere(record.success),
            everywhere(np.log1p(record.count) / 5),
            *nearby.success,
            np.log1p(nearby.count) / 4,
            everywhere(record.worst),
            everywhere(record.by_model),
            everywhere(record.by_tool),
            np.log10(cost + 1e-4) / 2,
            np.minimum(cost, 3.0),
            np.log10(latency + 1e-3) / 2,
            suits,
        ],
        axis=-1,
    )
    query = np.column_stack([nearby.distance / distance, nearby.ease, queries])
    return tuple(torch.from_numpy(np.asarray(part, dtype=np.float32)) for part in (pairs, query, cost))  # type: ignore[return-value]


def relations(models: Sequence[str], tools: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return which pairs have one model, and which have one tool, shape [P, P] each."""
    return _same(models), _same(tools)


def _same(names: Sequence[str]) -> Tensor:
    column = np.array(names)
    return torch.from_numpy((column[:, None] == column[None]).astype(np.float32))
