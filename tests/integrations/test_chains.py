"""Routers and executors as steps of LangChain chains, against a provider on this machine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from chatting import ways
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_core.tracers import BaseTracer
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from langchain_atlas import (
    Assignment,
    AtlasChain,
    ClusterRouter,
    Constraints,
    Decision,
    Observation,
    Pair,
    Query,
    ReplayExecutor,
)
from langchain_atlas.errors import ConstraintError, ExecutionError, InvalidInputError, SettingError
from langchain_atlas.integrations.messages import AtlasContext
from langchain_atlas.testing import Failure, FakeEncoder, ScriptedExecutor, ScriptedRouter

if TYPE_CHECKING:
    from collections.abc import Callable

    from fixture_types import Connect, Echo, Serve

    from langchain_atlas import OutcomeTable

    Ask = Callable[..., Any]


def only(parts: list[Any]) -> Any:
    (part,) = parts
    return part


_WAYS = ways(only)


@pytest.fixture(params=list(_WAYS))
def ask(request: pytest.FixtureRequest) -> Ask:
    """Ask a chain in every way there is."""
    return lambda chain, asked, **settings: _WAYS[request.param](chain, asked, settings)


class TestPipe:
    def test_sends_the_pairs_model_and_exactly_its_tools(
        self, serve: Serve, connect: Connect, echo: Echo, ask: Ask
    ) -> None:
        server = serve(echo)
        seen = ask(ScriptedRouter("large@@calculator") | connect(server), "21?")
        assert isinstance(seen, Observation)
        assert (seen.pair, seen.answer) == (Pair("large", "calculator"), "large heard 42")
        assert [body["model"] for body in server.bodies] == ["large", "large"]
        assert [[entry["function"]["name"] for entry in body["tools"]] for body in server.bodies] == [["double"]] * 2

    @pytest.mark.parametrize(
        ("asked", "sent"),
        [
            ("hello", ["hello"]),
            (Query(text="hello", context="a list"), ["hello\n\nContext:\na list"]),
            (HumanMessage("hello"), ["hello"]),
            ([SystemMessage("Be kind."), HumanMessage("hello")], ["Be kind.", "hello"]),
            ([("user", "hello")], ["hello"]),
            ({"messages": [{"role": "user", "content": "hello"}]}, ["hello"]),
        ],
        ids=["text", "query", "message", "messages", "tuples", "state"],
    )
    def test_takes_an_ask_in_any_form(
        self, serve: Serve, connect: Connect, echo: Echo, asked: Any, sent: list[str]
    ) -> None:
        server = serve(echo)
        (ScriptedRouter("small@@none") | connect(server)).invoke(asked)
        assert [message["content"] for message in server.bodies[0]["messages"]] == sent

    def test_goes_on_in_a_chain(self, serve: Serve, connect: Connect, echo: Echo, ask: Ask) -> None:
        prompt = ChatPromptTemplate.from_messages([("user", "Say {word}")])
        chain = (
            prompt
            | RunnableLambda(lambda value: value.to_messages())
            | ScriptedRouter("small@@none")
            | connect(serve(echo))
        )
        assert ask(chain | (lambda seen: seen.answer), {"word": "hi"}) == "small heard Say hi"

    def test_passes_thoughts_over_and_keeps_the_rewritten_ask(self) -> None:
        route = Decision(kind="route", pair=Pair("small"), input="2 + 2")
        router = ScriptedRouter(Decision(kind="think", answer="hm"), route)
        assignment = router.invoke("What is two and two?")
        assert assignment == Assignment(query=Query(text="What is two and two?"), decision=route)
        executor = ScriptedExecutor({"small@@none": "4"})
        assert executor.invoke(assignment).answer == "4"
        assert executor.calls == [(Pair("small"), Query(text="2 + 2"))]

    def test_does_not_think_for_ever(self) -> None:
        with pytest.raises(ExecutionError, match="16 thoughts in a row"):
            ScriptedRouter(*[Decision(kind="think", answer="hm")] * 20).invoke("hello")

    def test_says_where_no_pair_was_assigned(self, ask: Ask) -> None:
        with pytest.raises(ExecutionError, match="assigned no pair: The script has no more decisions"):
            ask(ScriptedRouter() | ScriptedExecutor({}), "hello")

    def test_refuses_what_is_no_ask(self) -> None:
        with pytest.raises(InvalidInputError, match="The ask is 3"):
            ScriptedRouter("small@@none").invoke(3)
        with pytest.raises(InvalidInputError, match="takes an Assignment"):
            ScriptedExecutor({}).invoke("hello")  # type: ignore[arg-type]

    def test_is_drawn(self, serve: Serve, connect: Connect, echo: Echo) -> None:
        chain = ScriptedRouter("small@@none") | connect(serve(echo))
        names = [node.name for node in chain.get_graph().nodes.values()]
        assert names[1:3] == ["ScriptedRouter", "LiveExecutor"]


class TestWithConfig:
    def test_sets_what_the_run_may_cost(self, serve: Serve, connect: Connect, echo: Echo, ask: Ask) -> None:
        router = ScriptedRouter("small@@none")
        chain = (router | connect(serve(echo))).with_config(
            configurable={"cost_weight": 0.3, "pairs": ["small@@none"], "thread_id": "1"}
        )
        ask(chain, Query(text="hello", constraints=Constraints(max_cost_usd=1)))
        constraints = Constraints(max_cost_usd=1, pairs=frozenset({Pair("small")}))
        assert router.queries == [Query(text="hello", cost_weight=0.3, constraints=constraints)]

    def test_is_like_binding_settings(self, ask: Ask) -> None:
        router = ScriptedRouter("small@@none")
        with pytest.raises(ConstraintError):
            ask(router.bind(pairs="large@@none"), "hello")
        with pytest.raises(SettingError, match="'cost'"):
            router.invoke("hello", cost=3)
        with pytest.raises(InvalidInputError, match="cost_weight"):
            router.invoke("hello", cost_weight=3)

    @pytest.mark.parametrize("way", ["invoke", "ainvoke", "batch", "abatch", "stream", "astream"])
    def test_names_the_runs_that_are_traced(self, serve: Serve, connect: Connect, echo: Echo, way: str) -> None:
        traced: list[Any] = []

        class Watch(BaseTracer):
            def _persist_run(self, run: Any) -> None:
                traced.append(run)

        chain = ScriptedRouter("small@@calculator") | connect(serve(echo)).with_config(run_name="act", tags=["ours"])
        _WAYS[way](chain, "21?", {"config": {"callbacks": [Watch()]}})
        (run,) = traced
        assert [child.name for child in run.child_runs] == ["ScriptedRouter", "act"]
        assert run.child_runs[0].outputs["output"].pair == Pair("small", "calculator")
        assert [inner.name for inner in run.child_runs[0].child_runs] == ["atlas.decide"]
        (executed,) = run.child_runs[1].child_runs
        assert executed.name == "atlas.execute"
        assert [inner.run_type for inner in executed.child_runs] == ["llm", "tool", "llm"]
        assert "ours" in run.child_runs[1].tags


class TestFailure:
    def test_of_the_model_is_raised_with_what_was_seen(self, serve: Serve, connect: Connect, ask: Ask) -> None:
        chain = ScriptedRouter("small@@none") | connect(serve(Failure(400, "not today")))
        with pytest.raises(ExecutionError, match=r"small@@none failed: BadRequestError.*not today") as caught:
            ask(chain, "hello")
        assert caught.value.observation.pair == Pair("small")

    def test_of_the_router_is_raised(
        self, serve: Serve, connect: Connect, outcomes: OutcomeTable, ask: Ask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        encoder = FakeEncoder()
        router = ClusterRouter(encoder, n_clusters=3).fit(outcomes)
        monkeypatch.setattr(encoder, "_encode", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            ask(router | connect(serve("never asked")), "something new")

    def test_is_retried(self, serve: Serve, connect: Connect) -> None:
        replies = iter([Failure(400), "second time", Failure(400), "fourth time"])
        executor = connect(serve(lambda _: next(replies)))
        again = executor.with_retry(stop_after_attempt=2, wait_exponential_jitter=False)
        chain = ScriptedRouter("small@@none") | again
        assert chain.invoke("hello").answer == "second time"
        assert asyncio.run(chain.ainvoke("hello")).answer == "fourth time"

    def test_falls_back(self, serve: Serve, connect: Connect, ask: Ask) -> None:
        bad, good = connect(serve(Failure(400))), connect(serve("instead"))
        router = ScriptedRouter("small@@none")
        assert ask(router | bad.with_fallbacks([good]), "hello").answer == "instead"
        assert ask((router | bad).with_fallbacks([router | good]), "hello").answer == "instead"
        assert ask(router.bind(pairs="large@@none").with_fallbacks([router]) | good, "hello").answer == "instead"


class TestAtlasChain:
    def test_goes_round_the_loop(self, serve: Serve, connect: Connect, ask: Ask, outcomes: OutcomeTable) -> None:
        server = serve(lambda body: Failure(400) if body["model"] == "small" else "from the large one")
        router = ClusterRouter(FakeEncoder(), n_clusters=3, cost_weight=0).fit(outcomes)
        message = ask(AtlasChain(router, connect(server)), "numbers sum add two")
        assert isinstance(message, AIMessage)
        assert message.text == "from the large one"
        record = message.response_metadata["atlas"]
        assert [step["decision"]["pair"] for step in record["steps"]] == ["small@@calculator", "large@@none", None]

    def test_goes_on_in_a_chain(self, serve: Serve, connect: Connect, echo: Echo, ask: Ask) -> None:
        chain = AtlasChain(ScriptedRouter("small@@none"), connect(serve(echo))) | StrOutputParser()
        assert ask(chain, "hello") == "small heard hello"

    def test_takes_a_replaying_executor(self, outcomes: OutcomeTable) -> None:
        router = ClusterRouter(FakeEncoder(), n_clusters=3).fit(outcomes)
        query = outcomes.queries[0]
        message = AtlasChain(router, ReplayExecutor(outcomes)).invoke(query)
        assert message.response_metadata["atlas"]["calls"] == 1

    def test_takes_what_the_run_sets(self, serve: Serve, connect: Connect, echo: Echo, invoke: Ask) -> None:
        class State(TypedDict):
            ask: str
            answer: str

        router = ScriptedRouter("small@@none")
        chain = AtlasChain(router, connect(serve(echo)))
        builder = StateGraph(State, context_schema=AtlasContext)
        builder.add_node(
            "atlas", RunnableLambda(lambda state: state["ask"]) | chain | (lambda said: {"answer": said.text})
        )
        builder.add_edge(START, "atlas")
        builder.add_edge("atlas", END)
        state = invoke(builder.compile(), {"ask": "hello"}, context=AtlasContext(cost_weight=0.3))
        assert state["answer"] == "small heard hello"
        assert {query.cost_weight for query in router.queries} == {0.3}

    def test_raises_where_every_call_failed(self, serve: Serve, connect: Connect, ask: Ask) -> None:
        chain = AtlasChain(ScriptedRouter("small@@none"), connect(serve(Failure(400, "not today"))))
        with pytest.raises(ExecutionError, match=r"every call failed .*not today"):
            ask(chain, "hello")
        good = AtlasChain(ScriptedRouter("small@@none"), connect(serve("instead")))
        assert ask(chain.with_fallbacks([good]), "hello").text == "instead"

    def test_has_a_pair_stand_in_for_a_router_that_fails(
        self, serve: Serve, connect: Connect, outcomes: OutcomeTable, ask: Ask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        encoder = FakeEncoder()
        router = ClusterRouter(encoder, n_clusters=3).fit(outcomes)
        monkeypatch.setattr(encoder, "_encode", lambda _: 1 / 0)
        executor = connect(serve("mine"))
        with pytest.raises(ZeroDivisionError):
            ask(AtlasChain(router, executor), "something new")
        chain = AtlasChain(router, executor, on_router_error="small@@none")
        assert ask(chain, "something new").text == "mine"

    def test_with_bad_settings_is_refused(self) -> None:
        with pytest.raises(SettingError):
            AtlasChain(ScriptedRouter("small@@none"), ScriptedExecutor({}), max_turns=0)
