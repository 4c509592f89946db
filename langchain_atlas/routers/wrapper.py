"""A router that delegates to another one: the base class for changing one thing about a router."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Self

from langchain_atlas.routers.base import Router
from langchain_atlas.trajectory import START

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.routers.held_out import HeldOutFigures
    from langchain_atlas.routers.operating import OperatingCurve
    from langchain_atlas.trajectory import Decision, Query, Trajectory

_DECIDING = ("decide", "adecide", "decide_batch")


class RouterWrapper(Router):
    """Delegates every member of `Router` to the wrapped router.

    Subclass it to change one thing, and override only the members concerned. A subclass that overrides one of `decide`,
    `adecide` and `decide_batch` must override all three: otherwise the other two would bypass the change.

    Args:
        router: the router to wrap.

    Raises:
        TypeError: a subclass overrides some, but not all, of the three.
    """

    def __init__(self, router: Router) -> None:
        self._router = router

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        given = [name for name in _DECIDING if name in vars(cls)]
        missing = [name for name in _DECIDING if name not in given]
        if given and missing:
            raise TypeError(
                f"{cls.__name__} overrides {given[0]!r} and not {missing[0]!r}, which would go past the change to the "
                f"wrapped router. Override all of {', '.join(_DECIDING)}."
            )

    def __repr__(self) -> str:
        """Show the wrapper and the wrapped router."""
        return f"{type(self).__name__}({self._router!r})"

    @property
    def router(self) -> Router:
        """The wrapped router."""
        return self._router

    @property
    def fitted_on(self) -> NDArray[np.uint64] | None:  # type: ignore[override]  # learned by the wrapped router alone
        """The fingerprints of the wrapped router, shape ``[n_queries]``."""
        return self.router.fitted_on

    @property
    def curve(self) -> OperatingCurve | None:  # type: ignore[override]  # measured of the wrapped router alone
        """The measured settings of the wrapped router."""
        return self.router.curve

    @property
    def held_out(self) -> HeldOutFigures | None:  # type: ignore[override]  # measured of the wrapped router alone
        """What the wrapped router did on queries that it was not fitted on."""
        return self.router.held_out

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Have the wrapped router decide; see `Router.decide`."""
        return self.router.decide(query, trajectory)

    async def adecide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Have the wrapped router decide, on the event loop."""
        return await self.router.adecide(query, trajectory)

    def warm(self) -> None:
        """Have the wrapped router load what it needs; see `Router.warm`."""
        self.router.warm()

    def decide_batch(self, queries: Sequence[Query]) -> list[Decision]:
        """Have the wrapped router decide the first step of many queries."""
        return self.router.decide_batch(queries)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs of the wrapped router."""
        return self.router.pairs

    @property
    def takes_first_answer(self) -> bool:
        """Whether the wrapped router answers with the first call that succeeds."""
        return self.router.takes_first_answer

    @property
    def is_deterministic(self) -> bool:  # type: ignore[override]  # known of the wrapped router alone
        """Whether the wrapped router always decides the same for the same query and trajectory."""
        return self.router.is_deterministic

    @property
    def failures_are_turns(self) -> bool:
        """Whether a failed call uses up a turn of the wrapped router."""
        return self.router.failures_are_turns

    @property
    def settings(self) -> Mapping[str, float | int | str | None]:
        """The settings of the wrapped router."""
        return self.router.settings

    def configure(self, **settings: Any) -> Self:
        """Return a wrapper around the wrapped router with other settings."""
        return self if not settings else self._around(self.router.configure(**settings))

    def restrict(self, pairs: Iterable[Pair | str]) -> Self:
        """Return a wrapper around the wrapped router, restricted."""
        return self._around(self.router.restrict(pairs))

    def save(self, folder: str | Path) -> None:
        """Write the wrapped router to a folder; what the wrapper changes is not saved."""
        self.router.save(folder)

    def _around(self, router: Router) -> Self:
        """Return a wrapper like this one around another router."""
        wrapper = copy.copy(self)
        wrapper._router = router  # noqa: SLF001  # of its own class
        return wrapper
