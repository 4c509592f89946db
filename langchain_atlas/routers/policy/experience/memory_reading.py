"""Reads an outcome table into a memory: every answer is parsed once, every query is seen as the policy will see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.outcomes.matrix import OutcomeMatrix
from langchain_atlas.routers.policy.experience.memory import AnswerMatrix, Memory
from langchain_atlas.routers.policy.state_features import ANSWER_FEATURES, answer_features
from langchain_atlas.routers.policy.state_featurizer import EncodedQueries, pair_description

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.answers import Agreement, ParsedAnswer
    from langchain_atlas.encoders import Encoder
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.query_features import Featurizer
    from langchain_atlas.routers.policy.state_featurizer import StateFeaturizer


def read_answers(
    table: OutcomeTable, recorded: NDArray[np.bool_], agreement: Agreement, names: Sequence[str] | None = None
) -> tuple[AnswerMatrix, NDArray[np.float32]]:
    """Parse all answers of a table.

    Args:
        table: the outcomes.
        recorded: which answers to read, shape [n_queries, n_pairs].
        agreement: compares answers.
        names: the styles to distinguish; by default, those that occur.

    Returns:
        The compared answers, and their features, shape [n_queries, n_pairs, len(ANSWER_FEATURES)].
    """
    groups, styles = np.full(recorded.shape, -1, dtype=np.int64), np.full(recorded.shape, -1, dtype=np.int16)
    features = np.zeros((*recorded.shape, len(ANSWER_FEATURES)), dtype=np.float32)
    known = {name: number for number, name in enumerate(names or ())}
    responses = table.texts("response")
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
    return AnswerMatrix(groups, styles, tuple(known), table.verdicts), features


@dataclass(frozen=True)
class ReadTable:
    """A table, parsed."""

    memory: Memory
    """Its outcomes."""
    answers: NDArray[np.float32]
    """Features of its answers, shape [n_queries, n_pairs, len(ANSWER_FEATURES)]."""
    seen: EncodedQueries
    """The features of its queries."""
    view: Featurizer
    """How these features were computed."""
    descriptions: NDArray[np.float32]
    """Embedding of each pair's description, shape [n_pairs, encoded]."""


def read_table(
    table: OutcomeTable,
    encoder: Encoder,
    agreement: Agreement,
    descriptions: Mapping[str, str] | None = None,
    like: StateFeaturizer | None = None,
) -> ReadTable:
    """Parse a table.

    Args:
        table: the outcomes.
        encoder: embeds queries and descriptions.
        agreement: compares answers.
        descriptions: descriptions of models and tools, by name.
        like: a fitted featurizer, whose view and styles are used; by default, the table's own.

    Raises:
        OutcomeError: the table has no scores.
    """
    outcomes = OutcomeMatrix.of(table).checked(table.source).astype(np.float32)
    seen, view = EncodedQueries.of(table.queries, encoder, None if like is None else like.view)
    names = None if like is None else like.memory.answers.style_names
    answers, features = read_answers(table, outcomes.recorded, agreement, names)
    memory = Memory(outcomes, answers, seen.vectors)
    known = encoder.encode([pair_description(pair, descriptions or {}) for pair in table.pairs])
    return ReadTable(memory, features, seen, view, known)


def _keys(readings: Sequence[ParsedAnswer], groups: Sequence[int], columns: NDArray[np.intp]) -> list[int]:
    """Return the key of each answer's group: that of its first answer; an answer that says nothing is its own group."""
    firsts: dict[int, int] = {}
    for reading, group, column in zip(readings, groups, columns, strict=True):
        firsts.setdefault(group, int(column) if reading.kind == "nothing" else reading.key)
    return [firsts[group] for group in groups]
