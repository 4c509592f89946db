"""How a run ends whose calls all failed: by an error of their kind, wherever it was asked."""

from __future__ import annotations

import asyncio
import pickle
from typing import TYPE_CHECKING, Any

import litellm
import pytest
from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelRateLimitError,
)
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import RetryPolicy
from node_graph import node_graph
from pydantic import TypeAdapter

from langchain_atlas import (
    AtlasChain,
    AtlasMiddleware,
    AtlasNode,
    ChatAtlas,
    Decision,
    Observation,
    Pair,
    create_atlas_graph,
)
from langchain_atlas.errors import ExecutionError, SettingError
from langchain_atlas.failures.kinds import execution_error, failed_call
from langchain_atlas.testing import Failure, ScriptedExecutor, ScriptedRouter
from langchain_atlas.trajectory import Trajectory

if TYPE_CHECKING:
    from collections.abc import Callable

    from fixture_types import Connect, Echo, Invoke, Serve

HELLO = {"messages": [HumanMessage("hello", id="1")]}
FULL = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens."
SMALL = Pair("small")


def run_of(name: str, agent: Callable[..., Any], server: Any, executor: Any) -> Callable[[], Any]:
    router = ScriptedRouter("small@@none")
    built: dict[str, Callable[[], Any]] = {
        "node": lambda: node_graph(AtlasNode(router, executor)).compile(),
        "graph": lambda: create_atlas_graph(router, executor).compile(checkpointer=InMemorySaver()),
        "chain": lambda: AtlasChain(router, executor),
        "pipe": lambda: router | executor,
        "chat": lambda: ChatAtlas(router=router, executor=executor),
        "middleware": lambda: agent(server, AtlasMiddleware(router, executor, fail_open=False)),
    }
    given = HELLO["messages"] if name == "chat" else HELLO
    config: Any = {"configurable": {"thread_id": "1"}}
    return lambda: built[name]().invoke(given, config)


EVERYWHERE = pytest.mark.parametrize("name", ["node", "graph", "chain", "pipe", "chat", "middleware"])


class TestAnError:
    @EVERYWHERE
    @pytest.mark.parametrize(
        ("failure", "kinds"),
        [
            (Failure(429, "slow down"), (litellm.RateLimitError, ModelRateLimitError)),
            (Failure(401, "who are you?"), (litellm.AuthenticationError, ModelAuthenticationError)),
            (Failure(400, FULL), (litellm.ContextWindowExceededError, ContextOverflowError)),
        ],
    )
    def test_is_of_the_kind_of_what_failed(
        self, serve: Serve, connect: Connect, agent: Any, name: str, failure: Failure, kinds: tuple[type, ...]
    ) -> None:
        server = serve(failure)
        with pytest.raises(ExecutionError) as caught:
            run_of(name, agent, server, connect(server))()
        for kind in kinds:
            assert isinstance(caught.value, kind), type(caught.value).__mro__
        assert caught.value.status_code == failure.status  # type: ignore[attr-defined]
        assert caught.value.observation.pair == SMALL
        assert failure.message in str(caught.value)
        assert "ExecutionError" in repr(caught.value)

    @pytest.mark.parametrize("name", ["node", "durable", "graph"])
    @pytest.mark.parametrize("asynchronous", [False, True])
    def test_is_found_by_a_retry_policy(self, serve: Serve, connect: Connect, name: str, asynchronous: bool) -> None:
        replies = iter([Failure(429), Failure(429), "third time"])
        router, executor = ScriptedRouter("small@@none"), connect(serve(lambda _: next(replies)))
        node: Any = AtlasNode(router, executor, durable=name == "durable", record_key=None)
        if name == "graph":
            node = create_atlas_graph(router, executor).compile()
        builder = StateGraph(MessagesState)
        policy = RetryPolicy(retry_on=ModelRateLimitError, initial_interval=0.01, jitter=False)
        builder.add_node("ask", node, retry_policy=policy)
        builder.add_edge(START, "ask")
        graph = builder.compile(checkpointer=InMemorySaver())
        config: Any = {"configurable": {"thread_id": "1"}}
        state = asyncio.run(graph.ainvoke(HELLO, config)) if asynchronous else graph.invoke(HELLO, config)
        assert state["messages"][-1].text == "third time"

    def test_is_found_by_with_retry_and_with_fallbacks(self, serve: Serve, connect: Connect) -> None:
        replies = iter([Failure(429), "second time"])
        chat = ChatAtlas(router=ScriptedRouter("small@@none"), executor=connect(serve(lambda _: next(replies))))
        retrying = chat.with_retry(retry_if_exception_type=(litellm.RateLimitError,), wait_exponential_jitter=False)
        assert retrying.invoke("hello").text == "second time"
        full = AtlasChain(ScriptedRouter("small@@none"), connect(serve(Failure(400, FULL))))
        other = AtlasChain(ScriptedRouter("large@@none"), connect(serve("instead")))
        falling = full.with_fallbacks([other], exceptions_to_handle=(ContextOverflowError,))
        assert falling.invoke("hello").text == "instead"

    def test_is_of_all_kinds_where_several_failed(self) -> None:
        executor = ScriptedExecutor(
            {"a@@none": TimeoutError("60 s"), "b@@none": litellm.RateLimitError("no", "p", "b")}
        )
        graph = node_graph(AtlasNode(ScriptedRouter("a@@none", "b@@none"), executor)).compile()
        with pytest.raises(ExecutionError) as caught:
            graph.invoke(HELLO)
        assert isinstance(caught.value, TimeoutError)
        assert isinstance(caught.value, litellm.RateLimitError)
        assert caught.value.observation.pair == Pair("b")

    @pytest.mark.parametrize("error", [KeyError("x"), OSError(5, "disk"), UnicodeDecodeError("utf8", b"", 0, 1, "x")])
    def test_may_be_of_any_kind_and_travels(self, error: Exception) -> None:
        raised = execution_error("all failed", [failed_call(SMALL, error)])
        again = pickle.loads(pickle.dumps(raised))  # noqa: S301  # our own
        for one in (raised, again):
            assert isinstance(one, type(error))
            assert (str(one), one.observation.pair) == ("all failed", SMALL)

    def test_of_a_class_that_none_can_be_made_of_is_of_the_class_above(self) -> None:
        with pytest.raises(ValueError, match="valid integer") as invalid:
            TypeAdapter(int).validate_python("one")
        raised = execution_error("all failed", [failed_call(SMALL, invalid.value)])
        assert (isinstance(raised, ValueError), str(raised)) == (True, "all failed")  # pydantic's can't be a base

    def test_outlives_a_checkpoint_and_imports_nothing_that_a_record_names(self) -> None:
        seen = failed_call(SMALL, litellm.RateLimitError("no", "p", "m"))
        read = Observation.from_json(seen.to_json())
        assert isinstance(execution_error("", [read]), litellm.RateLimitError)
        foreign = read.replace(error_types=("antigravity:Error", "os:system", "builtins:KeyboardInterrupt"))
        assert type(execution_error("", [foreign])) is ExecutionError

    def test_tells_a_refused_connection_from_a_servers_error(self, serve: Serve, connect: Connect) -> None:
        server = serve("x")
        executor = connect(server)
        server.close()
        with pytest.raises(ModelConnectionError):
            AtlasChain(ScriptedRouter("small@@none"), executor).invoke("hello")
        with pytest.raises(ModelAPIError):
            AtlasChain(ScriptedRouter("small@@none"), connect(serve(Failure(500)))).invoke("hello")

    def test_shows_no_key(self, serve: Serve, connect: Connect) -> None:
        graph = node_graph(
            AtlasNode(ScriptedRouter("small@@none"), connect(serve(Failure(401, "who is secret?"))))
        ).compile()
        with pytest.raises(litellm.AuthenticationError) as caught:
            graph.invoke(HELLO)
        assert "secret" not in str(caught.value) + repr(caught.value) + str(vars(caught.value))


