"""A scripted encoder, router and executor for tests."""

from __future__ import annotations

import re
import threading
import zlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from langchain_atlas.encoders import Encoder
from langchain_atlas.errors import ConstraintError, PoolError, SettingError, suggest
from langchain_atlas.execution.base import Executor
from langchain_atlas.failures.kinds import failed_call
from langchain_atlas.pool.pairs import as_pair, as_pairs
from langchain_atlas.routers.base import Router, last_answer
from langchain_atlas.trajectory import START, Decision, Observation, Query, Trajectory

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from langchain_atlas.pool.pool import Pair

_WORD = re.compile(r"\w+")


class FakeEncoder(Encoder):
    """Counts words by their hash, so that texts with common words are similar. Needs no model, and is deterministic.

    Args:
        dimension: length of the vectors.
        name: its name in saved routers.
        cache_size: number of texts to cache.

    Raises:
        SettingError: `dimension` is below 1, or `cache_size` negative.
    """

    def __init__(self, dimension: int = 64, name: str = "fake", cache_size: int = 10_000) -> None:
        if dimension < 1:
            raise SettingError(f"dimension is {dimension!r}; it must be a whole number from 1.")
        super().__init__(name, cache_size)
        self._length = dimension

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        vectors = np.zeros((len(texts), self._length), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in _WORD.findall(text.lower()) or [""]:
                vectors[row, zlib.crc32(word.encode()) % self._length] += 1
        return vectors


Told = Observation | str | Exception
"""A scripted result: an observation, an answer, or the exception that the call failed with."""


class ScriptedExecutor(Executor):
    """Returns scripted observations, and records the calls. Safe to share between threads.

    Args:
        told: what each pair returns (``{"small@@none": "42"}``), or a function of the pair and the query. An
            exception becomes an observation with that error.
    """

    def __init__(self, told: Mapping[str, Told] | Callable[[Pair, Query], Told]) -> None:
        self._told = told
        self._lock = threading.Lock()
        self.calls: list[tuple[Pair, Query]] = []

    def run(self, pair: Pair, query: Query) -> Observation:
        """Return the scripted observation for `pair`.

        Raises:
            PoolError: the script has nothing for it.
        """
        with self._lock:
            self.calls.append((pair, query))
        told = self._lookup(pair, query)
        if isinstance(told, Observation):
            return told
        if isinstance(told, Exception):
            return failed_call(pair, told)
        return Observation(pair=pair, answer=told)

    def _lookup(self, pair: Pair, query: Query) -> Told:
        if not isinstance(self._told, Mapping):
            return self._told(pair, query)
        if str(pair) not in self._told:
            raise PoolError(f"This executor was told nothing of pair {str(pair)!r}. {suggest(str(pair), self._told)}")
        return self._told[str(pair)]


class ScriptedRouter(Router):
    """Makes the given decisions in order, one per step of the trajectory, and then answers with the last answer.

    It records the queries that it receives. Safe to share between threads.

    Args:
        script: the decisions; a pair, or its written form, means the decision to route to it.
    """

    not_deciding: ClassVar[frozenset[str]] = frozenset({"queries"})
    """Attributes that do not affect its decisions; see `langchain_atlas.routers.saved.state_digest`."""

    def __init__(self, *script: Decision | Pair | str) -> None:
        self._script = tuple(_decision(item) for item in script)
        self._lock = threading.Lock()
        self.queries: list[Query] = []

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Return the next decision of the script; see `Router.decide`."""
        with self._lock:
            self.queries.append(query)
        if len(trajectory.steps) >= len(self._script):
            return last_answer(trajectory, rule="script-ended", reason="The script has no more decisions.")
        decision = self._script[len(trajectory.steps)]
        allowed = query.constraints.pairs
        if decision.pair is not None and allowed is not None and decision.pair not in allowed:
            raise ConstraintError(
                f"The script routes to {str(decision.pair)!r}, which is not among the pairs that the query allows: "
                f"{', '.join(sorted(map(str, allowed)))}."
            )
        return decision

    @property
    def takes_first_answer(self) -> bool:
        """Whether the script routes only once."""
        return sum(decision.kind == "route" for decision in self._script) == 1

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs of the script."""
        return tuple(dict.fromkeys(decision.pair for decision in self._script if decision.pair is not None))

    def restrict(self, pairs: Iterable[Pair | str]) -> Self:
        """Return the router unchanged if the script only uses `pairs`.

        Raises:
            PoolError: the script uses another pair.
        """
        wanted = set(as_pairs(pairs))
        foreign = [str(pair) for pair in self.pairs if pair not in wanted]
        if foreign:
            raise PoolError(f"The script routes to {foreign[0]!r}. {suggest(foreign[0], map(str, wanted))}")
        return self


def _decision(item: Decision | Pair | str) -> Decision:
    if isinstance(item, Decision):
        return item
    pair = as_pair(item)
    return Decision(kind="route", pair=pair, rule="script", reason="The script says so.")
