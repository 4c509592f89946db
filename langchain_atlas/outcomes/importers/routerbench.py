"""Importer ``routerbench``: one row a prompt; for each model its score, and columns for its response and its cost.

RouterBench is published as a pickle, which is refused; convert it to parquet where you trust it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_atlas.outcomes.importers.base import Draft, shown
from langchain_atlas.outcomes.importers.reading.sources import entries, files_of
from langchain_atlas.outcomes.importers.reading.values import empty, unpacked

if TYPE_CHECKING:
    from langchain_atlas.outcomes.importers.base import Ledger

_RESPONSE, _COST = "|model_response", "|total_cost"
_OWN = frozenset({"sample_id", "prompt", "eval_name"})


def read(sources: Sequence[str], ledger: Ledger) -> Iterator[Draft]:
    """Yield one outcome for each prompt and model."""
    for source in sources:
        for path in files_of(source, ledger):
            for entry in entries(path, ledger):
                ledger.read += 1
                yield from ledger.attempt(entry.place, _drafts, entry.place, entry.value, ledger) or []


def _drafts(place: str, row: Any, ledger: Ledger) -> list[Draft]:
    if not isinstance(row, Mapping):
        ledger.reject(place, f"is {shown(row)}; it must be a row of RouterBench")
        return []
    models = [name for name in row if f"{name}{_RESPONSE}" in row or f"{name}{_COST}" in row]
    if not models:
        ledger.reject(place, f"has no model: no column ends in {_RESPONSE!r} or {_COST!r}")
        return []
    used = {*_OWN, *(f"{name}{end}" for name in models for end in ("", _RESPONSE, _COST))}
    ledger.leave(name for name in row if name not in used)
    prompt = unpacked(row.get("prompt"))
    if isinstance(prompt, list) and prompt and all(isinstance(part, str) for part in prompt):
        prompt = prompt[-1]  # a conversation of several questions: the last one
    drafts: list[Draft] = []
    for name in models:
        if empty(row[name]):
            ledger.reject(f"{place}, {name}", "has no score")
            continue
        values = {
            "query_id": row.get("sample_id"),
            "query": prompt,
            "domain": row.get("eval_name"),
            "model": name,
            "score": row[name],
            "score_source": "routerbench",
            "cost_usd": row.get(f"{name}{_COST}"),
            "response": _text(row.get(f"{name}{_RESPONSE}")),
        }
        drafts.append(Draft(place, values, row, score_name=name))
    return drafts


def _text(response: Any) -> Any:
    """Return a response, which RouterBench writes as a list of one text."""
    inner = unpacked(response)
    if isinstance(inner, list) and len(inner) == 1 and isinstance(inner[0], str):
        return inner[0]
    if isinstance(response, str) and response[:2] in ("['", '["') and response[-2:] in ("']", '"]'):
        return response[2:-2].replace("\\n", "\n").replace("\\'", "'")
    return response
