"""A log of one pair a query, completed so that every policy can be judged on it: doubly robust outcomes.

For every query and pair, the outcome that a router fitted without the query expects, plus, where the pair was recorded,
what it was wrong by, as often as that outcome stands for queries whose outcome is missing (one over its propensity).
The mean of these numbers over the queries that a policy sends to each pair estimates the policy's accuracy: without
bias if either the expectations or the propensities are right (Robins, Rotnitzky and Zhao 1994; Dudik, Langford and
Li 2011). They vary like outcomes that are worth less, so intervals over queries made from them are honest.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self
from weakref import WeakKeyDictionary

import numpy as np

from langchain_atlas.evaluation.logged.coverage import Coverage, must_estimate
from langchain_atlas.evaluation.logged.propensities import Propensities
from langchain_atlas.evaluation.replay.runs import Runs, shares
from langchain_atlas.evaluation.settings.crossfit import encoded, grouped, near_duplicates, parts
from langchain_atlas.outcomes import OutcomeMatrix
from langchain_atlas.routers.cluster.router import ClusterRouter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.pool.pool import Pair

METHOD = "doubly robust"
"""Name of the method in figures."""

FEWEST_QUERIES = 20
"""With fewer scored queries nothing is estimated."""

_N_FOLDS = 5
_MOST_QUERIES = 3000
"""Number of queries that the expectations are learned from at most."""
_FEWEST_DOMAINS = 2
_FEWEST_IN_DOMAIN = 30
_REGIONS = 6
_N_TREES = 20


@dataclass(frozen=True)
class LoggedOutcomes:
    """A table of which many queries are recorded for one pair only, with what is needed to judge policies on it."""

    completed: OutcomeMatrix
    """Doubly robust scores (their means are accuracies; a single one may lie outside 0 to 1), and costs and latencies
    with the pair's mean in the domain where unknown. NaN where the pair was never recorded on the query's domain."""
    expected: NDArray[np.float64]
    """Score that a router fitted without the query expects, 0 to 1, shape [n_queries, n_pairs]."""
    recorded: OutcomeMatrix
    """What was recorded."""
    propensities: Propensities
    """How likely it was to be recorded."""
    coverage: Coverage
    """How much of the table can be replayed."""

    @classmethod
    def of(cls, table: OutcomeTable, encoder: Encoder, *, seed: int = 0) -> Self:
        """Complete a table.

        Args:
            table: the outcomes.
            encoder: text to vectors; its cache should hold all texts of the table.
            seed: seed of the parts and the clusterings.

        Raises:
            OutcomeError: a recorded propensity is out of range.
        """
        recorded = OutcomeMatrix.of(table).scored()
        vectors = encoded(table, encoder)
        strata = _strata(recorded, vectors, seed)
        propensities = Propensities.of(table, recorded, strata)
        texts = [query.text for query in table.queries]
        groups = grouped(len(texts), near_duplicates(vectors), texts)
        expected = _expected(table, recorded, parts(groups, seed=seed, n_parts=_N_FOLDS), encoder, seed)
        wrong_by = _varied(np.where(recorded.recorded, recorded.scores - expected, 0.0), recorded, strata)
        scores = expected + propensities.weights * wrong_by
        known = propensities.supported & np.any(recorded.recorded, axis=1, keepdims=True)
        completed = OutcomeMatrix(
            pairs=recorded.pairs,
            domains=recorded.domains,
            scores=np.where(known, scores, np.nan),
            costs=_filled(recorded.costs, recorded, known),
            latencies=_filled(recorded.latencies, recorded, known),
        )
        return cls(completed, expected, recorded, propensities, Coverage.of(recorded.scores))

    @cached_property
    def best(self) -> NDArray[np.int64]:
        """Column of the pair from which most is expected on each query, the cheapest among equals, shape [n]."""
        able = np.where(np.isnan(self.completed.scores), -np.inf, self.expected)
        costs = np.where(np.isnan(self.completed.costs), np.inf, self.completed.costs)
        order: NDArray[np.int64] = np.lexsort((costs, -able), axis=1)[:, 0]
        return order

    @property
    def overlap(self) -> bool:
        """Whether two pairs were logged on any domain, so that they can be compared at all."""
        return bool((self.propensities.supported.sum(axis=1) > 1).any())

    def part(self, rows: NDArray[np.int64], pairs: Sequence[Pair]) -> Self:
        """Return the same of some queries and pairs; nothing is estimated again."""
        cells = np.ix_(rows, np.array([self.recorded.pairs.index(pair) for pair in pairs]))
        recorded = self.recorded.rows(rows).with_pairs(pairs)
        weights, supported = self.propensities.weights[cells], self.propensities.supported[cells]
        return replace(
            self,
            completed=self.completed.rows(rows).with_pairs(pairs),
            expected=self.expected[cells],
            recorded=recorded,
            propensities=replace(
                self.propensities, weights=weights, supported=supported, certain=self.propensities.certain[rows]
            ),
            coverage=Coverage.of(recorded.scores),
        )

    def runs(self, columns: NDArray[np.int64]) -> Runs:
        """Return the estimated results of sending each query to a pair.

        Args:
            columns: column of the pair for each query, -1 for none, shape [n_queries].
        """
        rows = np.arange(len(columns))
        asked = columns >= 0
        score, cost, latency = (
            np.where(asked, values[rows, columns], np.nan) for values in self.completed.arrays().values()
        )
        answered = np.where(np.isnan(score), -1, columns)
        share = shares(answered, len(self.completed.pairs))
        return Runs(
            score=score,
            cost=cost,
            latency=latency,
            calls=np.where(np.isnan(score), np.nan, 1.0),
            answered=answered,
            answer_share=share,
            call_share=share,
            choices=len(self.completed.pairs),
        )

    def undrawn(self, columns: NDArray[np.int64]) -> int:
        """Return on how many queries a policy chooses a pair that the log's router would never have chosen there.

        Args:
            columns: column of the pair for each query, -1 for none, shape [n_queries].
        """
        rows = np.flatnonzero((columns >= 0) & self.propensities.certain)
        return int((~self.recorded.recorded[rows, columns[rows]]).sum())

    def effective_sample_size(self, columns: NDArray[np.int64]) -> float:
        """Return how many queries of the log say directly what a policy would have got, weighted by how evenly they do.

        ``(sum of weights)**2 / (sum of squared weights)`` over the queries whose pair is the one that the policy
        chooses (Kish 1965).
        """
        weights = self._matching(columns)[0]
        total = float((weights**2).sum())
        return float(weights.sum()) ** 2 / total if total > 0 else 0.0

    def self_normalised(self, columns: NDArray[np.int64]) -> float | None:
        """Return the accuracy by self-normalised inverse propensity weighting alone; None if no query matches."""
        weights, scores = self._matching(columns)
        return float((weights * scores).sum() / weights.sum()) if weights.sum() > 0 else None

    def _matching(self, columns: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        rows = np.flatnonzero(columns >= 0)
        weights = self.propensities.weights[rows, columns[rows]]
        return weights, np.nan_to_num(self.recorded.scores[rows, columns[rows]])

    def never_logged(self, columns: NDArray[np.int64] | None = None) -> dict[tuple[str, str], int]:
        """Count the queries of each pair and domain where the pair was never recorded; see `never_logged`."""
        return never_logged(self.recorded, self.propensities.supported, columns)


def never_logged(
    recorded: OutcomeMatrix, supported: NDArray[np.bool_], columns: NDArray[np.int64] | None = None
) -> dict[tuple[str, str], int]:
    """Count the queries of each pair and domain where the pair was never recorded, the most frequent first.

    Args:
        recorded: what was recorded.
        supported: whether each pair was recorded on each query's domain, shape [n_queries, n_pairs].
        columns: the pair that each query is sent to, shape [n_queries]; by default, every pair is looked at.
    """
    scored = np.any(recorded.recorded, axis=1).tolist()
    found: dict[tuple[str, str], int] = {}
    for row, domain in enumerate(recorded.domains):
        asked = range(supported.shape[1]) if columns is None else [int(columns[row])]
        for column in asked:
            if scored[row] and column >= 0 and not supported[row, column]:
                key = (str(recorded.pairs[column]), domain)
                found[key] = found.get(key, 0) + 1
    return dict(sorted(found.items(), key=lambda item: -item[1]))


_KNOWN: WeakKeyDictionary[OutcomeTable, LoggedOutcomes] = WeakKeyDictionary()


def logged_outcomes(table: OutcomeTable, encoder: Encoder | None = None, *, seed: int = 0) -> LoggedOutcomes | None:
    """Return a table's doubly robust outcomes if it can't be replayed; computed once for each table.

    None if it can be replayed, or has too few queries to estimate anything from.

    Raises:
        OutcomeError: a recorded propensity is out of range.
    """
    if table not in _KNOWN:
        scores = table.matrix("score")
        if not must_estimate(scores) or Coverage.of(scores).n_scored < FEWEST_QUERIES:
            return None
        _KNOWN[table] = LoggedOutcomes.of(table, encoder or _default_encoder(len(table.query_ids)), seed=seed)
    return _KNOWN[table]


def _default_encoder(n_queries: int) -> Encoder:
    from langchain_atlas.encoders import SentenceTransformerEncoder

    return SentenceTransformerEncoder(cache_size=max(10_000, 20 * n_queries))


def _strata(recorded: OutcomeMatrix, vectors: NDArray[np.float32], seed: int) -> NDArray[np.int64]:
    """Return the group of each query: its domain, small domains together; with one, a region of the vectors."""
    numbers = recorded.domain_numbers
    sizes = np.bincount(numbers)
    if (sizes >= _FEWEST_IN_DOMAIN).sum() + bool((sizes < _FEWEST_IN_DOMAIN).any()) >= _FEWEST_DOMAINS:
        return np.where(sizes[numbers] >= _FEWEST_IN_DOMAIN, numbers, len(sizes))
    from sklearn.cluster import KMeans

    count = max(1, min(_REGIONS, len(vectors) // _FEWEST_IN_DOMAIN))
    found: NDArray[np.int64] = KMeans(count, n_init=1, random_state=seed).fit_predict(vectors).astype(np.int64)
    return found


def _varied(wrong_by: NDArray[np.float64], recorded: OutcomeMatrix, strata: NDArray[np.int64]) -> NDArray[np.float64]:
    """Spread errors that vary less than so few outcomes can show, without changing their means, shape [n, n_pairs].

    Of thirty outcomes that are all right, one more may well be wrong; an interval made of them alone would be too
    narrow. So errors vary at least as if two more outcomes had been right and two wrong (Agresti and Coull 1998),
    relative to how errors vary elsewhere.
    """
    known, varied = recorded.recorded, wrong_by.copy()
    cells = [
        (np.flatnonzero(known[:, column] & (strata == stratum)), column)
        for stratum in np.unique(strata)
        for column in range(known.shape[1])
    ]
    cells = [(rows, column) for rows, column in cells if len(rows) > 1]
    rate = [float(recorded.scores[rows, column].mean()) for rows, column in cells]
    seen = sum(float(wrong_by[rows, column].var()) * len(rows) for rows, column in cells)
    most = sum(mean * (1 - mean) * len(rows) for (rows, _), mean in zip(cells, rate, strict=True))
    usual = min(seen / most, 1.0) if most > 0 else 1.0
    for (rows, column), mean in zip(cells, rate, strict=True):
        careful = (mean * len(rows) + 2) / (len(rows) + 4)
        lacking = usual * careful * (1 - careful) - float(wrong_by[rows, column].var())
        if lacking > 0:
            signs = np.where(np.arange(len(rows)) % 2, 1.0, -1.0)
            signs -= signs.mean()
            varied[rows, column] += signs / signs.std() * np.sqrt(lacking)
    return varied


def _expected(
    table: OutcomeTable, recorded: OutcomeMatrix, fold: NDArray[np.int64], encoder: Encoder, seed: int
) -> NDArray[np.float64]:
    """Return what a cluster router fitted without the query's part expects, shape [n_queries, n_pairs]."""
    names, scored = np.array(table.query_ids), recorded.recorded.any(axis=1)
    expected = np.full(recorded.scores.shape, float(np.nanmean(recorded.scores)))
    plain = ClusterRouter(encoder, random_state=seed, guard=0.0, n_trees=_N_TREES)
    rng = np.random.default_rng(seed)
    for part in np.unique(fold):
        held, kept = np.flatnonzero(fold == part), np.flatnonzero((fold != part) & scored)
        if not len(kept):
            continue
        kept = np.sort(rng.permutation(kept)[:_MOST_QUERIES])
        router = copy.copy(plain).fit(table.select(query_ids=names[kept].tolist()))
        columns = np.array([recorded.pairs.index(pair) for pair in router.pairs])
        expected[np.ix_(held, columns)] = router.expected_success([table.queries[row] for row in held])
    clipped: NDArray[np.float64] = np.clip(expected, 0, 1)
    return clipped


def _filled(values: NDArray[np.float64], recorded: OutcomeMatrix, known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Fill unknown costs or latencies with the pair's mean in the domain, or else its overall mean."""
    numbers = recorded.domain_numbers
    there = ~np.isnan(values)
    total, count = (np.zeros((len(recorded.domain_names), values.shape[1])) for _ in range(2))
    np.add.at(total, numbers, np.where(there, values, 0.0))
    np.add.at(count, numbers, there)
    with np.errstate(invalid="ignore", divide="ignore"):
        overall = total.sum(axis=0) / count.sum(axis=0)
        mean = np.where(count > 0, total / count, overall)
    # An outcome whose cost is unknown stays so: only outcomes that are missing as a whole are filled.
    lacking = recorded.recorded & ~there
    return np.where(there, values, np.where(known & ~lacking, mean[numbers], np.nan))
