"""What members are good at, in words, from recorded outcomes; and a pool of the pairs of an outcome table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.pool.pool import Model, Pair, Pool, Tool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.outcomes import OutcomeTable

_MOST_DOMAINS = 3
"""Number of a pair's best and worst domains that are named."""
_FEWEST = 5
"""Fewest outcomes in a domain for its share to be named."""


def describe_pairs(table: OutcomeTable, *, domains: int = _MOST_DOMAINS) -> dict[Pair, str]:
    """Describe every pair by its outcomes: "right on 87%: 92% of simple, 40% of java; $2.2 per 1000".

    Args:
        table: the outcomes.
        domains: number of the best and of the worst domains to name; 0 for none.

    Returns:
        A sentence by pair; a pair without a score is described by its cost alone, if that is known.
    """
    scores, costs = table.matrix("score"), table.matrix("cost_usd")
    where = np.array(table.domains)
    return {
        pair: _described(scores[:, column], costs[:, column], where, domains) for column, pair in enumerate(table.pairs)
    }


def _described(scores: NDArray[np.float64], costs: NDArray[np.float64], where: NDArray[np.str_], domains: int) -> str:
    parts: list[str] = []
    known = ~np.isnan(scores)
    if known.any():
        each = {
            str(name): float(scores[inside].mean())
            for name in np.unique(where)
            if (inside := known & (where == name)).sum() >= _FEWEST
        }
        ranked = sorted(each, key=lambda name: (-each[name], name))
        named = ranked if len(ranked) <= 2 * domains else [*ranked[:domains], *ranked[len(ranked) - domains :]]
        shares = ", ".join(f"{each[name]:.0%} of {name}" for name in named) if domains and len(each) > 1 else ""
        parts.append(f"right on {scores[known].mean():.0%}" + (f": {shares}" if shares else ""))
    if not np.isnan(costs).all():
        parts.append(f"${1000 * np.nanmean(costs):.2g} per 1000")
    return "; ".join(parts)


def pool_of(pairs: Sequence[Pair]) -> Pool:
    """Return a pool of these pairs alone; nothing in it can be run."""
    models = tuple(Model(name=name) for name in dict.fromkeys(pair.model for pair in pairs))
    tools = tuple(Tool(name=name, invocation="none") for name in dict.fromkeys(pair.tool for pair in pairs))
    product = {Pair(model.name, tool.name) for model in models for tool in tools}
    return Pool(models=models, tools=tools, excluded=frozenset(product - set(pairs)))


def pool_descriptions(pool: Pool) -> dict[Pair, str]:
    """Return what a pool says about each of its pairs: the descriptions of model and tool, and the price."""
    return {pair: _from_pool(pool, pair) for pair in pool.pairs}


def _from_pool(pool: Pool, pair: Pair) -> str:
    model, tool = pool.model(pair.model), pool.tool(pair.tool)
    read, written = model.input_cost_per_token, model.output_cost_per_token
    price = "" if read is None or written is None else f"${1e6 * read:g} in, ${1e6 * written:g} out a million tokens."
    return " ".join(part for part in (model.description, tool.description, price) if part)


def joined(first: Mapping[Pair, str], second: Mapping[Pair, str]) -> dict[Pair, str]:
    """Return two descriptions of each pair as one; the pairs are those of the first."""
    return {pair: " ".join(part for part in (text, second.get(pair, "")) if part) for pair, text in first.items()}
