"""From queries to the numbers the policy starts from: what is seen of them, and which records are looked up."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from langchain_atlas.routers.guard import most_accurate
from langchain_atlas.routers.nearby import Nearby
from langchain_atlas.routers.situation import Prospect, prospect_of, relations
from langchain_atlas.routers.track_record import TrackRecord
from langchain_atlas.routers.views import QueryView, Sight

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.pool import Pair
    from langchain_atlas.routers.memory import Memory
    from langchain_atlas.trajectory import Query


@dataclass(frozen=True)
class Seen:
    """What is seen of some queries."""

    vectors: NDArray[np.float32]
    """For finding neighbours, shape [n, dimension]."""
    text: NDArray[np.float32]
    """Embedding of the text, shape [n, encoded]."""
    fit: NDArray[np.float32]
    """How well the context fits the text, shape [n]; see `Sight.fit`."""
    items: NDArray[np.float32]
    """How many items the context has, likewise; see `Sight.items`."""
    words: NDArray[np.float32]
    """How many words the text has, likewise: a quarter of the logarithm of one more."""
    numbers: NDArray[np.float32]
    """How many numbers the text has, likewise: half of the logarithm of one more."""

    @classmethod
    def of(cls, queries: Sequence[Query], encoder: Encoder, view: QueryView | None = None) -> tuple[Seen, QueryView]:
        """Look at queries; a view is learned on them unless one is given."""
        sight = Sight.of(queries, encoder)
        if view is None:
            view, _ = QueryView.learn(sight, np.zeros((len(queries), 1)), 0, 0)
        seen = cls(
            vectors=view.vectors(sight).astype(np.float32),
            text=sight.text,
            fit=sight.fit[:, 0].astype(np.float32),
            items=sight.items[:, 0].astype(np.float32),
            words=(sight.shape_of("words") / 4).astype(np.float32),
            numbers=(sight.shape_of("numbers") / 2).astype(np.float32),
        )
        return seen, view

    def rows(self, rows: NDArray[np.int64]) -> Seen:
        """Return what is seen of some of the queries, by number."""
        return replace(self, **{field.name: getattr(self, field.name)[rows] for field in fields(self)})


class Scale(NamedTuple):
    """What counts as 1."""

    dollars: float
    """Of a call: what one of the dearest pair costs."""
    seconds: float
    """Of a call: what one of the slowest pair takes."""
    distance: float
    """Between a query and its neighbours: the usual one."""


@dataclass(frozen=True)
class Outlook:
    """Everything but the network that is needed to see a query as the policy does."""

    memory: Memory
    """The outcomes."""
    record: TrackRecord
    """What they say overall."""
    view: QueryView
    """How queries are looked at."""
    descriptions: NDArray[np.float32]
    """Embedding of each pair's description, shape [n_pairs, encoded]."""
    scale: Scale
    """What counts as 1."""

    @classmethod
    def of(
        cls,
        memory: Memory,
        view: QueryView,
        descriptions: NDArray[np.float32],
        scale: Scale | None = None,
    ) -> Outlook:
        """Make the outlook of a whole memory; what counts as 1 is measured on it unless given."""
        record = TrackRecord.of(memory, memory.recorded)
        return cls(memory, record, view, descriptions, scale or _scale(memory, record))

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs."""
        return self.memory.pairs

    @cached_property
    def default(self) -> int:
        """Column of the default pair: the most accurate one."""
        return most_accurate(self.memory.outcomes.scores)

    @cached_property
    def numbers(self) -> dict[Pair, int]:
        """Number of each pair among them."""
        return {pair: number for number, pair in enumerate(self.pairs)}

    @cached_property
    def styles(self) -> dict[str, int]:
        """Number of each style of answer that is known."""
        return {name: number for number, name in enumerate(self.memory.answers.style_names)}

    def prospect(self, seen: Seen) -> Prospect:
        """Look up what is known of every pair on some queries."""
        everything = self.memory.recorded
        nearby = Nearby.of(seen.vectors, self.memory, self.record, everything)
        numbers = prospect_of(nearby, self.record, seen, seen.text @ self.descriptions.T, self.scale)
        return assemble(numbers, np.zeros(len(seen.text), dtype=np.int64), [self.record], self)

    def restrict(self, pairs: Sequence[Pair]) -> Outlook:
        """Return the outlook on some of the pairs."""
        columns = [self.numbers[pair] for pair in pairs]
        memory = self.memory.columns(columns)
        return replace(
            self, memory=memory, record=_columns(self.record, columns), descriptions=self.descriptions[columns]
        )


def assemble(
    numbers: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    which: NDArray[np.int64],
    records: Sequence[TrackRecord],
    outlook: Outlook,
) -> Prospect:
    """Put a prospect together from numbers by query and one or more records."""
    pairs, query, cost = numbers
    same_model, same_tool = relations([pair.model for pair in outlook.pairs], [pair.tool for pair in outlook.pairs])
    stacked = {
        name: torch.from_numpy(np.stack([getattr(record, name) for record in records]))
        for name in ("rescue", "if_agreed", "if_differed", "by_style")
    }
    likeness = torch.from_numpy(outlook.descriptions @ outlook.descriptions.T)
    return Prospect(
        pairs=pairs,
        query=query,
        cost=cost,
        record=torch.from_numpy(which),
        same_model=same_model,
        same_tool=same_tool,
        likeness=likeness,
        **stacked,
    )


def describe(pair: Pair, descriptions: Mapping[str, str]) -> str:
    """Return the text by which a pair is known: the descriptions of its model and tool, or their names."""
    model, tool = (descriptions.get(name) or name for name in (pair.model, pair.tool))
    return f"{model} with {tool}"


def _scale(memory: Memory, record: TrackRecord) -> Scale:
    dollars = float(np.nanmax(record.cost)) if (~np.isnan(record.cost)).any() else 1.0
    seconds = float(np.nanmax(record.latency)) if (~np.isnan(record.latency)).any() else 1.0
    nearby = Nearby.of(memory.vectors[:500], memory, record, memory.recorded)
    return Scale(max(dollars, 1e-12), max(seconds, 1e-9), max(float(nearby.near.mean()), 1e-6))


def _columns(record: TrackRecord, columns: list[int]) -> TrackRecord:
    arrays = record.arrays()
    square = ("rescue", "if_agreed", "if_differed")
    taken = {
        name: array[np.ix_(columns, columns)] if name in square else array[columns] for name, array in arrays.items()
    }
    return TrackRecord.from_arrays({name: np.ascontiguousarray(array) for name, array in taken.items()})
