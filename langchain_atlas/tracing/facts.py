"""The contents of the runs of a trace: inputs, outputs, tags and metadata, all in plain JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_atlas.trajectory import Decision, Observation, Query, Trajectory

TAG = "atlas"
"""Tag of all runs of the loop."""


@dataclass(frozen=True)
class Facts:
    """The results of a run."""

    outputs: dict[str, Any]
    """The complete record."""
    tags: list[str]
    """Tags to filter by."""
    metadata: dict[str, Any]
    """Metadata to filter and group by; unknown values are left out."""


def of_query(query: Query) -> dict[str, Any]:
    """Return a query as the inputs of a run; its history is in the enclosing run, so only its length is given."""
    return {
        "query": query.text,
        "id": query.id,
        "messages_before": len(query.history),
        "images": len(query.images),
        "cost_weight": query.cost_weight,
        "constraints": query.constraints.to_json(),
    }


def of_decision(decision: Decision, turn: int) -> Facts:
    """Return the facts of the run of a decision."""
    chosen, second = decision.chosen, decision.runner_up
    tags = [TAG, f"kind:{decision.kind}", f"rule:{decision.rule}"]
    if decision.pair is not None:
        tags.append(f"pair:{decision.pair}")
    if decision.cluster is not None:
        tags.append(f"cluster:{decision.cluster}")
    return Facts(
        outputs=decision.to_json(),
        tags=tags,
        metadata=_known(
            atlas_kind=decision.kind,
            atlas_turn=turn,
            atlas_rule=decision.rule,
            atlas_pair=_name(decision.pair),
            atlas_model=None if decision.pair is None else decision.pair.model,
            atlas_tool=None if decision.pair is None else decision.pair.tool,
            atlas_cluster=decision.cluster,
            atlas_expected_success=None if chosen is None else chosen.expected_success,
            atlas_evidence=None if chosen is None else chosen.evidence,
            atlas_expected_cost_usd=None if chosen is None else chosen.expected_cost_usd,
            atlas_runner_up=None if second is None else _name(second.pair),
        ),
    )


def of_observation(observation: Observation) -> Facts:
    """Return the facts of the run of a pair."""
    return Facts(
        outputs=observation.to_json(),
        tags=[TAG, f"pair:{observation.pair}", *(["failed"] if observation.failed else [])],
        metadata=_known(
            atlas_pair=str(observation.pair),
            atlas_model=observation.pair.model,
            atlas_tool=observation.pair.tool,
            atlas_failed=observation.failed,
            atlas_model_calls=observation.model_calls,
            atlas_tool_calls=len(observation.tool_trace),
            atlas_input_tokens=observation.usage.input_tokens,
            atlas_output_tokens=observation.usage.output_tokens,
            atlas_cost_usd=observation.cost_usd,
            atlas_latency_s=observation.latency_s,
        ),
    )


def of_trajectory(trajectory: Trajectory) -> Facts:
    """Return the facts of the run of a whole loop."""
    answered_by = trajectory.answered_by
    return Facts(
        outputs={"answer": trajectory.answer, **trajectory.to_json()},
        tags=[TAG, *([f"pair:{answered_by.pair}"] if answered_by is not None else [])],
        metadata=_known(
            atlas_pair=None if answered_by is None else str(answered_by.pair),
            atlas_calls=trajectory.calls,
            atlas_cost_usd=trajectory.cost_usd,
            atlas_latency_s=trajectory.latency_s,
        ),
    )


def _name(value: object) -> str | None:
    return None if value is None else str(value)


def _known(**values: Any) -> dict[str, Any]:
    """Leave out unknown values: None in the metadata would be another value to filter by."""
    return {name: value for name, value in values.items() if value is not None}
