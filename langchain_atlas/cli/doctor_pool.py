"""What ``doctor --pool`` prints: models, tools, pairs, and what is wrong with them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_atlas.cli.shared import common

if TYPE_CHECKING:
    from rich.console import Console

    from langchain_atlas.evaluation.doctor.findings import Finding
    from langchain_atlas.evaluation.doctor.pool_check import CostEstimate, PoolCheck
    from langchain_atlas.evaluation.doctor.pool_probes import ModelCheck, ToolCheck

_COLOURS = {"wrong": "red", "missing": "yellow", "note": "dim"}
_ANSWERS = {True: "[green]yes[/green]", False: "[red]no[/red]", None: "?"}
_FUNCTIONS = {"yes": "[green]yes[/green]", "forced": "forced", "no": "no", None: "?"}
_LISTED = 6
_MILLION = 1_000_000


def try_pool(path: Path, json: Path | None, *, calls: bool, timeout_s: float, concurrency: int) -> None:
    """Check a pool, print the findings, and write them.

    Raises:
        PoolError: the pool can't be read.
        SettingError: the time limit is not above 0.
        ExecutionError: something does not work.
    """
    from langchain_atlas.errors import ExecutionError, SettingError
    from langchain_atlas.evaluation.doctor.pool_check import check_pool, estimate
    from langchain_atlas.pool.pool import Pool

    if timeout_s <= 0:
        raise SettingError(f"--timeout is {timeout_s!r}; it must be above 0 seconds.")
    # A user's own tool is imported from the working directory, as python itself does.
    sys.path.insert(0, str(Path.cwd()))
    pool = Pool.load(path)
    terminal = common.console()
    expected = estimate(pool)
    if calls:
        terminal.print(_announced(expected), markup=False)
    with common.progress("trying") as bar:
        check = check_pool(pool, calls=calls, timeout_s=timeout_s, concurrency=concurrency, progress=bar)
    _show(check, terminal)
    common.write_json(json, {"fine": check.fine, "estimate": expected.to_json(), **check.to_json()})
    if not check.fine:
        wrong = sum(finding.severity == "wrong" for finding in check.findings)
        raise ExecutionError(f"{wrong} thing{'s' if wrong > 1 else ''} in the pool must be fixed; see above.")


def _announced(expected: CostEstimate) -> str:
    text = f"At most {expected.model_calls} short model calls, for at most ${expected.cost_usd:.2g}"
    unpriced = f" and what {', '.join(expected.unpriced)} may cost" if expected.unpriced else ""
    return f"{text}{unpriced}."


def _show(check: PoolCheck, terminal: Console) -> None:
    from rich.table import Table

    models = Table(box=None)
    models.add_column("model", overflow="fold")  # so that a long name is shown in full
    for heading in ("answers", "latency", "$/M in, out", "functions", "JSON"):
        models.add_column(heading, no_wrap=True)
    for model in check.models:
        models.add_row(*_model_row(model))
    tools = Table("tool", "used", "works", "latency", "offers", box=None)
    for tool in check.tools:
        tools.add_row(*_tool_row(tool))
    for table in (models, tools):
        terminal.print()
        terminal.print(table)
    hopeless = sum(pair.works is False for pair in check.pairs)
    terminal.print()
    some = f"{len(check.pairs) - hopeless} of {len(check.pairs)} pairs"
    terminal.print(f"{some} can work." if check.called else f"{some} may work; nothing was called.")
    _show_findings(check.findings, terminal)


def _model_row(model: ModelCheck) -> tuple[str, ...]:
    from rich.markup import escape

    prices = (model.input_cost_per_token, model.output_cost_per_token)
    written = (
        "unknown" if None in prices else ", ".join(f"{_MILLION * price:.4g}" for price in prices if price is not None)
    )
    return (
        escape(model.name),
        _ANSWERS[False if model.error else model.answers],
        _seconds(model.latency_s),
        written,
        _FUNCTIONS[model.function_calling],
        _ANSWERS[model.structured_output] if model.structured_output is not False else "no",
    )


def _tool_row(tool: ToolCheck) -> tuple[str, ...]:
    from rich.markup import escape

    more = f" and {len(tool.offers) - _LISTED} more" if len(tool.offers) > _LISTED else ""
    works = "not called" if tool.works is None else _ANSWERS[tool.works]
    return (
        escape(tool.name),
        tool.invocation,
        works,
        _seconds(tool.latency_s),
        escape(", ".join(tool.offers[:_LISTED])) + more,
    )


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} s"


def _show_findings(findings: tuple[Finding, ...], terminal: Console) -> None:
    from rich.markup import escape
    from rich.padding import Padding

    terminal.print("Nothing is wrong." if not findings else "")
    for finding in findings:
        colour = _COLOURS[finding.severity]
        terminal.print(f"[{colour}]{finding.severity}[/{colour}]  {finding.kind}")
        terminal.print(Padding(escape(finding.message), (0, 0, 0, 4)))
        if len(finding.where) > 1 or finding.kind == "pairs-that-cannot-work":
            more = f" and {finding.count - _LISTED} more" if finding.count > _LISTED else ""
            terminal.print(Padding(escape(", ".join(finding.where[:_LISTED])) + more, (0, 0, 0, 4)))
