"""A local provider, for scoring by a judge."""

from __future__ import annotations

from provider import reach, serve, short_pauses

__all__ = ["reach", "serve", "short_pauses"]
