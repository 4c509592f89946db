"""One LangGraph node that routes, runs and answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.runnables import Runnable, RunnableConfig

from langchain_atlas.agents.messages import RECORD_KEY, answer_message, read_query, run_settings
from langchain_atlas.errors import InvalidInputError, SettingError
from langchain_atlas.loop import MAX_TURNS, asolve, solve

if TYPE_CHECKING:
    from langchain_core.callbacks import AsyncCallbackManagerForChainRun, CallbackManagerForChainRun

    from langchain_atlas.execution.base import Executor
    from langchain_atlas.routers.base import Router
    from langchain_atlas.trajectory import Query, Trajectory


class AtlasNode(Runnable[Any, dict[str, Any]]):
    """A node for anybody's `StateGraph`: reads the last human message, writes the answer and the record.

    The answer is an `AIMessage` whose ``response_metadata["atlas"]`` holds the record; where the state has a key
    for the record, it is written there too. Works synchronously and asynchronously; tokens stream as those of any
    chat model in a node do.

    Args:
        router: who decides.
        executor: who acts.
        messages_key: the state's key that holds the messages.
        record_key: the state's key for the record.
        max_turns: most turns of the loop.

    Raises:
        SettingError: `max_turns` is below 1.
    """

    def __init__(
        self,
        router: Router,
        executor: Executor,
        *,
        messages_key: str = "messages",
        record_key: str = RECORD_KEY,
        max_turns: int = MAX_TURNS,
    ) -> None:
        if max_turns < 1:
            raise SettingError(f"max_turns is {max_turns!r}; a loop needs at least 1 turn.")
        self.router = router
        self.executor = executor
        self.messages_key = messages_key
        self.record_key = record_key
        self.max_turns = max_turns
        self.name = "atlas"

    def invoke(self, input: Any, config: RunnableConfig | None = None, **_: Any) -> dict[str, Any]:  # noqa: A002
        """Route, run and answer; `input` is the graph's state."""
        return self._call_with_config(self._solve, input, config)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **_: Any) -> dict[str, Any]:  # noqa: A002
        """Do what `invoke` does on the event loop."""
        return await self._acall_with_config(self._asolve, input, config)

    def _solve(self, state: Any, run_manager: CallbackManagerForChainRun, config: RunnableConfig) -> dict[str, Any]:
        del run_manager  # LangChain passes it by name
        query = self._query(state, config)
        return self._update(solve(query, self.router, self.executor, max_turns=self.max_turns))

    async def _asolve(
        self, state: Any, run_manager: AsyncCallbackManagerForChainRun, config: RunnableConfig
    ) -> dict[str, Any]:
        del run_manager
        query = self._query(state, config)
        return self._update(await asolve(query, self.router, self.executor, max_turns=self.max_turns))

    def _query(self, state: Any, config: RunnableConfig) -> Query:
        messages = state.get(self.messages_key) if isinstance(state, dict) else getattr(state, self.messages_key, None)
        if not messages:
            raise InvalidInputError(
                f"The state has no messages under {self.messages_key!r}; name the right key with messages_key=..."
            )
        return read_query(messages, run_settings(config))

    def _update(self, trajectory: Trajectory) -> dict[str, Any]:
        answer = answer_message(trajectory)
        return {self.messages_key: [answer], self.record_key: answer.response_metadata[RECORD_KEY]}
