"""How likely each outcome was to be recorded: from the log, or estimated by domain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from langchain_atlas.errors import OutcomeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from langchain_atlas.outcomes import OutcomeMatrix, OutcomeTable

COLUMN = "propensity"

_LEANING = 2.0
"""Number of queries that a pair's share in the whole log counts as in each domain."""
_LEAST = 0.01
"""Lowest propensity; smaller ones are raised to it, so that no outcome counts for more than a hundred queries."""
_CHECKED = 4.0
"""Number of standard errors beyond which recorded propensities don't match what was recorded."""
_FEWEST_CHECKED = 30
_NOTABLE = 3.0
"""Number of outcomes that a pair would have on a domain by its share of the log, from which on having none is no
chance."""


@dataclass(frozen=True)
class Propensities:
    """The probability with which each recorded outcome was to be recorded."""

    weights: NDArray[np.float64]
    """Number of queries that each recorded outcome stands for, 0 where nothing is, shape [n_queries, n_pairs]: one
    over its propensity, scaled so that a pair's outcomes stand for all queries on which it could have been recorded."""
    supported: NDArray[np.bool_]
    """Whether the pair was recorded on the query's domain, or the domain is too small for that to be telling, shape
    [n_queries, n_pairs]."""
    source: Literal["recorded", "estimated"]
    """Whether they come from the log or were estimated."""
    doubtful: tuple[str, ...]
    """Pairs whose recorded propensities do not match how often they were recorded."""
    certain: NDArray[np.bool_]
    """Whether the query's pair was chosen with a recorded probability of 1, so that no other could have been, shape
    [n_queries]."""

    @classmethod
    def of(cls, table: OutcomeTable, recorded: OutcomeMatrix, strata: NDArray[np.int64]) -> Self:
        """Read the propensities, or estimate them.

        Args:
            table: the outcomes, in the order of `recorded`.
            recorded: the same as arrays.
            strata: domain (or region) of each query, within which propensities are estimated, shape [n_queries].

        Raises:
            OutcomeError: a recorded propensity is not from above 0 to 1.
        """
        known = recorded.recorded
        usual = _by_stratum(known, strata)
        supported = supported_cells(recorded)
        given = _given(table, recorded)
        complete = known.sum(axis=1) == known.any(axis=0).sum()
        chance = np.where(complete[:, None], 1.0, usual[strata])
        mine = known & ~np.isnan(given)
        source: Literal["recorded", "estimated"] = "recorded" if mine.sum() > known.sum() / 2 else "estimated"
        doubtful = _doubtful(recorded, given, supported) if source == "recorded" else ()
        if source == "recorded":
            chance = np.where(mine, given, chance)
        weights = np.where(known, 1 / np.maximum(chance, _LEAST), 0.0)
        # A pair's outcomes stand for all queries on which it could have been recorded: self-normalised.
        total, wanted = weights.sum(axis=0), supported.sum(axis=0)
        weights *= np.where(total > 0, wanted / np.maximum(total, 1e-12), 0.0)
        certain = (known & (given >= 1)).any(axis=1) & ~complete
        return cls(weights, supported, source, doubtful, certain)


def supported_cells(recorded: OutcomeMatrix) -> NDArray[np.bool_]:
    """Return whether each pair was logged on each query's domain, see `Propensities.supported`."""
    known, numbers = recorded.recorded, recorded.domain_numbers
    scored = known.any(axis=1)
    counts = np.zeros((len(recorded.domain_names), known.shape[1]))
    np.add.at(counts, numbers, known.astype(np.float64))
    sizes = np.bincount(numbers[scored], minlength=len(counts))[:, None]
    share = known.sum(axis=0) / max(int(scored.sum()), 1)
    found: NDArray[np.bool_] = ((counts > 0) | ((sizes * share < _NOTABLE) & (share > 0)))[numbers]
    return found


def _by_stratum(known: NDArray[np.bool_], strata: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the share of the incomplete queries on which each pair is recorded, shape [n_strata, n_pairs]."""
    partial = known.sum(axis=1) < known.any(axis=0).sum()
    n_strata = int(strata.max(initial=-1)) + 1
    found, size = np.zeros((n_strata, known.shape[1])), np.zeros(n_strata)
    np.add.at(found, strata[partial], known[partial].astype(np.float64))
    np.add.at(size, strata[partial], 1.0)
    overall = known[partial].mean(axis=0) if partial.any() else np.ones(known.shape[1])
    share: NDArray[np.float64] = (found + _LEANING * overall) / (size + _LEANING)[:, None]
    return share


def _given(table: OutcomeTable, recorded: OutcomeMatrix) -> NDArray[np.float64]:
    if COLUMN not in table.table.column_names:
        return np.full(recorded.scores.shape, np.nan)
    given = table.matrix(COLUMN, recorded.pairs)
    wrong = given[~np.isnan(given) & ~((given > 0) & (given <= 1))]
    if wrong.size:
        raise OutcomeError(
            f"{table.source}: column {COLUMN!r} holds {wrong[0]:g}; it must be above 0 and at most 1: the probability "
            "with which the pair was chosen for the query."
        )
    return given


def _doubtful(recorded: OutcomeMatrix, given: NDArray[np.float64], supported: NDArray[np.bool_]) -> tuple[str, ...]:
    """Name the pairs whose outcomes, each counted one over its propensity, are not as many as the queries."""
    names = []
    for column, pair in enumerate(recorded.pairs):
        there = ~np.isnan(given[:, column]) & recorded.recorded[:, column]
        wanted = supported[:, column].sum()
        if there.sum() < _FEWEST_CHECKED or there.sum() < recorded.recorded[:, column].sum():
            continue
        inverse = 1 / given[there, column]
        error = np.sqrt((inverse * (inverse - 1)).sum())
        if abs(inverse.sum() - wanted) > _CHECKED * error + 0.02 * wanted:
            names.append(str(pair))
    return tuple(names)
