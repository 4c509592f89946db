"""A step of a graph with a synchronous and an asynchronous form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.runnables import Runnable, RunnableConfig

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class GraphStep(Runnable[Any, Any]):
    """The function of a node or a conditional edge, without a run of its own, and without a thread unless it may block.

    LangGraph already traces the node, and would give each plain function of an edge a run and a thread.

    Args:
        do: called with the state and the run's config.
        ado: the same on the event loop; by default `do`, which must then not block.
    """

    def __init__(
        self,
        do: Callable[[Any, RunnableConfig], Any],
        ado: Callable[[Any, RunnableConfig], Awaitable[Any]] | None = None,
    ) -> None:
        self.name = do.__name__
        self._do = do
        self._ado = ado

    def invoke(self, input: Any, config: RunnableConfig | None = None, **_: Any) -> Any:  # noqa: A002
        """Call `do`."""
        return self._do(input, config or {})

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **_: Any) -> Any:  # noqa: A002
        """Call `ado`."""
        return self._do(input, config or {}) if self._ado is None else await self._ado(input, config or {})
