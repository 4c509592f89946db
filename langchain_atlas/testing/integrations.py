"""The tests that every integration must pass: it must keep what the loop promises.

Subclass `IntegrationConformance` in a test file, override `make`, and pytest does the rest::

    class TestMyIntegration(IntegrationConformance):
        def make(self, router, executor, max_turns):
            return my_graph(router, executor, max_turns=max_turns).compile()

No provider is called: the models are fakes with scripted replies.
"""

# ruff: noqa: S101  # these are tests

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tracers import BaseTracer
from langgraph.errors import GraphInterrupt
from langgraph.types import Interrupt

from langchain_atlas.errors import ConstraintError
from langchain_atlas.execution.live import LiveExecutor
from langchain_atlas.pool.pool import NO_TOOL, Model, Pair, Pool, Tool
from langchain_atlas.routers.base import Router, last_answer
from langchain_atlas.tools.python.sessions import current_sessions
from langchain_atlas.trajectory import START, Decision, Observation, Query, Trajectory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.runnables import Runnable, RunnableConfig
    from langchain_core.tracers.schemas import Run

SMALL, LARGE, LOOKING = Pair("small"), Pair("large"), Pair("large", "chart")
"""The pairs of the tests: the small model reads text, the large one images too, with a tool that looks or without."""
KEY_VARIABLE, KEY = "ATLAS_CONFORMANCE", "hush-hush-hush"
"""The models' key, in a variable whose name does not suggest one."""
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}

Say = Callable[[str], str | Exception]
"""Maps the name of a model to its reply, or to the exception that it fails with."""


@dataclass
class Noted:
    """Records of what the fakes observed."""

    calls: list[str] = field(default_factory=list)
    """The models that were called."""
    scopes: list[object] = field(default_factory=list)
    """The conversation of stateful tools in which each was called; None if there was none."""
    queries: list[Query] = field(default_factory=list)
    """The queries that the router received."""
    runs: list[str] = field(default_factory=list)
    """Names of the runs that a tracer received."""


@dataclass(frozen=True)
class Came:
    """The result of invoking an integration."""

    text: str | None
    """The reply; None if there is none."""
    error: Exception | None
    """The exception that it raised; None if it raised none."""
    written: str
    """All that it returned, as text."""


class StandIn(BaseChatModel):
    """A chat model with scripted replies that records its calls."""

    named: str
    """Its name in the pool."""
    say: Any
    """See `Say`."""
    noted: Any
    """Where it records calls."""

    @property
    def _llm_type(self) -> str:
        return "stand-in"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        """Accept tools, and never call one."""
        del tools, kwargs
        return self

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        del messages, args, kwargs
        self.noted.calls.append(self.named)
        self.noted.scopes.append(current_sessions())
        said = self.say(self.named)
        if isinstance(said, BaseException):
            raise said
        told = {"finish_reason": "length", "model_name": self.named}
        return ChatResult(generations=[ChatGeneration(message=AIMessage(said, response_metadata=told))])


class InTurn(Router):
    """Tries pairs in order until one answers, and skips those that a query does not allow.

    Args:
        noted: where it records the queries.
        pairs: the pairs.
        for_ever: whether it keeps calling the first pair, whatever was answered.
    """

    def __init__(self, noted: Noted, *pairs: Pair, for_ever: bool = False) -> None:
        self._noted = noted
        self._pairs = pairs
        self._for_ever = for_ever

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs that it tries."""
        return self._pairs

    @property
    def takes_first_answer(self) -> bool:
        """Whether the first answer is final."""
        return not self._for_ever

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Decide the next step; see `Router.decide`."""
        self._noted.queries.append(query)
        wanted = query.constraints.pairs
        allowed = [pair for pair in self._pairs if wanted is None or pair in wanted]
        if not allowed:
            raise ConstraintError(f"The query allows none of {self._pairs}.")
        if self._for_ever:
            return Decision(kind="route", pair=allowed[0], rule="for-ever")
        answered = any(not seen.failed for seen in trajectory.observations)
        if answered or trajectory.calls >= len(allowed):
            return last_answer(trajectory, rule="in-turn", reason="Done.")
        return Decision(kind="route", pair=allowed[trajectory.calls], rule="in-turn")


class _Tracer(BaseTracer):
    """Records the names of runs."""

    def __init__(self, noted: Noted) -> None:
        super().__init__()
        self._noted = noted

    def _persist_run(self, run: Run) -> None:
        self._noted.runs.append(run.name)
        for child in run.child_runs:
            self._persist_run(child)


