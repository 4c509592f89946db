"""Encoders by name, as options and saved routers give it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_atlas.encoders.finding import DEFAULT_ENCODER
from langchain_atlas.encoders.static import PREFIX, StaticEncoder

if TYPE_CHECKING:
    from langchain_atlas.encoders.base import Encoder


def encoder_named(name: str | None = None, cache_size: int = 10_000) -> Encoder:
    """Return the encoder of a name; nothing is loaded.

    Args:
        name: name or folder of a sentence-transformers model, or ``static:FOLDER`` for a static one; None for the
            default.
        cache_size: number of texts to cache.

    Raises:
        SettingError: a setting in the name is unknown.
    """
    from langchain_atlas.encoders import SentenceTransformerEncoder

    name = name or DEFAULT_ENCODER
    if name.startswith(PREFIX):
        return StaticEncoder(name, cache_size)
    return SentenceTransformerEncoder(name, cache_size=cache_size)
