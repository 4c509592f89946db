"""Reads an outcome table into a memory: every answer once, every query as the policy will see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.errors import OutcomeError
from langchain_atlas.routers.memory import Memory
from langchain_atlas.routers.outlook import Seen, describe
from langchain_atlas.routers.situation import N_ANSWER_FEATURES, answer_features

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.agreement import Agreement
    from langchain_atlas.agreement import Reading as Said
    from langchain_atlas.encoders import Encoder
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.routers.outlook import Outlook
    from langchain_atlas.routers.views import QueryView


@dataclass(frozen=True)
class Answers:
    """All answers of a table, read; arrays have shape [n_queries, n_pairs]."""

    groups: NDArray[np.int64]
    """Answers of a query that say the same have one number, the key of the first of them (see `Reading.key`), so that
    answers of other tables can be compared too; -1 where nothing is recorded."""
    styles: NDArray[np.int16]
    """Index into `names` of how each is written; -1 where nothing is recorded or the style is not known."""
    features: NDArray[np.float32]
    """Numbers about each, shape [n_queries, n_pairs, N_ANSWER_FEATURES]."""
    names: tuple[str, ...]
    """The styles."""

    @classmethod
    def of(cls, table: OutcomeTable, agreement: Agreement, names: Sequence[str] | None = None) -> Answers:
        """Read them; with `names`, no other styles are told apart."""
        shape = (len(table.query_ids), len(table.pairs))
        groups, styles = np.full(shape, -1, dtype=np.int64), np.full(shape, -1, dtype=np.int16)
        features = np.zeros((*shape, N_ANSWER_FEATURES), dtype=np.float32)
        known = {name: number for number, name in enumerate(names or ())}
        recorded, responses = ~np.isnan(table.matrix("score")), table.texts("response")
        for row, query in enumerate(table.queries):
            columns = np.flatnonzero(recorded[row])
            readings = [agreement.read(responses[row][column] or "", query) for column in columns]
            groups[row, columns] = _keys(readings, agreement.groups(readings, query), columns)
            for column, reading in zip(columns, readings, strict=True):
                features[row, column] = answer_features(reading)
                style = f"{reading.kind} {reading.style}"
                if names is None:
                    known.setdefault(style, len(known))
                styles[row, column] = known.get(style, -1)
        return cls(groups, styles, features, tuple(known))


@dataclass(frozen=True)
class Reading:
    """A table, read."""

    memory: Memory
    """Its outcomes."""
    answers: Answers
    """Its answers."""
    seen: Seen
    """What is seen of its queries."""
    view: QueryView
    """How they were looked at."""
    descriptions: NDArray[np.float32]
    """Embedding of each pair's description, shape [n_pairs, encoded]."""


def read_table(
    table: OutcomeTable,
    encoder: Encoder,
    agreement: Agreement,
    descriptions: Mapping[str, str] | None = None,
    like: Outlook | None = None,
) -> Reading:
    """Read a table.

    Args:
        table: the outcomes.
        encoder: embeds queries and descriptions.
        agreement: compares answers.
        descriptions: what models and tools are, by name.
        like: an outlook learned before, whose view and styles are taken; the table's own otherwise.

    Raises:
        OutcomeError: the table has no score at all.
    """
    scores = table.matrix("score").astype(np.float32)
    if np.isnan(scores).all():
        raise OutcomeError(f"{table.source} has no outcome with a score; there is nothing to learn from.")
    seen, view = Seen.of(table.queries, encoder, None if like is None else like.view)
    answers = Answers.of(table, agreement, None if like is None else like.memory.style_names)
    memory = Memory(
        pairs=table.pairs,
        vectors=seen.vectors,
        scores=scores,
        costs=table.matrix("cost_usd").astype(np.float32),
        latencies=table.matrix("latency_s").astype(np.float32),
        groups=answers.groups,
        styles=answers.styles,
        domains=_numbered(table.domains),
        style_names=answers.names,
    )
    known = encoder.encode([describe(pair, descriptions or {}) for pair in table.pairs])
    return Reading(memory, answers, seen, view, known)


def _keys(readings: Sequence[Said], groups: Sequence[int], columns: NDArray[np.intp]) -> list[int]:
    """Return for each answer the key of its group: that of the group's first answer; one that says nothing is alone."""
    firsts: dict[int, int] = {}
    for reading, group, column in zip(readings, groups, columns, strict=True):
        firsts.setdefault(group, int(column) if reading.kind == "nothing" else reading.key)
    return [firsts[group] for group in groups]


def _numbered(names: Sequence[str]) -> NDArray[np.int16]:
    order = {name: number for number, name in enumerate(sorted(set(names)))}
    return np.array([order[name] for name in names], dtype=np.int16)
