"""Stores with a known history."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from langchain_atlas import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DAY = 86_400.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path}/atlas.db")
    yield opened
    opened.close()


@pytest.fixture
def history(store: Store) -> Callable[..., None]:
    """Write calls into the store, as if made at some time."""
    numbers = iter(range(10**9))

    def write(calls: Any, *, days_ago: float = 0.0) -> None:
        rows: list[tuple[str, dict[str, Any]]] = []
        for call in calls:
            number = next(numbers)
            name, at = f"call-{number}", time.time() - days_ago * DAY + number * 1e-3
            decided = {"id": name, "first_id": name, "turn": 0, "decided_at": at, "query_hash": call["text"][:32]}
            decided |= {"query": call["text"], "context": None, "input": None, "domain": "live", "tool": "none"}
            decided |= {"model": call["model"], "rule": call.get("rule", "nearest-cluster"), "propensity": 1.0}
            decided |= {"cluster": call.get("cluster"), "expected_success": 0.9, "expected_cost_usd": 0.1}
            outcome = {"decision_id": name, "recorded_at": at, "response": call.get("response", "yes"), "error": ""}
            outcome |= {"input_tokens": 1, "output_tokens": 1, "cost_usd": 0.1, "latency_s": 1.0, "model_calls": 1}
            rows += [("atlas_decisions", decided), ("atlas_outcomes", outcome)]
            if call.get("score") is not None:
                score = {"decision_id": name, "source": "feedback", "score": call["score"], "confidence": None}
                rows.append(("atlas_scores", {**score, "recorded_at": at}))
        store._writer.database.write(rows)  # the loop's own way knows no other time than now

    return write
