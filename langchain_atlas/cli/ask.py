"""``ask``: decide, run and answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from langchain_atlas.cli.shared import common

if TYPE_CHECKING:
    from rich.console import Console

    from langchain_atlas.trajectory import Trajectory


def ask(
    text: Annotated[str, typer.Argument(help="The query.")],
    router: common.RouterOption,
    pool: common.PoolOption,
    context: Annotated[str | None, typer.Option("--context", help="Context of the query, as text.")] = None,
    image: Annotated[
        list[str] | None, typer.Option("--image", help="An image for the query: a file or a URL. May be repeated.")
    ] = None,
    no_cache: common.NoCacheOption = False,
    json: common.JsonOption = None,
) -> None:
    """Decide which pair should answer a query, run it, and print the answer."""
    del no_cache  # its callback has seen to it
    with common.loading():
        from langchain_atlas.errors import ExecutionError, InvalidInputError
        from langchain_atlas.execution.live import LiveExecutor
        from langchain_atlas.images import placed
        from langchain_atlas.integrations.messages import record
        from langchain_atlas.loop.turns import solve
        from langchain_atlas.pool.pool import Pool
        from langchain_atlas.routers.saved.artifact import load_with_settings
        from langchain_atlas.trajectory import Query

    if not text.strip():
        raise InvalidInputError("The query is empty; give the text that is to be answered.")
    members = Pool.load(pool)
    executor = LiveExecutor(members)
    decider = load_with_settings(router).restrict(members.pairs)
    images = [placed(one, Path()) for one in image or ()]
    trajectory = solve(Query(text=text, context=context, images=images), decider, executor)
    terminal = common.console()
    _show(trajectory, terminal)
    common.write_json(json, {"answer": trajectory.answer, **record(trajectory)})
    if trajectory.answer is None:
        raise ExecutionError("No pair returned an answer; see the errors above.")
    terminal.print(trajectory.answer, markup=False)


def _show(trajectory: Trajectory, terminal: Console) -> None:
    for step in trajectory.steps:
        if step.observation is None:
            continue
        common.explain(step.decision, terminal)
        seen = step.observation
        for trace in seen.tool_trace:
            result = trace.output if trace.error is None else f"error: {trace.error}"
            terminal.print(f"  {trace.name}({trace.arguments}) -> {result}", markup=False)
        seconds = "?" if seen.latency_s is None else f"{seen.latency_s:.2f} s"
        cost = "unknown cost" if seen.cost_usd is None else f"${seen.cost_usd:.3g}"
        terminal.print(f"  {seen.error or 'answered'}, {seconds}, {cost}", markup=False)
    terminal.print()
