"""A LangGraph node that routes, runs and answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AnyMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda, ensure_config
from langgraph.types import Command
from pydantic import BaseModel, create_model

from langchain_atlas.errors import InvalidInputError
from langchain_atlas.execution.in_graph import graph_scope
from langchain_atlas.failures.slips import check_sides
from langchain_atlas.integrations.graphs.approval import Approval, Approve
from langchain_atlas.integrations.graphs.durable import DurableExecutor, NodeRouter
from langchain_atlas.integrations.inner_runs import arun_inside, handed_down, run_inside
from langchain_atlas.integrations.messages import (
    RECORD_KEY,
    OnFailure,
    answer_or_error,
    checked_hold_back,
    checked_on_failure,
    read_ask,
    run_settings,
)
from langchain_atlas.integrations.storing import as_store
from langchain_atlas.loop.limits.quota import as_quota
from langchain_atlas.loop.limits.trajectory_limits import MAX_TURNS, checked_turns
from langchain_atlas.loop.turns import asolve, solve
from langchain_atlas.routers.fallback import OnRouterError, with_fallback
from langchain_atlas.tracing import is_observed
from langchain_atlas.tracing.tokens import HOLD_BACK_S

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

    from langchain_atlas.execution.base import Executor
    from langchain_atlas.loop.limits.settings import Limits
    from langchain_atlas.outcomes.store import Store
    from langchain_atlas.routers.base import Router
    from langchain_atlas.trajectory import Query, Trajectory

Goto = str | Callable[[Mapping[str, Any]], str]
"""Where the graph continues: a node, or a function of the run's record that returns its name."""

Update = dict[str, Any] | Command[str] | list[Any]
"""The node's update; a list if tools of the run return commands of their own."""


