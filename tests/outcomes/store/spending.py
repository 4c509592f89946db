"""Runs that share a day's budget; run as a program, a process of some.

python spending.py URL DAY_USD RUNS CONCURRENT WAY [SECONDS]

Prints a line of JSON for each run as it ends: what it cost, or the error. WAY is ``threads`` or ``loop``; a call takes
up to SECONDS.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from langchain_atlas import Limits, Pair, Query, Store, asolve, solve
from langchain_atlas.errors import AtlasError, ConstraintError
from langchain_atlas.execution.base import Executor
from langchain_atlas.failures.kinds import no_answer
from langchain_atlas.routers.base import Router
from langchain_atlas.trajectory import START, Candidate, Decision, Observation, Trajectory, last_answer

EXPECTED_USD = {Pair("large"): 0.05, Pair("small"): 0.01}
DEAREST = 1.5
"""How many times what was expected of it a call costs at most."""


class Dearest(Router):
    """Routes to the dearest pair that fits, and then answers."""

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return tuple(EXPECTED_USD)

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        if trajectory.observations and not trajectory.observations[-1].failed:
            return last_answer(trajectory, rule="once", reason="")
        failed = {seen.pair for seen in trajectory.observations}
        most = query.constraints.max_cost_usd
        for pair, usd in EXPECTED_USD.items():
            if pair not in failed and (most is None or usd <= most):
                chosen = Candidate(pair=pair, expected_success=0.5, expected_cost_usd=usd)
                return Decision(kind="route", pair=pair, chosen=chosen)
        raise ConstraintError("No pair fits.")


class Waiting(Executor):
    """Waits; a call costs from half to one and a half times what is expected of it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return tuple(EXPECTED_USD)

    def run(self, pair: Pair, query: Query) -> Observation:
        del query
        time.sleep(self._seconds * random.random())  # noqa: S311
        return self._seen(pair)

    async def arun(self, pair: Pair, query: Query) -> Observation:
        del query
        await asyncio.sleep(self._seconds * random.random())  # noqa: S311
        return self._seen(pair)

    def _seen(self, pair: Pair) -> Observation:
        cost = EXPECTED_USD[pair] * random.uniform(0.5, DEAREST)  # noqa: S311
        return Observation(pair=pair, answer="done", cost_usd=cost, latency_s=0.01)


def ended(trajectory: Trajectory) -> dict[str, Any]:
    if trajectory.answer is None:
        raise no_answer(trajectory)
    return {"cost_usd": trajectory.cost_usd, "model": trajectory.observations[-1].pair.model}


def said(result: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()


def main(url: str, day_usd: str, runs: str, concurrent: str, way: str, seconds: str = "0.05") -> None:
    """Make the runs."""
    store, limits = Store(url), Limits(day_usd=float(day_usd))
    router, executor = Dearest(), Waiting(float(seconds))

    def one(_: int) -> None:
        try:
            said(ended(solve("hello", router, executor, store=store, limits=limits)))
        except AtlasError as error:
            said({"error": type(error).__name__, "said": str(error)})

    async def aone(turn: asyncio.Semaphore) -> None:
        async with turn:
            try:
                said(ended(await asolve("hello", router, executor, store=store, limits=limits)))
            except AtlasError as error:
                said({"error": type(error).__name__, "said": str(error)})

    async def every() -> None:
        turn = asyncio.Semaphore(int(concurrent))
        await asyncio.gather(*(aone(turn) for _ in range(int(runs))))

    if way == "loop":
        asyncio.run(every())
    else:
        with ThreadPoolExecutor(int(concurrent)) as threads:
            list(threads.map(one, range(int(runs))))
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
