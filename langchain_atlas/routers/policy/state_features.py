"""What the policy sees when it decides: one batch of states, each a query with the calls made so far.

Pairs are never identified by index: every number about a pair is a property of it, of its record, or of how it
relates to the pairs already called. Axes are named B (states), P (pairs), T (calls, at most), V (records). Arrays are
NumPy's where a router decides, and torch's where a policy learns; see `arrays.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from langchain_atlas.answers import MARKS
from langchain_atlas.routers.arrays import Array, library_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from langchain_atlas.answers import ParsedAnswer
    from langchain_atlas.routers.policy.experience.nearby_statistics import NearbyStatistics
    from langchain_atlas.routers.policy.experience.pair_statistics import PairStatistics
    from langchain_atlas.routers.policy.state_featurizer import EncodedQueries, Scale

MAX_CALLS = 4
"""Maximum number of calls in a trajectory (section 3 of the paper)."""

KINDS = ("calls", "no-call", "nothing")
"""Kinds of answer that are distinguished; all others share one more."""

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
"""Names of the numbers about a pair, in order."""

QUERY_FEATURES = ("nearest", "near", "ease", "fit", "items", "words", "numbers")
"""Names of the numbers about a query, in order."""

ANSWER_FEATURES = (*MARKS, *KINDS, "other")
"""Names of the numbers about an answer, in order: its flags, and one for each kind."""

FLAGS = MARKS[: MARKS.index("ungrounded")]
"""The flags of an answer that violates a schema."""


@dataclass(frozen=True)
class PriorFeatures:
    """What is known of every pair before any call."""

    pairs: Array
    """Numbers about each pair on each query, shape [B, P, len(PAIR_FEATURES)]."""
    query: Array
    """Numbers about each query, shape [B, len(QUERY_FEATURES)]."""
    cost: Array
    """Expected cost of a call, 1 for the most expensive pair of the training pool, shape [B, P]."""
    record: Array
    """The record through which each state is seen, shape [B]."""
    rescue: Array
    """See `PairStatistics.rescue`, shape [V, P, P]."""
    if_agreed: Array
    """See `PairStatistics.if_agreed`, shape [V, P, P]."""
    if_differed: Array
    """See `PairStatistics.if_differed`, shape [V, P, P]."""
    by_style: Array
    """See `PairStatistics.by_style`, shape [V, P, n_styles + 1]."""
    same_model: Array
    """1 where two pairs have the same model, shape [P, P]."""
    same_tool: Array
    """1 where two pairs have the same tool, shape [P, P]."""
    likeness: Array
    """Cosine similarity of the pairs' descriptions, shape [P, P]."""
    by_verdict: Array | None = None
    """See `PairStatistics.by_verdict`, shape [V, P, 3]; None if there are no verdicts."""

    def of_pairs(self, name: str) -> Array:
        """Return one of `PAIR_FEATURES` of every pair, shape [B, P]."""
        return self.pairs[..., PAIR_FEATURES.index(name)]

    def of_query(self, name: str) -> Array:
        """Return one of `QUERY_FEATURES` of every query, shape [B]."""
        return self.query[..., QUERY_FEATURES.index(name)]

    def rows(self, rows: Array) -> PriorFeatures:
        """Return the prior of some states."""
        changed = {name: getattr(self, name)[rows] for name in ("pairs", "query", "cost", "record")}
        return replace(self, **changed)


