"""What the tests of encoders share."""

from pathlib import Path

import pytest
from small_model import tiny_model

__all__ = ["tiny_model"]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a cache folder of the test's own."""
    monkeypatch.setenv("ATLAS_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"
