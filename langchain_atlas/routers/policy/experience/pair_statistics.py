"""The record of every pair, in all or part of a memory, over all queries.

A record can be made from part of the memory. In training, every query is seen through a memory without it and similar
queries, as a live query will be; see ``docs/rl-learning.md``.

A new pair brings 20 to 50 probes. The pairs with many outcomes show whether these probes were easy, and whether the
query is. If all pairs have equally many outcomes, this changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.routers.arrays import logit
from langchain_atlas.routers.policy.experience.verdict_evidence import verdict_evidence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.routers.policy.experience.memory import AnswerMatrix, Memory

EDGE = 0.02
"""Minimum distance of chances from 0 and 1."""

_SETTLED = 0.5

_SHARED_EASE = 0.5
"""Fraction of a query's ease for the settled pairs that is assumed to apply to a new pair."""

_OVERALL_STRENGTH = 8.0
_JOINT_STRENGTH = 8.0
_STYLE_STRENGTH = 6.0
_DOMAIN_STRENGTH = 10.0
_MOST_EVIDENCE = 3.0
_PESSIMISM = 0.05

_INHERITED = 20.0
"""Number of outcomes that a predecessor's record counts as, as on path one (`with_successors`)."""


@dataclass(frozen=True)
class PairStatistics:
    """Statistics of the pairs of a memory, or of part of it, over all queries. Chances are given as logits."""

    success: NDArray[np.float32]
    """Overall success, shape [n_pairs]; a pair with few outcomes is shrunk towards what is usual for its tool and
    model."""
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
    """Log-likelihood ratio that the row's pair is right when the column's agrees, shape [n_pairs, n_pairs]."""
    if_differed: NDArray[np.float32]
    """Log-likelihood ratio that the row's pair is right when the column's disagrees, shape [n_pairs, n_pairs]."""
    by_style: NDArray[np.float32]
    """How informative an answer's style is: success with it against success with answers of its kind, shape
    [n_pairs, n_styles + 1]; the last column is for an unknown style."""
    cost: NDArray[np.float32]
    """Mean dollars per call, shape [n_pairs]; NaN where unknown."""
    latency: NDArray[np.float32]
    """Mean seconds per call, shape [n_pairs]; NaN where unknown."""
    by_verdict: NDArray[np.float32] | None = None
    """Log-likelihood ratio that an answer is right by its verdict: unknown (0), failed, passed; shape [n_pairs, 3].
    None if there are no verdicts. See `verdict_evidence.py`."""

    @classmethod
    def of(
        cls, memory: Memory, kept: NDArray[np.bool_], predecessors: Mapping[Pair, Pair | None] | None = None
    ) -> PairStatistics:
        """Compute the record.

        Args:
            memory: the outcomes.
            kept: which of them count, shape [n, n_pairs].
            predecessors: the pair from whose record a new one begins.
        """
        rows = np.asarray(kept.any(axis=1))
        outcomes, answers = memory.outcomes.rows(np.flatnonzero(rows)), memory.answers.rows(rows)
        known = kept[rows] & outcomes.recorded
        scores = np.where(known, outcomes.scores, 0.0).astype(np.float64)
        count = known.sum(axis=0)
        settled = settled_pairs(count)
        success = scores.sum(axis=0) - count * luck_of_probes(scores, known, settled)
        overall = _overall(success.clip(0, count), count, memory.pairs)
        overall = _inherited(overall, success.clip(0, count), count, memory.pairs, predecessors or {})
        rescue, agreed, differed = _jointly(scores, known, answers.groups, overall, settled)
        return cls(
            success=clipped_logits(overall),
            count=count.astype(np.float32),
            worst=clipped_logits(_worst(scores, known, outcomes.domain_numbers, overall)),
            by_model=clipped_logits(_alike(overall, [pair.model for pair in memory.pairs])),
            by_tool=clipped_logits(_alike(overall, [pair.tool for pair in memory.pairs])),
            rescue=rescue,
            if_agreed=agreed,
            if_differed=differed,
            by_style=_by_style(scores, known, answers, memory.pairs, overall),
            cost=_mean(outcomes.costs, known),
            latency=_mean(outcomes.latencies, known),
            by_verdict=None if answers.verdicts is None else verdict_evidence(scores, known, answers.verdicts),
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float32]]) -> PairStatistics:
        """Rebuild a record from the result of `arrays`."""
        return cls(**{name: arrays[name] for name in cls.__dataclass_fields__ if name in arrays})

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return the arrays by name, for saving."""
        arrays = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: array for name, array in arrays.items() if array is not None}


def _overall(success: NDArray[np.float64], count: NDArray[np.int64], pairs: Sequence[Pair]) -> NDArray[np.float64]:
    """Estimate each pair's success; one with few outcomes is shrunk towards similar pairs, and slightly below them.

    The best of many uncertain estimates is too high, so uncertainty lowers a pair's estimate.
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
    prior = np.clip(likely - _PESSIMISM, EDGE, 1 - EDGE)
    chances: NDArray[np.float64] = (success + _OVERALL_STRENGTH * prior) / (count + _OVERALL_STRENGTH)
    return chances


