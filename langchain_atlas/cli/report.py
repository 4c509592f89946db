"""``report``: routers on recorded outcomes, as a single HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from langchain_atlas.cli import common


def report(
    data: common.DataOption,
    router: common.RoutersOption,
    out: Annotated[Path, typer.Option("--out", help="HTML file to write.", callback=common.writable)],
    pairs: common.PairsOption = None,
    domains: common.DomainsOption = None,
    show_queries: Annotated[
        bool, typer.Option("--show-queries", help="Include sample query texts in the file; by default, there are none.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="Seed of everything random.")] = 0,
    json: common.JsonOption = None,
) -> None:
    """Render routers on recorded outcomes: a single HTML file that opens without a network."""
    from langchain_atlas.errors import SettingError
    from langchain_atlas.evaluation.report.page import figures, page, require_plotly
    from langchain_atlas.files import write_text
    from langchain_atlas.routers.saved.artifact import load_with_settings

    require_plotly()
    if seed < 0:
        raise SettingError(f"seed is {seed!r}; it must be 0 or more.")
    if out.suffix != ".html":
        raise SettingError(f"--out is {str(out)!r}; the report is an .html file.")
    table = common.load_table(data, pairs, domains)
    loaded = {name: load_with_settings(name) for name in router}
    with common.progress("replaying") as bar:
        content = figures(loaded, table, show_queries=show_queries, seed=seed, progress=bar)
    write_text(out, page(content))
    terminal = common.console()
    for entry in content["routers"]:
        now = entry["steps"][entry["start"]]
        cost = common.dollars(None if now["cost"] is None else now["cost"] / 1000)
        terminal.print(f"{entry['name']}: {common.percent(now['accuracy'])} at {cost} per 1000 queries.", markup=False)
    for note in content["notes"]:
        terminal.print(f"Note: {note}", markup=False)
    terminal.print(f"Written to {out}. Open it in a browser.", markup=False)
    common.write_json(json, content)