class TestAMessage:
    @pytest.mark.parametrize("name", ["node", "graph"])
    def test_says_what_failed_where_that_is_asked_for_and_no_model_reads_it(
        self, serve: Serve, connect: Connect, invoke: Invoke, name: str
    ) -> None:
        replies = iter([Failure(400, "not today"), "there you are"])
        server = serve(lambda _: next(replies))
        router, executor = ScriptedRouter("small@@none"), connect(server)
        node: Any = AtlasNode(router, executor, on_failure="message")
        graph = node_graph(node).compile(checkpointer=InMemorySaver())
        if name == "graph":
            graph = create_atlas_graph(router, executor, on_failure="message").compile(checkpointer=InMemorySaver())
        config: Any = {"configurable": {"thread_id": "1"}}
        state = invoke(graph, HELLO, config=config)
        assert state["messages"][-1].text.startswith("No answer: every call failed (small@@none: BadRequestError")
        state = invoke(graph, {"messages": [HumanMessage("again?")]}, config=config)
        assert state["messages"][-1].text == "there you are"
        assert [message["content"] for message in server.bodies[-1]["messages"]] == ["hello", "again?"]

    def test_is_not_read_by_an_agent_or_a_chat_model_either(
        self, serve: Serve, connect: Connect, echo: Echo, agent: Any
    ) -> None:
        server = serve(echo)
        failure = AIMessage("No answer: x", response_metadata={"atlas": {"answered": False}})
        asked = [HumanMessage("hello"), failure, HumanMessage("again?")]
        router, executor = ScriptedRouter("small@@none"), connect(server)
        ChatAtlas(router=router, executor=executor).invoke(asked)
        agent(server, AtlasMiddleware(router, executor)).invoke({"messages": asked})
        for body in server.bodies:
            assert [message["content"] for message in body["messages"]] == ["hello", "again?"]

    def test_is_given_where_nothing_was_called(self, invoke: Invoke) -> None:
        router = ScriptedRouter(Decision(kind="answer", reason="A human said no."))
        state = invoke(node_graph(AtlasNode(router, ScriptedExecutor({}))).compile(), HELLO)
        assert state["messages"][-1].text == "No answer: A human said no."

    def test_in_another_way_is_refused(self) -> None:
        with pytest.raises(SettingError, match=r"on_failure is 'mesage'\. Did you mean 'message'\?"):
            AtlasNode(ScriptedRouter("a"), ScriptedExecutor({}), on_failure="mesage")  # type: ignore[arg-type]
        with pytest.raises(SettingError, match="on_failure is 'silent'"):
            create_atlas_graph(ScriptedRouter("a"), ScriptedExecutor({}), on_failure="silent")  # type: ignore[arg-type]


def test_a_failed_call_without_an_exception_is_a_plain_error() -> None:
    seen = Observation(pair=SMALL, error="EmptyAnswer: the model returned no text.")
    assert type(execution_error("x", Trajectory().then(Decision(kind="route", pair=SMALL), seen).observations)) is (
        ExecutionError
    )
