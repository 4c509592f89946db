"""From the policy's assessment of a step to a decision, with its reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from langchain_atlas.errors import PoolError
from langchain_atlas.routers.arrays import sigmoid
from langchain_atlas.routers.policy.experience.verdict_evidence import verdict_in_words
from langchain_atlas.trajectory import Candidate, Decision, Query, Trajectory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.routers.constraints import Feasible
    from langchain_atlas.routers.policy.state_features import PriorFeatures
    from langchain_atlas.routers.policy.state_featurizer import StateFeaturizer


class OpenStep(NamedTuple):
    """A step to decide."""

    row: int
    """Its index among those that are decided together."""
    query: Query
    """The query."""
    trajectory: Trajectory
    """What was decided and seen so far."""
    steps: list[int]
    """The steps of the trajectory whose answers count, by index."""
    limits: Feasible
    """What the query's constraints permit."""


class AssessedStep(NamedTuple):
    """The policy's assessment of one step; actions are giving each answer, then calling each pair."""

    mask: NDArray[np.bool_]
    """Which actions can be taken."""
    values: NDArray[np.floating]
    """Value of each action, raised by the floor; minus infinity where it can't be taken."""
    bare: NDArray[np.floating]
    """The same without the floor."""
    right: NDArray[np.float32]
    """Chance that each answer is right, 0 where no call was made."""
    same: NDArray[np.bool_]
    """Whether two answers say the same."""


class LookedUp(NamedTuple):
    """What was looked up for one query, as far as it is told."""

    cost: NDArray[np.float32]
    """Expected cost of each pair, see `PriorFeatures.cost`, shape [n_pairs]."""
    success: NDArray[np.float32]
    """Success of each pair around the query, shape [n_pairs]."""
    nearest: float
    """Distance to the nearest remembered query."""

    @classmethod
    def of(cls, prior: PriorFeatures) -> list[LookedUp]:
        """Return that of every query."""
        success = sigmoid(prior.of_pairs("success_around"))
        nearest = prior.of_query("nearest").tolist()
        return [cls(*row) for row in zip(prior.cost, success, nearest, strict=True)]


def answer(each: OpenStep, slot: int, assessed: AssessedStep, pairs: Sequence[Pair]) -> Decision:
    """Return the decision to give one of the answers.

    Args:
        each: the step.
        slot: which of its answers.
        assessed: the policy's assessment.
        pairs: the pairs.
    """
    source = each.steps[slot]
    observation = each.trajectory.steps[source].observation
    if observation is None:
        raise PoolError("An answer must come from a step with an observation.")
    agreeing = int(assessed.same[slot, : len(each.steps)].sum())
    right = float(assessed.right[slot])
    rest = assessed.values[len(assessed.right) :]
    best = int(rest.argmax())
    if np.isneginf(rest[best]):
        rule, why = "limit", each.limits.reason
    else:
        rule = "agreed" if agreeing > 1 else "enough"
        why = f"Asking {pairs[best]} too is not expected to be worth its cost."
    made = len(each.trajectory.observations)
    alike = f"{agreeing} of {len(each.steps)} answers agree. " if agreeing > 1 else ""
    return Decision(
        kind="answer",
        answer=observation.answer,
        source=source,
        rule=rule,
        chosen=Candidate(pair=observation.pair, expected_success=right),
        reason=f"After {made} call{'s' if made > 1 else ''}, the answer of {observation.pair} is expected to be "
        f"right with {right:.0%}{verdict_in_words(observation)}. {alike}{why}",
    )


def route(column: int, assessed: AssessedStep, looked_up: LookedUp, featurizer: StateFeaturizer) -> Decision:
    """Return the decision to call a pair.

    Args:
        column: which pair.
        assessed: the policy's assessment.
        looked_up: what was looked up for the query.
        featurizer: the featurizer, with the record of every pair.
    """
    values, made = assessed.values, bool((assessed.right > 0).any())
    n_answers = len(assessed.right)
    floor = n_answers + column != int(assessed.bare.argmax())
    leading = float(assessed.right.max())
    rest = values[n_answers:].copy()
    chosen = candidate(column, looked_up, rest[column], featurizer)
    rest[column] = -np.inf
    second = int(rest.argmax()) if len(rest) > 1 else column
    dollars = chosen.expected_cost_usd
    cost = "at unknown cost" if dollars is None else f"for ${1000 * dollars:.3g} per 1000"
    before = "The floor keeps to the most accurate pair. " if floor else ""
    before += f"The best answer so far is expected to be right with {leading:.0%}; " if made else ""
    return Decision(
        kind="route",
        pair=chosen.pair,
        rule="floor" if floor else "ask-another" if made else "first-call",
        distance=looked_up.nearest,
        chosen=chosen,
        runner_up=None if np.isneginf(rest[second]) else candidate(second, looked_up, rest[second], featurizer),
        reason=f"{before}{chosen.pair} {'is worth asking too' if made else 'is asked first'}, {cost}: on queries "
        f"like this it solves {chosen.expected_success:.0%}.",
    )


def candidate(column: int, looked_up: LookedUp, utility: float, featurizer: StateFeaturizer) -> Candidate:
    """Return a pair with what is expected of it.

    Args:
        column: which pair.
        looked_up: what was looked up for the query.
        utility: the value of calling it.
        featurizer: the featurizer, with the record of every pair.
    """
    record = featurizer.record
    known, latency = not np.isnan(record.cost[column]), float(record.latency[column])
    return Candidate(
        pair=featurizer.pairs[column],
        expected_success=float(looked_up.success[column]),
        evidence=int(record.count[column]),
        expected_cost_usd=float(looked_up.cost[column]) * featurizer.scale.dollars if known else None,
        expected_latency_s=None if np.isnan(latency) else latency,
        utility=float(utility),
    )
