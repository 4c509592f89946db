"""``doctor``: does routing pay on this data, or does everything in this pool work?"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langchain_atlas.cli.shared import common

if TYPE_CHECKING:
    from rich.console import Console

    from langchain_atlas.evaluation.doctor.diagnosis import Diagnosis

_COLOURS = {"route": "green", "do not route": "yellow", "too little data": "yellow"}
_LISTED = 4
_INDENTED, _FURTHER = (0, 0, 0, 2), (0, 0, 0, 11)


def _readable_router(spec: str | None) -> str | None:
    return None if spec is None else str(common.readable_router(spec))


def doctor(
    data: Annotated[
        Path | None,
        typer.Option("--data", help=common.DATA_HELP, parser=common.data_source, metavar="PATH"),
    ] = None,
    pool: Annotated[
        Path | None,
        typer.Option("--pool", help="Pool, .yaml: to check, or with --data to compare the outcomes with."),
    ] = None,
    pairs: common.PairsOption = None,
    domains: common.DomainsOption = None,
    margin: Annotated[float, typer.Option("--margin", help="Points of accuracy you would give up to save cost.")] = 1.0,
    encoder: Annotated[str | None, typer.Option("--encoder", help=common.ENCODER_HELP)] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of everything random.")] = 0,
    no_calls: Annotated[bool, typer.Option("--no-calls", help="Check the pool without calling anything.")] = False,
    timeout: Annotated[float, typer.Option("--timeout", help="Maximum seconds of one call of the pool.")] = 30.0,
    concurrency: Annotated[int, typer.Option("--concurrency", help="Maximum number of checks at once.")] = 8,
    store: Annotated[
        str | None, typer.Option("--store", help="Store to look for drift in, such as sqlite:///atlas.db.")
    ] = None,
    router: Annotated[
        str | None,
        typer.Option("--router", help="With --store: the router as it was fitted.", callback=_readable_router),
    ] = None,
    weeks: Annotated[float, typer.Option("--weeks", help="With --store: how many weeks back to begin.")] = 13.0,
    no_cache: common.NoCacheOption = False,
    json: common.JsonOption = None,
) -> None:
    """Report whether routing pays on recorded outcomes (--data), what works in a pool (--pool), or drift (--store)."""
    del no_cache  # its callback has seen to it
    from langchain_atlas.cli.doctor_pool import try_pool
    from langchain_atlas.errors import SettingError

    if router is not None and store is None:
        raise SettingError("--router goes with --store; on an outcome table, 'evaluate' compares routers.")
    if store is not None and pool is not None and data is None:
        raise SettingError("--store goes with --data or alone; run doctor once more for --pool.")
    drift = None if store is None else _look_for_drift(store, router, weeks)
    if data is not None:
        if no_calls:
            raise SettingError("--no-calls goes with --pool alone: with --data nothing is called anyway.")
        _diagnose(data, pool, pairs, domains, margin, encoder, seed, json, drift)
    elif drift is not None:
        common.write_json(json, drift)
    elif pool is not None:
        try_pool(pool, json, calls=not no_calls, timeout_s=timeout, concurrency=concurrency)
    else:
        raise SettingError(
            "Give --data with an outcome table, --pool with a pool, or --store with a store; see: langchain-atlas "
            "doctor --help"
        )


def _look_for_drift(store: str, router: str | None, weeks: float) -> dict[str, Any]:
    from langchain_atlas.cli.doctor_store import look_for_drift

    return look_for_drift(store, router, weeks)


def _diagnose(
    data: Path,
    pool: Path | None,
    pairs: Path | None,
    domains: str | None,
    margin: float,
    encoder: str | None,
    seed: int,
    json: Path | None,
    drift: dict[str, Any] | None,
) -> None:
    from langchain_atlas.encoders.named import encoder_named
    from langchain_atlas.errors import SettingError
    from langchain_atlas.evaluation.doctor.diagnosis import default_encoder, diagnose
    from langchain_atlas.pool.pool import Pool

    if not 0 <= margin <= 100:  # noqa: PLR2004  # points
        raise SettingError(f"--margin is {margin!r}; it must be from 0 to 100 points of accuracy.")
    encoder_named(encoder).find()
    table = common.load_table(data, pairs, domains, unmarked=True)
    members = None if pool is None else Pool.load(pool).pairs
    with common.progress("examining") as bar:
        diagnosis = diagnose(
            table,
            encoder=default_encoder(encoder),
            pool=members,
            margin=margin / 100,
            seed=seed,
            progress=lambda _, done, total: bar(done, total),
        )
    parts = ["langchain-atlas", "fit", "--data", str(data)]
    for option, value in (("--pairs", pairs), ("--domains", domains), ("--encoder", encoder)):
        parts += [] if value is None else [option, str(value)]
    parts += ["--router", diagnosis.use.router or "", "--out", "router"]
    parts += [part for name, value in diagnosis.use.settings.items() for part in (f"--{name}", f"{value:g}")]
    command = None if diagnosis.use.router is None else shlex.join(parts)
    _show(diagnosis, command, common.console())
    common.write_json(json, {**diagnosis.to_json(), "next": command, **({} if drift is None else {"drift": drift})})


def _show(diagnosis: Diagnosis, command: str | None, terminal: Console) -> None:
    from rich.markup import escape

    from langchain_atlas.evaluation.settings.words import expected

    colour = _COLOURS[diagnosis.verdict]
    terminal.print(f"[bold {colour}]{diagnosis.verdict.upper()}[/bold {colour}]")
    terminal.print(escape(diagnosis.reason))
    if command is not None:
        terminal.print(f"Next: {escape(command)}", soft_wrap=True)
    if diagnosis.need is not None and diagnosis.need.where:
        shares = [f"{name} {number}" for name, number in list(diagnosis.need.where.items())[:_LISTED]]
        rest = " ..." if len(diagnosis.need.where) > _LISTED else ""
        terminal.print(escape(f"Where: {diagnosis.need.more_queries} more queries, of {', '.join(shares)}{rest}"))
    if diagnosis.headroom is not None:
        terminal.print(
            escape(
                f"Best single pair in hindsight: {diagnosis.headroom.pair}, {100 * diagnosis.headroom.accuracy:.1f}%. "
                f"{'The best choice by what is expected' if diagnosis.estimated else 'An oracle'} would gain "
                f"{100 * diagnosis.headroom.gain:.1f} points on it."
            )
        )
    if diagnosis.curve is not None:
        terminal.print(f"By default, 'fit' chooses this. {escape(diagnosis.curve.reason)}")
        terminal.print(f"  Expected: {escape(expected(diagnosis.curve.choice, diagnosis.curve))}.")
    _show_tried(diagnosis, terminal)
    _show_findings(diagnosis, terminal)


def _show_tried(diagnosis: Diagnosis, terminal: Console) -> None:
    from rich.table import Table

    if not diagnosis.tried:
        return
    table = Table(
        "tried, a right answer at", "accuracy", "against one pair", "$ / 1000", "of its cost", box=None, pad_edge=False
    )
    for entry in diagnosis.tried:
        table.add_row(
            f"{entry.router}, ${entry.value_usd:.3g}",
            common.percent(entry.accuracy),
            f"{100 * entry.gain:+.1f}",
            common.dollars(None if entry.cost_usd_per_1k is None else entry.cost_usd_per_1k / 1000),
            "unknown" if entry.cost_ratio is None else f"{entry.cost_ratio:.0%}",
        )
    terminal.print()
    terminal.print("Tried on held-out queries:")
    terminal.print(table)


def _show_findings(diagnosis: Diagnosis, terminal: Console) -> None:
    from rich.markup import escape
    from rich.padding import Padding

    terminal.print()
    terminal.print("Findings" if diagnosis.findings else "Nothing is missing or wrong in the data.")
    for finding in diagnosis.findings:
        colour = {"wrong": "red", "missing": "yellow", "note": "dim"}[finding.severity]
        told = f"[{colour}]{finding.severity:8}[/{colour}] {finding.kind}: {escape(finding.message)}"
        terminal.print(Padding(told, _INDENTED))
        if finding.where:
            more = f" and {finding.count - _LISTED} more" if finding.count > _LISTED else ""
            terminal.print(Padding(f"{escape(', '.join(finding.where[:_LISTED]))}{more}", _FURTHER))
