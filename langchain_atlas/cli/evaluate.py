"""``evaluate``: replay routers on recorded outcomes, and compare them with the baselines that they must beat."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, runtime_checkable

import typer

from langchain_atlas.cli.shared import common, members
from langchain_atlas.cli.shared.engine import EngineOption, RayAddressOption
from langchain_atlas.cli.shared.loading import load_routers
from langchain_atlas.evaluation.settings.words import told

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from langchain_atlas.evaluation.replay.comparison import Evaluation
    from langchain_atlas.evaluation.replay.results import Result
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.routers.base import Router


_HEADINGS = ("right", "95%", "$/1000", "s", "calls", "to best single", "to the mix")
_APART = 5
"""From this column on, the headings form a second table if the terminal is narrow."""
_WIDE = 110

_Probes = Annotated[
    Path | None,
    typer.Option("--probes", help="Outcomes from which the routers learn about pairs that are new to them."),
]
_Against = Annotated[
    list[str] | None,
    typer.Option(
        "--against",
        help="With --probes: NEW=OLD, the model that a new one is compared with, if its name does not tell; may be "
        "repeated.",
    ),
]
_Without = Annotated[
    list[str] | None,
    typer.Option("--without", help="Report what it would cost that this model leaves; may be repeated."),
]
_Edits = Annotated[
    int, typer.Option("--edits", help="Slightly edited versions of each query to test robustness with; 0 for none.")
]
_Samples = Annotated[
    int,
    typer.Option(
        "--samples",
        help="Trajectories of each query, for pass@k and self-consistency of routers that draw; 0: none.",
    ),
]


def evaluate(
    data: common.DataOption,
    router: common.RoutersOption,
    pairs: common.PairsOption = None,
    domains: common.DomainsOption = None,
    probes: _Probes = None,
    against: _Against = None,
    without: _Without = None,
    reprice: common.RepriceOption = None,
    prices: common.PricesOption = None,
    edits: _Edits = 0,
    samples: _Samples = 0,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the resampling behind the intervals.")] = 0,
    engine: EngineOption = "local",
    ray_address: RayAddressOption = None,
    no_cache: common.NoCacheOption = False,
    json: common.JsonOption = None,
) -> None:
    """Replay routers on recorded outcomes, and report whether they are better than the baselines.

    Of a store, or a table of one pair a query, results are estimated: doubly robust, with the effective sample size.
    """
    del no_cache, engine, ray_address  # their callbacks have seen to it
    from langchain_atlas.evaluation.logged.coverage import must_estimate
    from langchain_atlas.evaluation.replay.benchmark import evaluate as replay

    _refuse_negative(seed=seed, edits=edits, samples=samples)
    _refuse_twice(router)
    terminal = common.console()
    told_against = _checked_against(against, probes)
    table = members.at_todays_prices(common.load_table(data, pairs, domains, as_log=True), reprice, prices, terminal)
    routers = load_routers(router, len(table.query_ids))
    figures: dict[str, Any] = members.show_leaving(routers, table, without or (), terminal)
    seen = {name: set(decider.pairs) for name, decider in routers.items()}
    notes: list[str] = []
    if probes is not None:
        learned = _probes(probes, table.pairs if pairs is not None else None)
        figures |= members.show_promotions(routers, learned, told_against, terminal)
        routers = {name: _taught(name, decider, learned, told_against) for name, decider in routers.items()}
        notes += _about_probes(table, learned)
    notes += _about_pairs(routers, seen, table)
    doing = "Estimating from" if must_estimate(table.matrix("score")) else "Replaying on"
    terminal.print(f"{doing} {len(table)} outcomes: {len(table.query_ids)} queries, {len(table.pairs)} pairs.")
    with common.progress("replaying") as bar:
        evaluation = replay(routers, table, seed=seed, edits=edits, progress=bar)
    notes = [*evaluation.notes, *notes]
    _show(evaluation, terminal)
    for line in (*_evidence(evaluation), *_kept(evaluation)):
        terminal.print(line, markup=False)
    repeated = _repeated(routers, table, samples, seed, terminal) if samples else {}
    for line in (line for name, replayed in routers.items() for line in told(name, replayed)):
        terminal.print(line, markup=False)
    for note in notes:
        terminal.print(f"Note: {note}", markup=False)
    common.write_json(json, {**evaluation.to_json(), **repeated, **figures, "notes": notes})


def _kept(evaluation: Evaluation) -> list[str]:
    """Return on how many edited queries each router keeps its choice."""
    kept = {name: result.robustness for name, result in evaluation.routers.items()}
    return [
        f"{name} keeps its choice on {common.percent(share)} of the edited queries."
        for name, share in kept.items()
        if share is not None
    ]


def _evidence(evaluation: Evaluation) -> list[str]:
    """Return how many queries each estimate rests on; nothing for results that were replayed."""
    from langchain_atlas.evaluation.logged.words import FEW_EFFECTIVE

    logged = evaluation.logged
    if logged is None:
        return []
    sizes = {name: logged.effective_sample_size(run.answered) for name, run in evaluation.runs.items()}
    total = logged.coverage.n_scored
    return [
        f"{name}: its estimate says as much as {size:.0f} of the {total} queries would, had it answered them itself"
        f"{'; too few to be repeated' if size < FEW_EFFECTIVE else ''}."
        for name, size in sizes.items()
    ]


def _checked_against(given: Sequence[str] | None, probes: Path | None) -> dict[str, str]:
    if given and probes is None:
        from langchain_atlas.errors import SettingError

        raise SettingError("--against goes with --probes, the outcomes of the new model.")
    return members.read_against(given)


def _refuse_negative(**numbers: int) -> None:
    for name, value in numbers.items():
        if value < 0:
            from langchain_atlas.errors import SettingError

            raise SettingError(f"{name} is {value!r}; it must be 0 or more.")


def _repeated(
    routers: Mapping[str, Router], table: OutcomeTable, samples: int, seed: int, terminal: Console
) -> dict[str, Any]:
    """Run each router several times on every query; print and return what that comes to."""
    from langchain_atlas.evaluation.replay.repeated import repeat
    from langchain_atlas.execution.replay import ReplayExecutor
    from langchain_atlas.progress import Steps

    executor, found = ReplayExecutor(table), {}
    with common.progress("drawing trajectories") as bar:
        step = Steps(len(routers) * samples * len(table.query_ids), bar)
        for name, router in routers.items():
            found[name] = repeat(router, executor, samples=samples, seed=seed, on_query=step)
    for name, result in found.items():
        shares = [(f"pass@{k}", one) for k, one in result.pass_at.items()]
        shares.append((f"most of {samples}", result.self_consistency))
        told = ", ".join(
            f"{label} {common.percent(one.value)} ({100 * one.ci95[0]:.0f}-{100 * one.ci95[1]:.0f})"
            for label, one in shares
        )
        terminal.print(f"{name}: {told}", markup=False)
    return {"repeated": {name: result.to_json() for name, result in found.items()}}


@runtime_checkable
class _Learner(Protocol):
    """A router that can learn about new pairs."""

    def add_pairs(self, probes: OutcomeTable) -> Router:
        """Learn from a few outcomes of new pairs; return the router."""


def _refuse_twice(specs: Sequence[str]) -> None:
    from langchain_atlas.errors import SettingError

    for number, spec in enumerate(specs):
        if spec in specs[:number]:
            raise SettingError(
                f"--router {spec!r} is given twice. Name each router once; to compare settings, write "
                f"'{spec.partition('?')[0]}?alpha=0.1' and the like."
            )


def _probes(path: Path, pool: tuple[Pair, ...] | None) -> OutcomeTable:
    from langchain_atlas.errors import OutcomeError
    from langchain_atlas.outcomes import OutcomeTable

    table = OutcomeTable.load(path)
    if pool is None:
        return table
    kept = [pair for pair in table.pairs if pair in set(pool)]
    if not kept:
        raise OutcomeError(f"{path} has no outcome of the pairs that --pairs names; probe some of those.")
    return table.select(pairs=kept)


def _taught(name: str, router: Router, probes: OutcomeTable, against: Mapping[str, str]) -> Router:
    from langchain_atlas.errors import SettingError
    from langchain_atlas.routers.policy.router import RLRouter

    if not isinstance(router, _Learner):
        raise SettingError(
            f"Router {name!r} is of kind {router.kind!r}, which can't learn about new pairs from --probes. "
            "Fit it again on outcomes of all pairs, or use a 'cluster' router."
        )
    if isinstance(router, RLRouter):
        new = {pair.model for pair in probes.pairs if pair not in router.pairs}
        return router.add_pairs(probes, predecessors={model: old for model, old in against.items() if model in new})
    return router.add_pairs(probes)  # for this command alone; the saved router does not change


def _about_probes(table: OutcomeTable, probes: OutcomeTable) -> list[str]:
    both = len(set(table.query_ids).intersection(probes.query_ids))
    if not both:
        return []
    return [f"{both} of the {len(table.query_ids)} evaluated queries are among the probes; the figures may flatter."]


def _about_pairs(routers: Mapping[str, Router], before: Mapping[str, set[Pair]], table: OutcomeTable) -> list[str]:
    notes = []
    for name, router in routers.items():
        known = set(router.pairs).intersection(table.pairs)
        fresh = known - before[name]
        if fresh and before[name]:
            notes.append(f"{name}: knows {len(fresh)} of the {len(table.pairs)} pairs from the probes alone.")
        if known and len(known) < len(table.pairs):
            notes.append(f"{name}: chooses from {len(known)} of the {len(table.pairs)} pairs; it knows no more.")
    return notes


def _show(evaluation: Evaluation, terminal: Console) -> None:
    from rich.table import Table

    parts = [_HEADINGS] if terminal.width >= _WIDE else [_HEADINGS[:_APART], _HEADINGS[_APART:]]
    for part in parts:
        first = _HEADINGS.index(part[0])
        table = Table(box=None, pad_edge=False)
        table.add_column("", overflow="fold", ratio=1)
        for heading in part:
            table.add_column(heading, justify="right", no_wrap=True)
        for name, result in evaluation.routers.items():
            table.add_row(f"[bold]{_escaped(name)}[/bold]", *_cells(result)[first : first + len(part)])
        table.add_section()
        for name, result in evaluation.baselines.items():
            cells = _cells(result)[first : first + len(part)]
            if any(cells):
                table.add_row(name, *cells)
        terminal.print(table)
    for name in ("best_single", "cheapest"):
        if name in evaluation.baselines:
            terminal.print(f"{name} is {_escaped(next(iter(evaluation.baselines[name].pair_share)))}.", style="dim")
    terminal.print(
        "Differences are in points, on the same queries, with their 95% interval. The mix tosses a coin between two "
        "single pairs, at the router's cost.",
        style="dim",
    )


def _cells(result: Result) -> list[str]:
    low, high = result.accuracy_ci95
    cost, least, seconds = result.cost_usd_per_1k, result.cost_usd_per_1k_least, result.latency_s_mean
    mix = None if result.versus_mix is None else result.versus_mix.versus
    return [
        common.percent(result.accuracy),
        f"{100 * low:.0f}-{100 * high:.0f}",
        "unknown" if cost is None or least is None else f"{cost:.3g}" if result.cost_known == 1 else f">{least:.3g}",
        "?" if seconds is None else f"{seconds:.1f}",
        f"{result.calls_per_query:.2f}",
        *(
            ""
            if apart is None
            else f"{100 * apart.difference:+.1f} ({100 * apart.ci95[0]:+.1f} {100 * apart.ci95[1]:+.1f})"
            for apart in (result.versus_best_single, mix)
        ),
    ]


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
