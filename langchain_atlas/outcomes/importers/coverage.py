"""The coverage report of an import: what came in, what did not and why, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_atlas.outcomes.importers.base import Problem
    from langchain_atlas.outcomes.table import OutcomeTable

COUNTED = ("score", "cost_usd", "latency_s", "input_tokens", "output_tokens", "response")
"""The columns whose missing values are counted."""


@dataclass(frozen=True)
class ImportCoverage:
    """What an import read, kept, refused and assumed."""

    kind: str
    """The importer."""
    sources: tuple[str, ...]
    """Files, folders or projects."""
    read: int
    """Entries read: rows, lines, runs, samples or votes."""
    imported: int
    """Outcomes imported."""
    queries: int
    """Different queries among them."""
    pairs: dict[str, dict[str, int]]
    """Outcomes of each pair in each domain."""
    missing: dict[str, int]
    """Outcomes without a value, for each column where some have none."""
    rejected: tuple[Problem, ...]
    """What was not imported, with its place and reason."""
    incomplete: tuple[Problem, ...]
    """What was imported without one of its values."""
    notes: dict[str, int]
    """Rules that were applied, with the number of rows."""
    left_behind: tuple[str, ...]
    """Columns that were not imported."""
    one_pair_a_query: float
    """Share of the queries that one pair alone answered, 0 to 1: these can't be replayed."""

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON."""
        return {
            **{name: getattr(self, name) for name in ("kind", "read", "imported", "queries", "pairs", "missing")},
            "sources": list(self.sources),
            "rejected": [problem.to_json() for problem in self.rejected],
            "incomplete": [problem.to_json() for problem in self.incomplete],
            "notes": self.notes,
            "left_behind": list(self.left_behind),
            "one_pair_a_query": self.one_pair_a_query,
        }


def counts(table: OutcomeTable) -> dict[str, dict[str, int]]:
    """Return the number of outcomes of each pair in each domain."""
    found: dict[str, dict[str, int]] = {}
    columns = (table.table[name].to_pylist() for name in ("model", "tool", "domain"))
    for model, tool, domain in zip(*columns, strict=True):
        row = found.setdefault(f"{model}@@{tool}", {})
        row[domain] = row.get(domain, 0) + 1
    return found


def single(table: OutcomeTable) -> float:
    """Return the share of the queries that one pair alone answered."""
    pairs: dict[str, set[tuple[str, str]]] = {}
    columns = (table.table[name].to_pylist() for name in ("query_id", "model", "tool"))
    for query, model, tool in zip(*columns, strict=True):
        pairs.setdefault(query, set()).add((model, tool))
    return sum(len(found) == 1 for found in pairs.values()) / len(pairs)
