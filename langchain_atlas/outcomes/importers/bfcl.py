"""Importer ``bfcl``: result and score folders of the Berkeley Function Calling Leaderboard, with its questions.

A score file lists failed tests only; what a model answered and the file does not list is right, if the file is of as
many results as there are. The questions are in
files of their own: give them as a further source. A model whose name ends in ``-FC`` was given its functions natively,
which is the tool ``fc``; others have the tool ``prompt``.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_atlas.outcomes.importers.base import Draft, shown
from langchain_atlas.outcomes.importers.reading.sources import Entry, entries, files_of
from langchain_atlas.outcomes.importers.reading.values import text_of

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_atlas.outcomes.importers.base import Ledger

_NAME = re.compile(
    r"(?:BFCL_v\d+_|gorilla_openfunctions_v1_test_)?(?P<category>.+?)(?:_(?P<kind>result|score))?\.json\w*$"
)
_NO_LOGS = frozenset({"possible_answer", "multi_turn_func_doc", "memory_prereq_conversation", "unused_datasets"})
_NO_LOG = re.compile(r"data_\w+\.csv|BFCL_v\d+_format_sensitivity\.json|test_case_ids_to_generate\.json")
_FC = re.compile(r"[-_ ]?\(?FC\)?$", re.IGNORECASE)


@dataclass
class _Found:
    """What the sources hold."""

    questions: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Questions by id of the test."""
    failed: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = field(default_factory=dict)
    """Failed tests by id, of each model and category that was scored."""
    scored: dict[tuple[str, str], int] = field(default_factory=dict)
    """How many results were scored, of each model and category."""
    results: list[tuple[str, str, Entry]] = field(default_factory=list)
    """Model, category and line of each result."""
    answered: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Number of results of each model and category."""

    def score(self, model: str, category: str, name: str) -> float | None:
        """Return 1 for a result that is right and 0 for one that failed; None where nobody scored it."""
        failed = self.failed.get((model, category))
        if failed is None:
            return None
        if name in failed:
            return float(failed[name].get("valid") is True)
        whole = self.answered[model, category]
        return 1.0 if self.scored.get((model, category), whole) == whole else None


def read(sources: Sequence[str], ledger: Ledger) -> Iterator[Draft]:
    """Yield one outcome for each result."""
    found = _Found()
    for source in sources:
        for path in files_of(source, ledger):
            if _NO_LOGS.isdisjoint(path.parts) and not _NO_LOG.fullmatch(path.name):
                _collect(path, found, ledger)
    _note_scores(found, ledger)
    for model, category, entry in found.results:
        ledger.read += 1
        name = str(entry.value.get("id", entry.value.get("idx")))
        question = found.questions.get(name)
        if question is None:
            ledger.reject(
                entry.place,
                f"answers the test {entry.value.get('id')!r}, whose question is in no source; give the folder of "
                "BFCL's questions (bfcl_eval/data) as a further one",
            )
            continue
        score = found.score(model, category, str(entry.value.get("id")))
        draft = ledger.attempt(entry.place, _draft, model, category, entry, question, score)
        if draft is not None:
            yield draft


def _note_scores(found: _Found, ledger: Ledger) -> None:
    """Note whose results were not scored, or not all."""
    for (model, category), answered in sorted(found.answered.items()):
        scored = found.scored.get((model, category), answered)
        if (model, category) not in found.failed:
            ledger.note(f"no score file for {model}, {category}: its results have no score")
        elif scored != answered:
            ledger.note(
                f"the score file for {model}, {category} is of {scored} results, and there are {answered}: those that "
                "it does not list have no score",
                answered,
            )


def _collect(path: Path, found: _Found, ledger: Ledger) -> None:
    match = _NAME.search(path.name)
    if match is None:
        ledger.reject(str(path), "is no file of BFCL")
        return
    model, category = _model_of(path), match["category"]
    for entry in entries(path, ledger, ()):
        row: Any = entry.value
        if not isinstance(row, Mapping):
            ledger.reject(entry.place, f"is {shown(row)}; it must be an object")
        elif "accuracy" in row and "total_count" in row:
            found.failed.setdefault((model, category), {})
            if isinstance(row["total_count"], int):
                found.scored[model, category] = row["total_count"]
        elif "valid" in row or match["kind"] == "score":
            found.failed.setdefault((model, category), {})[str(row.get("id"))] = row
            if isinstance(row.get("prompt"), Mapping):
                found.questions.setdefault(str(row.get("id")), row["prompt"])
        elif "question" in row:
            found.questions[str(row.get("id"))] = row
        elif "result" in row:
            found.results.append((model, category, entry))
            found.answered[model, category] += 1
        else:
            ledger.reject(entry.place, f"is neither a question, a result nor a score: {shown(dict(row))}")


def _model_of(path: Path) -> str:
    """Return the name of the model's folder: below ``result`` or ``score``, or else the file's own folder."""
    parts = path.parts
    for name in ("result", "score"):
        if name in parts[:-1]:
            place = parts.index(name) + 1
            if place < len(parts) - 1:
                return parts[place]
    return path.parent.name


def _draft(
    model: str,
    category: str,
    entry: Entry,
    question: Mapping[str, Any],
    score: float | None,
) -> Draft:
    row = entry.value
    name = str(row.get("id"))
    values: dict[str, Any] = {
        "query_id": name,
        "query": _asked(question.get("question")),
        "context": text_of(question.get("function")),
        "domain": category,
        "model": _FC.sub("", model),
        "tool": "fc" if _FC.search(model) else "prompt",
        "score": score,
        "score_source": None if score is None else "bfcl",
        "input_tokens": _sum(row.get("input_token_count")),
        "output_tokens": _sum(row.get("output_token_count")),
        "latency_s": _sum(row.get("latency")),
        "response": row["result"] if isinstance(row["result"], str) else json.dumps(row["result"], default=str),
    }
    return Draft(entry.place, values, row)


def _asked(question: Any) -> str:
    """Return what the user says in all turns of a test."""
    if isinstance(question, str):
        return question
    given = question if isinstance(question, list) else []
    messages = [message for turn in given for message in (turn if isinstance(turn, list) else [turn])]
    return "\n\n".join(
        str(message.get("content"))
        for message in messages
        if isinstance(message, Mapping) and message.get("role") == "user"
    )


def _sum(value: Any) -> Any:
    """Return a number; of a test of several turns and steps, their sum."""
    if isinstance(value, list):
        inner = [_sum(item) for item in value]
        numbers = [item for item in inner if isinstance(item, int | float)]
        return sum(numbers) if len(numbers) == len(inner) and numbers else None
    return value
