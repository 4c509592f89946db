"""Recorded outcomes at today's prices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from langchain_atlas.outcomes.table import OutcomeTable

if TYPE_CHECKING:
    from langchain_atlas.pool.pool import Pool


def repriced(table: OutcomeTable, pool: Pool) -> tuple[OutcomeTable, int]:
    """Return outcomes with the costs that the same tokens have by a pool's prices, and how many rows that changes.

    A row keeps its cost where the pool lacks the model, or a price or the tokens are unknown. Cached tokens are not
    recorded: the prices are those of tokens that were not.

    Args:
        table: the outcomes.
        pool: a pool that was loaded after `refresh_prices`, or whose prices are its own.
    """
    models = {model.name: model for model in pool.models}
    rows = table.table.select(["model", "input_tokens", "output_tokens", "cost_usd"]).to_pylist()
    costs = []
    for row in rows:
        model = models.get(row["model"])
        price = None if model is None else model.price(row["input_tokens"], row["output_tokens"])
        costs.append(row["cost_usd"] if price is None else price)
    changed = sum(new != row["cost_usd"] for new, row in zip(costs, rows, strict=True))
    at = table.table.column_names.index("cost_usd")
    column = pa.array(costs, table.table.schema.field(at).type)
    return OutcomeTable(table.table.set_column(at, table.table.schema.field(at), column), table.source), changed