def _inherited(
    overall: NDArray[np.float64],
    success: NDArray[np.float64],
    count: NDArray[np.int64],
    pairs: Sequence[Pair],
    predecessors: Mapping[Pair, Pair | None],
) -> NDArray[np.float64]:
    """Let pairs with a predecessor begin with its success, counted as some outcomes."""
    number = {pair: column for column, pair in enumerate(pairs)}
    found = overall.copy()
    for pair, earlier in predecessors.items():
        if pair in number and earlier in number:
            column = number[pair]
            prior = np.clip(overall[number[earlier]] - _PESSIMISM, EDGE, 1 - EDGE)
            found[column] = (success[column] + _INHERITED * prior) / (count[column] + _INHERITED)
    return found


def _worst(
    scores: NDArray[np.float64],
    known: NDArray[np.bool_],
    domains: NDArray[np.int64],
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
    settled: NDArray[np.bool_],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Count how pairs do together; cells with few common queries are shrunk towards the mean of all cells."""
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
    usual_right, usual_wrong = agreement_by_success((usual_right, usual_wrong), overall, settled)
    if_right = (agreed_right + _JOINT_STRENGTH * usual_right) / (both_right + _JOINT_STRENGTH)
    if_wrong = (agreed_wrong + _JOINT_STRENGTH * usual_wrong) / (both_wrong + _JOINT_STRENGTH)
    if_right, if_wrong = np.clip(if_right, EDGE, 1 - EDGE), np.clip(if_wrong, EDGE, 1 - EDGE)
    agreed = np.clip(np.log(if_right / if_wrong), -_MOST_EVIDENCE, _MOST_EVIDENCE)
    differed = np.clip(np.log((1 - if_right) / (1 - if_wrong)), -_MOST_EVIDENCE, _MOST_EVIDENCE)
    return clipped_logits(rescue), agreed.astype(np.float32), differed.astype(np.float32)


def _by_style(
    scores: NDArray[np.float64],
    known: NDArray[np.bool_],
    answers: AnswerMatrix,
    pairs: Sequence[Pair],
    overall: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Compare success with each style to overall success: by pair, shrunk to the pairs with its tool, then to all."""
    n_styles = len(answers.style_names) + 1
    styles = np.where(answers.styles < 0, n_styles - 1, answers.styles)
    count, success, expected = (np.zeros((len(pairs), n_styles)) for _ in range(3))
    for column in range(len(pairs)):
        there = known[:, column]
        count[column] = np.bincount(styles[there, column], minlength=n_styles)
        success[column] = np.bincount(styles[there, column], scores[there, column], n_styles)
        expected[column] = count[column] * overall[column]
    surplus = _within_kinds(success - expected, count, answers.style_names)
    usual = surplus.sum(axis=0) / (count.sum(axis=0) + _STYLE_STRENGTH)
    tools = np.array([pair.tool for pair in pairs])
    shift = np.zeros_like(surplus)
    for tool in np.unique(tools):
        members = tools == tool
        by_tool = (surplus[members].sum(axis=0) + _STYLE_STRENGTH * usual) / (
            count[members].sum(axis=0) + _STYLE_STRENGTH
        )
        shift[members] = (surplus[members] + _STYLE_STRENGTH * by_tool) / (count[members] + _STYLE_STRENGTH)
    shift[:, -1] = 0.0
    chances = np.clip(overall[:, None] + shift, EDGE, 1 - EDGE)
    return np.asarray(clipped_logits(chances) - clipped_logits(overall)[:, None], dtype=np.float32)


def _within_kinds(
    surplus: NDArray[np.float64], count: NDArray[np.float64], names: Sequence[str]
) -> NDArray[np.float64]:
    """Subtract the effect of an answer's kind.

    How often it is right to make no call is a property of the queries, and is removed; that a call in a code fence is
    not understood is a property of the pair, and is kept.
    """
    within = surplus.copy()
    kinds = np.array([*(name.split()[0] for name in names), ""])
    for kind in set(kinds):
        members = kinds == kind
        total = count[:, members].sum(axis=1, keepdims=True)
        usual = surplus[:, members].sum(axis=1, keepdims=True) / np.maximum(total, 1)
        within[:, members] -= count[:, members] * usual
    return within


def _mean(values: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    there = known & ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(
            np.where(there, values, 0.0).sum(axis=0, dtype=np.float64) / there.sum(axis=0), dtype=np.float32
        )


def settled_pairs(count: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return which pairs have more than half as many outcomes as the pair with the most, shape [n_pairs]."""
    most = count.max(initial=0)
    return np.asarray(count > _SETTLED * most) if most else np.ones(len(count), dtype=bool)


def luck_of_probes(
    scores: NDArray[np.float64], known: NDArray[np.bool_], settled: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return how much better the settled pairs do on each new pair's queries than on all; 0 for settled pairs.

    Args:
        scores: shape [n, n_pairs].
        known: which scores are recorded, shape [n, n_pairs].
        settled: see `settled_pairs`.

    Returns:
        Fractions of a right answer, shape [n_pairs].
    """
    count = known[:, settled].sum(axis=1)
    seen = count > 0
    if settled.all() or not seen.any():
        return np.zeros(len(settled))
    ease = (scores[:, settled] * known[:, settled]).sum(axis=1) / np.maximum(count, 1)
    above = np.where(seen, ease - ease[seen].mean(), 0.0)
    luck = (known * above[:, None]).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(settled, 0.0, luck)


def agreement_by_success(
    usual: tuple[float, float], overall: NDArray[np.float64], settled: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how often the column's pair may agree with the row's, where that is right and where it is wrong.

    A new pair that is right more often than the settled pairs agrees more with right answers, and less with wrong ones.

    Args:
        usual: how often any pair agrees with a right answer of another, and with a wrong one.
        overall: success of each pair, shape [n_pairs].
        settled: see `settled_pairs`.

    Returns:
        Two arrays of shape [n_pairs, n_pairs]; `usual` between settled pairs.
    """
    between = settled[:, None] & settled[None]
    mean = float(np.clip(overall[settled].mean(), 1e-3, 1 - 1e-3))
    with_right = usual[0] * np.broadcast_to(overall / mean, between.shape)
    with_wrong = usual[1] * np.broadcast_to((1 - overall) / (1 - mean), between.shape)
    return np.where(between, usual[0], with_right.clip(0, 1)), np.where(between, usual[1], with_wrong.clip(0, 1))


def eased(
    near: NDArray[np.float32], ease: NDArray[np.float32], count: NDArray[np.float32], settled: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the new pairs' success near queries, adjusted in part for how easy the settled pairs find these.

    Args:
        near: success near each query, as logits, shape [n_queries, n_pairs].
        ease: how much better the settled pairs do near the query than overall, as logits, shape [n_queries].
        count: outcomes of each pair, shape [n_pairs].
        settled: see `settled_pairs`.
    """
    lacking = np.where(settled, 0.0, 1 - count / max(float(count.max(initial=0)), 1.0))
    return np.asarray(near + _SHARED_EASE * ease[:, None] * lacking, dtype=np.float32)


def clipped_logits(chances: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return chances as logits, in their shape; those near 0 and 1 are clipped, so that all are finite."""
    return np.asarray(logit(np.clip(chances, EDGE, 1 - EDGE)), dtype=np.float32)