@dataclass(frozen=True)
class State:
    """A batch of queries with the calls made; shape [B, T] unless noted otherwise."""

    prior: PriorFeatures
    """What was known before any call."""
    allowed: Array
    """Which pairs may be called now, shape [B, P]."""
    called: Array
    """Column of each called pair, -1 for calls not made."""
    same: Array
    """Whether two answers say the same, shape [B, T, T]."""
    answers: Array
    """Numbers about each answer: its flags and its kind, shape [B, T, len(ANSWER_FEATURES)]."""
    styles: Array
    """How each answer is written: a column of `by_style`."""
    turns: Array
    """Number of calls that may still be made, shape [B]."""
    price: Array
    """Score that one unit of cost is worth: cost weight / (1 - cost weight), shape [B]."""
    verdicts: Array | None = None
    """What a verifier said of each answer: a column of `by_verdict`; None if there are no verdicts."""

    @property
    def style(self) -> Array:
        """What the style of each answer and its verdict say about whether it is right, as logits."""
        record, called = self.prior.record[:, None], self.called.clip(min=0)
        style = self.prior.by_style[record, called, self.styles]
        verdict = self.verdict
        return style if verdict is None else style + verdict

    @property
    def verdict(self) -> Array | None:
        """What the verdict on each answer says about whether it is right, as logits; None if there are none."""
        if self.verdicts is None or self.prior.by_verdict is None:
            return None
        return self.prior.by_verdict[self.prior.record[:, None], self.called.clip(min=0), self.verdicts]

    @property
    def made(self) -> Array:
        """Which calls were made."""
        return self.called >= 0

    @property
    def mask(self) -> Array:
        """Which actions can be taken: giving each answer, then calling each pair, shape [B, T + P]."""
        library = library_of(self.called)
        return library.concatenate([self.made, self.allowed & (self.turns > 0)[:, None]], axis=1)

    @property
    def kinds(self) -> Array:
        """1 for the kind of each answer, shape [B, T, len(KINDS) + 1]."""
        return self.answers[..., len(MARKS) :]

    @property
    def flags(self) -> Array:
        """The flags of each answer that violates a schema, shape [B, T, len(FLAGS)]."""
        return self.answers[..., : len(FLAGS)]

    def rows(self, rows: Array) -> Self:
        """Return some of the states."""
        held = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "prior"}
        changed: dict[str, Any] = {name: None if value is None else value[rows] for name, value in held.items()}
        return replace(self, prior=self.prior.rows(rows), **changed)


def answer_features(reading: ParsedAnswer) -> NDArray[np.float32]:
    """Return the numbers about an answer, shape [len(ANSWER_FEATURES)]."""
    kinds = [float(reading.kind == kind) for kind in KINDS]
    return np.array([*reading.marks, *kinds, float(not any(kinds))], dtype=np.float32)


def prior_features(
    nearby: NearbyStatistics,
    record: PairStatistics,
    seen: EncodedQueries,
    suits: NDArray[np.float32],
    scale: Scale,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Assemble the numbers about pairs and queries.

    Args:
        nearby: statistics near the queries.
        record: statistics over all queries.
        seen: the features of the queries.
        suits: cosine similarity of each query with each pair's description, shape [B, P].
        scale: the units of scaled values.

    Returns:
        `PriorFeatures.pairs`, `PriorFeatures.query` and `PriorFeatures.cost`.
    """
    shape = nearby.cost.shape
    cost = np.where(
        np.isnan(nearby.cost), 1.0, nearby.cost / scale.dollars
    )  # unknown counts as the most expensive, never as free
    latency = np.where(np.isnan(nearby.latency), 1.0, nearby.latency / scale.seconds)

    def everywhere(values: NDArray[Any]) -> NDArray[Any]:
        return np.broadcast_to(values, shape)

    about_pairs = {
        "success": everywhere(record.success),
        "count": everywhere(np.log1p(record.count) / 5),
        "success_near": nearby.success_near,
        "success_around": nearby.success_around,
        "count_around": np.log1p(nearby.count) / 4,
        "worst_domain": everywhere(record.worst),
        "success_of_model": everywhere(record.by_model),
        "success_of_tool": everywhere(record.by_tool),
        "log_cost": np.log10(cost + 1e-4) / 2,
        "cost": np.minimum(cost, 3.0),
        "log_latency": np.log10(latency + 1e-3) / 2,
        "suits": suits,
    }
    about_queries = {
        "nearest": nearby.nearest / scale.distance,
        "near": nearby.near / scale.distance,
        "ease": nearby.ease,
        "fit": seen.fit,
        "items": seen.items,
        "words": seen.words,
        "numbers": seen.numbers,
    }
    pairs: NDArray[Any] = np.stack([about_pairs[name] for name in PAIR_FEATURES], axis=-1)
    query = np.column_stack([about_queries[name] for name in QUERY_FEATURES])
    return tuple(np.asarray(part, dtype=np.float32) for part in (pairs, query, cost))  # type: ignore[return-value]


def relations(models: Sequence[str], tools: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return which pairs have the same model, and which the same tool, shape [P, P] each."""
    return _same(models), _same(tools)


def _same(names: Sequence[str]) -> NDArray[np.float32]:
    column = np.array(names)
    same: NDArray[np.float32] = (column[:, None] == column[None]).astype(np.float32)
    return same
