"""``fit``: learn a router from recorded outcomes."""

from __future__ import annotations

import copy
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langchain_atlas.cli.shared import common, held_out, large, members, slim
from langchain_atlas.cli.shared.engine import EngineOption, RayAddressOption
from langchain_atlas.errors import SettingError
from langchain_atlas.routers.kinds import ALIASES, FITTED, KINDS, MEASURED

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.outcomes.parts import Parts
    from langchain_atlas.routers.base import Router
    from langchain_atlas.routers.cluster.router import ClusterRouter
    from langchain_atlas.routers.learned.base import EmbeddingRouter

_CLUSTERS = 8
_SAVED = "The saved router is fitted on all queries, those kept aside included."

_Target = Annotated[
    float | None, typer.Option("--target", help="Points below the best that may be given up; the cheapest setting.")
]
_Budget = Annotated[
    float | None, typer.Option("--budget", help="Dollars that 1000 queries may cost; the most accurate setting.")
]
_Value = Annotated[float | None, typer.Option("--value", help="Dollars that a right answer is worth.")]
_CostWeight = Annotated[
    float | None,
    typer.Option("--cost-weight", help="0 for accuracy alone, 1 for cost alone; relative to the dearest pair."),
]
_Alpha = Annotated[float | None, typer.Option("--alpha", help="The same as --cost-weight.")]
_Parts = Annotated[
    str | None,
    typer.Option("--parts", help="CLUSTER_DIR,RL_DIR: the parts of a dual router; --data then has other queries."),
]
_Encoder = Annotated[str | None, typer.Option("--encoder", help=f"{common.ENCODER_HELP} 'bert' fine-tunes it.")]


def fit(
    data: common.DataOption,
    out: common.RouterOut,
    router: Annotated[str, typer.Option("--router", help=f"Kind of router: {', '.join(FITTED)}.")] = "cluster",
    clusters: Annotated[
        int | None, typer.Option("--clusters", help="Number of clusters, of a cluster router.", show_default="8")
    ] = None,
    target: _Target = None,
    budget: _Budget = None,
    value: _Value = None,
    cost_weight: _CostWeight = None,
    alpha: _Alpha = None,
    parts: _Parts = None,
    pairs: common.PairsOption = None,
    domains: common.DomainsOption = None,
    encoder: _Encoder = None,
    hold_out: held_out.HoldOutOption = 0.2,
    reprice: common.RepriceOption = None,
    prices: common.PricesOption = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of everything random.")] = 0,
    engine: EngineOption = "local",
    ray_address: RayAddressOption = None,
    no_cache: common.NoCacheOption = False,
    json: common.JsonOption = None,
) -> None:
    """Fit a router to recorded outcomes and save it."""
    del no_cache, engine, ray_address  # their callbacks have seen to it
    slim.check_can_learn("fit")
    from langchain_atlas.cli.shared import setting

    held_out.check(hold_out)
    router = ALIASES.get(router, router)
    given = setting.asked_for(target=target, budget=budget, value=value, cost_weight=cost_weight, alpha=alpha)
    if router == "dual" or parts is not None:
        from langchain_atlas.cli.fit_dual import join

        _check_knob("dual", given, every=True)
        join(router, parts, common.load_table(data, pairs, domains), out, seed=seed, json=json)
        return
    measured = router in MEASURED and not {"value", "cost_weight", "alpha"} & given.keys()
    _check_knob(router, given)
    unfitted = _unfitted(router, clusters, encoder, {"random_state": seed}, often=measured or hold_out > 0)
    learn = partial(_fit, unfitted, clusters=clusters, hold_out=hold_out, seed=seed, json=json)
    with large.in_parts(router, data, pairs, domains) as divided:
        table = common.load_table(data, pairs, domains) if divided is None else divided.read(divided.paths[0])
        if divided is not None and reprice is not None:
            raise SettingError("--reprice is for tables that fit into memory; reprice this one's parts in Python.")
        table = members.at_todays_prices(table, reprice, prices, common.console())
        learn(table, out, given, measured=measured, parts=divided)


