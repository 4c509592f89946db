"""``fit``: learn a router from recorded outcomes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langchain_atlas.cli import common

if TYPE_CHECKING:
    from langchain_atlas.routers.cluster import ClusterRouter

ROUTERS = ("cluster",)
"""Kinds of router that `fit` can fit."""


def fit(
    data: common.DataOption,
    out: Annotated[Path, typer.Option("--out", help="Folder to save the router to.")],
    router: Annotated[str, typer.Option("--router", help=f"Kind of router: {', '.join(ROUTERS)}.")] = "cluster",
    clusters: Annotated[int, typer.Option("--clusters", help="Number of clusters.")] = 8,
    alpha: Annotated[float, typer.Option("--alpha", help="0 for accuracy alone, 1 for cost alone.")] = 0.5,
    pairs: common.PairsOption = None,
    domains: common.DomainsOption = None,
    encoder: Annotated[
        str | None, typer.Option("--encoder", help="sentence-transformers model, by name or folder.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of everything random.")] = 0,
    json: common.JsonOption = None,
) -> None:
    """Fit a router to recorded outcomes and save it."""
    from langchain_atlas.encoders import DEFAULT_ENCODER, SentenceTransformerEncoder
    from langchain_atlas.errors import SettingError, suggest
    from langchain_atlas.routers.cluster import ClusterRouter

    if router not in ROUTERS:
        raise SettingError(f"Unknown router {router!r}. {suggest(router, ROUTERS)}")
    fitted = ClusterRouter(
        SentenceTransformerEncoder(encoder or DEFAULT_ENCODER), n_clusters=clusters, alpha=alpha, random_state=seed
    )
    table = common.load_table(data, pairs, domains)
    terminal = common.console()
    terminal.print(f"Fitting on {len(table)} outcomes: {len(table.query_ids)} queries, {len(table.pairs)} pairs.")
    fitted.fit(table)
    fitted.save(out)
    figures = _figures(fitted)
    _show(figures, terminal)
    terminal.print(f'Saved to {out}. Try: langchain-atlas route "your query" --router {out}')
    common.write_json(json, figures)


def _figures(router: ClusterRouter) -> dict[str, Any]:
    clusters = []
    for number, cluster in enumerate(router.clusters_):
        best = router.best(number)
        clusters.append({"cluster": number, "queries": cluster.queries, "label": cluster.label, "best": best.to_json()})
    return {
        "router": router.kind,
        "encoder": router.encoder.name,
        "settings": dict(router.settings),
        "n_pairs": len(router.pairs),
        "clusters": clusters,
    }


def _show(figures: dict[str, Any], terminal: Any) -> None:
    from rich.table import Table

    table = Table("cluster", "mostly", "queries", "best pair", "expected", "cost / 1000", box=None)
    for entry in figures["clusters"]:
        best = entry["best"]
        table.add_row(
            str(entry["cluster"]),
            entry["label"],
            str(entry["queries"]),
            best["pair"],
            common.percent(best["expected_success"]),
            common.dollars(best["expected_cost_usd"]),
        )
    terminal.print(table)
