"""``import``: outcomes from the logs of other systems, with a report of what came in and what did not."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from langchain_atlas.cli.shared import common

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from langchain_atlas.outcomes.importers.base import Problem
    from langchain_atlas.outcomes.importers.coverage import ImportCoverage

_LISTED = 20
_DOMAINS = 6
_MOSTLY_SINGLE = 0.5

_MISSING = {
    "score": "have no score; mark them with: langchain-atlas score",
    "cost_usd": "have no cost; it is unknown, not zero",
    "latency_s": "have no latency",
    "input_tokens": "have no input tokens",
    "output_tokens": "have no output tokens",
    "response": "have no response, so that nobody can mark them or compare answers",
}


def import_outcomes(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="csv, jsonl, langsmith, litellm, openai, anthropic, otel, routerbench, llmrouterbench, arena, bfcl, "
            "lm-eval or inspect.",
        ),
    ],
    source: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Files or folders; for langsmith also project:NAME.")
    ],
    out: Annotated[
        Path,
        typer.Option("--out", help="Outcome table to write, .parquet or .jsonl.", callback=common.writable),
    ],
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map", help="Field of each column: query=question,score=thumbs; nested: response=outputs.answer."
        ),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Values for all rows: model=openai/gpt-4o,domain=support.")
    ] = None,
    scale: Annotated[
        str | None,
        typer.Option("--scale", help="Scale of the scores: thumbs, stars, words or LOW:HIGH; found when left out."),
    ] = None,
    add: Annotated[
        bool, typer.Option("--add", help="Add to the table that is there, except the outcomes that it has.")
    ] = False,
    json: common.JsonOption = None,
) -> None:
    """Import outcomes from logs: one row for each recorded answer of a model.

    It prints what came in, and what could not and why, by line. Columns that are not mapped are left behind.
    """
    from langchain_atlas.errors import OutcomeError
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.outcomes.importers import import_outcomes as run
    from langchain_atlas.outcomes.importers.reading.mapping import parse

    if out.suffix not in (".parquet", ".jsonl"):
        raise OutcomeError(f"--out is {str(out)!r}; it must end in '.parquet' or '.jsonl'.")
    imported = run(kind, source, mapping=parse(map_ or [], "--map"), constants=parse(set_ or [], "--set"), scale=scale)
    earlier = OutcomeTable.load(out) if out.exists() else None
    table = imported.table if earlier is None or not add else earlier.added(imported.table)
    table.save(out)
    _show(imported.coverage, common.console())
    if earlier is not None:
        told = f"Added {len(table) - len(earlier)} outcomes to the" if add else "Replaced the"
        common.console().print(f"{told} {len(earlier)} that were there.")
    _next(imported.coverage, out, common.console())
    common.write_json(json, imported.coverage.to_json())


def _show(coverage: ImportCoverage, terminal: Console) -> None:
    terminal.print(
        f"{coverage.imported} outcomes of {coverage.queries} queries and {len(coverage.pairs)} pairs, from "
        f"{coverage.read} entries of {', '.join(coverage.sources)}.",
        markup=False,
        soft_wrap=True,
    )
    _show_pairs(coverage, terminal)
    for rule, rows in coverage.notes.items():
        terminal.print(f"Rule ({rows} rows): {rule}.", markup=False, soft_wrap=True)
    for column, count in coverage.missing.items():
        terminal.print(f"Missing: {count} of {coverage.imported} outcomes {_MISSING[column]}.", markup=False)
    if coverage.one_pair_a_query > _MOSTLY_SINGLE:
        terminal.print(
            f"{coverage.one_pair_a_query:.0%} of the queries were answered by one pair alone, so routers can't be "
            "replayed on them; doctor says what can be estimated.",
            markup=False,
        )
    if coverage.left_behind:
        terminal.print(
            f"Left behind: {', '.join(coverage.left_behind)}. Keep one with --map NAME=NAME.",
            markup=False,
            soft_wrap=True,
        )
    _show_problems("Imported without a value", coverage.incomplete, terminal)
    _show_problems("Not imported", coverage.rejected, terminal)


def _show_pairs(coverage: ImportCoverage, terminal: Console) -> None:
    from rich.markup import escape
    from rich.table import Table

    totals: dict[str, int] = {}
    for row in coverage.pairs.values():
        for domain, count in row.items():
            totals[domain] = totals.get(domain, 0) + count
    domains = sorted(totals, key=lambda name: -totals[name])[:_DOMAINS]
    table = Table(box=None, pad_edge=False)
    table.add_column("pair", overflow="fold")
    for name in (*domains, *(["others"] if len(totals) > _DOMAINS else [])):
        table.add_column(escape(name), justify="right", overflow="fold")
    for pair, row in sorted(coverage.pairs.items(), key=lambda item: -sum(item[1].values()))[:_LISTED]:
        cells = [row.get(name, 0) for name in domains]
        rest = [sum(row.values()) - sum(cells)] if len(totals) > _DOMAINS else []
        table.add_row(escape(pair), *map(str, [*cells, *rest]))
    terminal.print(table)
    if len(coverage.pairs) > _LISTED:
        terminal.print(f"... and {len(coverage.pairs) - _LISTED} more pairs; --json FILE lists them all.")


def _show_problems(title: str, problems: Sequence[Problem], terminal: Console) -> None:
    if not problems:
        return
    terminal.print(f"{title}: {len(problems)}", style="yellow")
    for problem in problems[:_LISTED]:
        terminal.print(f"  {problem.place}: {problem.reason}", markup=False, soft_wrap=True)
    if len(problems) > _LISTED:
        terminal.print(f"  ... and {len(problems) - _LISTED} more; --json FILE lists them all.")


def _next(coverage: ImportCoverage, out: Path, terminal: Console) -> None:
    terminal.print(f"Written to {out}. Try:", markup=False)
    data = quote(str(out))
    unmarked = coverage.missing.get("score", 0)
    command = f"score {data} --out scored.parquet" if unmarked == coverage.imported else f"doctor --data {data}"
    terminal.print(f"langchain-atlas {command}", markup=False, soft_wrap=True)
