"""Importer ``otel``: spans of OpenTelemetry's GenAI conventions, as OTLP JSON or one span an object.

The names of OpenLLMetry and OpenInference are known too. Every span that calls a model is one outcome; evaluations that
are events of it are its score.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_atlas.outcomes.importers.base import Draft, shown
from langchain_atlas.outcomes.importers.reading.conversations import find_answer
from langchain_atlas.outcomes.importers.reading.exchanges import tool_name
from langchain_atlas.outcomes.importers.reading.sources import entries, files_of
from langchain_atlas.outcomes.importers.reading.values import empty, first, moment, seconds_between, text_of, unpacked

if TYPE_CHECKING:
    from langchain_atlas.outcomes.importers.base import Ledger

_MODEL = ("gen_ai.request.model", "gen_ai.response.model", "llm.model_name", "llm.request.model")
_INPUT = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt")
_OUTPUT = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion")
_COST = ("gen_ai.usage.cost", "gen_ai.usage.total_cost", "llm.cost.total", "langsmith.total_cost")
_NUMBERED = (
    (re.compile(r"gen_ai\.prompt\.(\d+)\.(role|content)"), "asked"),
    (re.compile(r"gen_ai\.completion\.(\d+)\.(role|content)"), "answered"),
    (re.compile(r"llm\.input_messages\.(\d+)\.message\.(role|content)"), "asked"),
    (re.compile(r"llm\.output_messages\.(\d+)\.message\.(role|content)"), "answered"),
)
_ROLES = {"gen_ai.user.message": "user", "gen_ai.system.message": "system", "gen_ai.assistant.message": "assistant"}
_NOT_TEXT = frozenset(
    {"embeddings", "execute_tool", "create_agent", "invoke_agent", "retrieval", "embedding", "agent", "chain", "tool"}
)
_FAILED = ("STATUS_CODE_ERROR", "ERROR", "2")


def read(sources: Sequence[str], ledger: Ledger) -> Iterator[Draft]:
    """Yield one outcome for each call of a model."""
    others = 0
    for source in sources:
        for path in files_of(source, ledger):
            for entry in entries(path, ledger, ("spans",)):
                spans = ledger.attempt(entry.place, lambda value: list(_spans(value)), entry.value) or []
                for number, span in enumerate(spans, start=1):
                    ledger.read += 1
                    place = f"{entry.place}, span {number}" if span is not entry.value else entry.place
                    if not isinstance(span, Mapping) or "attributes" not in span:
                        ledger.reject(place, f"is {shown(span)}; it must be a span with attributes")
                        continue
                    attributes = ledger.attempt(place, _attributes, span["attributes"])
                    if attributes is None:
                        continue
                    if not _is_call(attributes):
                        others += 1
                    elif (draft := ledger.attempt(place, _draft, place, span, attributes, ledger)) is not None:
                        yield draft
    if others:
        ledger.note("spans that call no model that writes text are no outcomes", others)


def _spans(value: Any) -> Iterator[Any]:
    resources = value.get("resourceSpans", value.get("resource_spans")) if isinstance(value, Mapping) else None
    if not isinstance(resources, list):
        yield value
        return
    for resource in resources:
        for scope in first(resource, "scopeSpans", "scope_spans", "instrumentationLibrarySpans") or []:
            yield from first(scope, "spans") or []


def _is_call(attributes: Mapping[str, Any]) -> bool:
    operation = str(attributes.get("gen_ai.operation.name", attributes.get("openinference.span.kind", ""))).lower()
    return _of(attributes, *_MODEL) is not None and operation not in _NOT_TEXT


def _draft(place: str, span: Mapping[str, Any], attributes: Mapping[str, Any], ledger: Ledger) -> Draft | None:
    model = _of(attributes, *_MODEL)
    asked, answered, scores = _messages(span, attributes)
    values: dict[str, Any] = {
        "query": asked,
        "response": find_answer(answered) if not isinstance(answered, str) else answered,
        "model": model,
        "tool": tool_name(_of(attributes, "gen_ai.tool.definitions", "gen_ai.request.tools", "llm.tools")),
        "input_tokens": _of(attributes, *_INPUT),
        "output_tokens": _of(attributes, *_OUTPUT),
        "cost_usd": _of(attributes, *_COST),
        "error": _error(span, attributes),
        **_times(span),
    }
    if empty(asked):
        ledger.reject(
            place,
            f"is a call of {model!r} without its messages; have the instrumentation record content "
            "(OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true)",
        )
        return None
    name = "score"
    if scores:
        name, values["score"] = next(iter(scores.items()))
        ledger.note(f"scores are the evaluation {name!r}")
    if values["error"]:
        values["response"] = None
    return Draft(place, values, attributes, score_name=name)


def _of(attributes: Mapping[str, Any], *names: str) -> Any:
    return next((attributes[name] for name in names if not empty(attributes.get(name))), None)


def _attributes(given: Any) -> dict[str, Any]:
    """Return attributes as a dict: from OTLP's list of keys and typed values, or from a mapping."""
    if isinstance(given, Mapping):
        return dict(given)
    found: dict[str, Any] = {}
    for item in given if isinstance(given, list) else []:
        if isinstance(item, Mapping) and "key" in item:
            found[str(item["key"])] = _typed(item.get("value"))
    return found


