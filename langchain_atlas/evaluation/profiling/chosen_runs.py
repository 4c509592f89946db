"""The runs that `profile` chooses when it has a budget: what is known, what is chosen next, and the plan in words."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from langchain_atlas.evaluation.profiling.choosing import RunChooser
from langchain_atlas.query_features import Featurizer, QueryFeatures
from langchain_atlas.records import Record
from langchain_atlas.routers.cluster.kmeans import Clusterings, labelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.evaluation.profiling.plan import Expectation
    from langchain_atlas.evaluation.profiling.queries import CheckableQuery
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.trajectory import Query

_MOST_GROUPS = 8
_FEWEST_IN_GROUP = 20
_ENOUGH = 0.25
"""Share of all runs that a plan without a budget shows."""


@dataclass(frozen=True)
class Choosing:
    """How `profile` chooses its runs."""

    budget_usd: float | None = None
    """Dollars that its runs may cost, those of an interrupted call included; None for no limit."""
    evidence: OutcomeTable | None = None
    """Outcomes that are known already, of these or of other queries, such as logs."""
    encoder: Encoder | None = None
    """Text to vectors, by which questions are grouped; the default encoder when left out."""
    seed: int = 0
    """Seed of the groups, and of the order of their questions."""


class PlannedRun(Record):
    """A run that is worth its cost."""

    query_id: str
    """Id of the question."""
    model: str
    """Name of the model."""
    tool: str
    """Name of the tool."""
    expected_cost_usd: float
    """Expected dollars of the run."""


class QuestionGroup(Record):
    """A group of similar questions, and what is known of it."""

    label: str
    """Domain of most of its questions."""
    questions: int
    """Number of its questions."""
    outcomes: int
    """Number of outcomes that are known of it, evidence included."""
    leader: str
    """Pair with the highest expected success."""
    sure: float
    """Probability that it is the best there, 0 to 1."""
    contenders: int
    """Number of pairs that are the best there with a probability of at least 2%."""
    runs: int
    """Number of runs that are planned in it."""
    cost_usd: float
    """Expected dollars of them."""


class ChosenPlan(Record):
    """The runs that are chosen with what is known now; outcomes that come back change the later ones."""

    runs: tuple[PlannedRun, ...]
    """The runs, in their order."""
    cost_usd: float
    """Expected dollars of all of them."""
    left_usd: float
    """Expected dollars of all runs that are not recorded yet, of pairs with a known price."""
    groups: tuple[QuestionGroup, ...]
    """The groups of questions."""
    pairs: dict[str, int] = Field(default_factory=dict)
    """Number of planned runs by pair, most first."""
    left_out: tuple[str, ...] = ()
    """Pairs that are not run because the price of their models is unknown: no budget could be kept."""


class ChosenRuns:
    """What is known of the questions, and which runs come next.

    Args:
        pairs: the pairs.
        queries: the questions.
        expected: the expected cost of a run.
        choosing: how to choose.
        needed: tells whether a run of a question (by its number) by a pair is to be made.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        queries: Sequence[CheckableQuery],
        expected: Expectation,
        choosing: Choosing,
        needed: Callable[[CheckableQuery, Pair], bool],
    ) -> None:
        self._pairs, self._queries, self._expected = tuple(pairs), queries, expected
        self._rows = {str(item.query.id): row for row, item in enumerate(queries)}
        self._columns = {(pair.model, pair.tool): column for column, pair in enumerate(pairs)}
        asked = [item.query for item in queries]
        others, known = _evidence(choosing.evidence, asked, self._pairs)
        groups = _grouped([*asked, *others], choosing)
        self._labels = labelled(groups[: len(asked)], [item.domain for item in queries], int(groups.max(initial=0)) + 1)
        self._scores = np.full((len(groups), len(pairs)), np.nan)
        self._taken = np.ones(self._scores.shape, dtype=bool)
        for row, item in enumerate(queries):
            self._taken[row] = [not needed(item, pair) for pair in pairs]
        for row, column, score in known:
            self._scores[row, column] = score
            self._taken[row, column] = True
        cost = self._costs()
        self.left_out = tuple(
            str(pair)
            for pair, one, rest in zip(pairs, cost, np.any(~self._taken, axis=0).tolist(), strict=True)
            if rest and np.isnan(one)
        )
        if choosing.budget_usd is not None:
            self._taken[:, np.isnan(cost)] = True
        self._chooser = RunChooser(self._pairs, groups, cost, n_open=len(asked), seed=choosing.seed)

    def note(self, row: Mapping[str, Any]) -> None:
        """Add an outcome, as a row of the table."""
        place, column = self._rows.get(str(row["query_id"])), self._columns.get((row["model"], row["tool"]))
        if place is not None and column is not None and row.get("score") is not None:
            self._scores[place, column] = row["score"]
            self._taken[place, column] = True

    def next(self, n_runs: int) -> list[tuple[CheckableQuery, Pair]]:
        """Return the next runs; they are not returned again."""
        self._chooser.set_costs(self._costs())
        chosen = self._chooser.choose(self._scores, self._taken, n_runs)
        for row, column in chosen:
            self._taken[row, column] = True
        return [(self._queries[row], self._pairs[column]) for row, column in chosen]

    def plan(self, budget_usd: float | None) -> ChosenPlan:
        """Return the runs to make with a budget, as far as they can be told now; without one, a quarter of all."""
        cost = self._costs()
        limit, count = budget_usd, int((~self._taken).sum())
        if budget_usd is None:
            count = min(count, round(_ENOUGH * len(self._queries) * len(self._pairs)))
        chosen = self._chooser.choose(self._scores, self._taken, count, limit_usd=limit)
        known = np.nan_to_num(cost)
        spent = np.zeros((len(self._labels), 2))
        for row, column in chosen:
            spent[self._chooser.groups[row]] += 1, known[column]
        named = Counter(str(self._pairs[column]) for _, column in chosen)
        return ChosenPlan(
            runs=tuple(self._planned(row, column, known) for row, column in chosen),
            cost_usd=float(spent[:, 1].sum()),
            left_usd=float(((~self._taken).sum(axis=0) * known).sum()),
            groups=tuple(self._described(spent)),
            pairs=dict(named.most_common()),
            left_out=self.left_out if budget_usd is not None else (),
        )

    def _planned(self, row: int, column: int, cost: NDArray[np.float64]) -> PlannedRun:
        pair = self._pairs[column]
        return PlannedRun(
            query_id=str(self._queries[row].query.id),
            model=pair.model,
            tool=pair.tool,
            expected_cost_usd=float(cost[column]),
        )

    def _described(self, spent: NDArray[np.float64]) -> Iterable[QuestionGroup]:
        believed = self._chooser.beliefs(self._scores)
        leading = believed.leading()
        for number, group in enumerate(self._labels):
            leader = int(np.argmax(believed.success[number]))
            yield QuestionGroup(
                label=group.label,
                questions=group.queries,
                outcomes=int(believed.count[number].sum()),
                leader=str(self._pairs[leader]),
                sure=float(leading[number, leader]),
                contenders=int((leading[number] >= 0.02).sum()),  # noqa: PLR2004
                runs=int(spent[number, 0]),
                cost_usd=float(spent[number, 1]),
            )

    def _costs(self) -> NDArray[np.float64]:
        """Return the expected dollars of a run of each pair, shape [n_pairs]; NaN where unknown."""
        usual = self._queries[:: max(1, len(self._queries) // 20)]
        costs = []
        for pair in self._pairs:
            each = [self._expected.cost(item, pair) for item in usual]
            costs.append(float(np.mean([np.nan if one is None else one for one in each])))
        return np.array(costs)


def _evidence(
    table: OutcomeTable | None, asked: Sequence[Query], pairs: Sequence[Pair]
) -> tuple[list[Query], list[tuple[int, int, float]]]:
    """Return the queries of a table that are not asked, and its outcomes by row and column; new rows come last.

    Queries are the same if text and context are: logs have other ids.
    """
    if table is None:
        return [], []
    columns = {pair: column for column, pair in enumerate(pairs)}
    there = [pair for pair in table.pairs if pair in columns]
    if not there:
        return [], []
    scores = table.matrix("score", there)
    rows = {(query.text, query.context): row for row, query in enumerate(asked)}
    others: list[Query] = []
    known: list[tuple[int, int, float]] = []
    for query, outcomes in zip(table.queries, scores, strict=True):
        recorded = np.flatnonzero(~np.isnan(outcomes))
        scored = [(columns[there[number]], float(outcomes[number])) for number in recorded]
        row = rows.get((query.text, query.context))
        if row is None and scored:
            row = len(asked) + len(others)
            others.append(query)
        if row is not None:
            known += [(row, column, score) for column, score in scored]
    return others, known


def _grouped(queries: Sequence[Query], choosing: Choosing) -> NDArray[np.int64]:
    """Return the group of each question, by meaning and context, shape [n_questions]."""
    from langchain_atlas.encoders import DEFAULT_ENCODER, SentenceTransformerEncoder

    count = int(np.clip(len(queries) // _FEWEST_IN_GROUP, 1, _MOST_GROUPS))
    features = QueryFeatures.of(queries, choosing.encoder or SentenceTransformerEncoder(DEFAULT_ENCODER))
    _, vectors = Featurizer.learn(features, np.full((len(queries), 1), np.nan), 0, choosing.seed)
    clusterings = Clusterings.fit(vectors, [count], choosing.seed)
    return clusterings.nearest(clusterings.distances(vectors))[:, 0]