class IntegrationConformance:
    """Tests of what every integration must keep; see the module for how to use them."""

    asks_once: ClassVar[bool] = False
    """Whether it makes only one call, like ``router | executor``, so that nothing follows a failure."""
    decides_apart: ClassVar[bool] = False
    """Whether it decides without the executor, which knows which pairs suit a query's images."""
    has_own_model: ClassVar[bool] = False
    """Whether its own model, named ``own``, replies if no pair does."""

    def make(self, router: Router, executor: LiveExecutor, max_turns: int) -> Runnable[Any, Any]:
        """Return the integration, as a runnable."""
        raise NotImplementedError("Say how to build the integration: override make().")

    def given(self, messages: list[BaseMessage]) -> Any:
        """Return the input to invoke it with."""
        return {"messages": messages}

    def reply(self, returned: Any) -> str | None:
        """Return the text of the reply in its output; None if there is none."""
        if isinstance(returned, Observation):
            return returned.answer
        message = returned["messages"][-1] if isinstance(returned, dict) else returned
        if not isinstance(message, AIMessage):
            return None
        return message.text if message.response_metadata.get("atlas", {}).get("answered", True) else None

    def own_model(self, noted: Noted) -> BaseChatModel:
        """Return the integration's own model."""
        return StandIn(named="own", say=lambda _: "from its own", noted=noted)

    @pytest.fixture(params=["sync", "async"])
    def way(self, request: pytest.FixtureRequest) -> str:
        """Return how it is invoked: synchronously, or on an event loop."""
        return str(request.param)

    @pytest.fixture
    def noted(self) -> Noted:
        """Return the records of the fakes in a test."""
        return Noted()

    def test_gives_the_answer_of_the_routers_pair(self, way: str, noted: Noted) -> None:
        """Only the pair that the router chooses is called."""
        came = self._ask(way, noted, InTurn(noted, LARGE), lambda name: f"from {name}")
        assert (came.text, came.error, noted.calls) == ("from large", None, ["large"])

    def test_goes_on_to_the_routers_next_choice(self, way: str, noted: Noted) -> None:
        """After a failed call, the router's next decision is followed."""
        came = self._ask(way, noted, InTurn(noted, SMALL, LARGE), _without_small)
        if self.asks_once:
            assert (came.text, noted.calls) == (None, ["small"])
        else:
            assert (came.text, noted.calls) == ("from large", ["small", "large"])

    def test_keeps_to_the_limit_of_turns(self, way: str, noted: Noted) -> None:
        """There are never more calls than allowed, however many the router wants."""
        router = InTurn(noted, SMALL, for_ever=True)
        came = self._ask(way, noted, router, lambda _: OSError("no"), max_turns=2)
        assert noted.calls.count("small") == (1 if self.asks_once else 2)
        assert came.text is None or self.has_own_model

    def test_keeps_to_the_pairs_that_the_run_allows(self, way: str, noted: Noted) -> None:
        """A run's settings reach the router, and no other pair is called."""
        allowed = {"pairs": [str(LARGE)], "cost_weight": 0.25, "max_cost_usd": 3.0}
        came = self._ask(way, noted, InTurn(noted, SMALL, LARGE), lambda name: f"from {name}", settings=allowed)
        assert (came.text, noted.calls) == ("from large", ["large"])
        query = noted.queries[0]
        assert query.cost_weight == allowed["cost_weight"]
        assert query.constraints.max_cost_usd == allowed["max_cost_usd"]

    def test_calls_no_pair_where_none_is_allowed(self, way: str, noted: Noted) -> None:
        """If no pair is allowed, an error is raised, and the integration's own model is not called either."""
        settings = {"pairs": [str(LARGE)]}
        came = self._ask(way, noted, InTurn(noted, SMALL), lambda name: f"from {name}", settings=settings)
        assert noted.calls == []
        assert isinstance(came.error, ConstraintError)

    def test_sends_an_image_to_a_model_that_sees(self, way: str, noted: Noted) -> None:
        """A pair that is declared to read images is preferred."""
        if self.decides_apart:
            pytest.skip("it decides without knowing which models see")
        router = InTurn(noted, SMALL, LARGE)
        came = self._ask(way, noted, router, lambda name: f"from {name}", content=_picture())
        assert (came.text, noted.calls) == ("from large", ["large"])

    def test_sends_an_image_to_the_routers_pairs_where_none_is_said_to_see(self, way: str, noted: Noted) -> None:
        """A model may read images without the pool saying so, so it is called and observed."""
        came = self._ask(way, noted, InTurn(noted, SMALL), lambda name: f"from {name}", content=_picture())
        assert (came.text, noted.calls) == ("from small", ["small"])

    def test_picks_no_tool_that_looks_where_there_is_no_image(self, way: str, noted: Noted) -> None:
        """A tool that needs an image is not used without one."""
        if self.decides_apart:
            pytest.skip("it decides without knowing which tools look")
        came = self._ask(way, noted, InTurn(noted, LOOKING, SMALL), lambda name: f"from {name}")
        assert (came.text, noted.calls) == ("from small", ["small"])

    def test_lets_tools_keep_state_for_one_trajectory(self, way: str, noted: Noted) -> None:
        """All calls for one query are made in one conversation of stateful tools, and those for the next in another."""
        for _ in range(2):
            self._ask(way, noted, InTurn(noted, SMALL, LARGE), _without_small)
        assert None not in noted.scopes
        assert len({id(scope) for scope in noted.scopes}) == 2, noted.scopes  # noqa: PLR2004  # one an ask
        assert len(noted.scopes) == (2 if self.asks_once else 4)
        assert current_sessions() is None

    def test_shows_no_key(self, way: str, noted: Noted, monkeypatch: pytest.MonkeyPatch) -> None:
        """A provider's error may repeat the key that it rejects; no record, reply or error shows it."""
        monkeypatch.setenv(KEY_VARIABLE, KEY)
        came = self._ask(way, noted, InTurn(noted, SMALL, LARGE), lambda _: PermissionError(f"who is {KEY}?"))
        assert KEY not in came.written
        assert KEY not in str(came.error)
        assert came.error is not None or "PermissionError: who is ***?" in came.written, "the failure is told"

    def test_raises_errors_of_the_kind_of_what_failed(self, way: str, noted: Noted) -> None:
        """If no call succeeds and an error is raised, it has the kinds that retries and fallbacks look for."""
        came = self._ask(way, noted, InTurn(noted, SMALL, LARGE), lambda _: TimeoutError("60 s"))
        assert isinstance(came.error, TimeoutError | None)
        assert came.text is None or self.has_own_model

    def test_tells_why_the_reply_ended(self, way: str, noted: Noted) -> None:
        """A reply that was cut off at its maximum length can be distinguished from a complete one."""
        came = self._ask(way, noted, InTurn(noted, SMALL), lambda name: f"from {name}")
        assert "finish_reason" in came.written
        assert "length" in came.written

    def test_traces_every_decision(self, way: str, noted: Noted) -> None:
        """Each decision is a run of the trace."""
        self._ask(way, noted, InTurn(noted, SMALL, LARGE), _without_small)
        assert noted.runs.count("atlas.decide") == len(noted.queries) > 0

    def test_takes_no_interrupt_for_a_failure(self, way: str, noted: Noted) -> None:
        """An interrupt of the enclosing graph passes through, and no other pair is called."""
        interrupt: Any = GraphInterrupt((Interrupt(value="may I?", id="1"),))
        self._ask(way, noted, InTurn(noted, SMALL, LARGE), lambda _: interrupt, raises=GraphInterrupt)
        assert noted.calls == ["small"]

    def _ask(
        self,
        way: str,
        noted: Noted,
        router: Router,
        say: Say,
        *,
        content: Any = "hello",
        settings: Mapping[str, Any] | None = None,
        max_turns: int = 4,
        raises: type[Exception] = Exception,
    ) -> Came:
        """Build the integration and invoke it."""
        built = self.make(router, _executor(noted, say), max_turns)
        given = self.given([HumanMessage(content, id="ask")])
        config: RunnableConfig = {
            "configurable": {"thread_id": "1", **(settings or {})},
            "callbacks": [_Tracer(noted)],
        }
        try:
            returned = built.invoke(given, config) if way == "sync" else asyncio.run(_awaited(built, given, config))
        except raises as error:  # it is what came of asking
            return Came(None, error, "")
        return Came(self.reply(returned), None, json.dumps(returned, default=_json))


async def _awaited(runnable: Runnable[Any, Any], given: Any, config: RunnableConfig) -> Any:
    return await runnable.ainvoke(given, config)


def _executor(noted: Noted, say: Say) -> LiveExecutor:
    models = (
        Model(name="small", litellm="openai/small", api_key_env=KEY_VARIABLE),
        Model(name="large", litellm="openai/large", api_key_env=KEY_VARIABLE, modalities=frozenset({"text", "image"})),
    )
    pool = Pool(models=models, tools=(NO_TOOL, Tool(name="chart", invocation="chart")))
    return LiveExecutor(
        pool, chat_models={model.name: StandIn(named=model.name, say=say, noted=noted) for model in models}
    )


def _without_small(name: str) -> str | Exception:
    return ConnectionError("no small one today") if name == "small" else f"from {name}"


def _picture() -> list[dict[str, Any]]:
    return [{"type": "text", "text": "What is it?"}, PICTURE]


def _json(value: Any) -> Any:
    return value.to_json() if isinstance(value, Observation) else repr(value)
