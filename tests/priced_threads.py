"""The threads of the benchmark, for tests."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from thread_scenes import VALUE, Clock, Rated, asking, billed_thread, pool_at, replies

__all__ = ["VALUE", "Clock", "Rated", "asking", "billed_thread", "pool_at", "replies"]
