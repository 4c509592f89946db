"""The loop as one step of a chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config

from langchain_atlas.failures.kinds import no_answer
from langchain_atlas.failures.slips import check_sides
from langchain_atlas.integrations.messages import answer_message, run_settings
from langchain_atlas.integrations.storing import as_store
from langchain_atlas.loop.limits.quota import as_quota
from langchain_atlas.loop.limits.trajectory_limits import MAX_TURNS, checked_turns
from langchain_atlas.loop.turns import asolve, solve
from langchain_atlas.messages.user_message import Ask
from langchain_atlas.routers.base import read_assignment
from langchain_atlas.routers.fallback import OnRouterError, with_fallback

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool
    from pydantic import BaseModel

    from langchain_atlas.execution.base import Executor
    from langchain_atlas.loop.limits.settings import Limits
    from langchain_atlas.outcomes.store import Store
    from langchain_atlas.routers.base import Router
    from langchain_atlas.trajectory import Trajectory


class AtlasChain(Runnable[Any, AIMessage]):
    """Runs the loop for an input, and returns the answer as a message.

    ``router | executor`` makes one call; this continues if the router wants another, or if a call fails. It takes the
    inputs that a router takes in a chain: a text, a `Query`, a message, messages, or ``{"messages": ...}``. Any
    executor works, including a replaying one. The record is in the answer's ``response_metadata["atlas"]``.

    Args:
        router: the router.
        executor: the executor.
        max_turns: maximum number of turns of the loop.
        on_router_error: ``raise``, or the pair that is called if the router fails.
        store: where decisions and what came of them are kept: a `Store`, or its address, such as
            ``sqlite:///atlas.db``. None keeps nothing. See ``docs/store.md``.
        limits: `Limits` that hold over many calls, users and processes, counted in the store. See ``docs/limits.md``.

    Raises:
        SettingError: `max_turns` is below 1.
        PoolError: `on_router_error` is a pair that the executor does not have.
    """

    def __init__(
        self,
        router: Router,
        executor: Executor,
        *,
        max_turns: int = MAX_TURNS,
        on_router_error: OnRouterError = "raise",
        store: Store | str | None = None,
        limits: Limits | None = None,
    ) -> None:
        check_sides(router, executor)
        self.router = router
        self.executor = executor
        self.max_turns = checked_turns(max_turns)
        self.store = as_store(store)
        self.limits = limits
        as_quota(limits, self.store, executor.pairs)
        self._decider = with_fallback(router, executor.pairs, on_router_error)
        self.name = "atlas"

    def __repr__(self) -> str:
        """Return the class name, the router and the executor."""
        return f"{type(self).__name__}({self.router!r}, {self.executor!r})"

    @property
    def InputType(self) -> Any:  # noqa: N802  # LangChain's name
        """The type of its input; see `Ask`."""
        return Ask

    def as_tool(self, args_schema: type[BaseModel] | None = None, **options: Any) -> BaseTool:
        """Make a tool that takes the question as text and returns the answer as text; see `Runnable.as_tool`."""
        options = {
            "name": self.name,
            "description": "Answers a question, by whichever model and tool suits it.",
            **options,
        }
        return (self | StrOutputParser()).as_tool(args_schema, **options)

    @property
    def _bounds(self) -> dict[str, Any]:
        return {"max_turns": self.max_turns, "store": self.store, "limits": self.limits}

    def invoke(self, input: Any, config: RunnableConfig | None = None, **settings: Any) -> AIMessage:  # noqa: A002
        """Answer an input.

        Args:
            input: a text, a `Query`, a message, messages, or ``{"messages": ...}``.
            config: may set any of the fields of `AtlasContext` under ``configurable``.
            settings: any of the fields of `AtlasContext`; they override those in `config`.

        Raises:
            InvalidInputError: the input can't be read, or a setting is unknown or out of range.
            ExecutionError: every call failed; it is also of their kinds, such as LiteLLM's `RateLimitError`.
        """
        given = ensure_config(config)

        def answer(asked: Any) -> AIMessage:
            query = read_assignment(asked, given, {**run_settings(given), **settings})
            return _answered(solve(query, self._decider, self.executor, **self._bounds))

        return self._call_with_config(answer, input, config, run_type="chain")

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **settings: Any) -> AIMessage:  # noqa: A002
        """Async version of `invoke`."""
        given = ensure_config(config)

        async def answer(asked: Any) -> AIMessage:
            query = read_assignment(asked, given, {**run_settings(given), **settings})
            return _answered(await asolve(query, self._decider, self.executor, **self._bounds))

        return await self._acall_with_config(answer, input, config, run_type="chain")


def _answered(trajectory: Trajectory) -> AIMessage:
    message = answer_message(trajectory)
    if trajectory.answer is None:
        raise no_answer(trajectory)
    return message
