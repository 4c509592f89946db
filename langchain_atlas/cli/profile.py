"""``profile``: run every pair on every query, and record the outcomes."""

from __future__ import annotations

import sys
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from langchain_atlas.cli import common


def profile(
    pool: common.PoolOption,
    queries: Annotated[Path, typer.Option("--queries", help="Queries with checkable answers, .jsonl.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out", help="Outcome table to write or to go on with, .parquet or .jsonl.", callback=common.writable
        ),
    ],
    concurrency: Annotated[int, typer.Option("--concurrency", help="Most runs at once.")] = 4,
    repeat_failed: Annotated[bool, typer.Option("--repeat-failed", help="Run again what failed before.")] = False,
    json: common.JsonOption = None,
) -> None:
    """Run every pair of a pool on every query, score the answers, and record them.

    Stopped or killed, the same command goes on where it was.
    """
    from langchain_atlas.evaluation.profiling import profile as run
    from langchain_atlas.evaluation.queries import read_queries
    from langchain_atlas.pool import Pool

    # A scoring function or a tool of the user's own is looked for where the command is run, as python itself does.
    sys.path.insert(0, str(Path.cwd()))
    members, asked = Pool.load(pool), read_queries(queries)
    terminal = common.console()
    terminal.print(f"{len(asked)} queries x {len(members)} pairs = {len(asked) * len(members)} outcomes.")
    with common.progress("profiling") as bar:
        report = run(
            members,
            asked,
            out,
            concurrency=concurrency,
            repeat_failed=repeat_failed,
            progress=lambda done, total, _: bar(done, total),
        )
    figures: dict[str, Any] = report.to_json()
    if report.nothing_left:
        terminal.print(f"All {report.total} outcomes were recorded before; nothing was left to run.")
    else:
        terminal.print(f"Ran {report.run_now}, {report.done_before} were recorded before.")
        unknown = f", and {report.unpriced} runs of unknown cost" if report.unpriced else ""
        terminal.print(f"Known cost of these runs: ${report.known_cost_usd:.4g}{unknown}.")
    if report.failed:
        failed = "1 run failed" if report.failed == 1 else f"{report.failed} runs failed"
        terminal.print(f"{failed}, with score 0; --repeat-failed repeats what failed.")
    terminal.print(f"Written to {out}. Try:", markup=False)
    terminal.print(f"langchain-atlas fit --data {quote(str(out))} --out router", markup=False, soft_wrap=True)
    common.write_json(json, figures)
