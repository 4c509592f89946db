"""Importer ``lm-eval``: the samples of lm-evaluation-harness, ``samples_TASK_DATE.jsonl`` (``--log_samples``).

The model's name is in the file ``results_DATE.json`` beside them, or is the folder's name. The query is the question of
the document where it has one, else the prompt. Where a task has several filters, the first one counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_atlas.outcomes.importers.base import Draft, Ledger, shown
from langchain_atlas.outcomes.importers.reading.sources import entries, files_of
from langchain_atlas.outcomes.importers.reading.values import first, text_of

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_atlas.outcomes.importers.reading.sources import Entry

_SAMPLES = re.compile(r"samples_(?P<task>.+?)_(?P<date>\d{4}-\d\d-\d\d.*)\.jsonl")
_QUESTIONS = ("doc.question", "doc.query", "doc.problem", "doc.prompt", "doc.input", "doc.text")
_PROMPTS = (
    "arguments.gen_args_0.arg_0",
    "arguments.0.0",
    "arguments.0.arg_0",
)
_METRICS = ("exact_match", "acc", "pass@1", "prompt_level_strict_acc", "mc2", "acc_norm", "f1")
_PLACES = frozenset({"doc_id", "doc_hash", "prompt_hash", "target_hash"})


def read(sources: Sequence[str], ledger: Ledger) -> Iterator[Draft]:
    """Yield one outcome for each sample."""
    for source in sources:
        files = files_of(source, ledger)
        for path in files:
            match = _SAMPLES.fullmatch(path.name)
            if match is None and (path.suffix == ".json" and path.name.startswith("results")):
                continue
            model, task = _model(path, match["date"] if match else ""), match["task"] if match else path.stem
            seen: set[str] = set()
            for entry in entries(path, ledger, ("samples",)):
                ledger.read += 1
                draft = ledger.attempt(entry.place, _draft, entry, model, task, seen, ledger)
                if draft is not None:
                    yield draft


def _draft(entry: Entry, model: str, task: str, seen: set[str], ledger: Ledger) -> Draft | None:
    row: Any = entry.value
    if not isinstance(row, Mapping) or "doc" not in row:
        ledger.reject(entry.place, f"is {shown(row)}; it must be a sample with 'doc'")
        return None
    place = str(row.get("doc_id", entry.place))
    if place in seen:
        ledger.note("other filters of the same answer: the first one counts")
        return None
    seen.add(place)
    metric = _metric(row)
    if metric is None:
        ledger.note("samples without a metric have no score")
    else:
        ledger.note(f"scores are the metric {metric!r}")
    query = first(row, *_QUESTIONS)
    values = {
        "query": query if isinstance(query, str) else text_of(first(row, *_PROMPTS)),
        "domain": task,
        "model": model,
        "score": None if metric is None else row[metric],
        "score_source": None if metric is None else f"lm-eval:{metric}",
        "response": _response(row),
        "expected": text_of(row.get("target")),
    }
    return Draft(entry.place, values, row, score_name=metric or "score")


def _metric(row: Mapping[str, Any]) -> str | None:
    named = row.get("metrics")
    names = [name for name in (named if isinstance(named, list) else []) if isinstance(name, str) and name in row]
    known = [name for name in _METRICS if isinstance(row.get(name), int | float)]
    return next((name for name in known if not names or name in names), names[0] if names else None)


def _response(row: Mapping[str, Any]) -> str | None:
    """Return what the model wrote; of a choice between answers, the likeliest one."""
    answers = row.get("resps")
    if not isinstance(answers, list) or not answers:
        return text_of(first(row, "filtered_resps.0"))
    written = answers[0]
    while isinstance(written, list) and written and not isinstance(written[0], int | float):
        written = written[0]
    if isinstance(written, str) and not re.fullmatch(r"-?\d+(\.\d+)?(e[+-]?\d+)?|True|False", written):
        return written
    return _likeliest(row) or text_of(written)


def _likeliest(row: Mapping[str, Any]) -> str | None:
    filtered = row.get("filtered_resps")
    chances: list[float] = []
    for item in filtered if isinstance(filtered, list) else []:
        try:
            chances.append(float(item[0] if isinstance(item, list) else item))
        except (TypeError, ValueError, IndexError):
            return None
    if len(chances) < 2:  # noqa: PLR2004  # a choice has at least two answers
        return None
    best = chances.index(max(chances))
    return text_of(first(row, f"arguments.gen_args_{best}.arg_1", f"arguments.{best}.1"))


def _model(path: Path, date: str) -> str:
    beside = sorted(path.parent.glob(f"results_{date}.json")) or sorted(path.parent.glob("results*.json"))
    for results in beside[-1:]:
        for entry in entries(results, Ledger(), ()):
            arguments = str(first(entry.value, "config.model_args.pretrained", "config.model_args.model") or "")
            given = first(entry.value, "config.model_args")
            if not arguments and isinstance(given, str):
                match = re.search(r"(?:^|,)(?:pretrained|model)=([^,]+)", given)
                arguments = match[1] if match else ""
            name = first(entry.value, "model_name") or arguments
            if name:
                return str(name)
    return path.parent.name.replace("__", "/")
