"""Fixtures of the net: a small text encoder, and a provider on this machine."""

import pytest

pytest.register_assert_rewrite("snapshots")  # so that a value that changed is shown with what was kept

from provider import reach, serve  # noqa: E402
from small_model import tiny_model  # noqa: E402

__all__ = ["reach", "serve", "tiny_model"]