def _typed(value: Any) -> Any:
    if not isinstance(value, Mapping) or len(value) != 1:
        return value
    kind, inner = next(iter(value.items()))
    if kind in ("intValue", "int_value"):
        return int(inner)
    if kind in ("arrayValue", "array_value"):
        return [_typed(item) for item in inner.get("values", [])]
    if kind in ("kvlistValue", "kvlist_value"):
        return {item["key"]: _typed(item.get("value")) for item in inner.get("values", [])}
    return inner if kind.endswith(("Value", "_value")) else value


def _messages(span: Mapping[str, Any], attributes: Mapping[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """Return what was asked, what was answered, and evaluations by name: from attributes and events."""
    asked = unpacked(_of(attributes, "gen_ai.input.messages", "gen_ai.prompt", "input.value"))
    answered = unpacked(_of(attributes, "gen_ai.output.messages", "gen_ai.completion", "output.value"))
    numbered: dict[str, dict[int, dict[str, Any]]] = {"asked": {}, "answered": {}}
    for name, value in attributes.items():
        for pattern, side in _NUMBERED:
            if match := pattern.fullmatch(name):
                numbered[side].setdefault(int(match[1]), {})[match[2]] = value
    listed = {side: [parts[place] for place in sorted(parts)] for side, parts in numbered.items()}
    talk: list[dict[str, Any]] = []
    scores: dict[str, Any] = {}
    for event in span.get("events") or []:
        inner = _attributes(event.get("attributes"))
        name = str(event.get("name"))
        if name in _ROLES:
            talk.append({"role": _ROLES[name], "content": first(inner, "content", "body.content")})
        elif name == "gen_ai.evaluation.result":
            score = _of(inner, "gen_ai.evaluation.score.value", "gen_ai.evaluation.score.label")
            scores[str(inner.get("gen_ai.evaluation.name", "score"))] = score
        else:
            asked = unpacked(_of(inner, "gen_ai.input.messages", "gen_ai.prompt")) or asked
            told = _of(inner, "gen_ai.output.messages", "gen_ai.completion", "message", "content")
            answered = unpacked(told) or answered
    asked = listed["asked"] or talk or asked
    answered = [{"role": "assistant", **turn} for turn in listed["answered"]] or answered
    if isinstance(asked, str):
        asked = [{"role": "user", "content": asked}]
    return asked, answered, scores


def _times(span: Mapping[str, Any]) -> dict[str, Any]:
    begin = first(span, "startTimeUnixNano", "start_time_unix_nano", "start_time", "startTime")
    end = first(span, "endTimeUnixNano", "end_time_unix_nano", "end_time", "endTime")
    try:
        started = moment(begin)
    except ValueError:
        started = None
    return {"latency_s": seconds_between(begin, end), "recorded_at": started}


def _error(span: Mapping[str, Any], attributes: Mapping[str, Any]) -> str | None:
    code = first(span, "status.code", "status.status_code")
    kind = _of(attributes, "error.type")
    if kind is None and (code is None or str(code).upper().removeprefix("STATUSCODE.") not in _FAILED):
        return None
    return text_of(first(span, "status.message", "status.description")) or str(kind or "the call failed")