def _fit(
    unfitted: ClusterRouter | EmbeddingRouter,
    table: OutcomeTable,
    out: Path,
    given: dict[str, float],
    *,
    measured: bool,
    parts: Parts | None,
    clusters: int | None,
    hold_out: float,
    seed: int,
    json: Path | None,
) -> None:
    """Measure a router's settings if that is wanted, fit it, save it, and show what was learned."""
    from langchain_atlas.cli.shared import setting
    from langchain_atlas.evaluation.logged.words import log_notes
    from langchain_atlas.evaluation.settings.crossvalidation import choose_setting
    from langchain_atlas.evaluation.settings.words import trade_of
    from langchain_atlas.outcomes import OutcomeMatrix

    terminal = common.console()
    sample = large.measured_on(table, parts, seed)
    large.announce(table, parts, sample, terminal)
    for note in log_notes(OutcomeMatrix.of(table).scored()):
        terminal.print(f"Note: {note}", markup=False)
    trials = setting.measure(unfitted, sample, seed=seed) if measured else None
    curve = None if trials is None else choose_setting(trials, sample, seed=seed)

    def fit_on(part: OutcomeTable) -> tuple[Router, str]:
        made: Any = copy.copy(unfitted)
        _learn(made, part)
        single = _single(part, made)
        return (setting.set_as_measured(made, curve, given, single) if measured or given else made), single

    fitted = large.learn_rest(fit_on(table)[0], parts)
    if trials is not None and curve is not None:
        held = held_out.by_trials(trials, curve, given, sample, share=hold_out, seed=seed)
    else:
        encoder = getattr(unfitted, "encoder", None)
        quick = KINDS[unfitted.kind].measured
        held = held_out.by_part(fit_on, sample, encoder, share=hold_out, seed=seed, every=quick)
    held = None if held is None else held.replace(settings=trade_of(fitted))
    fitted.held_out = held
    fitted.save(out)
    figures = {
        "router": fitted.kind,
        "encoder": fitted.encoder.name,
        "settings": dict(fitted.settings),
        "n_queries": len(table.query_ids) if parts is None else sum(each.queries for each in fitted.clusters_),
        "n_pairs": len(fitted.pairs),
        "curve": None if curve is None else curve.to_json(),
        "held_out": None if held is None else held.to_json(),
        **_clusters(fitted, sample),
    }
    _show(figures, clusters, terminal)
    if measured:
        setting.say(curve, fitted, given, held)
    held_out.say(held, terminal, share=hold_out, saved=_SAVED)
    common.saved(terminal, out)
    common.write_json(json, figures)


def _unfitted(
    kind: str, clusters: int | None, encoder: str | None, settings: dict[str, Any], *, often: bool
) -> ClusterRouter | EmbeddingRouter:
    """Make an unfitted router; the encoder of one that is fitted often caches all texts.

    Raises:
        SettingError: the kind does not exist, or an option does not apply to it.
    """
    from langchain_atlas.encoders import DEFAULT_ENCODER
    from langchain_atlas.encoders.named import encoder_named
    from langchain_atlas.errors import SettingError, suggest
    from langchain_atlas.evaluation.doctor.diagnosis import default_encoder
    from langchain_atlas.routers.kinds import class_of

    if kind not in FITTED:
        raise SettingError(f"Unknown router {kind!r}. {suggest(kind, FITTED)}")
    if KINDS[kind].has_clusters:
        settings["n_clusters"] = _CLUSTERS if clusters is None else clusters
    elif clusters is not None:
        raise SettingError(f"--clusters is {clusters!r}, but a {kind!r} router has no clusters. Leave it out.")
    encoder_named(encoder).find()
    made: Any = class_of(kind)
    if KINDS[kind].brings_encoder:  # its own encoder, which it fine-tunes
        settings["model"] = encoder or DEFAULT_ENCODER
    else:
        settings["encoder"] = default_encoder(encoder) if often else encoder_named(encoder)
    fitted: ClusterRouter | EmbeddingRouter = made(**settings)
    return fitted


