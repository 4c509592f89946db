"""``evaluate`` of members that come and go: promotion or rollback of a new pair, and what a model's leaving costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.pool.pairs import Pair
    from langchain_atlas.routers.base import Router
    from langchain_atlas.routers.cluster.router import ClusterRouter


def read_against(given: Sequence[str] | None) -> dict[str, str]:
    """Return the model that a new one is compared with, by the new one, from ``NEW=OLD``.

    Raises:
        SettingError: one is written otherwise, or given twice.
    """
    from langchain_atlas.errors import SettingError

    found: dict[str, str] = {}
    for text in given or ():
        new, sign, old = (part.strip() for part in text.partition("="))
        if not (new and sign and old) or new in found:
            raise SettingError(f"--against is {text!r}; write the models as NEW=OLD, and each new one once.")
        found[new] = old
    return found


def show_promotions(
    routers: Mapping[str, Router], probes: OutcomeTable, against: Mapping[str, str], terminal: Console
) -> dict[str, Any]:
    """Say of each pair that is new to a router whether its probes promote it; return the figures.

    Args:
        routers: the routers, before they learn from the probes.
        probes: outcomes of new pairs, and of others on the same queries.
        against: model that a new one is compared with, where its name does not tell.
        terminal: where to print.

    Raises:
        PoolError: a model that is named does not exist.
    """
    from langchain_atlas.errors import PoolError, suggest
    from langchain_atlas.evaluation.members.promotion import promotion
    from langchain_atlas.routers.cluster.router import ClusterRouter

    models = sorted({pair.model for pair in probes.pairs})
    for model in against:
        if model not in models:
            raise PoolError(f"--against names {model!r}, of which there are no probes. {suggest(model, models)}")
    figures: dict[str, Any] = {}
    for name, router in routers.items():
        if not isinstance(router, ClusterRouter):
            continue
        for pair, other in _compared(router, probes, against):
            if other is None:
                terminal.print(
                    f"{name}: {pair} has no predecessor by name; say --against {pair.model}=MODEL to compare it.",
                    markup=False,
                )
                continue
            found = promotion(router, probes, pair, other)
            terminal.print(f"{name}: {found}", markup=False)
            figures.setdefault(name, []).append(found.to_json())
    return {"promotions": figures} if figures else {}


def _compared(
    router: ClusterRouter, probes: OutcomeTable, against: Mapping[str, str]
) -> Iterator[tuple[Pair, Pair | None]]:
    """Yield each pair that is new to a router, with the one that it is compared with: the same tool, an earlier model.

    Raises:
        PoolError: the router does not know the model that is named.
    """
    from langchain_atlas.errors import PoolError, suggest
    from langchain_atlas.pool.pairs import Pair
    from langchain_atlas.pool.succession import inherits_from

    models = list(dict.fromkeys(pair.model for pair in router.pairs))
    for pair in probes.pairs:
        if pair in router.pairs:
            continue
        old = against.get(pair.model)
        if old is not None and old not in models:
            raise PoolError(f"--against {pair.model}={old}: the router does not know {old!r}. {suggest(old, models)}")
        old = old or inherits_from(pair.model, models)
        other = None if old is None else Pair(old, pair.tool)
        yield pair, other if other in router.pairs else None


def show_leaving(
    routers: Mapping[str, Router], table: OutcomeTable, models: Sequence[str], terminal: Console
) -> dict[str, Any]:
    """Say what it costs that each of some models leaves; return the figures.

    Raises:
        PoolError: a router does not know a model, or knows no other.
    """
    from langchain_atlas.evaluation.members.leaving import leaving

    figures: dict[str, Any] = {}
    for name, router in routers.items():
        for model in models:
            found = leaving(router, table, model)
            terminal.print(f"{name}: {found}", markup=False)
            figures.setdefault(name, []).append(found.to_json())
    return {"leaving": figures} if figures else {}


def at_todays_prices(table: OutcomeTable, pool: Path | None, prices: str | None, terminal: Console) -> OutcomeTable:
    """Return outcomes with costs by a pool's prices, and say of how many that changes the cost.

    Args:
        table: the outcomes.
        pool: the pool; None leaves the costs as recorded.
        prices: ``latest`` has LiteLLM fetch its table of prices first; otherwise a file of such a table.
        terminal: where to print.

    Raises:
        SettingError: prices are given without a pool.
        PoolError: the pool or the prices can't be read.
    """
    from langchain_atlas.errors import SettingError
    from langchain_atlas.evaluation.members.prices import repriced
    from langchain_atlas.pool.pool import Pool
    from langchain_atlas.pool.prices import refresh_prices

    if pool is None:
        if prices is not None:
            raise SettingError("--prices goes with --reprice POOL.yaml, the pool whose models they are for.")
        return table
    if prices is not None:
        changed = refresh_prices(None if prices == "latest" else prices)
        terminal.print(f"Prices of {changed} models changed in LiteLLM's table.")
    found, count = repriced(table, Pool.load(pool))
    terminal.print(f"Of {len(table)} outcomes, {count} have another cost by the prices of {pool}.", markup=False)
    return found
