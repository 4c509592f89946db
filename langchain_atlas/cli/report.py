"""``report``: routers on recorded outcomes, as a single HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from langchain_atlas.cli.shared import common
from langchain_atlas.cli.shared.loading import load_routers


def _readable_routers(specs: list[str] | None) -> list[str] | None:
    return None if not specs else list(common.readable_router(specs))


def _weeks(store: str, routers: list[str], weeks: float, out: Path, json: Path | None, *, beside: Path | None) -> None:
    from langchain_atlas.errors import SettingError
    from langchain_atlas.evaluation.drift.page import weeks_page
    from langchain_atlas.evaluation.drift.report import drift_report
    from langchain_atlas.files import write_text
    from langchain_atlas.outcomes.store.loading import opened
    from langchain_atlas.routers.base import Router

    if beside is not None or len(routers) > 1:
        raise SettingError("--store goes without --data, and with one --router at most: the router as it was fitted.")
    with opened(store) as there:
        found = drift_report(there, Router.load(routers[0]) if routers else None, weeks=weeks)
    write_text(out, weeks_page(found))
    terminal = common.console()
    for event in found.events:
        terminal.print(event.message, markup=False)
    for note in found.notes:
        terminal.print(f"Note: {note}", markup=False)
    terminal.print(f"Written to {out}. Open it in a browser.", markup=False)
    common.write_json(json, found.to_json())


_Data = Annotated[Path | None, typer.Option("--data", help=common.DATA_HELP, parser=common.data_source, metavar="PATH")]
_Routers = Annotated[
    list[str] | None,
    typer.Option(
        "--router", help="Saved router, as DIR or DIR?alpha=0.2&...; may be repeated.", callback=_readable_routers
    ),
]
_Store = Annotated[
    str | None, typer.Option("--store", help="In place of --data: a store, such as sqlite:///atlas.db, week by week.")
]
_Volume = Annotated[
    str | None,
    typer.Option("--volume", help="How many queries come, as 100000/month (or /day, /week, /year): dollars of it."),
]


def report(
    out: Annotated[Path, typer.Option("--out", help="HTML file to write.", callback=common.writable)],
    data: _Data = None,
    router: _Routers = None,
    store: _Store = None,
    weeks: Annotated[float, typer.Option("--weeks", help="With --store: how many weeks back to begin.")] = 13.0,
    pairs: common.PairsOption = None,
    domains: common.DomainsOption = None,
    show_queries: Annotated[
        bool, typer.Option("--show-queries", help="Include sample query texts in the file; by default, there are none.")
    ] = False,
    volume: _Volume = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of everything random.")] = 0,
    no_cache: common.NoCacheOption = False,
    json: common.JsonOption = None,
) -> None:
    """Render routers on recorded outcomes, or the weeks of a store: a single HTML file that opens without a network."""
    del no_cache  # its callback has seen to it
    from langchain_atlas.errors import SettingError
    from langchain_atlas.evaluation.report.page import figures, page, require_plotly
    from langchain_atlas.evaluation.report.volume import read_volume
    from langchain_atlas.files import write_text

    if out.suffix != ".html":
        raise SettingError(f"--out is {str(out)!r}; the report is an .html file.")
    if store is not None:
        unused = {"--pairs": pairs, "--domains": domains, "--show-queries": show_queries, "--volume": volume}
        given = [name for name, value in unused.items() if value]
        if given:
            raise SettingError(f"{given[0]} goes with --data; of a store, --store, --router and --weeks are read.")
        _weeks(store, router or [], weeks, out, json, beside=data)
        return
    if data is None or not router:
        raise SettingError("Give --data and --router for routers on recorded outcomes, or --store for a store's weeks.")
    require_plotly()
    comes = None if volume is None else read_volume(volume)
    if seed < 0:
        raise SettingError(f"seed is {seed!r}; it must be 0 or more.")
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
