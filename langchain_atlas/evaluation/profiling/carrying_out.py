"""One run of `profile`, wherever its engine does it: the pair answers the query, and the answer is scored."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

from langchain_atlas.errors import OutcomeError

if TYPE_CHECKING:
    from langchain_atlas.evaluation.profiling.queries import CheckableQuery
    from langchain_atlas.execution.base import Executor
    from langchain_atlas.pool.pool import Pair, Pool
    from langchain_atlas.trajectory import Observation

Job: TypeAlias = "tuple[CheckableQuery, Pair]"
"""A run: who is asked what."""


def live_executor(pool: Pool) -> Executor:
    """Make the executor that calls a pool's models."""
    from langchain_atlas.execution.live import LiveExecutor

    return LiveExecutor(pool)


async def carried_out(executor: Executor, job: Job) -> tuple[Observation, float]:
    """Run a pair on a query, and return what was observed, and its score: 0 for a failed run.

    Raises:
        OutcomeError: the scoring function failed.
    """
    item, pair = job
    observation = await executor.arun(pair, item.query)
    # A scorer may run the answer's code or a user's function: not on the event loop.
    return observation, 0.0 if observation.failed else await asyncio.to_thread(_score, item, pair, observation)


def _score(item: CheckableQuery, pair: Pair, observation: Observation) -> float:
    assert item.scorer is not None  # noqa: S101  # `profile` has seen to it; this tells the type checker
    try:
        return item.scorer.score(observation.answer or "", item.answer)
    except OutcomeError as error:
        raise OutcomeError(f"Query {item.query.id!r}, answered by {str(pair)!r}: {error}") from error
