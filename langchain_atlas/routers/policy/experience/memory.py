"""The policy's memory: recorded outcomes, their answers compared, and the vectors of their queries."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_atlas.engines.products import product
from langchain_atlas.outcomes.matrix import OutcomeMatrix, join_columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.pool.pool import Pair

_DOMAINS = "domains"


@dataclass(frozen=True)
class AnswerMatrix:
    """The recorded answers, compared; arrays have shape [n_queries, n_pairs]."""

    groups: NDArray[np.int64]
    """Answers of a query that say the same have the same number, the key of the first of them (see `Reading.key`), so
    that answers of other tables can be compared too; -1 where nothing is recorded."""
    styles: NDArray[np.int16]
    """Index into `style_names` of how each is written; -1 where nothing is recorded or the style is unknown."""
    style_names: tuple[str, ...] = ()
    """The styles."""
    verdicts: NDArray[np.int8] | None = None
    """What a verifier said of each: 1 passed, 0 failed, -1 unknown; None if there are no verdicts at all."""

    def rows(self, rows: NDArray[Any]) -> AnswerMatrix:
        """Return the answers to some queries, by index or mask."""
        verdicts = None if self.verdicts is None else self.verdicts[rows]
        return AnswerMatrix(self.groups[rows], self.styles[rows], self.style_names, verdicts)

    def columns(self, columns: Sequence[int]) -> AnswerMatrix:
        """Return the answers of some pairs, by index."""
        taken = list(columns)
        verdicts = None if self.verdicts is None else self.verdicts[:, taken]
        return AnswerMatrix(self.groups[:, taken], self.styles[:, taken], self.style_names, verdicts)

    @property
    def verdicts_or_none(self) -> NDArray[np.int8]:
        """The verdicts, in the shape of `groups`; -1 everywhere if there are none."""
        return np.full(self.groups.shape, -1, dtype=np.int8) if self.verdicts is None else self.verdicts


@dataclass(frozen=True)
class Places:
    """Where the remembered queries are that have an outcome."""

    kept: NDArray[np.bool_]
    """Which outcomes count, shape [n, n_pairs]."""
    rows: NDArray[np.int64]
    """Rows of the queries with any, shape [n_rows]."""
    vectors: NDArray[np.float32]
    """Their vectors, shape [n_rows, dimension]."""
    squares: NDArray[np.float32]
    """Their squared lengths, shape [n_rows]."""

    @classmethod
    def of(cls, vectors: NDArray[np.float32], kept: NDArray[np.bool_]) -> Places:
        """Find them among all vectors, shape [n, dimension]."""
        rows = np.flatnonzero(kept.any(axis=1))
        taken = vectors if len(rows) == len(vectors) else vectors[rows]
        return cls(kept, rows, taken, (taken**2).sum(axis=1))

    def distances(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the distance of other vectors to each of them, shape [n_others, n_rows]."""
        squares = (vectors**2).sum(axis=1)[:, None] + self.squares[None] - product(2 * vectors, self.vectors.T)
        return np.asarray(np.sqrt(np.maximum(squares, 0.0)), dtype=np.float32)


@dataclass(frozen=True)
class Memory:
    """Outcomes that are looked up by their queries' vectors; rows are queries, columns are pairs."""

    outcomes: OutcomeMatrix
    """The outcomes, as 32-bit floats."""
    answers: AnswerMatrix
    """The answers."""
    vectors: NDArray[np.float32]
    """Vector of each query, shape [n, dimension]."""

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs."""
        return self.outcomes.pairs

    @property
    def recorded(self) -> NDArray[np.bool_]:
        """Where a score is recorded, shape [n, n_pairs]."""
        return self.outcomes.recorded

    @cached_property
    def places(self) -> Places:
        """Where the queries with a recorded score are."""
        return Places.of(self.vectors, self.recorded)

    def columns(self, columns: Sequence[int]) -> Memory:
        """Return the memory of some pairs, by index."""
        return Memory(self.outcomes.columns(columns), self.answers.columns(columns), self.vectors)

    def joined(self, other: Memory) -> Memory:
        """Return a memory that also has the outcomes of those pairs of another memory that this one lacks.

        A query that is in both is one row; its answers in the two memories agree if they have the same number.
        """
        fresh = [column for column, pair in enumerate(other.pairs) if pair not in set(self.pairs)]
        known = {vector.tobytes(): row for row, vector in enumerate(self.vectors)}
        found = [known.get(vector.tobytes(), -1) for vector in other.vectors]
        added = [row for row, place in enumerate(found) if place < 0]
        place = {row: len(self.vectors) + number for number, row in enumerate(added)}
        rows = np.array([place.get(row, there) for row, there in enumerate(found)], dtype=np.int64)
        n_rows = len(self.vectors) + len(added)
        groups, styles = (
            join_columns(getattr(self.answers, name), getattr(other.answers, name)[:, fresh], rows, n_rows, -1)
            for name in ("groups", "styles")
        )
        verdicts = None
        if self.answers.verdicts is not None or other.answers.verdicts is not None:
            theirs = other.answers.verdicts_or_none[:, fresh]
            verdicts = join_columns(self.answers.verdicts_or_none, theirs, rows, n_rows, -1)
        return Memory(
            outcomes=self.outcomes.joined(other.outcomes, rows),
            answers=AnswerMatrix(groups, styles, self.answers.style_names, verdicts),
            vectors=np.concatenate([self.vectors, other.vectors[added]]),
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name, for saving; the names of domains and styles are saved separately."""
        return {
            **self.outcomes.arrays(),
            "vectors": self.vectors,
            "groups": self.answers.groups,
            "styles": self.answers.styles,
            _DOMAINS: self.outcomes.domain_numbers.astype(np.int16),
            **({} if self.answers.verdicts is None else {"verdicts": self.answers.verdicts}),
        }

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, NDArray[Any]],
        pairs: Sequence[Pair],
        *,
        domain_names: Sequence[str],
        style_names: Sequence[str],
    ) -> Memory:
        """Rebuild a memory from the result of `arrays`."""
        domains = [domain_names[number] for number in arrays[_DOMAINS]]
        return cls(
            outcomes=OutcomeMatrix.from_arrays(arrays, pairs, domains),
            answers=AnswerMatrix(arrays["groups"], arrays["styles"], tuple(style_names), arrays.get("verdicts")),
            vectors=arrays["vectors"],
        )
