"""``profile``: run every pair on every query, or what tells most for a budget, and record the outcomes."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langchain_atlas.cli.shared import common
from langchain_atlas.cli.shared.engine import EngineOption, RayAddressOption

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from langchain_atlas.evaluation.profiling.chosen_runs import ChosenPlan
    from langchain_atlas.evaluation.profiling.plan import ProfilePlan
    from langchain_atlas.evaluation.profiling.profile import ProfileReport

_MOST_NAMED = 8

_OutOption = Annotated[
    Path,
    typer.Option("--out", help="Outcome table to write or continue, .parquet or .jsonl.", callback=common.writable),
]
_MaxCostOption = Annotated[
    float | None,
    typer.Option("--max-cost", help="Start no more runs once this call has spent this many dollars."),
]
_BudgetOption = Annotated[
    float | None,
    typer.Option("--budget", help="Dollars to spend at most, on the runs that tell most about which pair to ask."),
]
_KnownOption = Annotated[
    Path | None, typer.Option("--data", help="Outcomes known already, such as logs; they are not run again.")
]
_PlanOption = Annotated[bool, typer.Option("--plan", help="Show the runs that tell most, calls and cost; run nothing.")]


def profile(
    pool: common.PoolOption,
    queries: Annotated[Path, typer.Option("--queries", help="Queries with checkable answers, .jsonl.")],
    out: _OutOption,
    concurrency: Annotated[int, typer.Option("--concurrency", help="Maximum number of runs at once.")] = 4,
    repeat_failed: Annotated[bool, typer.Option("--repeat-failed", help="Run failed runs again.")] = False,
    max_cost: _MaxCostOption = None,
    budget: _BudgetOption = None,
    data: _KnownOption = None,
    plan: _PlanOption = False,
    engine: EngineOption = "local",
    ray_address: RayAddressOption = None,
    no_cache: common.NoCacheOption = False,
    json: common.JsonOption = None,
) -> None:
    """Run every pair of a pool on every query, score the answers, and record them.

    Before it starts, it shows how many calls it will make and about what they cost. If it is stopped or killed, the
    same command continues where it stopped. With --budget it makes only the runs that tell most about which pair to
    ask for which questions; what comes back decides what is run next.
    """
    del no_cache, engine, ray_address  # their callbacks have seen to it
    from langchain_atlas.evaluation.profiling.chosen_runs import Choosing
    from langchain_atlas.evaluation.profiling.profile import profile as run
    from langchain_atlas.evaluation.profiling.queries import read_queries
    from langchain_atlas.pool.pool import Pool

    # A user's own scoring function or tool is imported from the working directory, as python itself does.
    sys.path.insert(0, str(Path.cwd()))
    members, asked = Pool.load(pool), read_queries(queries)
    chosen = plan or budget is not None or data is not None
    choosing = Choosing(budget, None if data is None else common.load_table(data, None, None)) if chosen else None
    terminal = common.console()
    terminal.print(f"{len(asked)} queries x {len(members)} pairs = {len(asked) * len(members)} outcomes.")
    done = _Done()

    def planned(ahead: ProfilePlan) -> bool:
        terminal.print(str(ahead), markup=False)
        if ahead.chosen is not None and ahead.runs:
            _say_chosen(ahead.chosen, budget, terminal)
            done.plan = ahead.chosen
        return not plan

    with _stopping(done, out), common.progress("profiling") as bar:

        def told(count: int, total: int, _: Any) -> None:
            done.count = count
            bar(count, total)

        limits: dict[str, Any] = {"concurrency": concurrency, "max_cost_usd": max_cost, "choosing": choosing}
        report = run(members, asked, out, repeat_failed=repeat_failed, progress=told, on_plan=planned, **limits)
    if not plan:
        _say(report, out, terminal)
    common.write_json(json, report.to_json() | ({} if done.plan is None else {"plan": done.plan.to_json()}))


def _say_chosen(chosen: ChosenPlan, budget: float | None, terminal: Console) -> None:
    """Print which runs tell most, for which groups of questions, and what they cost."""
    from rich.markup import escape
    from rich.table import Table

    table = Table("questions like", "number", "known", "leader", "sure", "in the race", "runs", "$", box=None)
    for group in chosen.groups:
        table.add_row(
            escape(group.label),
            str(group.questions),
            str(group.outcomes),
            escape(group.leader),
            f"{group.sure:.0%}",
            str(group.contenders),
            str(group.runs),
            f"{group.cost_usd:.3g}",
        )
    terminal.print(table)
    most = ", ".join(f"{pair} {count}" for pair, count in list(chosen.pairs.items())[:_MOST_NAMED])
    more = len(chosen.pairs) - _MOST_NAMED
    if most:
        terminal.print(f"Runs by pair: {most}{f', and {more} more pairs' if more > 0 else ''}.", markup=False)
    if chosen.left_out:
        terminal.print(f"Not run, as their price is unknown: {', '.join(chosen.left_out)}.", markup=False)
    limit = "a quarter of all, mostly enough" if budget is None else f"within the budget of ${budget:g}"
    terminal.print(
        f"These {len(chosen.runs)} runs tell most ({limit}), for about ${chosen.cost_usd:.3g}; all that are left "
        f"would cost ${chosen.left_usd:.3g}. What comes back decides what is run next.",
        markup=False,
    )
    if budget is None:
        terminal.print(f"To make them: --budget {chosen.cost_usd:.2g}", markup=False)


def _say(report: ProfileReport, out: Path, terminal: Console) -> None:
    """Print what was run, what it cost, and what to do next."""
    if report.nothing_left and not report.stopped:
        terminal.print(f"All {report.total} outcomes were recorded before; nothing was left to run.")
    else:
        terminal.print(f"Ran {report.run_now}, {report.done_before} were recorded before.")
        unknown = f", and {report.unpriced} runs of unknown cost" if report.unpriced else ""
        terminal.print(f"Known cost of these runs: ${report.known_cost_usd:.4g}{unknown}.")
    if report.stopped:
        kept = report.total - report.left
        terminal.print(f"Stopped: {report.stopped}. {kept} of {report.total} outcomes are kept.", markup=False)
        terminal.print("The same command goes on from there.")
    if report.failed:
        failed = "1 run failed" if report.failed == 1 else f"{report.failed} runs failed"
        terminal.print(f"{failed}, with score 0; --repeat-failed repeats what failed.")
    terminal.print(f"Written to {out}. Try:", markup=False)
    terminal.print(f"langchain-atlas fit --data {quote(str(out))} --out router", markup=False, soft_wrap=True)


@dataclass
class _Done:
    """How far it is."""

    count: int = 0
    """Number of recorded outcomes."""
    plan: ChosenPlan | None = None
    """The runs that were chosen before the first one."""


@contextmanager
def _stopping(done: _Done, out: Path) -> Iterator[None]:
    """Report what is kept when the command is stopped."""
    try:
        yield
    except KeyboardInterrupt:
        where = f"{out}.journal.jsonl"
        typer.echo(
            f"Stopped. {done.count} outcomes are kept in {where}; the same command goes on from there.", err=True
        )
        raise
