"""One query on path two, from a policy that is trained on part of BFCL's outcomes: six pairs, for minutes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from measured import encoder, parts
from svg import BLUE, FAINT, GRID, INK, PAPER, TEAL, Canvas

from langchain_atlas import OutcomeTable, Pair, ReplayExecutor, Router, solve

if TYPE_CHECKING:
    from langchain_atlas import Query, Trajectory

PAIRS = (
    "gpt-4o-mini-2024-07-18@@prompt",
    "Salesforce_xLAM-7b-fc-r@@fc",
    "meta-llama_Meta-Llama-3-70B-Instruct@@prompt",
    "meetkai_functionary-medium-v3.1@@fc",
    "claude-3-5-sonnet-20240620@@prompt",
    "gpt-4-0613@@prompt",
)
QUERIES, STEPS = 300, 5
VALUE_USD = 0.005
"""Dollars that a right answer is worth."""
_FITS = 90
"""Characters of an answer that fit into a line."""


def trajectory() -> str:
    """Draw one query that the policy has not seen: what was asked, what came back, and where it stopped."""
    training, test = (table.select(pairs=map(Pair.parse, PAIRS)) for table in parts())
    router = trained(training.select(query_ids=training.query_ids[:QUERIES])).configure(value_usd=VALUE_USD)
    executor = ReplayExecutor(test)
    found = [(solve(query, router, executor), query) for query in test.queries]
    return _steps(*max(found, key=lambda one: _tells(*one)))


def trained(table: OutcomeTable) -> Router:
    """Return path two, as `langchain-atlas train` trains it."""
    from langchain_atlas.cli.app import app

    with tempfile.TemporaryDirectory() as folder:
        data, out = Path(folder) / "outcomes.parquet", Path(folder) / "policy"
        table.save(data)
        app(["train", "--data", str(data), "--steps", str(STEPS), "--out", str(out)], standalone_mode=False)
        return Router.load(out, encoder())


def _tells(done: Trajectory, query: Query) -> tuple[bool, int, int]:
    """Rank what a trajectory shows: answers that agree at last, in three calls, to a short question."""
    return done.steps[-1].decision.rule == "agreed", min(done.calls, 3), -len(query.text)


def _steps(done: Trajectory, query: Query) -> str:
    calls = done.observations
    canvas = Canvas(760, 156 + 84 * len(calls), "One query on path two, call by call")
    canvas.text(24, 30, query.text[:96], bold=True)
    for number, seen in enumerate(calls, start=1):
        top = 50 + 84 * (number - 1)
        canvas.box(24, top, 712, 66)
        canvas.dot(48, top + 22, BLUE, 11)
        canvas.text(48, top + 27, str(number), PAPER, "middle", bold=True)
        canvas.text(70, top + 26, f"asks {seen.pair}", BLUE, bold=True)
        cost = "" if seen.cost_usd is None else f"${seen.cost_usd:.5f}"
        canvas.text(722, top + 26, cost, FAINT, "end", size=12)
        said = " ".join((seen.answer or seen.error or "").split())
        canvas.text(70, top + 50, said if len(said) <= _FITS else said[: _FITS - 1] + "…", INK, size=12)
        if number < len(calls):
            canvas.arrow([(48, top + 66), (48, top + 84)], GRID)
    last = done.steps[-1].decision
    top = 50 + 84 * len(calls)
    canvas.arrow([(48, top - 18), (48, top + 12)], GRID)
    canvas.dot(48, top + 24, TEAL, 11)
    canvas.text(70, top + 29, "answers", TEAL, bold=True)
    for number, line in enumerate(wrap(last.reason, _FITS)[:3]):
        canvas.text(70, top + 50 + 18 * number, line, INK, size=12)
    canvas.text(722, top + 29, f"all calls: ${done.cost_usd or 0:.5f}", FAINT, "end", size=12)
    return canvas.svg()
