"""Recorded outcomes for learning: every answer is parsed once, every query is seen through a memory without it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from langchain_atlas.answers import AnswerAgreement
from langchain_atlas.learning.tensors import as_tensors
from langchain_atlas.routers.policy.experience.memory_reading import read_table
from langchain_atlas.routers.policy.experience.nearby_statistics import NearbyStatistics
from langchain_atlas.routers.policy.experience.pair_statistics import PairStatistics
from langchain_atlas.routers.policy.state_features import PriorFeatures, State, prior_features
from langchain_atlas.routers.policy.state_featurizer import EncodedQueries, StateFeaturizer, assemble

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from langchain_atlas.answers import Agreement
    from langchain_atlas.encoders import Encoder
    from langchain_atlas.outcomes import OutcomeMatrix, OutcomeTable
    from langchain_atlas.routers.policy.experience.memory import Memory

_FOLDS = 5
_FEWEST_DOMAINS = 2
_FEW = (10, 60)


@dataclass(frozen=True)
class Recordings:
    """A table's outcomes as tensors; rows are queries, columns pairs."""

    featurizer: StateFeaturizer
    """The outcomes, and their overall statistics."""
    seen: EncodedQueries
    """The features of the queries."""
    answers: Tensor
    """Features of every answer, shape [n, n_pairs, len(ANSWER_FEATURES)]."""

    @classmethod
    def of(
        cls,
        table: OutcomeTable,
        encoder: Encoder,
        *,
        agreement: Agreement | None = None,
        descriptions: Mapping[str, str] | None = None,
        like: StateFeaturizer | None = None,
    ) -> Recordings:
        """Parse a table.

        Args:
            table: the outcomes.
            encoder: embeds queries and descriptions.
            agreement: compares answers.
            descriptions: descriptions of models and tools, by name.
            like: a fitted featurizer, whose view, scale and styles are used; by default, the table's own.

        Raises:
            OutcomeError: the table has no scores.
        """
        read = read_table(table, encoder, agreement or AnswerAgreement(), descriptions, like)
        featurizer = StateFeaturizer.of(read.memory, read.view, read.descriptions, None if like is None else like.scale)
        return cls(featurizer, read.seen, torch.from_numpy(read.answers))

    def __len__(self) -> int:
        return len(self.memory.outcomes)

    @property
    def memory(self) -> Memory:
        """The outcomes, with their answers compared."""
        return self.featurizer.memory

    @property
    def outcomes(self) -> OutcomeMatrix:
        """The outcomes."""
        return self.featurizer.memory.outcomes

    @cached_property
    def scores(self) -> Tensor:
        """Score of every answer, shape [n, n_pairs]; 0 where not recorded."""
        return torch.from_numpy(np.nan_to_num(self.outcomes.scores))

    @cached_property
    def costs(self) -> Tensor:
        """Cost of every call, 1 for the most expensive pair, shape [n, n_pairs]; the pair's mean where unknown."""
        known, dollars = self.featurizer.record.cost, self.featurizer.scale.dollars
        usual = np.where(np.isnan(known), dollars, known)
        costs = np.where(np.isnan(self.outcomes.costs), usual, self.outcomes.costs) / dollars
        return torch.from_numpy(costs.astype(np.float32))

    @cached_property
    def recorded(self) -> Tensor:
        """Which calls are recorded, shape [n, n_pairs]."""
        return torch.from_numpy(self.outcomes.recorded)

    @cached_property
    def groups(self) -> Tensor:
        """Group of every answer, shape [n, n_pairs]; answers that agree share one, one that says nothing is alone."""
        return torch.from_numpy(self.memory.answers.groups)

    @cached_property
    def styles(self) -> Tensor:
        """Column of `PriorFeatures.by_style` for every answer, shape [n, n_pairs]."""
        answers = self.memory.answers
        styles = np.where(answers.styles < 0, len(answers.style_names), answers.styles)
        return torch.from_numpy(styles.astype(np.int64))

    @cached_property
    def verdicts(self) -> Tensor | None:
        """Column of `PriorFeatures.by_verdict` for every answer, shape [n, n_pairs]; None if there are no verdicts."""
        verdicts = self.memory.answers.verdicts
        return None if verdicts is None else torch.from_numpy(verdicts.astype(np.int64) + 1)

    def columns(self, columns: Sequence[int]) -> Recordings:
        """Return the recordings of some pairs, in this order."""
        taken = list(columns)
        featurizer = self.featurizer.restrict([self.featurizer.pairs[column] for column in taken])
        return Recordings(featurizer, self.seen, self.answers[:, taken])

    def state(
        self, prior: PriorFeatures, rows: Tensor, allowed: Tensor, called: Tensor, price: Tensor, turns: Tensor
    ) -> State:
        """Return the states after some calls.

        Args:
            prior: the prior of the same states.
            rows: query of each state, shape [B].
            allowed: which pairs may be called in each state, shape [B, P]; those already called are removed.
            called: columns of the calls, -1 for none, shape [B, T].
            price: see `State.price`.
            turns: see `State.turns`.
        """
        made, column = called >= 0, called.clamp(min=0)
        there = rows[:, None]
        groups = torch.where(made, self.groups[there, column], -1 - torch.arange(called.shape[1]))
        once = torch.zeros_like(allowed).scatter(1, column, made)  # a call left out must not undo one made
        once = once | _called(called, allowed.shape[1])
        return State(
            prior=prior,
            allowed=allowed & ~once,
            called=called,
            same=groups[:, :, None] == groups[:, None, :],
            answers=self.answers[there, column] * made[..., None],
            styles=self.styles[there, column],
            turns=turns,
            price=price,
            verdicts=None if self.verdicts is None else self.verdicts[there, column] * made,
        )


