"""Fitting on a table too large for memory: it is divided on disk, and read in parts."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from langchain_atlas.cli.shared import common

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import Console

    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.outcomes.parts import Parts

LARGE = 2_000_000
"""Outcomes above which a cluster router is fitted in parts."""

PART = 200_000
"""Outcomes of a part, about; the router's clusters and trees are learned on one."""

_MEASURED = 4000
"""Number of queries, drawn at random, that settings are measured on where the table is large."""


@contextmanager
def in_parts(kind: str, data: Path, pairs: Path | None, domains: str | None) -> Iterator[Parts | None]:
    """Divide a large table for a cluster router; yield None for another router, or a table that fits in memory.

    Args:
        kind: kind of the router.
        data: the outcome table.
        pairs: file of the pairs to keep.
        domains: the domains to keep, separated by commas.

    Raises:
        InvalidInputError: a file or a pair is wrong, or no outcome has a score.
    """
    from langchain_atlas.outcomes.parts import parted, rows_of
    from langchain_atlas.pool.pool import read_pairs

    if kind != "cluster" or isinstance(data, str) or rows_of(data) <= LARGE:
        yield None
        return
    kept = None if pairs is None else read_pairs(pairs)
    with ExitStack() as stack:
        with common.progress("dividing the table") as bar:
            divided = parted(data, pairs=kept, domains=common.named_domains(domains), rows=PART, progress=bar)
            parts = stack.enter_context(divided)
        yield parts


def measured_on(table: OutcomeTable, parts: Parts | None, seed: int) -> OutcomeTable:
    """Return the outcomes that settings are measured on: all, or those of a few thousand queries of a large table."""
    import numpy as np

    n_queries = len(table.query_ids)
    if parts is None or n_queries <= _MEASURED:
        return table
    drawn = np.random.default_rng(seed).choice(n_queries, _MEASURED, replace=False)
    return table.select(query_ids=[table.query_ids[row] for row in sorted(drawn)])


def learn_rest(router: Any, parts: Parts | None) -> Any:
    """Return a router, fitted on the first part, that has also learned the others."""
    if parts is None or len(parts.paths) == 1:
        return router
    from langchain_atlas.routers.cluster.streaming import fitted_on_parts

    with common.progress("learning the other parts") as bar:

        def others() -> Iterator[OutcomeTable]:
            for number, path in enumerate(parts.paths[1:]):
                bar(number, len(parts.paths) - 1)
                yield parts.read(path)

        return fitted_on_parts(router, others())


def announce(table: OutcomeTable, parts: Parts | None, measured: OutcomeTable, terminal: Console) -> None:
    """Print what is learned from."""
    if parts is None:
        terminal.print(f"Fitting on {len(table)} outcomes: {len(table.query_ids)} queries, {len(table.pairs)} pairs.")
        return
    terminal.print(
        f"Fitting on {parts.n_outcomes} outcomes, in {len(parts.paths)} parts; settings are measured on "
        f"{len(measured.query_ids)} queries drawn at random."
    )
    if parts.unmarked:
        terminal.print(f"Note: {parts.unmarked} outcomes have no score and are left out.")
