"""Fixtures of the net: a small text encoder, and a provider on this machine."""

from provider import reach, serve
from small_model import tiny_model

__all__ = ["reach", "serve", "tiny_model"]
