"""Importer ``lm-eval``: the samples of lm-evaluation-harness, ``samples_TASK_DATE.jsonl`` (``--log_samples``).

The model's name is in the file ``results_DATE.json`` beside them, or is the folder's name. The query is the question of
the document where it has one, else the prompt. Where a task has several filters, the first one counts; it is noted
where another one would give another score.
"""

from __future__ import annotations

import json
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
            seen: dict[str, tuple[str, Any]] = {}
            for entry in entries(path, ledger, ("samples",)):
                ledger.read += 1
                draft = ledger.attempt(entry.place, _draft, entry, model, task, seen, ledger)
                if draft is not None:
                    yield draft


def _draft(entry: Entry, model: str, task: str, seen: dict[str, tuple[str, Any]], ledger: Ledger) -> Draft | None:
    row: Any = entry.value
    if not isinstance(row, Mapping) or "doc" not in row:
        ledger.reject(entry.place, f"is {shown(row)}; it must be a sample with 'doc'")
        return None
    place = str(row.get("doc_id", entry.place))
    metric = _metric(row)
    name, score = str(row.get("filter")), None if metric is None else row[metric]
    if place in seen:
        _note_filter(ledger, seen[place], name, score)
        return None
    seen[place] = name, score
    if metric is None:
        ledger.note("samples without a metric have no score")
    else:
        ledger.note(f"scores are the metric {metric!r}")
    query = first(row, *_QUESTIONS)
    response, expected = _response(row)
    values = {
        "query": query if isinstance(query, str) else _prompt(row),
        "domain": task,
        "model": model,
        "score": score,
        "score_source": None if metric is None else f"lm-eval:{metric}",
        "response": response,
        "expected": expected,
    }
    return Draft(entry.place, values, row, score_name=metric or "score")


def _note_filter(ledger: Ledger, counted: tuple[str, Any], name: str, score: Any) -> None:
    first_name, first_score = counted
    ledger.note(f"several filters of the same answer: {first_name!r} counts, which comes first")
    if score != first_score:
        ledger.note(
            f"the filter {name!r} gives another score than {first_name!r}; to take it, keep only the lines that name it"
        )


def _prompt(row: Mapping[str, Any]) -> Any:
    """Return the prompt: a text, or the conversation that was sent to a chat model."""
    prompt = first(row, *_PROMPTS)
    while isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str | list):
        prompt = prompt[0]
    if isinstance(prompt, str) and prompt.startswith("[{"):
        try:
            turns = json.loads(prompt)
        except ValueError:
            return prompt
        if all(isinstance(turn, Mapping) and "role" in turn and "content" in turn for turn in turns):
            return turns
    return prompt if isinstance(prompt, str) else text_of(prompt)


def _metric(row: Mapping[str, Any]) -> str | None:
    named = row.get("metrics")
    names = [name for name in (named if isinstance(named, list) else []) if isinstance(name, str) and name in row]
    known = [name for name in _METRICS if isinstance(row.get(name), int | float)]
    return next((name for name in known if not names or name in names), names[0] if names else None)


def _response(row: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return what the model wrote and what was expected; of a choice, the likeliest answer and the right one."""
    expected = text_of(row.get("target"))
    answers = row.get("resps")
    if not isinstance(answers, list) or not answers:
        return text_of(first(row, "filtered_resps.0")), expected
    written = answers[0]
    while isinstance(written, list) and written and not isinstance(written[0], int | float):
        written = written[0]
    if isinstance(written, str) and not re.fullmatch(r"-?\d+(\.\d+)?(e[+-]?\d+)?|-?inf|nan|True|False", written):
        return written, expected
    best = _likeliest(row)
    if best is None:
        return text_of(written), expected
    right = _choice(row, int(expected)) if expected is not None and re.fullmatch(r"\d+", expected) else None
    return _choice(row, best) or text_of(written), right or expected


def _likeliest(row: Mapping[str, Any]) -> int | None:
    """Return which of several choices is the likeliest; None where there is no choice."""
    filtered = row.get("filtered_resps")
    chances: list[float] = []
    for item in filtered if isinstance(filtered, list) else []:
        try:
            chances.append(float(item[0] if isinstance(item, list) else item))
        except (TypeError, ValueError, IndexError):
            return None
    if len(chances) < 2:  # noqa: PLR2004  # a choice has at least two answers
        return None
    return chances.index(max(chances))


def _choice(row: Mapping[str, Any], number: int) -> str | None:
    text = text_of(first(row, f"arguments.gen_args_{number}.arg_1", f"arguments.{number}.1"))
    return None if text is None else text.strip()


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
