"""Between LangChain messages and the loop: reading the ask, writing the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata

from langchain_atlas.asks import AtlasContext, configured, has_images, last_said, read_ask, read_query
from langchain_atlas.error_kinds import failures, no_answer, why_unanswered
from langchain_atlas.errors import SettingError, suggest
from langchain_atlas.misspelled import refuse_misspelled
from langchain_atlas.trajectory import Trajectory, Usage

__all__ = [
    "NO_USAGE",
    "RECORD_KEY",
    "AtlasContext",
    "AtlasRecord",
    "OnFailure",
    "answer_message",
    "answer_or_error",
    "checked_hold_back",
    "checked_on_failure",
    "failures",
    "has_images",
    "last_said",
    "latest",
    "read_ask",
    "read_query",
    "record",
    "run_settings",
    "usage_metadata",
]

NO_USAGE = Usage(input_tokens=0, output_tokens=0)
"""What no call used; a sum of usages starts from it."""

OnFailure = Literal["raise", "message"]
"""How a run ends whose calls all failed: by an error, or by a message that says so."""

RECORD_KEY = "atlas"
"""Where the record of a run stands: in the state, and in the answer's ``response_metadata``."""


def latest(before: dict[str, Any] | None, written: dict[str, Any] | None) -> dict[str, Any] | None:
    """Keep the latest record, where branches that run side by side each write one; see `AtlasRecord`."""
    return before if written is None else written


AtlasRecord = Annotated[dict[str, Any], latest]
"""The type of a state's key for the record. Of nodes that run side by side the last one's record is kept, in the order
of their names; each answer's message holds its own. A plain `dict` there takes one record a step."""


def run_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Collect what this run sets: from ``configurable``, and from the run's context, which wins.

    Raises:
        SettingError: a name in one of them is nearly one of our settings, and is none.
    """
    from langgraph.runtime import get_runtime

    given = configured(config)
    try:
        context = getattr(get_runtime(), "context", None)
    except (KeyError, RuntimeError):  # outside a graph there is no run, and so no context
        return given
    refuse_misspelled(_names(context), AtlasContext.__dataclass_fields__, "The context")
    for name in AtlasContext.__dataclass_fields__:
        value = context.get(name) if isinstance(context, dict) else getattr(context, name, None)
        if value is not None:
            given[name] = value
    return given


def _names(context: Any) -> list[Any]:
    """Return the names of what a run's context holds: a dict, a dataclass, a pydantic model, anything with fields."""
    if isinstance(context, Mapping):
        return list(context)
    held: Any = getattr(context, "__dict__", None) or getattr(type(context), "__dataclass_fields__", ())
    return list(held)


def record(trajectory: Trajectory) -> dict[str, Any]:
    """Return what happened as plain JSON: the answer, the pair that gave it, the totals, and every step."""
    answered_by = trajectory.answered_by
    return {
        "answered": trajectory.answer is not None,
        "pair": None if answered_by is None else str(answered_by.pair),
        "calls": trajectory.calls,
        "cost_usd": trajectory.cost_usd,
        "latency_s": trajectory.latency_s,
        "steps": trajectory.to_json()["steps"],
    }


def usage_metadata(usage: Usage) -> UsageMetadata | None:
    """Return tokens in LangChain's form; None where a count is unknown."""
    read, written = usage.input_tokens, usage.output_tokens
    if read is None or written is None:
        return None
    return UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)


def checked_on_failure(on_failure: str) -> OnFailure:
    """Return how a run ends whose calls all failed, if it is a way.

    Raises:
        SettingError: it is none.
    """
    ways = get_args(OnFailure)
    if on_failure not in ways:
        raise SettingError(f"on_failure is {on_failure!r}. {suggest(on_failure, ways)}")
    return "message" if on_failure == "message" else "raise"


def checked_hold_back(hold_back_s: float | None) -> float | None:
    """Return for how long a reply is held back, if it is a time.

    Raises:
        SettingError: it is negative, or no number.
    """
    right = hold_back_s is None or (isinstance(hold_back_s, int | float) and not isinstance(hold_back_s, bool))
    if not right or (hold_back_s is not None and not hold_back_s >= 0):
        raise SettingError(f"hold_back_s is {hold_back_s!r}; it must be seconds from 0, or None.")
    return hold_back_s


def answer_or_error(trajectory: Trajectory, on_failure: OnFailure) -> AIMessage:
    """Return the answer as a message.

    Raises:
        ExecutionError: calls were made, none returned an answer, and that is to be an error; it is of their kinds.
    """
    if on_failure == "raise" and trajectory.calls and trajectory.answer is None:
        raise no_answer(trajectory)
    return answer_message(trajectory)


def answer_message(trajectory: Trajectory) -> AIMessage:
    """Return the answer as a message that carries the record; without an answer it says what failed."""
    counts = usage_metadata(sum((seen.usage for seen in trajectory.observations), NO_USAGE))
    text = trajectory.answer
    if text is None:
        text = f"No answer: {why_unanswered(trajectory)}"
    answered_by = trajectory.answered_by
    metadata: dict[str, Any] = {RECORD_KEY: record(trajectory)}
    extra: dict[str, Any] = {}
    if answered_by is not None:
        told = {"finish_reason": answered_by.finish_reason, "model_name": answered_by.model_name}
        metadata |= {name: value for name, value in told.items() if value is not None}
        extra = {} if answered_by.reasoning is None else {"reasoning_content": answered_by.reasoning}
    # The id of the streamed reply lets LangGraph see that the answer was streamed already.
    message_id = None if answered_by is None else answered_by.message_id
    return AIMessage(
        content=text,
        id=message_id,
        usage_metadata=counts,
        response_metadata=metadata,
        additional_kwargs=extra,
    )
