"""Fixtures for the tests of routers."""

from small_model import tiny_model

__all__ = ["tiny_model"]
