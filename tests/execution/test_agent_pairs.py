"""Whole agents as the other half of a pair."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypedDict

import pytest
from calling import multiply
from langchain.agents import create_agent
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.messages import AIMessage, HumanMessage, messages_from_dict
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

from langchain_atlas import ChatAtlas, LiveExecutor, Pair, Pool, Query, Tool
from langchain_atlas.errors import PoolError
from langchain_atlas.loop.limits.pair_budget import Budget, budget
from langchain_atlas.testing import Failure, ScriptedRouter, call_tool
from langchain_atlas.usage import Usage

if TYPE_CHECKING:
    from pathlib import Path

    from fixture_types import Reach, Run, Serve

QUESTION = Query(text="What is 6 times 7?")
CODER = Pair("small", "coder")


def coder(model: Any) -> Any:
    """Works things out with a tool.

    More about it.
    """
    return create_agent(model, tools=[multiply], system_prompt="You are a coder.")


def reviewer(model: Any) -> Any:
    """Looks twice."""

    def draft(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    def review(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke([*state["messages"], HumanMessage("Is that right?")])]}

    graph = StateGraph(MessagesState)
    graph.add_node("draft", draft)
    graph.add_node("review", review)
    graph.add_edge(START, "draft")
    graph.add_edge("draft", "review")
    return graph


def calls_once(body: dict[str, Any]) -> Any:
    last = body["messages"][-1]
    asks = {"tool_calls": [call_tool("multiply", {"first": 6, "second": 7})]}
    return f"It is {last['content']}" if last["role"] == "tool" else asks


def executor_of(model: Any, *tools: Tool, **settings: Any) -> LiveExecutor:
    return LiveExecutor(Pool(models=(model,), tools=tools), **settings)


class TestAgent:
    def test_is_one_observation(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve(calls_once)
        model = reach(server, input_cost_per_token=0.01, output_cost_per_token=0.5)
        seen = run(executor_of(model, Tool.agent(coder)), CODER, QUESTION)
        assert (seen.answer, seen.error, seen.model_calls) == ("It is 42", None, 2)
        assert seen.usage == Usage(input_tokens=25, output_tokens=8)
        assert seen.cost_usd == pytest.approx(25 * 0.01 + 8 * 0.5)
        (trace,) = seen.tool_trace
        assert (trace.name, trace.arguments, trace.output) == ("multiply", {"first": 6, "second": 7}, "42")
        said = messages_from_dict(list(seen.messages))
        assert [message.type for message in said] == ["ai", "tool", "ai"]
        assert seen.message_id == said[-1].id
        assert [body["messages"][0]["content"] for body in server.bodies] == ["You are a coder."] * 2
        assert type(seen).from_json(seen.to_json()) == seen

    def test_takes_its_name_and_description_from_the_factory(self) -> None:
        made = Tool.agent(coder)
        assert (made.name, made.description, made.invocation) == ("coder", "Works things out with a tool.", "agent")

    def test_may_be_a_graph_that_is_not_compiled(self, serve: Serve, reach: Reach, run: Run) -> None:
        said = iter(["A draft", "A review"] * 2)
        seen = run(
            executor_of(reach(serve(lambda _: next(said))), Tool.agent(reviewer)), Pair("small", "reviewer"), QUESTION
        )
        assert (seen.answer, seen.model_calls) == ("A review", 2)
        assert len(seen.messages) == 2

    def test_may_have_another_state(self, serve: Serve, reach: Reach, run: Run) -> None:
        class Form(TypedDict, total=False):
            question: str
            answer: str

        def form(model: Any) -> Any:
            graph = StateGraph(Form)
            graph.add_node("fill", lambda state: {"answer": model.invoke(state["question"]).text + "!"})
            graph.add_edge(START, "fill")
            return graph.compile()

        made = Tool.agent(form, input_key="question", output_key="answer")
        seen = run(executor_of(reach(serve("Yes")), made), Pair("small", "form"), QUESTION)
        assert (seen.answer, seen.model_calls) == ("Yes!", 1)

    def test_may_be_a_runnable(self, serve: Serve, reach: Reach, run: Run) -> None:
        made = Tool.agent(lambda model: model, name="bare")
        seen = run(executor_of(reach(serve("Yes")), made), Pair("small", "bare"), QUESTION)
        assert (seen.answer, seen.model_calls) == ("Yes", 1)

    def test_may_be_built_asynchronously(self, serve: Serve, reach: Reach, run: Run) -> None:
        async def late(model: Any) -> Any:
            await asyncio.sleep(0)
            return coder(model)

        seen = run(executor_of(reach(serve(calls_once)), Tool.agent(late)), Pair("small", "late"), QUESTION)
        assert seen.answer == "It is 42"

    def test_is_built_once(self, serve: Serve, reach: Reach, run: Run) -> None:
        built = []

        def make(model: Any) -> Any:
            built.append(model)
            return coder(model)

        executor = executor_of(reach(serve(calls_once)), Tool.agent(make))
        for _ in range(2):
            assert run(executor, Pair("small", "make"), QUESTION).answer == "It is 42"
        assert len(built) == 1

    def test_gets_the_history_and_the_system_message(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve("Yes")
        query = Query(text="And now?", history=(HumanMessage("Hello"), AIMessage("Hi")))
        made = Tool.agent(lambda model: model, name="bare", settings={"system": "Be brief."})
        run(executor_of(reach(server), made), Pair("small", "bare"), query)
        assert [one["content"] for one in server.bodies[0]["messages"]] == ["Be brief.", "Hello", "Hi", "And now?"]

    def test_passes_on_parameters(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve(calls_once)
        model = reach(server)
        made = Tool.agent(coder, settings={"options": {"max_tokens": 40}})
        pool = Pool(models=(model,), tools=(made,), pair_options={CODER: {"temperature": 0.2, "seed": 7}})
        run(LiveExecutor(pool).with_options(stop=["END"]), CODER, QUESTION)
        for body in server.bodies:
            assert (body["max_tokens"], body["temperature"], body["seed"], body["stop"]) == (40, 0.2, 7, ["END"])

    def test_that_fails_says_so_and_what_it_used(self, serve: Serve, reach: Reach, run: Run) -> None:
        def reply(body: dict[str, Any]) -> Any:
            return Failure(400) if body["messages"][-1]["role"] == "tool" else calls_once(body)

        seen = run(executor_of(reach(serve(reply)), Tool.agent(coder)), CODER, QUESTION)
        assert seen.failed
        assert (seen.model_calls, seen.cost_usd, seen.usage) == (2, None, Usage())
        assert [trace.output for trace in seen.tool_trace] == ["42"]

    def test_keeps_to_a_number_of_steps(self, serve: Serve, reach: Reach, run: Run) -> None:
        again = {"tool_calls": [call_tool("multiply", {"first": 6, "second": 7})]}
        made = Tool.agent(coder, settings={"max_steps": 4})
        seen = run(executor_of(reach(serve(again)), made), CODER, QUESTION)
        assert "GraphRecursionError" in str(seen.error)
        assert seen.model_calls == 2

    def test_keeps_to_the_limit_on_cost(self, serve: Serve, reach: Reach, run: Run) -> None:
        again = {"tool_calls": [call_tool("multiply", {"first": 6, "second": 7})]}
        model = reach(serve(again), input_cost_per_token=1.0, output_cost_per_token=1.0)
        with budget(Budget(usd=0.5)):
            seen = run(executor_of(model, Tool.agent(coder)), CODER, QUESTION)
        assert "ConstraintError" in str(seen.error)
        assert seen.model_calls == 1

    def test_counts_other_models_without_the_pools_prices(self, serve: Serve, reach: Reach, run: Run) -> None:
        helper = executor_of(reach(serve("Hm")), Tool(name="none", invocation="none")).chat_model("small")

        def helped(model: Any) -> Any:
            graph = StateGraph(MessagesState)
            graph.add_node("help", lambda state: {"messages": [helper.invoke("?"), model.invoke(state["messages"])]})
            graph.add_edge(START, "help")
            return graph

        model = reach(serve("Yes"), input_cost_per_token=1.0, output_cost_per_token=1.0)
        seen = run(executor_of(model, Tool.agent(helped)), Pair("small", "helped"), QUESTION)
        assert (seen.answer, seen.model_calls) == ("Yes", 2)
        assert seen.cost_usd is None, "nobody knows what the helper costs"
        assert seen.usage.output_tokens == 2

    def test_that_stops_to_ask_where_nobody_can_answer_says_so(self, serve: Serve, reach: Reach, run: Run) -> None:
        def careful(_: Any) -> Any:
            graph = StateGraph(MessagesState)
            graph.add_node("ask", lambda _: {"messages": [AIMessage(interrupt("sure?"))]})
            graph.add_edge(START, "ask")
            return graph

        seen = run(executor_of(reach(serve("Yes")), Tool.agent(careful)), Pair("small", "careful"), QUESTION)
        assert "'careful' stopped to ask: sure?. Nobody can answer here" in str(seen.error)

    @pytest.mark.parametrize("way", ["sync", "async"])
    def test_counts_tokens_once_inside_a_chat_model(self, serve: Serve, reach: Reach, way: str) -> None:
        executor = executor_of(reach(serve(calls_once)), Tool.agent(coder))
        alone = executor.run(CODER, QUESTION).usage
        chat = ChatAtlas(router=ScriptedRouter(CODER), executor=executor)
        with get_usage_metadata_callback() as counted:
            message = chat.invoke(QUESTION.text) if way == "sync" else asyncio.run(chat.ainvoke(QUESTION.text))
        assert message.text == "It is 42"
        assert message.usage_metadata is not None
        assert message.usage_metadata["input_tokens"] == alone.input_tokens
        assert sum(one["input_tokens"] for one in counted.usage_metadata.values()) == alone.input_tokens


class TestPoolFile:
    def test_names_the_factory(self, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
        server = serve(calls_once)
        monkeypatch.syspath_prepend(str(tmp_path))
        (tmp_path / "our_agents_of_a_test.py").write_text(
            "from langchain.agents import create_agent\n"
            "def multiply(first: int, second: int) -> int:\n    'Multiply.'\n    return first * second\n"
            "def coder(model):\n    return create_agent(model, tools=[multiply])\n"
        )
        (tmp_path / "pool.yaml").write_text(
            f"models: {{small: {{litellm: openai/small, api_key_env: ATLAS_TEST_KEY, "
            f"options: {{api_base: '{server.url}'}}}}}}\n"
            "tools:\n  coder:\n    description: Works things out.\n    use: agent\n"
            "    arguments: {factory: 'our_agents_of_a_test:coder'}\n    settings: {max_steps: 8}\n"
        )
        executor = LiveExecutor(Pool.load(tmp_path / "pool.yaml"))
        assert run(executor, CODER, QUESTION).answer == "It is 42"

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({}, "needs a 'factory'"),
            ({"arguments": {"factory": "no_such_module_here:x"}}, "can't import 'no_such_module_here'"),
            ({"arguments": {"factory": "os:nothing"}}, "'os' has no 'nothing'"),
            ({"arguments": {"factory": "os"}}, "package.module:attribute"),
            ({"arguments": {"factory": "__import__('os').getcwd()"}}, "package.module:attribute"),
            ({"arguments": {"factory": coder, "inputkey": "x"}}, "no argument 'inputkey'. Did you mean 'input_key'"),
            ({"arguments": {"factory": lambda: 1}}, "must take one argument, the chat model"),
            ({"arguments": {"factory": coder}, "invocation": "native"}, "an agent has 'agent' for both"),
            ({"arguments": {"factory": coder}, "settings": {"max_steps": 0}}, "max_steps"),
        ],
    )
    def test_says_what_is_wrong(self, serve: Serve, reach: Reach, fields: dict[str, Any], message: str) -> None:
        model = reach(serve("Yes"))
        with pytest.raises(PoolError, match=message.replace("(", r"\(").replace(".", r"\.").replace("?", r"\?")):
            executor_of(model, Tool(name="coder", use="agent", **fields))

    def test_says_what_a_factory_should_return(self, serve: Serve, reach: Reach, run: Run) -> None:
        seen = run(
            executor_of(reach(serve("Yes")), Tool.agent(lambda _: 3, name="three")), Pair("small", "three"), QUESTION
        )
        assert "its factory returned 3; it must return a graph or another runnable" in str(seen.error)
