"""Results of a run, in LangSmith's format for feedback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import InvalidInputError
from langchain_atlas.trajectory import Trajectory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from uuid import UUID

    from langsmith import Client

CORRECT = "atlas_correct"
"""Score of the answer, 0 to 1, as given by the caller."""
ANSWERED = "atlas_answered"
"""1 if there is an answer, 0 if every call failed."""
CALLS = "atlas_calls"
"""Number of pairs that were run."""
COST = "atlas_cost_usd_per_1k"
"""Dollars per 1000 such runs, because LangSmith keeps four decimals; left out when unknown."""
LATENCY = "atlas_latency_s"
"""Total seconds of all calls; left out when unknown."""
SURPRISE = "atlas_surprise"
"""Score minus the success that the router expected of the pair that answered, -1 to 1. Its mean over many runs is 0 if
the router's estimates are right; below 0, they are too high."""

KEYS = (CORRECT, ANSWERED, CALLS, COST, LATENCY, SURPRISE)
"""All feedback keys."""


def feedback(outcome: Trajectory | Mapping[str, Any], *, score: float | None = None) -> list[dict[str, Any]]:
    """Return feedback on a run: one entry with ``key`` and ``score`` for each known value.

    Args:
        outcome: the trajectory, or its record in a graph's state under ``atlas``.
        score: how right the answer is, 0 to 1; None when unknown.

    Raises:
        InvalidInputError: `score` is out of range, or `outcome` is not a record.
    """
    if score is not None and not 0 <= score <= 1:
        raise InvalidInputError(f"score is {score!r}; it must be a number from 0 (wrong) to 1 (right), or None.")
    trajectory = outcome if isinstance(outcome, Trajectory) else Trajectory.from_json({"steps": outcome.get("steps")})
    expected = _expected(trajectory)
    values = {
        CORRECT: score,
        ANSWERED: float(trajectory.answer is not None),
        CALLS: float(trajectory.calls),
        COST: None if trajectory.cost_usd is None else 1000 * trajectory.cost_usd,
        LATENCY: trajectory.latency_s,
        SURPRISE: None if score is None or expected is None else score - expected,
    }
    pair = None if trajectory.answered_by is None else str(trajectory.answered_by.pair)
    return [{"key": key, "score": value, "comment": pair} for key, value in values.items() if value is not None]


def send_feedback(
    client: Client,
    run_id: UUID | str,
    outcome: Trajectory | Mapping[str, Any],
    *,
    score: float | None = None,
    project: str | None = None,
) -> None:
    """Attach feedback to a run in LangSmith.

    Args:
        client: LangSmith's client.
        run_id: the run, such as the ``run_id`` that the graph was invoked with.
        outcome: see `feedback`.
        score: see `feedback`.
        project: the LangSmith project of the run; by default, the one that ``LANGSMITH_PROJECT`` names.
    """
    from langsmith.utils import get_tracer_project

    entries = feedback(outcome, score=score)
    session = client.read_project(project_name=project or get_tracer_project()).id
    for entry in entries:
        client.create_feedback(run_id, session_id=session, **entry)


def evaluator(
    scorer: Callable[[Mapping[str, Any], Mapping[str, Any]], float],
) -> Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]:
    """Make an evaluator for ``langsmith.evaluate`` whose target returns a graph's state, or its record.

    Args:
        scorer: given the target's outputs and the example's reference outputs, returns how right the answer is, 0 to 1.
    """

    def evaluate_run(outputs: dict[str, Any], reference_outputs: dict[str, Any]) -> dict[str, Any]:
        record = outputs.get("atlas", outputs)
        return {"results": feedback(record, score=scorer(outputs, reference_outputs))}

    return evaluate_run


def _expected(trajectory: Trajectory) -> float | None:
    """Return the expected success of the pair that answered."""
    source = trajectory.steps[-1].decision.source if trajectory.done else None
    chosen = None if source is None else trajectory.steps[source].decision.chosen
    return None if chosen is None else chosen.expected_success
