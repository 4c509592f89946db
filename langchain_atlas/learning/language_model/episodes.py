"""Episodes of a language-model policy: what it writes is carried out, on recorded outcomes or live, and rewarded."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from langchain_atlas.errors import SettingError
from langchain_atlas.execution.replay import ReplayExecutor
from langchain_atlas.learning.language_model.rewards import TranscriptRewards
from langchain_atlas.learning.rewards import RIGHT
from langchain_atlas.loop.limits.trajectory_limits import MAX_TURNS
from langchain_atlas.routers.prompted.conversation import (
    GO_ON,
    first_step,
    observation_text,
    question_text,
    read_step,
    system_prompt,
)
from langchain_atlas.routers.prompted.describing import describe_pairs
from langchain_atlas.routers.prompted.tags import TagError
from langchain_atlas.trajectory import START, Observation, Query, Trajectory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_atlas.execution.base import Executor
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.pool.pool import Pair


@dataclass
class Episode:
    """One query, as far as the policy has come with it."""

    query: Query
    """The query."""
    pairs: tuple[Pair, ...]
    """The pairs that may be called."""
    trajectory: Trajectory = START
    """The steps that could be used."""
    parts: list[str] = field(default_factory=list)
    """What the policy wrote and what it was told, in order."""
    done: bool = False
    """Whether it is over."""
    problem: str = ""
    """Why a step could not be used; empty if all could."""

    @property
    def transcript(self) -> str:
        """Everything that was written, as one text."""
        return "\n".join(self.parts)

    @property
    def called(self) -> tuple[Pair, ...]:
        """The pairs that were called, in order."""
        return tuple(seen.pair for seen in self.trajectory.observations)


@dataclass(frozen=True)
class Environment:
    """Plays episodes on the queries of an outcome table.

    Raises:
        SettingError: `turns` or `observation_chars` is below 1.
    """

    table: OutcomeTable
    """The queries and their outcomes."""
    described: Mapping[Pair, str]
    """What the policy is told of every pair, by pair; see `describe_pairs`."""
    rewards: TranscriptRewards = field(default_factory=TranscriptRewards)
    """The weights of the reward's components."""
    turns: int = MAX_TURNS
    """Maximum number of calls and thoughts before the answer."""
    observation_chars: int = 8000
    """Maximum number of characters of a result that the policy sees."""
    question_chars: int | None = None
    """Maximum number of characters of a question that the policy sees; None for all."""
    executor: Executor | None = None
    """Runs pairs live; None replays the table."""
    score: Callable[[Query, Trajectory], float] | None = None
    """Scores the answer of a live trajectory, 0 to 1; a replayed one has the recorded score."""

    def __post_init__(self) -> None:
        for name in ("turns", "observation_chars"):
            if getattr(self, name) < 1:
                raise SettingError(f"{name} is {getattr(self, name)!r}; it must be a whole number from 1.")
        if self.executor is not None and self.score is None:
            raise SettingError("A live executor records no scores: give 'score' too, which scores an answer.")

    @classmethod
    def of(cls, table: OutcomeTable, **settings: object) -> Environment:
        """Play on a table whose pairs are described by their outcomes on it."""
        return cls(table, describe_pairs(table, domains=0), **settings)  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self.table.query_ids)

    @cached_property
    def replay(self) -> ReplayExecutor:
        """The recorded outcomes."""
        return ReplayExecutor(self.table)

    @cached_property
    def _costs(self) -> np.ndarray:
        """Cost of every call, 1 for a call of the most expensive pair; the pair's mean where unknown."""
        costs = self.table.matrix("cost_usd")
        known = ~np.isnan(costs)
        means = np.where(known, costs, 0.0).sum(0) / np.maximum(known.sum(0), 1)
        highest = max(float(means.max()), 1e-12)
        scaled: np.ndarray = np.where(known, costs, means) / highest
        return scaled

    @cached_property
    def _optimal(self) -> np.ndarray:
        """Which pairs are right and no dearer than the cheapest right one; all where none is right."""
        right = self.table.matrix("score") >= RIGHT
        costs = np.where(right, self._costs, np.inf)
        best = right & (costs <= costs.min(axis=1, keepdims=True))
        optimal: np.ndarray = best | ~right.any(axis=1, keepdims=True)
        return optimal

    def cheapest_right(self, row: int) -> Pair | None:
        """Return the cheapest pair that is right on a query; None if none is."""
        right = self.table.matrix("score")[row] >= RIGHT
        column = int(np.where(right, self._costs[row], np.inf).argmin())
        return self.table.pairs[column] if right[column] else None

    def start(self, row: int) -> Episode:
        """Start an episode on a query, by its row."""
        query = self.table.queries[row]
        recorded = self.replay.recorded(query)
        return Episode(query, tuple(pair for pair in self.described if pair in recorded))

    def messages(self, episode: Episode) -> list[BaseMessage]:
        """Return what the policy reads before its first step."""
        told = {pair: self.described[pair] for pair in episode.pairs}
        question = question_text(episode.query, self.question_chars)
        return [SystemMessage(system_prompt(told, self.turns)), HumanMessage(question)]

    def step(self, episode: Episode, text: str) -> str | None:
        """Carry out what the policy wrote.

        Returns:
            What it is told next; None if the episode is over.
        """
        episode.parts.append(first_step(text).strip())
        try:
            decision = read_step(text, episode.trajectory, episode.pairs)
        except TagError as error:
            _over(episode, str(error))
            return None
        if decision.kind == "answer":
            episode.trajectory = episode.trajectory.then(decision)
            _over(episode)
            return None
        if len(episode.trajectory.steps) >= self.turns:
            _over(episode, f"All {self.turns} turns are used.")
            return None
        if decision.pair is None:
            episode.trajectory = episode.trajectory.then(decision)
            return GO_ON
        seen = self._run(decision.pair, episode.query, decision.input)
        episode.trajectory = episode.trajectory.then(decision, seen)
        told = observation_text(seen, self.observation_chars)
        episode.parts.append(told)
        return told

    def _run(self, pair: Pair, query: Query, asked: str | None) -> Observation:
        if self.executor is None:
            return self.replay.run(pair, query)
        return self.executor.run(pair, query if asked is None else query.replace(text=asked))

    def answer_score(self, episode: Episode) -> float:
        """Return the score of the answer, 0 to 1; 0 if there is none, or if it is no call's and nothing scores it."""
        if not episode.trajectory.done or episode.trajectory.answer is None:
            return 0.0
        if self.score is not None:
            return float(self.score(episode.query, episode.trajectory))
        given = episode.trajectory.answered_by
        return 0.0 if given is None else self.replay.score(given.pair, episode.query)

    def components(self, episode: Episode) -> dict[str, float]:
        """Return the reward of a finished episode, by component."""
        row, given = self._row(episode.query), episode.trajectory.answered_by
        column = None if given is None else self.table.pair_number(given.pair)
        optimal = bool(self._optimal[row].all()) if column is None else bool(self._optimal[row, column])
        cost = sum(float(self._costs[row, self.table.pair_number(pair)]) for pair in episode.called)
        return self.rewards.components(
            episode.transcript, episode.pairs, score=self.answer_score(episode), optimal=optimal, cost=cost
        )

    def is_optimal(self, episode: Episode) -> bool:
        """Whether the first call went to a pair that is optimal for the query."""
        called = episode.called
        return bool(called) and bool(self._optimal[self._row(episode.query), self.table.pair_number(called[0])])

    def _row(self, query: Query) -> int:
        return self._rows[query.id or ""]

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.table.query_ids)}

    def with_rewards(self, rewards: TranscriptRewards) -> Environment:
        """Return the same environment with other rewards."""
        return replace(self, rewards=rewards)


def _over(episode: Episode, problem: str = "") -> None:
    episode.done, episode.problem = True, problem