def _called(called: Tensor, n_pairs: int) -> Tensor:
    return (called[..., None] == torch.arange(n_pairs)).any(dim=1)


@dataclass(frozen=True)
class HeldOutStatistics:
    """Every query of some recordings, seen through several memories that lack it."""

    priors: PriorFeatures
    """Rows are memories times queries."""
    n_queries: int
    """Number of queries."""
    n_views: int
    """Number of memories through which each query is seen."""
    parts: tuple[NDArray[np.int64], ...]
    """For each view, the part with which each query is left out, shape [n_queries]."""

    def rows(self, queries: Tensor, memories: Tensor) -> PriorFeatures:
        """Return the prior of some queries, each through one of its memories."""
        return self.priors.rows(memories * self.n_queries + queries)


def held_out_statistics(
    recordings: Recordings, *, seed: int, n_familiar: int = 2, n_strange: int = 2, thinned: bool = True
) -> HeldOutStatistics:
    """Compute the prior of every query as for a live one: through a memory that does not contain it.

    A familiar view leaves out the query's fold, a strange one its whole domain, as if traffic had drifted there. In
    each, some pairs keep only a few outcomes, as if they were new, unless the view is not `thinned`.
    """
    generator = np.random.default_rng(seed)
    n = len(recordings)
    parts = [_folds(n, generator) for _ in range(n_familiar)]
    domains = recordings.outcomes.domain_numbers
    if len(np.unique(domains)) < _FEWEST_DOMAINS:
        domains = _regions(recordings.seen.vectors, seed)
    parts += [domains] * n_strange
    collected: list[list[NDArray[np.float32]]] = []
    which: list[NDArray[np.int64]] = []
    records: list[PairStatistics] = []
    for part in parts:
        numbers, index = _one_view(recordings, part, records, generator, thinned=thinned)
        collected.append(numbers)
        which.append(index)
    joined = [np.concatenate([numbers[at] for numbers in collected]) for at in range(3)]
    priors = as_tensors(assemble(joined, np.concatenate(which), records, recordings.featurizer))
    return HeldOutStatistics(priors, n, len(parts), tuple(parts))


def _one_view(
    recordings: Recordings,
    part: NDArray[np.int64],
    records: list[PairStatistics],
    generator: np.random.Generator,
    *,
    thinned: bool,
) -> tuple[list[NDArray[np.float32]], NDArray[np.int64]]:
    memory, seen, featurizer = recordings.memory, recordings.seen, recordings.featurizer
    suits = seen.text @ featurizer.descriptions.T
    numbers: list[NDArray[np.float32]] = []
    index = np.zeros(len(recordings), dtype=np.int64)
    for value in np.unique(part):
        rows = np.flatnonzero(part == value)
        kept = (part != value)[:, None] & memory.recorded
        kept = _thinned(kept, generator) if thinned else kept
        record = PairStatistics.of(memory, kept)
        nearby = NearbyStatistics.of(seen.vectors[rows], memory, record, kept)
        found = prior_features(nearby, record, seen.rows(rows), suits[rows], featurizer.scale)
        if not numbers:
            numbers = [np.zeros((len(recordings), *values.shape[1:]), dtype=np.float32) for values in found]
        for at, values in enumerate(found):
            numbers[at][rows] = values
        index[rows] = len(records)
        records.append(record)
    return numbers, index


def _thinned(kept: NDArray[np.bool_], generator: np.random.Generator, share: float = 0.25) -> NDArray[np.bool_]:
    """Leave some pairs only a few of their outcomes."""
    kept = kept.copy()
    for column in np.flatnonzero(generator.random(kept.shape[1]) < share):
        rows = np.flatnonzero(kept[:, column])
        count = min(len(rows), int(generator.integers(*_FEW)))
        kept[:, column] = False
        kept[generator.choice(rows, count, replace=False), column] = True
    return kept


def _folds(n: int, generator: np.random.Generator) -> NDArray[np.int64]:
    folds = np.empty(n, dtype=np.int64)
    folds[generator.permutation(n)] = np.arange(n) % min(_FOLDS, n)
    return folds


def _regions(vectors: NDArray[np.float32], seed: int, count: int = 6) -> NDArray[np.int64]:
    from sklearn.cluster import KMeans

    regions: NDArray[np.int64] = KMeans(min(count, len(vectors)), n_init=1, random_state=seed).fit_predict(vectors)
    return regions
