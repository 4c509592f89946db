"""Loads the routers that a command replays."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.routers.base import Router


def load_routers(specs: Sequence[str], n_queries: int) -> dict[str, Router]:
    """Load routers; those fitted with the same encoder share it, so that each text is encoded once.

    Each folder is read once, however many settings of it are named.

    Args:
        specs: the routers, as ``DIR`` or ``DIR?alpha=0.2``.
        n_queries: number of queries that they will be replayed on.
    """
    from langchain_atlas.encoders.named import encoder_named
    from langchain_atlas.routers.saved.artifact import load_router, read_artifact, read_spec

    encoders: dict[str, Encoder] = {}
    loaded: dict[str, Router] = {}
    routers: dict[str, Router] = {}
    for spec in specs:
        folder, settings = read_spec(spec)
        if folder not in loaded:
            recorded, encoder = read_artifact(folder).encoder, None
            if recorded is not None:
                name = str(recorded.get("name"))
                size = max(10_000, 20 * n_queries)  # the items of a context are encoded one by one
                encoder = encoders.setdefault(name, encoder_named(name, cache_size=size))
            loaded[folder] = load_router(folder, encoder)
        routers[spec] = loaded[folder].configure(**settings)
    return routers