class AtlasNode(Runnable[Any, Update]):
    """A node for any `StateGraph`: reads the last human message, writes the answer and the record.

    The answer is an `AIMessage` whose ``response_metadata["atlas"]`` holds the record; if the state has a key for the
    record, it is written there too. Works synchronously and asynchronously; the tokens of the answer are streamed like
    those of any chat model in a node, and decisions as custom events.

    Args:
        router: the router.
        executor: the executor.
        messages_key: the state's key for the messages.
        input_key: the state's key for the question, as a text or as messages, if that is not `messages_key`.
        output_key: the state's key for the answer as a text; by default, the answer is appended to the messages.
        record_key: the state's key for the record; None writes none.
        max_turns: maximum number of turns of the loop.
        goto: where the graph continues; the node then returns a `Command`. Name the targets in
            ``add_node(..., destinations=...)``, so that LangGraph can draw them.
        approve: when a human must approve a pair before it is run: above an expected cost of the call in dollars, or
            when a function of the query and the decision returns True. Needs a checkpointer.
        on_router_error: ``raise``, or the pair that is called if the router fails.
        on_failure: what the node does when every call failed and no pair is left: ``raise`` an `ExecutionError`, which
            is also of the calls' kinds, so that a `RetryPolicy` applies; or write a ``message`` that says what failed,
            with ``answered`` false in its record. That message is not shown to models later in the thread.
        hold_back_s: seconds from its first word for which a reply is kept out of the graph's message stream, if the
            router takes the first answer. If a reply breaks off within that time, another pair is called, and none of
            it is streamed; if it breaks off later, a `BrokenStreamError` is raised. None holds a reply back until it is
            complete. If the router may make another call, the answer is streamed in one piece once it is decided.
        durable: save every decision and call in the graph's checkpoint as it is made, so that a resumed run (after an
            interrupt, an error, or a kill) repeats none of them. They then appear as ``decide`` and ``execute`` in the
            stream of updates. By default, this is on if `approve` is given.
        store: where decisions and what came of them are kept: a `Store`, or its address, such as
            ``sqlite:///atlas.db``. None keeps nothing. See ``docs/store.md``.
        limits: `Limits` that hold over many calls, users and processes, counted in the store. See ``docs/limits.md``.

    Raises:
        SettingError: `max_turns` is below 1, `approve` is neither a number nor a function, or `on_failure` is unknown.
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
        on_failure: OnFailure = "raise",
        hold_back_s: float | None = HOLD_BACK_S,
        durable: bool | None = None,
        store: Store | str | None = None,
        limits: Limits | None = None,
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
        self.hold_back_s = checked_hold_back(hold_back_s)
        self.on_failure = checked_on_failure(on_failure)
        approval = None if approve is None else Approval(approve, executor.pairs)
        durable = approve is not None if durable is None else durable
        guard = with_fallback(router, executor.pairs, on_router_error)
        self.store = as_store(store)
        self.limits = limits
        as_quota(limits, self.store, executor.pairs)
        self._decider = NodeRouter(
            guard, max_turns, approval, durable=durable, identify=store is not None or limits is not None
        )
        self._actor = DurableExecutor(executor) if durable else executor
        self.name = "atlas"

    def __repr__(self) -> str:
        """Return the class name, the router and the executor."""
        return f"{type(self).__name__}({self.router!r}, {self.executor!r})"

    def get_input_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        """Return the schema of what it reads from a state: `input_key`, as a text or as messages."""
        del config
        return create_model(f"{self.get_name()}_input", **{self.input_key: (list[AnyMessage] | str, ...)})  # type: ignore[call-overload, no-any-return]

    def get_output_schema(self, config: RunnableConfig | None = None) -> type[BaseModel]:
        """Return the schema of what it writes to a state; with `goto`, as the update of a `Command`."""
        del config
        fields: dict[str, Any] = {self.messages_key: (list[AnyMessage], ...)}
        if self.output_key is not None:
            fields = {self.output_key: (str, ...)}
        if self.record_key is not None:
            fields[self.record_key] = (dict[str, Any], ...)
        return create_model(f"{self.get_name()}_output", **fields)

    def as_tool(self, args_schema: type[BaseModel] | None = None, **options: Any) -> BaseTool:
        """Make a tool that takes the question as text and returns the answer as text; see `Runnable.as_tool`."""
        del args_schema  # its only argument is a text

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
        if not is_observed(config):  # tracing a run that nobody observes would cost more than everything else here
            return run_inside(handed_down(config), lambda: self._solve(input, None, config))
        return self._call_with_config(self._solve, input, config)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **_: Any) -> Update:  # noqa: A002
        """Async version of `invoke`."""
        config = ensure_config(config)
        if not is_observed(config):
            return await arun_inside(handed_down(config), self._asolve(input, None, config))
        return await self._acall_with_config(self._asolve, input, config)

    def _solve(self, state: Any, run_manager: Any, config: RunnableConfig) -> Update:
        del run_manager  # LangChain passes it by name
        query = self._query(state, config)
        with graph_scope(state, self.messages_key) as scope:
            return scope.update(self._update(solve(query, self._decider, self._actor, **self._bounds)))

    async def _asolve(self, state: Any, run_manager: Any, config: RunnableConfig) -> Update:
        del run_manager
        query = self._query(state, config)
        with graph_scope(state, self.messages_key) as scope:
            trajectory = await asolve(query, self._decider, self._actor, **self._bounds)
            return scope.update(self._update(trajectory))

    @property
    def _bounds(self) -> dict[str, Any]:
        return {
            "max_turns": self.max_turns,
            "hold_back_s": self.hold_back_s,
            "store": self.store,
            "limits": self.limits,
        }

    def _query(self, state: Any, config: RunnableConfig) -> Query:
        asked = state.get(self.input_key) if isinstance(state, Mapping) else getattr(state, self.input_key, None)
        if not asked:
            what, name = ("messages", "messages_key") if self.input_key == self.messages_key else ("ask", "input_key")
            raise InvalidInputError(
                f"The state has no {what} under {self.input_key!r}; name the right key with {name}=..."
            )
        return read_ask(asked, run_settings(config))

    def _update(self, trajectory: Trajectory) -> dict[str, Any] | Command[str]:
        answer = answer_or_error(trajectory, self.on_failure)
        record = answer.response_metadata[RECORD_KEY]
        update: dict[str, Any] = {self.messages_key: [answer]}
        if self.output_key is not None:
            update = {self.output_key: answer.text}
        if self.record_key is not None:
            update[self.record_key] = record
        if self.goto is None:
            return update
        return Command(update=update, goto=self.goto(record) if callable(self.goto) else self.goto)
