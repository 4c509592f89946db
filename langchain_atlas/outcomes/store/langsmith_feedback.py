"""Scores from the feedback on traces in LangSmith."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import OutcomeError
from langchain_atlas.masking import masked
from langchain_atlas.outcomes.importers.langsmith import feedback
from langchain_atlas.outcomes.importers.reading.score_rules import named_rule, rule_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from langchain_atlas.outcomes.store.store import Store

_SELECTED = [
    *("id", "name", "run_type", "inputs", "outputs", "feedback_stats", "start_time"),
    *("trace_id", "session_id", "dotted_order", "parent_run_id"),
]
"""Fields without which the client can't read a run, and those that hold what is looked for."""
_LONGEST = 190


def record_feedback(
    store: Store, project: str, *, keys: Sequence[str] | None, scale: str | None, since: datetime | None
) -> dict[str, int]:
    """Record the feedback on a project's traces; see `Store.record_langsmith`."""
    found = [(decision_id, told) for decision_id, told in _decisions(project, since) if told]
    named = list(dict.fromkeys(key for _, told in found for key in told)) if keys is None else list(keys)
    counts: dict[str, int] = {}
    for key in named:
        values = [(decision_id, told[key]) for decision_id, told in found if key in told]
        rule = rule_for([value for _, value in values], key) if scale is None else named_rule(scale)
        scores = [(name, rule.read(value)) for name, value in values if rule.fits(value)]
        for name, score in scores:
            if score is not None:
                store.record(name, score=score, source=f"langsmith:{key[:_LONGEST]}")
        counts[key] = sum(score is not None for _, score in scores)
    return counts


def _decisions(project: str, since: datetime | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the decision of each trace's answer, with the feedback on it.

    Raises:
        OutcomeError: LangSmith refuses, or there is no such project.
    """
    from langsmith import Client

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its successor is newer than the oldest client that is supported
            runs = list(Client().list_runs(project_name=project, is_root=True, start_time=since, select=_SELECTED))
    except Exception as error:  # noqa: BLE001  # the client raises errors of several libraries
        raise OutcomeError(
            masked(
                f"Can't read the project {project!r} from LangSmith: {type(error).__name__}: {error}. Check "
                "LANGSMITH_API_KEY, LANGSMITH_ENDPOINT and the project's name."
            )
        ) from None
    for run in runs:
        value = run.model_dump(mode="json") if hasattr(run, "model_dump") else run.dict()
        decision_id = _last_decision(value.get("outputs"))
        if decision_id is not None:
            yield decision_id, feedback(value)


def _last_decision(outputs: Any) -> str | None:
    """Return the id in the last record of an answer; a thread's outputs hold those of its earlier answers too."""
    last, waiting = None, [outputs]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            record = value.get("atlas")
            if isinstance(record, Mapping) and isinstance(record.get("decision_id"), str):
                last = record["decision_id"]
            waiting += [value[name] for name in reversed(list(value)) if name != "atlas"]
        elif isinstance(value, list | tuple):
            waiting += reversed(value)
    return last
