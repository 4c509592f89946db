"""From queries to the numbers that the policy starts from: their features, and the records to look up."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from langchain_atlas.engines.products import product
from langchain_atlas.pool.pairs import Pair
from langchain_atlas.query_features import Featurizer, QueryFeatures
from langchain_atlas.routers.arrays import constants
from langchain_atlas.routers.policy.experience.memory import Memory
from langchain_atlas.routers.policy.experience.nearby_statistics import NearbyStatistics
from langchain_atlas.routers.policy.experience.newcomers import supported
from langchain_atlas.routers.policy.experience.pair_statistics import PairStatistics
from langchain_atlas.routers.policy.experience.recent import RecentNumbers
from langchain_atlas.routers.policy.settings import SECONDS_OF_A_CALL
from langchain_atlas.routers.policy.state_features import PriorFeatures, prior_features, relations
from langchain_atlas.routers.utility.guard import most_accurate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.trajectory import Query

_MEMORY, _RECORD = "memory.", "record."


@dataclass(frozen=True)
class EncodedQueries:
    """The features of some queries."""

    vectors: NDArray[np.float32]
    """Vectors for finding neighbours, shape [n, dimension]."""
    text: NDArray[np.float32]
    """Embedding of the text, shape [n, encoded]."""
    fit: NDArray[np.float32]
    """How well the context fits the text, shape [n]; see `QueryFeatures.fit`."""
    items: NDArray[np.float32]
    """Number of items in the context, shape [n]; see `QueryFeatures.items`."""
    words: NDArray[np.float32]
    """Number of words in the text, shape [n]: a quarter of the logarithm of one more."""
    numbers: NDArray[np.float32]
    """Number of numbers in the text, shape [n]: half of the logarithm of one more."""

    @classmethod
    def of(
        cls, queries: Sequence[Query], encoder: Encoder, view: Featurizer | None = None
    ) -> tuple[EncodedQueries, Featurizer]:
        """Compute the features of queries; a view is learned on them unless one is given."""
        features = QueryFeatures.of(queries, encoder)
        if view is None:
            view, _ = Featurizer.learn(features, np.zeros((len(queries), 1)), 0, 0)
        seen = cls(
            vectors=view.vectors(features).astype(np.float32),
            text=features.text,
            fit=features.fit[:, 0].astype(np.float32),
            items=features.items[:, 0].astype(np.float32),
            words=(features.shape_of("words") / 4).astype(np.float32),
            numbers=(features.shape_of("numbers") / 2).astype(np.float32),
        )
        return seen, view

    def rows(self, rows: NDArray[np.int64]) -> EncodedQueries:
        """Return the features of some of the queries, by index."""
        return replace(self, **{field.name: getattr(self, field.name)[rows] for field in fields(self)})


class Scale(NamedTuple):
    """The units in which values are scaled."""

    dollars: float
    """Unit of cost: a call of the most expensive pair, in dollars."""
    seconds: float
    """Unit of latency: a call of the slowest pair, in seconds."""
    distance: float
    """Unit of distance: the usual one between a query and its neighbours."""


@dataclass(frozen=True)
class StateFeaturizer:
    """Everything except the network that turns a query into what the policy sees."""

    memory: Memory
    """The outcomes."""
    record: PairStatistics
    """Their overall statistics."""
    view: Featurizer
    """How the features of a query are computed."""
    descriptions: NDArray[np.float32]
    """Embedding of each pair's description, shape [n_pairs, encoded]."""
    scale: Scale
    """The units of scaled values."""
    newcomers: Mapping[Pair, Pair | None] = field(default_factory=dict)
    """Pairs that joined after training, with the pair of which each inherits; None if it inherits of none."""

    @classmethod
    def of(
        cls,
        memory: Memory,
        view: Featurizer,
        descriptions: NDArray[np.float32],
        scale: Scale | None = None,
        newcomers: Mapping[Pair, Pair | None] | None = None,
    ) -> StateFeaturizer:
        """Make the featurizer of a whole memory; the scale is measured on it unless given."""
        record = PairStatistics.of(memory, memory.recorded, newcomers)
        return cls(memory, record, view, descriptions, scale or _scale(memory, record), newcomers or {})

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
        """Index of each pair."""
        return {pair: number for number, pair in enumerate(self.pairs)}

    @cached_property
    def styles(self) -> dict[str, int]:
        """Index of each known style of answer."""
        return {name: number for number, name in enumerate(self.memory.answers.style_names)}

    def supported(self, errors: float) -> NDArray[np.bool_]:
        """Return which pairs may be taken over others, shape [n_pairs]; see `newcomers.supported`."""
        if errors not in self._supported:
            self._supported[errors] = supported(self.memory.outcomes, self.newcomers, errors)
        return self._supported[errors]

    @cached_property
    def _supported(self) -> dict[float, NDArray[np.bool_]]:
        return {}

    def prior(self, seen: EncodedQueries) -> PriorFeatures:
        """Look up the record of every pair for some queries."""
        return self._assembled(self._numbers_of(seen))

    def prior_of(self, queries: Sequence[Query], encoder: Encoder) -> PriorFeatures:
        """Do what `prior` does; what was looked up for the latest queries is not looked up again.

        Args:
            queries: the queries, at least one.
            encoder: embeds them; the encoder that this featurizer was made with.
        """

        def look_up(new: list[Query]) -> list[NDArray[np.float32]]:
            seen, _ = EncodedQueries.of(new, encoder, self.view)
            return list(self._numbers_of(seen))

        return self._assembled(self._recent.of(queries, encoder, look_up))

    def _numbers_of(self, seen: EncodedQueries) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        nearby = NearbyStatistics.of(seen.vectors, self.memory, self.record, None)
        return prior_features(nearby, self.record, seen, product(seen.text, self.descriptions.T), self.scale)

    def _assembled(self, numbers: Sequence[NDArray[np.float32]]) -> PriorFeatures:
        pairs, query, cost = numbers
        record = np.zeros(len(query), dtype=np.int64)
        return PriorFeatures(pairs=pairs, query=query, cost=cost, record=record, **self._relations)

    @cached_property
    def _recent(self) -> RecentNumbers:
        return RecentNumbers(len(self.pairs))

    @cached_property
    def _relations(self) -> dict[str, Any]:
        return relations_of([self.record], self)

    def priced(self, prior: PriorFeatures, usd_per_second: float) -> PriorFeatures:
        """Return features whose costs include the expected seconds of a call, at a price in dollars per second."""
        known = self.record.latency.astype(np.float64)
        usual = float(np.nanmean(known)) if (~np.isnan(known)).any() else SECONDS_OF_A_CALL
        waiting = usd_per_second / self.scale.dollars * np.where(np.isnan(known), usual, known)
        return replace(prior, cost=prior.cost + constants(waiting, prior.cost))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name, for saving."""
        return {
            **{_MEMORY + name: value for name, value in self.memory.arrays().items()},
            **{_RECORD + name: value for name, value in self.record.arrays().items()},
            **self.view.arrays(),
            "descriptions": self.descriptions,
        }

    def facts(self) -> dict[str, Any]:
        """Return the rest, as JSON, for saving."""
        return {
            "scale": list(self.scale),
            "styles": list(self.memory.answers.style_names),
            "domains": list(self.memory.outcomes.domain_names),
            "newcomers": {str(pair): earlier and str(earlier) for pair, earlier in self.newcomers.items()},
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any], pairs: Sequence[Pair]
    ) -> StateFeaturizer:
        """Rebuild it from the results of `arrays` and `facts`.

        Raises:
            ValueError: its memory is of other pairs.
        """
        memory = Memory.from_arrays(
            under(_MEMORY, arrays), pairs, domain_names=facts["domains"], style_names=facts["styles"]
        )
        record = PairStatistics.from_arrays(under(_RECORD, arrays))
        if memory.outcomes.scores.shape[1] != len(pairs) or len(record.success) != len(pairs):
            raise ValueError("its pairs and what it remembers don't fit together")
        scale = Scale(*map(float, facts["scale"]))
        newcomers = {
            Pair.parse(pair): None if earlier is None else Pair.parse(earlier)
            for pair, earlier in facts.get("newcomers", {}).items()
        }
        return cls(memory, record, Featurizer.from_arrays(arrays), arrays["descriptions"], scale, newcomers)

    def restrict(self, pairs: Sequence[Pair]) -> StateFeaturizer:
        """Return the featurizer on some of the pairs."""
        kept = self._restricted.get(tuple(pairs))
        if kept is None:
            columns = [self.numbers[pair] for pair in pairs]
            memory, record = self.memory.columns(columns), _columns(self.record, columns)
            kept = replace(self, memory=memory, record=record, descriptions=self.descriptions[columns])
            self._restricted.clear()
            self._restricted[tuple(pairs)] = kept
        return kept

    @cached_property
    def _restricted(self) -> dict[tuple[Pair, ...], StateFeaturizer]:
        """The latest restriction, which several settings of a router share."""
        return {}


def assemble(
    numbers: Sequence[NDArray[np.float32]],
    which: NDArray[np.int64],
    records: Sequence[PairStatistics],
    featurizer: StateFeaturizer,
) -> PriorFeatures:
    """Combine numbers by query and one or more records into a prior."""
    pairs, query, cost = numbers
    given = relations_of(records, featurizer)
    return PriorFeatures(pairs=pairs, query=query, cost=cost, record=which, **given)


def relations_of(records: Sequence[PairStatistics], featurizer: StateFeaturizer) -> dict[str, Any]:
    """Return what a prior says of pairs and of pairs beside pairs, whatever the query, by name."""
    same_model, same_tool = relations(
        [pair.model for pair in featurizer.pairs], [pair.tool for pair in featurizer.pairs]
    )
    stacked = {
        name: np.stack([getattr(record, name) for record in records])
        for name in ("rescue", "if_agreed", "if_differed", "by_style")
    }
    told = [record.by_verdict for record in records if record.by_verdict is not None]
    by_verdict = np.stack(told) if len(told) == len(records) else None
    likeness = featurizer.descriptions @ featurizer.descriptions.T
    return {
        "same_model": same_model,
        "same_tool": same_tool,
        "likeness": likeness,
        "by_verdict": by_verdict,
        **stacked,
    }


def pair_description(pair: Pair, descriptions: Mapping[str, str]) -> str:
    """Return the text that describes a pair: the descriptions of its model and tool, or their names."""
    model, tool = (descriptions.get(name) or name for name in (pair.model, pair.tool))
    return f"{model} with {tool}"


def _scale(memory: Memory, record: PairStatistics) -> Scale:
    dollars = float(np.nanmax(record.cost)) if (~np.isnan(record.cost)).any() else 1.0
    seconds = float(np.nanmax(record.latency)) if (~np.isnan(record.latency)).any() else 1.0
    nearby = NearbyStatistics.of(memory.vectors[:500], memory, record, memory.recorded)
    return Scale(max(dollars, 1e-12), max(seconds, 1e-9), max(float(nearby.near.mean()), 1e-6))


def _columns(record: PairStatistics, columns: list[int]) -> PairStatistics:
    arrays = record.arrays()
    square = ("rescue", "if_agreed", "if_differed")
    taken = {
        name: array[np.ix_(columns, columns)] if name in square else array[columns] for name, array in arrays.items()
    }
    return PairStatistics.from_arrays({name: np.ascontiguousarray(array) for name, array in taken.items()})


def under(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the arrays whose names start with `prefix`, keyed by the rest of their names."""
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
