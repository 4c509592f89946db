"""Columns of other systems by the names that they usually have, and which of them are personal."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

from langchain_atlas.outcomes.importers.reading.values import empty, moment, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ALIASES: dict[str, tuple[str, ...]] = {
    "query_id": ("query_id", "question_id", "prompt_id"),
    "query": (
        "query",
        "question",
        "prompt",
        "input",
        "user_message",
        "user_input",
        "messages",
        "instruction",
        "user_query",
        "query_text",
        "question_text",
        "request",
        "text",
    ),
    "context": ("context",),
    "domain": ("domain", "category", "topic", "intent", "dataset", "subject"),
    "model": ("model", "model_name", "llm", "model_id", "engine", "deployment"),
    "tool": ("tool", "tool_name"),
    "score": (
        "score",
        "thumbs",
        "thumb",
        "feedback",
        "rating",
        "stars",
        "correct",
        "is_correct",
        "user_score",
        "user_feedback",
        "vote",
        "helpful",
        "thumbs_up",
    ),
    "input_tokens": ("input_tokens", "prompt_tokens", "tokens_in"),
    "output_tokens": ("output_tokens", "completion_tokens", "tokens_out"),
    "cost_usd": ("cost_usd", "cost", "spend", "total_cost", "price_usd", "response_cost", "usd"),
    "latency_s": ("latency_s", "latency_ms", "duration_s", "duration_ms", "latency_seconds", "elapsed_s", "seconds"),
    "response": ("response", "answer", "output", "completion", "reply", "model_response", "assistant", "generation"),
    "error": ("error", "error_message", "exception"),
    "tokens_estimated": ("tokens_estimated",),
    "propensity": ("propensity",),
    "score_source": ("score_source",),
    "score_confidence": ("score_confidence",),
    "recorded_at": ("recorded_at", "timestamp", "created_at", "time", "date", "datetime", "created", "ts"),
    "expected": (
        "expected",
        "reference",
        "ground_truth",
        "expected_answer",
        "gold",
        "reference_answer",
        "target",
        "answer",
    ),
}
"""Names of columns that are taken without being mapped, the likeliest first."""

MILLISECONDS = re.compile(r"(?:^|[_.\s])(?:ms|millis|milliseconds)$", re.IGNORECASE)
"""Names of columns in milliseconds."""


def aliased(names: Iterable[str]) -> dict[str, str]:
    """Return for each column of the outcome table which of the names holds it, ignoring case and spaces."""
    given: dict[str, str] = {}
    for name in names:
        given.setdefault(re.sub(r"[\s-]+", "_", name.strip().lower()), name)
    found: dict[str, str] = {}
    for column, aliases in ALIASES.items():
        for alias in aliases:
            if alias in given and given[alias] not in found.values():
                found[column] = given[alias]
                break
    return found


def latency(value: Any, name: str) -> float | None:
    """Return a latency in seconds; in milliseconds if the column's name says so.

    Raises:
        ValueError: it is no number.
    """
    read = number(value)
    return read / 1000 if read is not None and MILLISECONDS.search(name) else read


def recorded_at(value: Any) -> str | None:
    """Return a time as ISO 8601; None if it is missing.

    Raises:
        ValueError: it is no time.
    """
    read = moment(value)
    return None if read is None else read.isoformat()


def taken(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of a row by the columns of the outcome table.

    Args:
        row: the row.
        names: the row's name of each column.
    """
    values: dict[str, Any] = {}
    for column, name in names.items():
        value = row.get(name)
        if empty(value):
            continue
        values[column] = value
        if column == "latency_s" and MILLISECONDS.search(name):
            with contextlib.suppress(ValueError):
                values[column] = latency(value, name)
    return values
