"""What a step of the loop may want done by whoever drives it; see `loop.py`."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from langchain_atlas.budgets import Budget
    from langchain_atlas.pairs import Pair
    from langchain_atlas.trajectory import Decision, Query, Trajectory

Value = TypeVar("Value")


@dataclass(frozen=True)
class Decide:
    """The effect of having the router decide; what comes of it is a `Decision`, within the limit of turns."""

    query: Query
    """What is asked."""
    trajectory: Trajectory
    """What was decided and seen so far."""


@dataclass(frozen=True)
class Run:
    """The effect of having the executor run a pair; what comes of it is an `Observation`."""

    pair: Pair
    """The pair."""
    query: Query
    """What it is asked."""
    seconds: float | None = None
    """How long that may take; None for any time."""
    budget: Budget | None = None
    """How many dollars; None for any number."""


@dataclass(frozen=True)
class GetModel:
    """The effect of getting the chat model that reaches a model of the pool; it may take seconds at first."""

    model: str
    """Its name."""


@dataclass(frozen=True)
class Call:
    """The effect of calling a model in the way of an integration; what comes of it is that one's reply."""

    request: Any
    """What the integration's own caller takes."""
    live: bool = False
    """Whether the reply is sure to be the answer, so that it can be streamed as it comes."""
    seconds: float | None = None
    """How long it may take; None for any time."""


@dataclass(frozen=True)
class Tell:
    """The effect of telling whoever listens what was decided."""

    decision: Decision
    """The decision."""


Effect = Decide | Run | GetModel | Call | Tell
Steps = Generator[Effect, Any, Value]
"""Yields effects, is sent what came of them, returns a value."""
