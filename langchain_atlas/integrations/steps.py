"""A step of a graph in its synchronous and its asynchronous form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.runnables import Runnable, RunnableConfig

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Step(Runnable[Any, Any]):
    """What a node or a conditional edge does: without a run of its own, and without a thread where it need not block.

    LangGraph makes a run of the node itself, and would give each plain function of an edge a run and a thread.

    Args:
        do: what it does with the state and the run's config.
        ado: what it does on the event loop; `do` where that is left out, which must then not block.
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
        """Do it."""
        return self._do(input, config or {})

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **_: Any) -> Any:  # noqa: A002
        """Do it on the event loop."""
        return self._do(input, config or {}) if self._ado is None else await self._ado(input, config or {})
