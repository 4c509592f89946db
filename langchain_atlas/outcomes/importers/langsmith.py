"""Importer ``langsmith``: exported runs, or a project's runs by LangSmith's client, named ``project:NAME``.

The root run of a trace is the query; the model is that of its calls of language models. Feedback is the score. Runs may
be JSONL, JSON, CSV or the parquet files of a bulk export. Tags, metadata and what else a run holds are left behind.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import OutcomeError
from langchain_atlas.masking import masked
from langchain_atlas.outcomes.importers.base import Draft, shown
from langchain_atlas.outcomes.importers.reading.conversations import find_answer, find_query
from langchain_atlas.outcomes.importers.reading.exchanges import tool_name
from langchain_atlas.outcomes.importers.reading.sources import Entry, entries, files_of
from langchain_atlas.outcomes.importers.reading.values import (
    MISSING,
    at,
    empty,
    first,
    seconds_between,
    text_of,
    unpacked,
)

if TYPE_CHECKING:
    from langchain_atlas.outcomes.importers.base import Ledger

PROJECT = "project:"
"""Before the name of a project that is read by LangSmith's client."""

_SELECTED = [
    "id",
    "trace_id",
    "parent_run_id",
    "name",
    "run_type",
    "inputs",
    "outputs",
    "error",
    "start_time",
    "end_time",
    "extra",
    "status",
    "prompt_tokens",
    "completion_tokens",
    "total_cost",
    "feedback_stats",
    "dotted_order",
    "session_id",
]
_MODELS = (
    "extra.metadata.ls_model_name",
    "metadata.ls_model_name",
    "extra.invocation_params.model",
    "extra.invocation_params.model_name",
    "outputs.llm_output.model_name",
    "outputs.model",
    "model",
)
_USED = frozenset({*_SELECTED, "feedback", "is_root", "parent_run_ids", "metadata", "total_tokens"})


def read(sources: Sequence[str], ledger: Ledger) -> Iterator[Draft]:
    """Yield one outcome for each trace."""
    runs = [run for source in sources for run in _runs(source, ledger)]
    roots = [run for run in runs if _is_root(run.value)]
    calls: dict[str, list[Mapping[str, Any]]] = {}
    for run in runs:
        if _is_call(run.value):
            calls.setdefault(_trace(run.value), []).append(run.value)
    key = _feedback_key(roots, ledger)
    for root in roots:
        draft = ledger.attempt(root.place, _draft, root, calls.get(_trace(root.value), []), key, ledger)
        if draft is not None:
            yield draft
    if len(roots) < len(runs):
        ledger.note("runs inside of a trace are not queries of their own", len(runs) - len(roots))
    traces = {_trace(root.value) for root in roots}
    for trace, place in {_trace(run.value): run.place for run in runs if _trace(run.value) not in traces}.items():
        ledger.reject(place, f"belongs to the trace {trace!r}, whose root run is not in the export")


def _runs(source: str, ledger: Ledger) -> Iterator[Entry]:
    """Yield what is a run; the rest is noted in the ledger."""
    for entry in _fetched(source) if source.startswith(PROJECT) else _exported(source, ledger):
        ledger.read += 1
        run = entry.value
        if isinstance(run, Mapping) and run.get("run_type", run.get("inputs")) is not None:
            ledger.leave(name for name, value in run.items() if name not in _USED and not empty(value))
            if isinstance(metadata := first(run, "extra.metadata"), Mapping) and _is_root(run):
                ledger.leave(f"extra.metadata.{name}" for name in metadata if not str(name).startswith("ls_"))
            yield entry
        else:
            ledger.reject(entry.place, f"is {shown(run)}; it must be a run with inputs and outputs")


def _exported(source: str, ledger: Ledger) -> Iterator[Entry]:
    for path in files_of(source, ledger):
        yield from entries(path, ledger, ("runs", "data", "items"))


def _fetched(source: str) -> Iterator[Entry]:
    """Yield the root runs and the calls of models of a project.

    Raises:
        OutcomeError: LangSmith refuses, or there is no such project.
    """
    from langsmith import Client

    name = source.removeprefix(PROJECT)
    seen: set[str] = set()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its successor is newer than the oldest client that is supported
            client = Client()
            found = [
                run
                for restriction in ({"is_root": True}, {"run_type": "llm"})
                for run in client.list_runs(project_name=name, select=list(_SELECTED), **restriction)
            ]
    except Exception as error:  # noqa: BLE001  # the client raises errors of several libraries
        raise OutcomeError(
            masked(
                f"Can't read the project {name!r} from LangSmith: {type(error).__name__}: {error}. Check "
                "LANGSMITH_API_KEY, LANGSMITH_ENDPOINT and the project's name."
            )
        ) from None
    for run in found:
        value = run.model_dump(mode="json") if hasattr(run, "model_dump") else run.dict()
        if str(value["id"]) not in seen:
            seen.add(str(value["id"]))
            yield Entry(f"{source}, run {value['id']}", value)


