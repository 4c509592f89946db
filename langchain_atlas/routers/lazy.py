"""A router that is created at first use."""

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

    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.routers.base import Router


class LazyRouter(RouterWrapper):
    """Defers the creation of a router that takes seconds, so that a module which builds a graph is imported at once.

    The router is created once, at the first decision; on an event loop in a thread, so that the loop is not blocked. If
    creation fails, the error is raised, and the next decision tries again.

    Args:
        make: creates the router, such as ``lambda: Router.load("router")``.
    """

    def __init__(self, make: Callable[[], Router]) -> None:
        self._make = make
        self._made: Router | None = None
        self._making = threading.Lock()

    def __repr__(self) -> str:
        """Show the router, or that it was not made yet."""
        return f"{type(self).__name__}({'not made yet' if self._made is None else repr(self._made)})"

    @property
    def router(self) -> Router:
        """The router; it is created now if necessary."""
        with self._making:
            if self._made is None:
                self._made = self._make()
            return self._made

    @property
    def fitted_on(self) -> NDArray[np.uint64] | None:  # type: ignore[override]
        """The fingerprints of the router, shape ``[n_queries]``; None, for unknown, until it is created."""
        return None if self._made is None else self._made.fitted_on

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Decide the next step; see `Router.decide`."""
        return self.router.decide(query, trajectory)

    async def adecide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Do what `decide` does on the event loop; the router is created in a thread."""
        router = await asyncio.to_thread(lambda: self.router) if self._made is None else self._made
        return await router.adecide(query, trajectory)

    def decide_batch(self, queries: Sequence[Query]) -> list[Decision]:
        """Decide the first step of many queries."""
        return self.router.decide_batch(queries)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs it chooses from; empty, for unknown, until it is created."""
        return () if self._made is None else self._made.pairs

    @property
    def takes_first_answer(self) -> bool:
        """Whether the router answers with the first call that succeeds; False, for unknown, until it is created."""
        return self._made is not None and self._made.takes_first_answer

    @property
    def failures_are_turns(self) -> bool:
        """Whether a failed call uses up a turn of the router; True, for unknown, until it is created."""
        return self._made is None or self._made.failures_are_turns

    def restrict(self, pairs: Iterable[Pair | str]) -> Self:
        """Return a copy with the router restricted; if it is not created yet, it is restricted at creation."""
        kept = tuple(pairs)
        if self._made is None:
            return type(self)(lambda: self.router.restrict(kept))
        return self._around(self._made.restrict(kept))

    def _around(self, router: Router) -> Self:
        made = type(self)(lambda: router)
        made._made = router  # noqa: SLF001  # one of our own
        return made
