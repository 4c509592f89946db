"""What the policy remembers: recorded outcomes, and for any query the record of every pair, overall and nearby.

A record can be made from part of the memory. In training every query is seen through a memory without it and its like,
as a live query will be; see ``docs/rl.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.pool import Pair

NEAR = (16, 64)
"""How many neighbours the two nearby records look at."""

_NEAR_STRENGTH = (4.0, 10.0)
_OVERALL_STRENGTH = 8.0
_JOINT_STRENGTH = 8.0
_STYLE_STRENGTH = 6.0
_DOMAIN_STRENGTH = 10.0
_MOST_EVIDENCE = 3.0
_PESSIMISM = 0.05
_EDGE = 0.02


@dataclass(frozen=True)
class Memory:
    """Outcomes as numbers; rows are queries, columns are pairs."""

    pairs: tuple[Pair, ...]
    """The pairs."""
    vectors: NDArray[np.float32]
    """What is seen of each query, shape [n, dimension]."""
    scores: NDArray[np.float32]
    """Shape [n, n_pairs], 0 to 1; NaN where nothing is recorded."""
    costs: NDArray[np.float32]
    """Dollars of each call, likewise."""
    latencies: NDArray[np.float32]
    """Seconds of each call, likewise."""
    groups: NDArray[np.int64]
    """Answers of a query that say the same have one number, shape [n, n_pairs], which stands for what they say (see
    `Reading.key`); -1 where nothing is recorded."""
    styles: NDArray[np.int16]
    """Index of how each answer is written, likewise; -1 where there is none."""
    domains: NDArray[np.int16]
    """Number of each query's domain, shape [n]."""
    style_names: tuple[str, ...] = ()
    """The styles."""

    @property
    def recorded(self) -> NDArray[np.bool_]:
        """Where a score is recorded, shape [n, n_pairs]."""
        return ~np.isnan(self.scores)

    def columns(self, columns: Sequence[int]) -> Memory:
        """Return the memory of some pairs."""
        taken = list(columns)
        return Memory(
            pairs=tuple(self.pairs[column] for column in taken),
            vectors=self.vectors,
            scores=self.scores[:, taken],
            costs=self.costs[:, taken],
            latencies=self.latencies[:, taken],
            groups=self.groups[:, taken],
            styles=self.styles[:, taken],
            domains=self.domains,
            style_names=self.style_names,
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the numbers by name, for saving."""
        names = ("vectors", "scores", "costs", "latencies", "groups", "styles", "domains")
        return {name: getattr(self, name) for name in names}

    def with_pairs(self, other: Memory) -> Memory:
        """Return a memory that also holds the outcomes of another one's pairs that this one lacks.

        A query that both remember is one row; its answers in the two memories agree where they have one number.
        """
        fresh = [column for column, pair in enumerate(other.pairs) if pair not in set(self.pairs)]
        known = {vector.tobytes(): row for row, vector in enumerate(self.vectors)}
        rows = [known.get(vector.tobytes(), -1) for vector in other.vectors]
        added = [row for row, found in enumerate(rows) if found < 0]
        place = {row: len(self.vectors) + number for number, row in enumerate(added)}
        target = np.array([place.get(row, found) for row, found in enumerate(rows)])
        shape = (len(self.vectors) + len(added), len(self.pairs) + len(fresh))

        def joined(name: str, empty: float) -> NDArray[Any]:
            mine, theirs = getattr(self, name), getattr(other, name)
            full = np.full(shape, empty, dtype=mine.dtype)
            full[: len(mine), : mine.shape[1]] = mine
            if fresh:
                full[np.ix_(target, np.arange(len(self.pairs), shape[1]))] = theirs[:, fresh]
            return full

        return Memory(
            pairs=(*self.pairs, *(other.pairs[column] for column in fresh)),
            vectors=np.concatenate([self.vectors, other.vectors[added]]),
            scores=joined("scores", np.nan),
            costs=joined("costs", np.nan),
            latencies=joined("latencies", np.nan),
            groups=joined("groups", -1),
            styles=joined("styles", -1),
            domains=np.concatenate([self.domains, np.full(len(added), -1, dtype=self.domains.dtype)]),
            style_names=self.style_names,
        )


@dataclass(frozen=True)
class TrackRecord:
    """What a memory, or part of it, says of its pairs wherever the query lies. Chances are given as logits."""

    success: NDArray[np.float32]
    """Overall success, shape [n_pairs]; one with few outcomes leans on what is usual for its tool and model."""
    count: NDArray[np.float32]
    """Number of outcomes, shape [n_pairs]."""
    worst: NDArray[np.float32]
    """Success in the domain where it did worst, shape [n_pairs]."""
    by_model: NDArray[np.float32]
    """Mean success of the pairs with its model, shape [n_pairs]."""
    by_tool: NDArray[np.float32]
    """Mean success of the pairs with its tool, shape [n_pairs]."""
    rescue: NDArray[np.float32]
    """Chance that the column's pair is right where the row's was wrong, shape [n_pairs, n_pairs]."""
    if_agreed: NDArray[np.float32]
    """Log-likelihood ratio that the row's pair is right when the column's says the same, likewise."""
    if_differed: NDArray[np.float32]
    """Log-likelihood ratio that the row's pair is right when the column's says something else, likewise."""
    by_style: NDArray[np.float32]
    """How much an answer's style tells: success with it against success with answers of its kind, shape
    [n_pairs, n_styles + 1]; the last column is for a style never seen."""
    cost: NDArray[np.float32]
    """Mean dollars a call, shape [n_pairs]; NaN where unknown."""
    latency: NDArray[np.float32]
    """Mean seconds a call, likewise."""

    @classmethod
    def of(cls, memory: Memory, kept: NDArray[np.bool_]) -> TrackRecord:
        """Make the record.

        Args:
            memory: the outcomes.
            kept: which of them count, shape [n, n_pairs].
        """
        rows = np.asarray(kept.any(axis=1))
        known = kept[rows] & memory.recorded[rows]
        scores = np.where(known, memory.scores[rows], 0.0).astype(np.float64)
        count = known.sum(axis=0)
        overall = _overall(scores.sum(axis=0), count, memory.pairs)
        rescue, agreed, differed = _jointly(scores, known, memory.groups[rows], overall)
        return cls(
            success=_logit(overall),
            count=count.astype(np.float32),
            worst=_logit(_worst(scores, known, memory.domains[rows], overall)),
            by_model=_logit(_alike(overall, [pair.model for pair in memory.pairs])),
            by_tool=_logit(_alike(overall, [pair.tool for pair in memory.pairs])),
            rescue=rescue,
            if_agreed=agreed,
            if_differed=differed,
            by_style=_by_style(scores, known, memory, rows, overall),
            cost=_mean(memory.costs[rows], known),
            latency=_mean(memory.latencies[rows], known),
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float32]]) -> TrackRecord:
        """Rebuild a record from what `arrays` gave."""
        return cls(**{name: arrays[name] for name in cls.__dataclass_fields__})

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return the numbers by name, for saving."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True)
class Nearby:
    """What a memory says of its pairs near some queries; arrays over queries by pairs unless said otherwise."""

    success: tuple[NDArray[np.float32], ...]
    """Success among the neighbours, as logits, for each number of neighbours in `NEAR`."""
    count: NDArray[np.float32]
    """Outcomes among the many neighbours."""
    cost: NDArray[np.float32]
    """Expected dollars of a call; NaN where unknown."""
    latency: NDArray[np.float32]
    """Expected seconds of a call; NaN where unknown."""
    distance: NDArray[np.float32]
    """Distance to the nearest remembered query and mean distance to the few neighbours, shape [n_queries, 2]."""
    ease: NDArray[np.float32]
    """How much better all pairs do near the query than overall, shape [n_queries]."""

    @classmethod
    def of(cls, vectors: NDArray[np.float32], memory: Memory, record: TrackRecord, kept: NDArray[np.bool_]) -> Nearby:
        """Look around some queries.

        Args:
            vectors: what is seen of the queries, shape [n_queries, dimension].
            memory: the outcomes.
            record: made from the same outcomes.
            kept: which outcomes count, shape [n, n_pairs].
        """
        rows = np.flatnonzero(kept.any(axis=1))
        many = min(NEAR[-1], len(rows))
        away = _distances(vectors, memory.vectors[rows])
        order = np.argpartition(away, many - 1, axis=1)[:, :many]
        away = np.take_along_axis(away, order, axis=1)
        inner = np.argsort(away, axis=1, kind="stable")
        away, order = np.take_along_axis(away, inner, axis=1), rows[np.take_along_axis(order, inner, axis=1)]
        known = kept[order] & memory.recorded[order]  # [n_queries, many, n_pairs]
        scores = np.where(known, memory.scores[order], 0.0)
        overall = _chance(record.success)
        # Neighbours that are nearer than the usual one count for more.
        scale = np.maximum(away.mean(axis=1, keepdims=True), 1e-6)
        weights = (np.exp(-2.0 * away / scale) / np.exp(-2.0))[:, :, None] * known
        success = []
        for number, strength in zip(NEAR, _NEAR_STRENGTH, strict=True):
            part = weights[:, :number]
            total = part.sum(axis=1)
            success.append(_logit(((part * scores[:, :number]).sum(axis=1) + strength * overall) / (total + strength)))
        few = min(NEAR[0], many)
        ease = (success[-1] - record.success).mean(axis=1)
        return cls(
            success=tuple(success),
            count=known.sum(axis=1).astype(np.float32),
            cost=_near_mean(memory.costs[order], known, record.cost),
            latency=_near_mean(memory.latencies[order], known, record.latency),
            distance=np.stack([away[:, 0], away[:, :few].mean(axis=1)], axis=1).astype(np.float32),
            ease=ease.astype(np.float32),
        )


def _overall(success: NDArray[np.float64], count: NDArray[np.int64], pairs: Sequence[Pair]) -> NDArray[np.float64]:
    """Estimate each pair's success; one with few outcomes leans on pairs like it, and a little below them.

    The best of many uncertain estimates is too high, so uncertainty counts against a pair.
    """
    seen = count > 0
    mean = float((success[seen] / count[seen]).mean()) if seen.any() else 0.5
    raw = np.where(seen, (success + mean) / (count + 1.0), np.nan)
    likely = np.full(len(pairs), mean)
    for part in ([pair.model for pair in pairs], [pair.tool for pair in pairs]):
        for name in set(part):
            members = np.array([other == name for other in part]) & seen
            if members.any():
                likely[[other == name for other in part]] += 0.4 * (float(np.nanmean(raw[members])) - mean)
    prior = np.clip(likely - _PESSIMISM, _EDGE, 1 - _EDGE)
    chances: NDArray[np.float64] = (success + _OVERALL_STRENGTH * prior) / (count + _OVERALL_STRENGTH)
    return chances


def _worst(
    scores: NDArray[np.float64],
    known: NDArray[np.bool_],
    domains: NDArray[np.int16],
    overall: NDArray[np.float64],
) -> NDArray[np.float64]:
    lowest = overall.copy()
    for domain in np.unique(domains):
        rows = domains == domain
        count = known[rows].sum(axis=0)
        success = scores[rows].sum(axis=0)
        lowest = np.minimum(lowest, (success + _DOMAIN_STRENGTH * overall) / (count + _DOMAIN_STRENGTH))
    return lowest


def _alike(overall: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.float64]:
    return np.array([overall[[other == name for other in names]].mean() for name in names])


def _jointly(
    scores: NDArray[np.float64],
    known: NDArray[np.bool_],
    groups: NDArray[np.int64],
    overall: NDArray[np.float64],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Count how pairs fare together; cells with few common queries lean on the mean of all cells."""
    n_pairs = scores.shape[1]
    right, wrong, present = scores * known, (1 - scores) * known, known.astype(np.float64)
    compared = known & (groups >= 0)
    both_wrong = wrong.T @ present
    saved = wrong.T @ right
    usual = saved.sum() / max(float((wrong.T @ (present * overall)).sum()), 1e-9)
    rescue = (saved + _JOINT_STRENGTH * np.minimum(usual, 1.0) * overall) / (both_wrong + _JOINT_STRENGTH)
    agreed_right, agreed_wrong = np.zeros((n_pairs, n_pairs)), np.zeros((n_pairs, n_pairs))
    for column in range(n_pairs):
        same = (groups == groups[:, [column]]) & compared & compared[:, [column]]
        agreed_right[column] = right[:, column] @ same
        agreed_wrong[column] = wrong[:, column] @ same
    within = compared.astype(np.float64)
    both_right, both_wrong = (right * within).T @ within, (wrong * within).T @ within
    off = ~np.eye(n_pairs, dtype=bool)
    usual_right = agreed_right[off].sum() / max(float(both_right[off].sum()), 1e-9) if off.any() else 0.8
    usual_wrong = agreed_wrong[off].sum() / max(float(both_wrong[off].sum()), 1e-9) if off.any() else 0.3
    if_right = (agreed_right + _JOINT_STRENGTH * usual_right) / (both_right + _JOINT_STRENGTH)
    if_wrong = (agreed_wrong + _JOINT_STRENGTH * usual_wrong) / (both_wrong + _JOINT_STRENGTH)
    if_right, if_wrong = np.clip(if_right, _EDGE, 1 - _EDGE), np.clip(if_wrong, _EDGE, 1 - _EDGE)
    agreed = np.clip(np.log(if_right / if_wrong), -_MOST_EVIDENCE, _MOST_EVIDENCE)
    differed = np.clip(np.log((1 - if_right) / (1 - if_wrong)), -_MOST_EVIDENCE, _MOST_EVIDENCE)
    return _logit(rescue), agreed.astype(np.float32), differed.astype(np.float32)


def _by_style(
    scores: NDArray[np.float64],
    known: NDArray[np.bool_],
    memory: Memory,
    rows: NDArray[np.bool_],
    overall: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Compare success with each style to success overall: by pair, leaning on the pairs with its tool, then on all."""
    n_styles = len(memory.style_names) + 1
    styles = np.where(memory.styles[rows] < 0, n_styles - 1, memory.styles[rows])
    count, success, expected = (np.zeros((len(memory.pairs), n_styles)) for _ in range(3))
    for column in range(len(memory.pairs)):
        there = known[:, column]
        count[column] = np.bincount(styles[there, column], minlength=n_styles)
        success[column] = np.bincount(styles[there, column], scores[there, column], n_styles)
        expected[column] = count[column] * overall[column]
    surplus = _within_kinds(success - expected, count, memory.style_names)
    usual = surplus.sum(axis=0) / (count.sum(axis=0) + _STYLE_STRENGTH)
    tools = np.array([pair.tool for pair in memory.pairs])
    shift = np.zeros_like(surplus)
    for tool in np.unique(tools):
        members = tools == tool
        by_tool = (surplus[members].sum(axis=0) + _STYLE_STRENGTH * usual) / (
            count[members].sum(axis=0) + _STYLE_STRENGTH
        )
        shift[members] = (surplus[members] + _STYLE_STRENGTH * by_tool) / (count[members] + _STYLE_STRENGTH)
    shift[:, -1] = 0.0
    chances = np.clip(overall[:, None] + shift, _EDGE, 1 - _EDGE)
    return np.asarray(_logit(chances) - _logit(overall)[:, None], dtype=np.float32)


def _within_kinds(
    surplus: NDArray[np.float64], count: NDArray[np.float64], names: Sequence[str]
) -> NDArray[np.float64]:
    """Take off what an answer's kind alone tells.

    How often it is right to call nothing is a property of the queries, and goes with them; that a call in a fence is
    not understood is a property of the pair, and stays.
    """
    within = surplus.copy()
    kinds = np.array([*(name.split()[0] for name in names), ""])
    for kind in set(kinds):
        members = kinds == kind
        total = count[:, members].sum(axis=1, keepdims=True)
        usual = surplus[:, members].sum(axis=1, keepdims=True) / np.maximum(total, 1)
        within[:, members] -= count[:, members] * usual
    return within


def _distances(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)[None] - 2 * first @ second.T
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)), dtype=np.float32)


def _near_mean(
    values: NDArray[np.float32], known: NDArray[np.bool_], overall: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the neighbours' mean, the overall mean counted as four more; the overall mean where none is known."""
    there = known & ~np.isnan(values)
    total = np.where(there, values, 0.0).sum(axis=1)
    return np.asarray((total + 4.0 * overall) / (there.sum(axis=1) + 4.0), dtype=np.float32)


def _mean(values: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    there = known & ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(
            np.where(there, values, 0.0).sum(axis=0, dtype=np.float64) / there.sum(axis=0), dtype=np.float32
        )


def _logit(chances: NDArray[np.floating]) -> NDArray[np.float32]:
    inside = np.clip(chances, _EDGE, 1 - _EDGE)
    return np.asarray(np.log(inside / (1 - inside)), dtype=np.float32)


def _chance(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp(-logits)), dtype=np.float32)
