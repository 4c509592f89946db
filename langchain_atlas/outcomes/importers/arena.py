"""Importer ``arena``: votes between two models, as Chatbot Arena publishes them; each vote is two outcomes.

The winner's score is 1, the loser's 0; in a tie both have 0.5, and where both are bad both have 0. A score says who won
against that opponent, not whether an answer is right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_atlas.outcomes.importers.base import Draft, shown
from langchain_atlas.outcomes.importers.reading.conversations import answered, turns
from langchain_atlas.outcomes.importers.reading.sources import entries, files_of
from langchain_atlas.outcomes.importers.reading.values import first, unpacked

if TYPE_CHECKING:
    from langchain_atlas.outcomes.importers.base import Ledger
    from langchain_atlas.outcomes.importers.reading.sources import Entry

_SCORES = {
    "model_a": (1.0, 0.0),
    "model_b": (0.0, 1.0),
    "a": (1.0, 0.0),
    "b": (0.0, 1.0),
    "tie": (0.5, 0.5),
    "tie (bothbad)": (0.0, 0.0),
    "both_bad": (0.0, 0.0),
    "bothbad": (0.0, 0.0),
}
_FLAGS = {"winner_model_a": "model_a", "winner_model_b": "model_b", "winner_tie": "tie"}
_RULE = "votes: the winner has 1, the loser 0, a tie 0.5 each, both bad 0 each"


def read(sources: Sequence[str], ledger: Ledger) -> Iterator[Draft]:
    """Yield two outcomes for each vote."""
    for source in sources:
        for path in files_of(source, ledger):
            for entry in entries(path, ledger):
                ledger.read += 1
                yield from ledger.attempt(entry.place, _drafts, entry, ledger) or []


def _drafts(entry: Entry, ledger: Ledger) -> list[Draft]:
    row: Any = entry.value
    if not isinstance(row, Mapping) or "model_a" not in row or "model_b" not in row:
        ledger.reject(entry.place, f"is {shown(row)}; it must be a vote between model_a and model_b")
        return []
    winner = _winner(row)
    if winner not in _SCORES:
        ledger.reject(entry.place, f"has the winner {winner!r}; it must be one of {', '.join(_SCORES)}")
        return []
    ledger.note(_RULE)
    drafts: list[Draft] = []
    for side, score in zip("ab", _SCORES[winner], strict=True):
        query, response = _said(row, side)
        if response is None and row.get(f"conversation_{side}") is None and row.get(f"response_{side}") is None:
            ledger.reject(f"{entry.place}, model_{side}", "has no conversation")
            continue
        values = {
            "query": query,
            "model": row[f"model_{side}"],
            "score": score,
            "score_source": "human",
            "response": response,
            "domain": first(row, "category", "language"),
            "recorded_at": first(row, "tstamp", "timestamp"),
        }
        drafts.append(Draft(entry.place, values, row))
    return drafts


def _winner(row: Mapping[str, Any]) -> str:
    for name, winner in _FLAGS.items():
        if str(row.get(name)).strip() in ("1", "1.0", "True", "true"):
            return winner
    return str(row.get("winner")).strip().lower()


def _said(row: Mapping[str, Any], side: str) -> tuple[str | None, str | None]:
    """Return what the user said, all messages of it because the vote is on the whole, and the last answer."""
    talk = row.get(f"conversation_{side}")
    if talk is not None:
        said = [turn.text for turn in turns(talk) if turn.role == "user" and not turn.media]
        return "\n\n".join(said) or None, answered(talk)
    prompts, answers = unpacked(row.get("prompt")), unpacked(row.get(f"response_{side}"))
    query = "\n\n".join(map(str, prompts)) if isinstance(prompts, list) else prompts
    texts = [text for text in answers if text] if isinstance(answers, list) else [answers]
    return query, str(texts[-1]) if texts and texts[-1] else None
