"""Importer ``inspect``: logs of inspect, as ``.json`` or ``.eval`` files."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import OutcomeError
from langchain_atlas.outcomes.importers.base import Draft, shown
from langchain_atlas.outcomes.importers.reading.conversations import find_answer
from langchain_atlas.outcomes.importers.reading.sources import Entry, entries, files_of
from langchain_atlas.outcomes.importers.reading.values import first, text_of
from langchain_atlas.outcomes.importers.reading.zipped import unzipped
from langchain_atlas.text_files import why

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_atlas.outcomes.importers.base import Ledger


def read(sources: Sequence[str], ledger: Ledger) -> Iterator[Draft]:
    """Yield one outcome for each sample and epoch."""
    for source in sources:
        for path in files_of(source, ledger, (".eval",)):
            for header, sample in _samples(path, ledger):
                ledger.read += 1
                if not isinstance(sample.value, Mapping) or "input" not in sample.value:
                    ledger.reject(sample.place, f"is {shown(sample.value)}; it must be a sample with an input")
                    continue
                draft = ledger.attempt(sample.place, _draft, header, sample, ledger)
                if draft is not None:
                    yield draft


def _samples(path: Path, ledger: Ledger) -> Iterator[tuple[Mapping[str, Any], Entry]]:
    if path.suffix == ".eval" or zipfile.is_zipfile(path):
        yield from _zipped(path, ledger)
        return
    for entry in entries(path, ledger, ()):
        log: Any = entry.value
        if not isinstance(log, Mapping) or "eval" not in log:
            ledger.read += 1
            ledger.reject(entry.place, "is no log of inspect: it has no 'eval'")
            continue
        samples = log.get("samples")
        for number, sample in enumerate(samples if isinstance(samples, list) else [], start=1):
            yield log["eval"], Entry(f"{path}, sample {number}", sample)


def _zipped(path: Path, ledger: Ledger) -> Iterator[tuple[Mapping[str, Any], Entry]]:
    try:
        with zipfile.ZipFile(path) as file:
            names = set(file.namelist())
            head = next((name for name in ("header.json", "_journal/start.json") if name in names), None)
            header = {} if head is None else json.loads(unzipped(file, head)).get("eval", {})
            for name in sorted(name for name in names if name.startswith("samples/") and name.endswith(".json")):
                place = f"{path}, {name}"
                try:
                    sample = json.loads(unzipped(file, name))
                except (ValueError, RecursionError, NotImplementedError, zipfile.BadZipFile, OutcomeError) as error:
                    ledger.read += 1
                    ledger.reject(place, f"can't be read: {error}")
                    continue
                yield header, Entry(place, sample)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise OutcomeError(
            f"Can't read {str(path)!r}: {why(error)}. Convert it with: "
            f"inspect log convert --to json --output-dir OUT {path}"
        ) from error


def _draft(header: Mapping[str, Any], sample: Entry, ledger: Ledger) -> Draft:
    row = sample.value
    model = first(header, "model") or first(row, "output.model")
    asked = row["input"]
    name, score, others = _score(row)
    if name is None:
        ledger.note("samples without a score")
    elif others:
        ledger.note(f"scores are the scorer {name!r}, the first; others are {', '.join(map(repr, others))}")
    usage = first(row, "model_usage")
    used = next(iter(usage.values())) if isinstance(usage, Mapping) and len(usage) == 1 else first(row, "output.usage")
    values: dict[str, Any] = {
        "query": [{"role": "user", "content": asked}] if isinstance(asked, str) else asked,
        "domain": first(header, "task_display_name", "task"),
        "model": model,
        "tool": _tools(row, ledger),
        "score": score,
        "score_source": None if name is None else f"inspect:{name}",
        "response": find_answer(first(row, "output.choices.0.message", "output.completion", "output")),
        "input_tokens": first(used, "input_tokens"),
        "output_tokens": first(used, "output_tokens"),
        "latency_s": first(row, "working_time", "total_time", "output.time"),
        "recorded_at": first(row, "started_at") or first(header, "created"),
        "error": text_of(first(row, "error.message", "error", "output.error")),
        "expected": text_of(row.get("target")),
    }
    if isinstance(row.get("choices"), list) and row["choices"]:
        values["context"] = json.dumps(row["choices"], ensure_ascii=False)
    return Draft(sample.place, values, row, score_name=name or "score")


def _score(row: Mapping[str, Any]) -> tuple[str | None, Any, list[str]]:
    """Return the scorer's name, its score, and the names of the other scorers."""
    scores = first(row, "scores", "score")
    if isinstance(scores, Mapping) and "value" in scores:
        return "score", scores["value"], []
    if not isinstance(scores, Mapping) or not scores:
        return None, None, []
    others = [str(one) for one in list(scores)[1:]]
    name, score = next(iter(scores.items()))
    value = score.get("value") if isinstance(score, Mapping) else score
    if isinstance(value, Mapping):  # a scorer of several numbers
        inner, value = next(iter(value.items()))
        name = f"{name}.{inner}"
    return str(name), value, others


def _tools(row: Mapping[str, Any], ledger: Ledger) -> str:
    """Return the tools that the model was offered, joined by ``+``; where the log has no events, those that it called.

    The offered ones, as a pair's record would flatter the model alone if it had only the questions that needed no tool.
    """
    calls = [event for event in _items(row, "events") if event.get("event") == "model"]
    if calls:
        offered = {str(first(tool, "name", "function.name")) for event in calls for tool in _items(event, "tools")}
        return "+".join(sorted(offered)) or "none"
    called = {
        str(first(call, "function", "name"))
        for message in row.get("messages") or []
        for call in (message.get("tool_calls") or [] if isinstance(message, Mapping) else [])
    }
    if called:
        ledger.note("tools are those that were called: the log does not say which were offered")
    return "+".join(sorted(called)) or "none"


def _items(row: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = row.get(name)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []
