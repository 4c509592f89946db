"""One LangGraph node that routes, runs and answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AnyMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda, ensure_config
from langgraph.types import Command
from pydantic import BaseModel, create_model

from langchain_atlas.checks import check_sides
from langchain_atlas.errors import InvalidInputError
from langchain_atlas.integrations.approval import Approval, Approve
from langchain_atlas.integrations.durable import DurableExecutor, NodeRouter
from langchain_atlas.integrations.inner_runs import arun_inside, handed_down, run_inside
from langchain_atlas.integrations.messages import RECORD_KEY, answer_message, read_ask, run_settings
from langchain_atlas.loop import MAX_TURNS, asolve, checked_turns, solve
from langchain_atlas.routers.fallback import OnRouterError, with_fallback
from langchain_atlas.tracing import is_observed

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

    from langchain_atlas.execution.base import Executor
    from langchain_atlas.routers.base import Router
    from langchain_atlas.trajectory import Query, Trajectory

Goto = str | Callable[[Mapping[str, Any]], str]
"""Where the graph goes on: a node, or a function of the run's record that names it."""

Update = dict[str, Any] | Command[str]


class AtlasNode(Runnable[Any, Update]):
    """A node for anybody's `StateGraph`: reads the last human message, writes the answer and the record.

    The answer is an `AIMessage` whose ``response_metadata["atlas"]`` holds the record; where the state has a key
    for the record, it is written there too. Works synchronously and asynchronously; tokens stream as those of any
    chat model in a node do, and decisions as custom events.

    Args:
        router: who decides.
        executor: who acts.
        messages_key: the state's key that holds the messages.
        input_key: the state's key that holds the ask, as a text or as messages, where that is not `messages_key`.
        output_key: the state's key for the answer as a text; without one it is appended to the messages.
        record_key: the state's key for the record; None writes none.
        max_turns: most turns of the loop.
        goto: where the graph goes on; the node then returns a `Command`. Name the places in
            ``add_node(..., destinations=...)``, so that LangGraph can draw them.
        approve: when a human is asked before a pair is run: above so many expected dollars of the call, or where a
            function of the query and the decision says so. Needs a checkpointer.
        on_router_error: ``raise``, or the pair that is asked where the router fails.
        durable: keep every decision and call in the graph's checkpoint as it is made, so that a run that is resumed
            (it was interrupted, raised, or was killed) makes none of them twice. They then show as ``decide`` and
            ``execute`` in the stream of updates. Left out, it is so where `approve` is given.

    Raises:
        SettingError: `max_turns` is below 1, or `approve` is neither a number nor a function.
        PoolError: `on_router_error` is a pair that the executor does not have.
    """

    def __init__(
        self,
        router: Router,
        executor: Executor,
        *,
        messages_key: str = "messages",
        input_key: str | None = None,
        output_key: str | None = None,
        record_key: str | None = RECORD_KEY,
        max_turns: int = MAX_TURNS,
        goto: Goto | None = None,
        approve: Approve | None = None,
        on_router_error: OnRouterError = "raise",
        durable: bool | None = None,
    ) -> None:
        check_sides(router, executor)
        self.router = router
        self.executor = executor
        self.messages_key = messages_key
        self.input_key = messages_key if input_key is None else input_key
        self.output_key = output_key
        self.record_key = record_key
        self.max_turns = checked_turns(max_turns)
        self.goto = goto
        approval = None if approve is None else Approval(approve, executor.pairs)
        durable = approve is not None if durable is None else durable
        guard = with_fallback(router, executor.pairs, on_router_error)
        self._decider = NodeRouter(guard, max_turns, approval, durable=durable)
        self._actor = DurableExecutor(executor) if durable else executor
        self.name = "atlas"

    def __repr__(self) -> str:
        """Say what it is, and who decides and acts."""
        return f"{type(self).__name__}({self.router!r}, {self.executor!r})"

    def get_input_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        """Return what it reads of a state: the ask under `input_key`, as a text or as messages."""
        del config
        return create_model(f"{self.get_name()}_input", **{self.input_key: (list[AnyMessage] | str, ...)})  # type: ignore[call-overload, no-any-return]

    def get_output_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        """Return what it writes to a state; with `goto`, as the update of a `Command`."""
        del config
        fields: dict[str, Any] = {self.messages_key: (list[AnyMessage], ...)}
        if self.output_key is not None:
            fields = {self.output_key: (str, ...)}
        if self.record_key is not None:
            fields[self.record_key] = (dict[str, Any], ...)
        return create_model(f"{self.get_name()}_output", **fields)

    def as_tool(self, args_schema: type[BaseModel] | None = None, **options: Any) -> BaseTool:
        """Make a tool of it that takes the ask as a text, and returns the answer as a text; see `Runnable.as_tool`."""
        del args_schema  # it is asked one text

        def state(ask: str) -> dict[str, Any]:
            return {self.input_key: ask}

        def answer(update: Update) -> str:
            written: Any = update.update if isinstance(update, Command) else update
            return str(written[self.output_key] if self.output_key is not None else written[self.messages_key][-1].text)

        told = {"name": self.name, "description": "Answers a question with whichever model and tool suits it."}
        return (RunnableLambda(state) | self | RunnableLambda(answer)).as_tool(**{**told, **options})

    def invoke(self, input: Any, config: RunnableConfig | None = None, **_: Any) -> Update:  # noqa: A002
        """Route, run and answer; `input` is the graph's state."""
        config = ensure_config(config)
        if not is_observed(config):  # a run that nobody sees costs more than everything else here
            return run_inside(handed_down(config), lambda: self._solve(input, None, config))
        return self._call_with_config(self._solve, input, config)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **_: Any) -> Update:  # noqa: A002
        """Do what `invoke` does on the event loop."""
        config = ensure_config(config)
        if not is_observed(config):
            return await arun_inside(handed_down(config), self._asolve(input, None, config))
        return await self._acall_with_config(self._asolve, input, config)

    def _solve(self, state: Any, run_manager: Any, config: RunnableConfig) -> Update:
        del run_manager  # LangChain passes it by name
        query = self._query(state, config)
        return self._update(solve(query, self._decider, self._actor, max_turns=self.max_turns))

    async def _asolve(self, state: Any, run_manager: Any, config: RunnableConfig) -> Update:
        del run_manager
        query = self._query(state, config)
        return self._update(await asolve(query, self._decider, self._actor, max_turns=self.max_turns))

    def _query(self, state: Any, config: RunnableConfig) -> Query:
        asked = state.get(self.input_key) if isinstance(state, Mapping) else getattr(state, self.input_key, None)
        if not asked:
            what, name = ("messages", "messages_key") if self.input_key == self.messages_key else ("ask", "input_key")
            raise InvalidInputError(
                f"The state has no {what} under {self.input_key!r}; name the right key with {name}=..."
            )
        return read_ask(asked, run_settings(config))

    def _update(self, trajectory: Trajectory) -> Update:
        answer = answer_message(trajectory)
        record = answer.response_metadata[RECORD_KEY]
        update: dict[str, Any] = {self.messages_key: [answer]}
        if self.output_key is not None:
            update = {self.output_key: answer.text}
        if self.record_key is not None:
            update[self.record_key] = record
        if self.goto is None:
            return update
        return Command(update=update, goto=self.goto(record) if callable(self.goto) else self.goto)