def _draft(entry: Entry, calls: Sequence[Mapping[str, Any]], key: str | None, ledger: Ledger) -> Draft | None:
    run = entry.value
    if first(run, "end_time") is None and first(run, "outputs", "error") is None:
        ledger.reject(entry.place, "had not ended when it was exported")
        return None
    models = list(dict.fromkeys(str(name) for call in calls if (name := first(call, *_MODELS)) is not None))
    atlas = first(run, "extra.metadata.atlas_pair", "outputs.atlas.pair")
    own = first(run, *_MODELS)
    values: dict[str, Any] = {
        "query": find_query(run.get("inputs")),
        "response": find_answer(unpacked(run.get("outputs"))),
        "error": text_of(first(run, "error")),
        "latency_s": seconds_between(first(run, "start_time"), first(run, "end_time")),
        "recorded_at": first(run, "start_time"),
        "score": None if key is None else feedback(run).get(key),
        "score_source": "feedback",
        "input_tokens": _total(run, calls, "prompt_tokens"),
        "output_tokens": _total(run, calls, "completion_tokens"),
        "cost_usd": _cost(run, calls),
        "tool": tool_name(first(run, "extra.invocation_params.tools")),
    }
    if values["tool"] == "none":
        values["tool"] = next(
            (name for call in calls if (name := tool_name(first(call, "extra.invocation_params.tools"))) != "none"),
            "none",
        )
    if isinstance(atlas, str) and "@@" in atlas:
        values["model"], values["tool"] = atlas, None
    elif own is not None or len(models) == 1:
        values["model"] = own if own is not None else models[0]
    elif models:
        ledger.note(f"traces that called several models are of the model that answered last ({', '.join(models)})")
        values["model"] = first(max(calls, key=lambda call: str(call.get("start_time"))), *_MODELS)
    if values["error"]:
        values["response"] = None
    return Draft(entry.place, values, run, score_name="score" if key is None else f"feedback.{key}")


def feedback(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's feedback by key: the value, or the mean where several people gave some."""
    found: dict[str, Any] = {}
    told = unpacked(first(run, "feedback_stats"))
    for name, stats in told.items() if isinstance(told, Mapping) else ():
        if isinstance(stats, Mapping):
            values = stats.get("values")
            value = stats.get("avg")
            if value is None and isinstance(values, Mapping) and values:
                value = max(values, key=lambda word: values[word])
            found[str(name)] = value
        else:
            found[str(name)] = stats
    given = unpacked(first(run, "feedback"))
    for item in given if isinstance(given, list) else []:
        if isinstance(item, Mapping) and "key" in item:
            score = item.get("score")
            found[str(item["key"])] = item.get("value") if score is None else score
    if isinstance(given, Mapping):
        found.update(given)
    return {name: value for name, value in found.items() if not empty(value)}


def _feedback_key(roots: Sequence[Entry], ledger: Ledger) -> str | None:
    """Return the key of the feedback that most root runs have."""
    counts: dict[str, int] = {}
    for root in roots:
        for name in feedback(root.value):
            counts[name] = counts.get(name, 0) + 1
    if not counts:
        return None
    key = max(counts, key=lambda name: counts[name])
    others = [f"{name} ({count})" for name, count in counts.items() if name != key]
    told = f"; other feedback, not used: {', '.join(others)}; choose with --map score=feedback_stats.KEY.avg"
    ledger.note(f"scores are the feedback {key!r}{told if others else ''}", counts[key])
    return key


def _is_root(run: Mapping[str, Any]) -> bool:
    if "is_root" in run and not empty(run["is_root"]):
        return str(run["is_root"]).strip().lower() in ("true", "1")
    return first(run, "parent_run_id", "parent_run_ids") is None


def _is_call(run: Mapping[str, Any]) -> bool:
    return str(run.get("run_type")).lower() in ("llm", "chat_model")


def _trace(run: Mapping[str, Any]) -> str:
    trace = first(run, "trace_id")
    return str(trace if trace is not None else first(run, "id"))


def _total(run: Mapping[str, Any], calls: Sequence[Mapping[str, Any]], name: str) -> Any:
    """Return the tokens of a trace: those of its root, or the sum of its calls if each has a number."""
    own = at(run, name)
    if own is not MISSING and not empty(own) and own != 0:
        return own
    given = [call.get(name) for call in calls]
    if not given or not all(isinstance(count, int | float) and not isinstance(count, bool) for count in given):
        return None
    return sum(count for count in given if count is not None) or None


def _cost(run: Mapping[str, Any], calls: Sequence[Mapping[str, Any]]) -> Any:
    """Return the dollars of a trace; LangSmith writes 0 where it knows no price."""
    own = first(run, "total_cost")
    if own is not None and str(own).strip().strip("0.") != "":
        return own
    costs: list[float] = []
    for call in calls:
        try:
            costs.append(float(call.get("total_cost") or 0))
        except (TypeError, ValueError):
            return None
    return sum(costs) if costs and all(costs) else None
