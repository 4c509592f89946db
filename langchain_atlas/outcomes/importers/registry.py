"""The kinds of log that can be imported, and the import itself."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from langchain_atlas.errors import OutcomeError, SettingError, suggest
from langchain_atlas.outcomes.importers.base import Draft, Ledger, Problem
from langchain_atlas.outcomes.importers.coverage import COUNTED, ImportCoverage, counts, single
from langchain_atlas.outcomes.importers.reading import mapping as mappings
from langchain_atlas.outcomes.importers.reading.rows import apply_mapping, rows_of
from langchain_atlas.outcomes.importers.reading.score_rules import named_rule
from langchain_atlas.outcomes.table import OutcomeTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_NAMED = 5


class RecordReader(Protocol):
    """The function ``read`` of an importer's module."""

    def __call__(self, sources: Sequence[str], ledger: Ledger) -> Iterator[Draft]:
        """Yield the outcomes in the sources, and note in the ledger what can't be read."""


@dataclass(frozen=True)
class ImporterKind:
    """A kind of log."""

    module: str
    """Its module here, which has a function `read`; imported when it is used."""
    about: str
    """What it reads, in a few words."""


KINDS: dict[str, ImporterKind] = {
    "csv": ImporterKind("csv_rows", "CSV or TSV with one answer a row"),
    "jsonl": ImporterKind("jsonl_rows", "JSONL, JSON or parquet with one answer an object"),
    "langsmith": ImporterKind("langsmith", "exported LangSmith runs, or project:NAME by LangSmith's client"),
    "litellm": ImporterKind("litellm", "LiteLLM's spend logs or standard logging payloads"),
    "openai": ImporterKind("openai", "OpenAI requests with responses, batch input and output, stored completions"),
    "anthropic": ImporterKind("anthropic", "Anthropic requests with responses, batch requests and results"),
    "otel": ImporterKind("otel", "OpenTelemetry GenAI spans, as OTLP JSON"),
    "routerbench": ImporterKind("routerbench", "RouterBench: one row a prompt, three columns a model"),
    "llmrouterbench": ImporterKind("llmrouterbench", "LLMRouterBench: one file for each data set and model"),
    "arena": ImporterKind("arena", "Chatbot Arena: votes between two models"),
    "bfcl": ImporterKind("bfcl", "BFCL: result and score folders, and the questions"),
    "lm-eval": ImporterKind("lm_eval", "lm-evaluation-harness: samples_*.jsonl"),
    "inspect": ImporterKind("inspect_logs", "inspect: .json and .eval logs"),
}
"""The kinds by name. To add one: a module with a function `read`, and a line here."""


@dataclass(frozen=True)
class Imported:
    """The result of an import."""

    table: OutcomeTable
    """The outcomes."""
    coverage: ImportCoverage
    """What came in, what did not, and why."""


def import_outcomes(
    kind: str,
    sources: Sequence[str | Path] | str | Path,
    *,
    mapping: Mapping[str, str] | None = None,
    constants: Mapping[str, str] | None = None,
    scale: str | None = None,
) -> Imported:
    """Import outcomes from the logs of another system.

    Args:
        kind: one of `KINDS`.
        sources: files or folders; for ``langsmith`` also ``project:NAME``.
        mapping: field of the source for each column, such as ``{"score": "thumbs"}``; nested fields with dots. A column
            of your own is kept as an extra one.
        constants: values that hold for all rows, such as ``{"model": "openai/gpt-4o"}``.
        scale: scale of the scores, ``thumbs``, ``stars``, ``words`` or ``LOW:HIGH``; by default, found from the values.

    Raises:
        SettingError: the kind, a column, a field or the scale is wrong.
        OutcomeError: a source can't be read, is a pickle, or holds no outcome.
    """
    given = [str(source) for source in ([sources] if isinstance(sources, str | Path) else sources)]
    if kind not in KINDS:
        raise SettingError(f"Unknown kind of log {kind!r}. {suggest(kind, KINDS)}")
    wanted, fixed = mappings.checked(mapping), mappings.checked(constants)
    rule = None if scale is None else named_rule(scale)
    module = importlib.import_module(f"langchain_atlas.outcomes.importers.{KINDS[kind].module}")
    ledger = Ledger()
    drafts = list(cast("RecordReader", module.read)(given, ledger))
    apply_mapping(drafts, wanted, fixed)
    rows = rows_of(drafts, ledger, rule, mapped="score" in wanted)
    named = {part for path in wanted.values() for part in (path, path.partition(".")[0])}
    ledger.left_behind = {name: None for name in ledger.left_behind if name not in named}
    if not rows:
        raise OutcomeError(_nothing(kind, given, ledger))
    table = OutcomeTable.from_rows(rows, ", ".join(given))
    return Imported(table, _coverage(kind, given, table, ledger))


def _coverage(kind: str, sources: Sequence[str], table: OutcomeTable, ledger: Ledger) -> ImportCoverage:
    missing = {name: table.table[name].null_count for name in COUNTED}
    return ImportCoverage(
        kind=kind,
        sources=tuple(sources),
        read=ledger.read,
        imported=len(table),
        queries=len(table.query_ids),
        pairs=counts(table),
        missing={name: count for name, count in missing.items() if count},
        rejected=tuple(sorted(ledger.rejected, key=_order)),
        incomplete=tuple(sorted(ledger.incomplete, key=_order)),
        notes=ledger.notes,
        left_behind=tuple(ledger.left_behind),
        one_pair_a_query=single(table),
    )


def _order(problem: Problem) -> list[tuple[int, str]]:
    """Return the sort key of a problem's place: numbers by their value."""
    parts = re.split(r"(\d+)", problem.place)
    return [(int(part), "") if part.isdigit() else (0, part) for part in parts]


def _nothing(kind: str, sources: Sequence[str], ledger: Ledger) -> str:
    places: dict[str, list[str]] = {}
    for problem in ledger.rejected:
        places.setdefault(problem.reason, []).append(problem.place)
    told = [
        f"{at[0]} {reason}{f' ({len(at) - 1} more do, too)' if len(at) > 1 else ''}"
        for reason, at in list(places.items())[:_NAMED]
    ]
    more = f" and {len(places) - _NAMED} more reasons" if len(places) > _NAMED else ""
    left = f" Its columns are {', '.join(ledger.left_behind)}." if ledger.left_behind else ""
    reasons = f": {'; '.join(told)}{more}" if told else ""
    return f"{', '.join(sources)} holds no outcome that can be imported as {kind!r}{reasons}.{left}"
