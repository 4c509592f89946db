"""Between LangChain messages and the loop: reading the question, writing the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata

from langchain_atlas.errors import SettingError, suggest
from langchain_atlas.failures.kinds import failures, no_answer, why_unanswered
from langchain_atlas.failures.misspelled import refuse_misspelled
from langchain_atlas.messages.thread_calls import RECORD_KEY
from langchain_atlas.messages.user_message import AtlasContext, configured, has_images, last_said, read_ask, read_query
from langchain_atlas.usage import Usage

if TYPE_CHECKING:
    from langchain_atlas.trajectory import Trajectory

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
"""Zero usage, from which a sum starts."""

OnFailure = Literal["raise", "message"]
"""How a run ends if all its calls failed: with an error, or with a message that says so."""


def latest(before: dict[str, Any] | None, written: dict[str, Any] | None) -> dict[str, Any] | None:
    """Keep the latest record if parallel branches each write one; see `AtlasRecord`."""
    return before if written is None else written


AtlasRecord = Annotated[dict[str, Any], latest]
"""The type of a state's key for the record. Of nodes that run in parallel, the record of the last one by name is kept;
each answer's message holds its own. With a plain `dict`, only one node per step can write a record."""


def run_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Collect the settings of this run from ``configurable`` and from the run's context, which takes precedence.

    Raises:
        SettingError: a name in one of them looks like a misspelling of one of our settings.
    """
    from langgraph.runtime import get_runtime

    given = configured(config)
    try:
        context = getattr(get_runtime(), "context", None)
    except (KeyError, RuntimeError):  # outside a graph there is no run and therefore no context
        return given
    refuse_misspelled(_names(context), AtlasContext.__dataclass_fields__, "The context")
    for name in AtlasContext.__dataclass_fields__:
        value = context.get(name) if isinstance(context, dict) else getattr(context, name, None)
        if value is not None:
            given[name] = value
    return given


def _names(context: Any) -> list[Any]:
    """Return the field names of a run's context: a dict, a dataclass, a pydantic model, or any object with fields."""
    if isinstance(context, Mapping):
        return list(context)
    held: Any = getattr(context, "__dict__", None) or getattr(type(context), "__dataclass_fields__", ())
    return list(held)


def record(trajectory: Trajectory) -> dict[str, Any]:
    """Return the record of a trajectory as plain JSON: the answer, its pair, the totals, and every step."""
    answered_by = trajectory.answered_by
    source = trajectory.steps[-1].decision.source if trajectory.done else None
    decision_id = None if source is None else trajectory.steps[source].decision.id
    stored = {} if decision_id is None else {"decision_id": decision_id}
    return {
        "answered": trajectory.answer is not None,
        "pair": None if answered_by is None else str(answered_by.pair),
        "calls": trajectory.calls,
        "cost_usd": trajectory.cost_usd,
        "latency_s": trajectory.latency_s,
        **stored,
        "steps": trajectory.to_json()["steps"],
    }


def usage_metadata(usage: Usage) -> UsageMetadata | None:
    """Return the usage in LangChain's form; None if a count is unknown."""
    read, written = usage.input_tokens, usage.output_tokens
    if read is None or written is None:
        return None
    return UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)


def checked_on_failure(on_failure: str) -> OnFailure:
    """Return `on_failure` if it is valid.

    Raises:
        SettingError: it is not.
    """
    ways = get_args(OnFailure)
    if on_failure not in ways:
        raise SettingError(f"on_failure is {on_failure!r}. {suggest(on_failure, ways)}")
    return "message" if on_failure == "message" else "raise"


def checked_hold_back(hold_back_s: float | None) -> float | None:
    """Return `hold_back_s` if it is valid.

    Raises:
        SettingError: it is negative, or not a number.
    """
    right = hold_back_s is None or (isinstance(hold_back_s, int | float) and not isinstance(hold_back_s, bool))
    if not right or (hold_back_s is not None and not hold_back_s >= 0):
        raise SettingError(f"hold_back_s is {hold_back_s!r}; it must be seconds from 0, or None.")
    return hold_back_s


def answer_or_error(trajectory: Trajectory, on_failure: OnFailure) -> AIMessage:
    """Return the answer as a message.

    Raises:
        ExecutionError: no call returned an answer, and `on_failure` is ``raise``; it is also of the calls' kinds.
    """
    if on_failure == "raise" and trajectory.calls and trajectory.answer is None:
        raise no_answer(trajectory)
    return answer_message(trajectory)


def answer_message(trajectory: Trajectory) -> AIMessage:
    """Return the answer as a message with the record; if there is no answer, the message says what failed."""
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
    # From the id of the streamed reply, LangGraph recognises that the answer was streamed already.
    message_id = None if answered_by is None else answered_by.message_id
    return AIMessage(
        content=text,
        id=message_id,
        usage_metadata=counts,
        response_metadata=metadata,
        additional_kwargs=extra,
    )