def _check_knob(kind: str, given: dict[str, float], *, every: bool = False) -> None:
    """Refuse a knob that is looked up among measured settings if the router is not measured, or refuse `every` knob.

    Raises:
        SettingError: a knob is refused.
    """
    from langchain_atlas.errors import SettingError

    refused = given.keys() if every else {"target", "budget"} & given.keys()
    if refused and kind not in MEASURED:
        name = next(iter(refused))
        told = f"--{name.replace('_', '-')} {given[name]:g} with --router {kind!r}"
        if every:
            raise SettingError(
                f"{told}: its parts were set when they were fitted. Name them with settings, as in "
                "--parts 'CLUSTER_DIR?value=0.05,RL_DIR', or set the joined router: DIR?cost_weight=0.2."
            )
        raise SettingError(
            f"{told}: only routers of kind {', '.join(MEASURED)} are measured while they are fitted. For others, give "
            "--value or --cost-weight, and compare with evaluate."
        )


def _single(table: OutcomeTable, router: Router) -> str:
    """Return the best single pair; of a log of one pair a query, the router's own default."""
    from langchain_atlas.evaluation.logged.coverage import must_estimate
    from langchain_atlas.routers.cluster.router import ClusterRouter
    from langchain_atlas.routers.utility.guard import most_accurate

    if isinstance(router, ClusterRouter) and must_estimate(table.matrix("score")):
        return str(router.pairs[router.paired_.default])
    return str(table.pairs[most_accurate(table.matrix("score"))])


def _learn(router: ClusterRouter | EmbeddingRouter, table: OutcomeTable) -> None:
    from langchain_atlas.routers.learned.base import EmbeddingRouter

    with common.progress("fitting") as bar:
        if isinstance(router, EmbeddingRouter):
            router.fit(table, progress=bar)
        else:
            router.fit(table)


def _clusters(router: Any, table: OutcomeTable) -> dict[str, Any]:
    """Describe a router's clusters, and whom it asks for the fitted queries of each."""
    from langchain_atlas.evaluation.replay.asked import asked_first
    from langchain_atlas.routers.cluster.router import ClusterRouter

    if not isinstance(router, ClusterRouter):
        return {}
    asked = asked_first(router, table.queries, len(router.clusters_))
    clusters = [
        {"cluster": number, "queries": cluster.queries, "label": cluster.label, **each.to_json()}
        for number, (cluster, each) in enumerate(zip(router.clusters_, asked, strict=True))
    ]
    return {"clusters": clusters}


def _show(figures: dict[str, Any], wanted: int | None, terminal: Console) -> None:
    """Print the clusters, if there are any, and a note if there are fewer than requested."""
    from rich.markup import escape
    from rich.table import Table

    if "clusters" not in figures:
        return
    table = Table("cluster", "mostly", "queries", "expects", "outcomes", "$ / 1000", box=None, pad_edge=False)
    table.add_column("asks most", overflow="fold")
    for entry in figures["clusters"]:
        best, asked = entry["best"], entry["asked"]
        told = ["", "", "", "nobody"]
        if best is not None:
            share = f" ({asked[best['pair']]} of {sum(asked.values())})" if len(asked) > 1 else ""
            told = [
                common.percent(best["expected_success"]),
                str(best["evidence"]),
                common.dollars(best["expected_cost_usd"]),
                escape(best["pair"] + share),
            ]
        table.add_row(str(entry["cluster"]), escape(entry["label"]), str(entry["queries"]), *told)
    terminal.print(table)
    if wanted is not None and wanted > (made := len(figures["clusters"])):
        terminal.print(f"Note: --clusters is {wanted}, but {made} different queries make no more than {made} clusters.")
