"""``demo``: the whole workflow, offline, with real embedded models."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langchain_atlas.cli.shared import common

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from langchain_atlas.evaluation.profiling.queries import CheckableQuery
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.pool.pool import Pool
    from langchain_atlas.routers.base import Router
    from langchain_atlas.trajectory import Query

_ALPHA = 0.1
_ASKED_PER_KIND = 2


_LogsOption = Annotated[
    Path | None,
    typer.Option("--logs", help="Only copy the made-up logs of the tutorial 'From logs to a router' into this folder."),
]


def demo(logs: _LogsOption = None, json: common.JsonOption = None) -> None:
    """Profile, fit, route and answer, inside a LangGraph graph. Offline: no key, no network."""
    if logs is not None:
        names = _copy_logs(logs)
        common.console().print(f"Made-up logs of a help desk, in {logs}: {', '.join(names)}", markup=False)
        common.write_json(json, {"logs": [str(logs / name) for name in names]})
        return
    from langchain_atlas import demo as material
    from langchain_atlas.errors import MissingExtraError
    from langchain_atlas.evaluation.profiling.queries import read_queries
    from langchain_atlas.local import installed_models
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.pool.pool import Pool
    from langchain_atlas.routers.cluster.router import ClusterRouter

    if len(installed_models()) < 2:  # noqa: PLR2004  # the demo's pool has two
        raise MissingExtraError("The demo", "local")
    terminal = common.console()
    pool, outcomes = Pool.load(material.POOL), OutcomeTable.load(material.OUTCOMES)
    questions = read_queries(material.QUERIES)
    _introduce(pool, outcomes, terminal)

    terminal.rule("1. Profile: run every pair on a few questions and score the answers")
    _profile_a_few(pool, [item for item in questions if not material.is_held_out(item.query.id or "")], terminal)

    terminal.rule("2. Fit: learn from recorded outcomes which pair is good at what")
    seen, unseen = material.split(outcomes.query_ids)
    logged = outcomes.select(query_ids=seen)
    router = ClusterRouter(cost_weight=_ALPHA).fit(logged)
    _show_clusters(router, logged.queries, terminal)

    terminal.rule("3. Route and answer questions it has not seen, inside a LangGraph graph")
    chosen = _a_few_of_each_kind([item for item in questions if material.is_held_out(item.query.id or "")])
    answered = _answer(router, pool, chosen, terminal)

    terminal.rule(f"4. Was it worth it? The router and every single pair on {len(unseen)} held-out questions")
    comparison = _compare(router, outcomes.select(query_ids=unseen), terminal)
    terminal.print("\nNext: put AtlasNode into a graph of your own. README.md shows how, in 15 lines.")
    common.write_json(json, {"answered": answered, "held_out": comparison})


def _copy_logs(folder: Path) -> list[str]:
    """Copy the made-up logs into a folder, and return their names.

    Raises:
        WritingError: A file of such a name with another content is there, which may be somebody's own log; or the
            folder can't be written.
    """
    from langchain_atlas.demo import LOGS
    from langchain_atlas.errors import WritingError
    from langchain_atlas.files import atomic_path

    contents = {path.name: path.read_bytes() for path in sorted(LOGS.iterdir()) if path.is_file()}
    for name, content in contents.items():
        if (folder / name).exists() and not _holds(folder / name, content):
            raise WritingError(f"{str(folder / name)!r} is there and is another file. Name another folder for --logs.")
    for name, content in contents.items():
        with atomic_path(folder / name) as path:
            path.write_bytes(content)
    return list(contents)


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def _introduce(pool: Pool, outcomes: OutcomeTable, terminal: Console) -> None:
    terminal.print(
        f"Two small real models on this machine, {len(pool.tools)} tools, {len(pool)} pairs; "
        f"{len(outcomes.query_ids)} questions of {len(set(outcomes.domains))} kinds "
        f"({', '.join(dict.fromkeys(outcomes.domains))})."
    )


def _profile_a_few(pool: Pool, questions: Sequence[CheckableQuery], terminal: Console) -> None:
    from langchain_atlas.evaluation.profiling.profile import profile
    from langchain_atlas.outcomes import OutcomeTable

    few = _a_few_of_each_kind(questions, count=1)
    with tempfile.TemporaryDirectory() as folder, common.progress("profiling") as bar:
        out = Path(folder) / "outcomes.parquet"
        profile(pool, few, out, concurrency=2, progress=lambda done, total, _: bar(done, total))
        table = OutcomeTable.load(out)
    from rich.table import Table

    shown = Table("pair", *[item.domain for item in few], title="right (1) or wrong (0), just now", box=None)
    scores = table.matrix("score", pool.pairs)
    for column, pair in enumerate(pool.pairs):
        shown.add_row(str(pair), *[f"{score:.0f}" for score in scores[:, column]])
    terminal.print(shown)


def _a_few_of_each_kind(questions: Sequence[CheckableQuery], count: int = _ASKED_PER_KIND) -> list[CheckableQuery]:
    """Take evenly spaced questions of each kind, so that they are not hand-picked."""
    kinds: dict[str, list[CheckableQuery]] = {}
    for item in questions:
        kinds.setdefault(item.domain, []).append(item)
    return [items[(2 * part + 1) * len(items) // (2 * count)] for items in kinds.values() for part in range(count)]


def _show_clusters(router: Any, queries: Sequence[Query], terminal: Console) -> None:
    from rich.table import Table

    from langchain_atlas.evaluation.replay.asked import asked_first

    table = Table("cluster", "mostly", "questions", "asks most", "expects", "outcomes", box=None)
    asked = asked_first(router, queries, len(router.clusters_))
    for number, (cluster, each) in enumerate(zip(router.clusters_, asked, strict=True)):
        best = each.most
        cells = ("nobody", "", "")
        if best is not None:
            share = f" ({each.counts[best.pair]} of {each.queries})" if len(each.counts) > 1 else ""
            cells = (f"{best.pair}{share}", common.percent(best.expected_success), str(best.evidence))
        table.add_row(str(number), cluster.label, str(cluster.queries), *cells)
    terminal.print(table)


def _answer(router: Router, pool: Pool, chosen: Sequence[CheckableQuery], terminal: Console) -> list[dict[str, Any]]:
    from langchain_core.messages import HumanMessage
    from rich.table import Table

    from langchain_atlas.execution.live import LiveExecutor
    from langchain_atlas.integrations.graphs.graph import create_atlas_graph

    graph = create_atlas_graph(router, LiveExecutor(pool)).compile()
    widths = {"cl.": 3, "pair": 24, "why": 9, "answer": 10, "ok": 3, "$/1000": 6, "s": 3}
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    room = terminal.width - sum(widths.values()) - len(widths)
    for name, width in {"question": max(12, min(room, 60)), **widths}.items():
        table.add_column(name, width=width, no_wrap=True, overflow="ellipsis")
    rows: list[dict[str, Any]] = []
    with common.progress("answering") as bar:
        for number, item in enumerate(chosen):
            bar(number, len(chosen))
            record = graph.invoke({"messages": [HumanMessage(item.query.text)]})["atlas"]
            rows.append(_row(item, record))
    for row in rows:
        why = f"{row['expected_success']:.0%} of {row['evidence']}"
        right = "[green]yes[/green]" if row["right"] else "[red]no[/red]"
        cells = (_short(row["query"]), str(row["cluster"]), row["pair"], why, _short(row["answer"]), right)
        cost = "?" if row["cost_usd"] is None else f"{1000 * row['cost_usd']:.4f}"
        table.add_row(*cells, cost, f"{row['latency_s']:.1f}")
    terminal.print(table)
    terminal.print("cl.: cluster.  why: what the pair is expected to solve, of so many like it.", style="dim")
    return rows


def _row(item: CheckableQuery, record: dict[str, Any]) -> dict[str, Any]:
    decision = record["steps"][0]["decision"]
    answer = record["steps"][-1]["decision"]["answer"]
    right = answer is not None and item.scorer is not None and item.scorer.score(answer, item.answer) == 1
    return {
        "query": item.query.text,
        "domain": item.domain,
        "cluster": decision["cluster"],
        "pair": record["pair"] or decision["pair"],
        "rule": decision["rule"],
        "expected_success": decision["chosen"]["expected_success"],
        "evidence": decision["chosen"]["evidence"],
        "answer": answer,
        "right": right,
        "cost_usd": record["cost_usd"],
        "latency_s": record["latency_s"],
    }


def _compare(router: Router, table: OutcomeTable, terminal: Console) -> dict[str, Any]:
    from rich.table import Table

    from langchain_atlas.evaluation.replay.benchmark import evaluate

    evaluation = evaluate({"router": router}, table)
    figures = evaluation.to_json()
    routed, best = figures["routers"]["router"], figures["baselines"]["best_single"]
    shown = Table("", "right", "95% interval", "$ / 1000", "seconds", box=None)
    shown.add_row("[bold]the router[/bold]", *_cells(routed))
    for name, single in sorted(figures["pairs"].items(), key=lambda entry: -entry[1]["accuracy"]):
        shown.add_row(name, *_cells(single))
    shown.add_row("oracle", *_cells(figures["baselines"]["oracle"]))
    terminal.print(shown)
    gain = evaluation.compare("router", "best_single")
    terminal.print(
        f"The router beats the best single pair by {100 * gain.difference:.1f} points "
        f"(95% interval {100 * gain.ci95[0]:.1f} to {100 * gain.ci95[1]:.1f})."
    )
    return {"router": routed, "best_single": best, "gain": gain.to_json()}


def _cells(result: dict[str, Any]) -> list[str]:
    low, high = result["accuracy_ci95"]
    cost, seconds = result["cost_usd_per_1k"], result["latency_s_mean"]
    return [
        common.percent(result["accuracy"]),
        f"{common.percent(low)} to {common.percent(high)}",
        "unknown" if cost is None else f"${cost:.3g}",
        "?" if seconds is None else f"{seconds:.2f}",
    ]


def _short(text: str | None) -> str:
    from rich.markup import escape

    return escape(" ".join((text or "(none)").split()))
