"""Loads the routers that a command replays."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.routers.base import Router


def load_routers(specs: Sequence[str], n_queries: int) -> dict[str, Router]:
    """Load routers; those fitted with the same encoder share it, so that each text is encoded once.

    Args:
        specs: the routers, as ``DIR`` or ``DIR?alpha=0.2``.
        n_queries: number of queries that they will be replayed on.
    """
    from langchain_atlas.encoders import SentenceTransformerEncoder
    from langchain_atlas.routers.saved.artifact import load_with_settings, read_artifact

    encoders: dict[str, Encoder] = {}
    routers: dict[str, Router] = {}
    for spec in specs:
        recorded = read_artifact(spec.partition("?")[0]).encoder
        encoder = None
        if recorded is not None:
            name = str(recorded.get("name"))
            size = max(10_000, 20 * n_queries)  # the items of a context are encoded one by one
            encoder = encoders.setdefault(name, SentenceTransformerEncoder(name, cache_size=size))
        routers[spec] = load_with_settings(spec, encoder)
    return routers
