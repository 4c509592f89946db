"""Pairs that the agents of one run share, so that they share the provider's prompt cache."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from langchain_atlas.trajectory import Decision

_MOST_RUNS = 1024


class RunPins:
    """The decisions that the agents of one run share, by how their prompts start. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._decisions: dict[str, Decision] = {}

    @staticmethod
    def current() -> RunPins:
        """Return the pins of this run; outside a scope, new ones that nobody shares."""
        return _CURRENT.get() or RunPins()

    def get(self, start: str) -> Decision | None:
        """Return the decision that is shared by the agents whose prompts start so; None if there is none yet."""
        with self._lock:
            return self._decisions.get(start)

    def share(self, start: str, decision: Decision, *, replace: bool = False) -> Decision:
        """Share a decision, and return the one that holds: the first one, unless it is replaced."""
        with self._lock:
            if replace:
                self._decisions[start] = decision
            return self._decisions.setdefault(start, decision)


_CURRENT: ContextVar[RunPins | None] = ContextVar("atlas_run_pins", default=None)


@contextmanager
def shared_pins(pins: RunPins | None = None) -> Iterator[RunPins]:
    """Have all agents with ``pin="run"`` that run within share their pins; within another such scope, share that one's.

    An agent's middleware opens a scope for the tools that it runs. Open one around a graph whose nodes are agents::

        with shared_pins():
            graph.invoke(state)
    """
    outer = _CURRENT.get()
    if outer is not None:
        yield outer
        return
    made = RunPins() if pins is None else pins
    token = _CURRENT.set(made)
    try:
        yield made
    finally:
        _CURRENT.reset(token)


class PinsByRun:
    """The pins of the latest runs of an agent. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: OrderedDict[tuple[str, str], RunPins] = OrderedDict()

    @contextmanager
    def scope(self, run: tuple[str, str]) -> Iterator[RunPins]:
        """Open the scope of a run, which is identified by its thread and its human message."""
        with self._lock:
            pins = self._runs.setdefault(run, RunPins())
            self._runs.move_to_end(run)
            while len(self._runs) > _MOST_RUNS:
                self._runs.popitem(last=False)
        with shared_pins(pins) as current:
            yield current


def prompt_start(system_prompt: str | None, tools: Iterable[str | None]) -> str:
    """Return what identifies the start of an agent's prompts, which a provider caches: system prompt and tools."""
    told = json.dumps([system_prompt, sorted(str(name) for name in tools)])
    return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()
