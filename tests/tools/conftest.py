"""A local model provider, for tools that ask models."""

from provider import serve

__all__ = ["serve"]
