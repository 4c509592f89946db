"""The effects that a step of the loop may yield for its driver to carry out; see `loop/turns.py`."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from langchain_atlas.loop.limits.pair_budget import Budget
    from langchain_atlas.pool.pairs import Pair
    from langchain_atlas.trajectory import Decision, Observation, Query, Trajectory

Value = TypeVar("Value")


@dataclass(frozen=True)
class Decide:
    """Have the router decide. The result is a `Decision`, within the turn limit."""

    query: Query
    """The query."""
    trajectory: Trajectory
    """The steps taken so far."""


@dataclass(frozen=True)
class Run:
    """Have the executor run a pair. The result is an `Observation`."""

    pair: Pair
    """The pair."""
    query: Query
    """The query it is run on."""
    seconds: float | None = None
    """Seconds that it may take; None for no limit."""
    budget: Budget | None = None
    """Dollars that it may cost; None for no limit."""


@dataclass(frozen=True)
class GetModel:
    """Get the chat model for a model of the pool; the first time may take seconds."""

    model: str
    """Name of the model in the pool."""


@dataclass(frozen=True)
class CallModel:
    """Call a model through the integration's own caller. The result is that caller's reply."""

    request: Any
    """The argument of the integration's caller."""
    live: bool = False
    """Whether the reply is certain to be the answer, so that it can be streamed immediately."""
    seconds: float | None = None
    """Seconds that it may take; None for no limit."""


@dataclass(frozen=True)
class Verify:
    """Have the executor's verifier, if any, check an answer. The result is the observation with its verdict."""

    query: Query
    """The query."""
    observation: Observation
    """The observation of a call that the executor did not run itself."""


@dataclass(frozen=True)
class Tell:
    """Report a decision to the listeners. The result is the decision, with an id if there is a store."""

    decision: Decision
    """The decision."""


@dataclass(frozen=True)
class Keep:
    """Have a decision that is acted on kept in the store, if there is one, and later what came of it.

    Before the call, the result is None, or the observation that takes its place if a limit does not allow it.
    """

    query: Query
    """The query."""
    trajectory: Trajectory
    """The steps before the decision."""
    decision: Decision
    """The decision."""
    observation: Observation | None = None
    """What came of it; None if it is about to be acted on."""


Effect = Decide | Run | GetModel | CallModel | Verify | Tell | Keep
Steps = Generator[Effect, Any, Value]
"""A generator that yields effects, is sent their results, and returns a value."""
