"""A router that is made at first use."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Self

from langchain_atlas.routers.wrapper import RouterWrapper
from langchain_atlas.trajectory import START, Decision, Query, Trajectory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from langchain_atlas.pool import Pair
    from langchain_atlas.routers.base import Router


class LazyRouter(RouterWrapper):
    """Stands for a router whose making takes seconds, so that a module which builds a graph is imported at once.

    The router is made once, by whoever decides first; on an event loop in a thread, so that others go on. Where making
    it fails, that is raised, and tried again at the next decision.

    Args:
        make: makes the router, such as ``lambda: Router.load("router")``.
    """

    def __init__(self, make: Callable[[], Router]) -> None:
        self._make = make
        self._made: Router | None = None
        self._making = threading.Lock()

    def __repr__(self) -> str:
        """Say what it is, and which router it has made, if it has."""
        return f"{type(self).__name__}({'not made yet' if self._made is None else repr(self._made)})"

    @property
    def router(self) -> Router:
        """The router, made now if it was not yet."""
        with self._making:
            if self._made is None:
                self._made = self._make()
            return self._made

    @property
    def fitted_on(self) -> NDArray[np.uint64] | None:  # type: ignore[override]
        """The fingerprints of the router; None, for unknown, until it was made."""
        return None if self._made is None else self._made.fitted_on

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Decide the next step; see `Router.decide`."""
        return self.router.decide(query, trajectory)

    async def adecide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Do what `decide` does on the event loop; the router is made in a thread."""
        router = await asyncio.to_thread(lambda: self.router) if self._made is None else self._made
        return await router.adecide(query, trajectory)

    def decide_batch(self, queries: Sequence[Query]) -> list[Decision]:
        """Decide the first step of many queries."""
        return self.router.decide_batch(queries)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs it chooses from; empty, for unknown, until it was made."""
        return () if self._made is None else self._made.pairs

    @property
    def takes_first_answer(self) -> bool:
        """Whether the router does; False, for unknown, until it was made."""
        return self._made is not None and self._made.takes_first_answer

    @property
    def failures_are_turns(self) -> bool:
        """Whether they are for the router; True, for unknown, until it was made."""
        return self._made is None or self._made.failures_are_turns

    def restrict(self, pairs: Iterable[Pair]) -> Self:
        """Return a router like this one, restricted; one that was not made yet is restricted when it is made."""
        kept = tuple(pairs)
        if self._made is None:
            return type(self)(lambda: self.router.restrict(kept))
        return self._around(self._made.restrict(kept))

    def _around(self, router: Router) -> Self:
        made = type(self)(lambda: router)
        made._made = router  # noqa: SLF001  # one of our own
        return made
