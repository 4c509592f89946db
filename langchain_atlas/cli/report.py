"""``report``: routers on recorded outcomes, as a single HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from langchain_atlas.cli import common
from langchain_atlas.cli.loading import load_routers


def report(
    data: common.DataOption,
    router: common.RoutersOption,
    out: Annotated[Path, typer.Option("--out", help="HTML file to write.", callback=common.writable)],
    pairs: common.PairsOption = None,
    domains: common.DomainsOption = None,
    show_queries: Annotated[
        bool, typer.Option("--show-queries", help="Include sample query texts in the file; by default, there are none.")
    ] = False,
    volume: Annotated[
        str | None,
        typer.Option("--volume", help="How many queries come, as 100000/month (or /day, /week, /year): dollars of it."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of everything random.")] = 0,
    no_cache: common.NoCacheOption = False,
    json: common.JsonOption = None,
) -> None:
    """Render routers on recorded outcomes: a single HTML file that opens without a network."""
    del no_cache  # its callback has seen to it
    from langchain_atlas.errors import SettingError
    from langchain_atlas.evaluation.report.page import figures, page, require_plotly
    from langchain_atlas.evaluation.report.volume import read_volume
    from langchain_atlas.files import write_text

    require_plotly()
    comes = None if volume is None else read_volume(volume)
    if seed < 0:
        raise SettingError(f"seed is {seed!r}; it must be 0 or more.")
    if out.suffix != ".html":
        raise SettingError(f"--out is {str(out)!r}; the report is an .html file.")
    table = common.load_table(data, pairs, domains)
    loaded = load_routers(router, len(table.query_ids))
    with common.progress("replaying") as bar:
        content = figures(loaded, table, show_queries=show_queries, volume=comes, seed=seed, progress=bar)
    write_text(out, page(content))
    terminal = common.console()
    for entry in content["routers"]:
        terminal.print(entry["steps"][entry["start"]]["sentence"], markup=False)
        terminal.print(entry["basis_sentence"], markup=False)
    for note in content["notes"]:
        terminal.print(f"Note: {note}", markup=False)
    terminal.print(f"Written to {out}. Open it in a browser.", markup=False)
    common.write_json(json, content)
