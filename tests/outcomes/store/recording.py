"""Decisions to store; run as a program, a process that stores many.

python recording.py URL SPILL NAME NUMBER [endless]
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from langchain_atlas.outcomes.store import Store
from langchain_atlas.pool.pairs import Pair
from langchain_atlas.trajectory import START, Decision, Observation, Query
from langchain_atlas.usage import Usage

PAIRS = (Pair("small", "none"), Pair("large", "calculator"))


def put(store: Store, number: int = 0, *, name: str = "d", score: float | None = None, **fields: Any) -> str:
    """Store a decision and its outcome, and a score if given; return the decision's id."""
    decision = Decision(kind="route", pair=PAIRS[number % 2], rule="test", id=f"{name}-{number}", propensity=0.5)
    query = Query(text=fields.pop("text", f"What is {number} plus {number}?"), context=fields.pop("context", None))
    seen = {
        "answer": str(2 * number),
        "usage": Usage(input_tokens=number, output_tokens=1),
        "cost_usd": 0.25,
        "latency_s": 0.5,
    }
    store.keep(query, START, decision)
    store.keep(query, START, decision, Observation(pair=PAIRS[number % 2], **{**seen, **fields}))
    if score is not None:
        store.record(decision.id or "", score=score)
    return decision.id or ""


def main(url: str, spill: str, name: str, number: str, *rest: str) -> None:
    """Store decisions; then say what became of them, or go on until killed."""
    store = Store(url, spill_folder=spill, queue_size=1_000_000)
    for each in range(int(number)):
        put(store, each, name=name, score=(each % 3) / 2)
    flushed = store.flush(120)
    sys.stdout.write(json.dumps({"flushed": flushed, **vars(store.counts)}) + "\n")
    sys.stdout.flush()
    each = int(number)
    while rest:
        put(store, each, name=name, score=(each % 3) / 2)
        each += 1
        time.sleep(0.0005)
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
