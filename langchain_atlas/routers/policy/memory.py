"""What the policy remembers: recorded outcomes, the answers compared, and where the queries lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_atlas.outcomes.matrix import OutcomeMatrix, join_columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.pool import Pair

_DOMAINS = "domains"


@dataclass(frozen=True)
class AnswerMatrix:
    """What the recorded answers say, compared; arrays have shape [n_queries, n_pairs]."""

    groups: NDArray[np.int64]
    """Answers of a query that say the same have one number, the key of the first of them (see `Reading.key`), so that
    answers of other tables can be compared too; -1 where nothing is recorded."""
    styles: NDArray[np.int16]
    """Index into `style_names` of how each is written; -1 where nothing is recorded or the style is not known."""
    style_names: tuple[str, ...] = ()
    """The styles."""

    def rows(self, rows: NDArray[Any]) -> AnswerMatrix:
        """Return the answers on some queries, by number or mask."""
        return AnswerMatrix(self.groups[rows], self.styles[rows], self.style_names)

    def columns(self, columns: Sequence[int]) -> AnswerMatrix:
        """Return the answers of some pairs, by number."""
        taken = list(columns)
        return AnswerMatrix(self.groups[:, taken], self.styles[:, taken], self.style_names)


@dataclass(frozen=True)
class Memory:
    """Outcomes that are looked up by where their queries lie; rows are queries, columns are pairs."""

    outcomes: OutcomeMatrix
    """The outcomes, in 32 bits."""
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

    def columns(self, columns: Sequence[int]) -> Memory:
        """Return the memory of some pairs, by number."""
        return Memory(self.outcomes.columns(columns), self.answers.columns(columns), self.vectors)

    def joined(self, other: Memory) -> Memory:
        """Return a memory that also holds the outcomes of another one's pairs that this one lacks.

        A query that both remember is one row; its answers in the two memories agree where they have one number.
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
        return Memory(
            outcomes=self.outcomes.joined(other.outcomes, rows),
            answers=AnswerMatrix(groups, styles, self.answers.style_names),
            vectors=np.concatenate([self.vectors, other.vectors[added]]),
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the numbers by name, for saving; the names of domains and styles are kept apart."""
        return {
            **self.outcomes.arrays(),
            "vectors": self.vectors,
            "groups": self.answers.groups,
            "styles": self.answers.styles,
            _DOMAINS: self.outcomes.domain_numbers.astype(np.int16),
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
        """Rebuild a memory from what `arrays` gave."""
        domains = [domain_names[number] for number in arrays[_DOMAINS]]
        return cls(
            outcomes=OutcomeMatrix.from_arrays(arrays, pairs, domains),
            answers=AnswerMatrix(arrays["groups"], arrays["styles"], tuple(style_names)),
            vectors=arrays["vectors"],
        )
