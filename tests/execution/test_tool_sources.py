"""Other people's tools, retrievers and graphs, each made a tool of the pool in one line and used by a pair."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import BaseTool, BaseToolkit, StructuredTool, tool
from langchain_tests.unit_tests import ToolsUnitTests
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

from langchain_atlas import LiveExecutor, Model, Observation, Pair, Pool, Query, Tool
from langchain_atlas.errors import PoolError
from langchain_atlas.testing import call_tool
from langchain_atlas.tools import GraphTool

if TYPE_CHECKING:
    from collections.abc import Callable

    from fixture_types import Reach, Run, Serve
    from langchain_core.callbacks import CallbackManagerForRetrieverRun
    from langchain_core.runnables import RunnableConfig

    Ask = Callable[..., Observation]


@tool
def double(number: int) -> int:
    """Double a number."""
    return 2 * number


@tool
async def halve(number: float) -> float:
    """Halve a number, on an event loop only."""
    await asyncio.sleep(0)
    return number / 2


def shout(text: str) -> str:
    """Say it aloud."""
    return text.upper()


async def whisper(text: str) -> str:
    """Say it quietly."""
    return text.lower()


class Kit(BaseToolkit):
    def get_tools(self) -> list[BaseTool]:
        return [double, halve]


class Library(BaseRetriever):
    """Two documents, whatever is asked."""

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        del run_manager
        return [
            Document("The ferry leaves at nine.", metadata={"source": "ferries.md"}),
            Document(f"Nothing about {query}.", metadata={"source": "inn.md"}),
        ]


class OnLoopOnly(BaseTool):
    """A tool in LangChain's older style for tools that are only asynchronous."""

    name: str = "later"
    description: str = "Answers later."

    def _run(self, text: str) -> str:
        raise NotImplementedError("use arun")

    async def _arun(self, text: str) -> str:
        return f"later: {text}"


class Sum(TypedDict):
    first: int
    second: int


class Worked(Sum):
    total: int


class Plain(TypedDict, total=False):
    question: str
    answer: str


LIBRARY = Library()


def agent(reply: Callable[[str], str] = lambda text: f"I looked into: {text}", **settings: Any) -> Any:
    """Make a small agent over messages."""

    def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(reply(str(state["messages"][-1].text)))]}

    builder = StateGraph(MessagesState)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    return builder.compile(**settings)


def adder(*, asynchronous: bool = False) -> Any:
    """Make a graph with a schema of its own, of which one node may be only asynchronous."""

    def add(state: Sum) -> dict[str, int]:
        return {"total": state["first"] + state["second"]}

    async def aadd(state: Sum) -> dict[str, int]:
        await asyncio.sleep(0)
        return add(state)

    builder = StateGraph(Worked, input_schema=Sum)
    builder.add_node("add", aadd if asynchronous else add)
    builder.add_edge(START, "add")
    return builder.compile()


@pytest.fixture
def ask(serve: Serve, reach: Reach, run: Run) -> Ask:
    """Let a model call a tool once and repeat what it returned."""

    def ask(made: Tool, name: str, **arguments: Any) -> Observation:
        def reply(body: dict[str, Any]) -> Any:
            last = body["messages"][-1]
            return last["content"] if last["role"] == "tool" else {"tool_calls": [call_tool(name, arguments)]}

        executor = LiveExecutor(Pool(models=(reach(serve(reply)),), tools=(made,)))
        return run(executor, Pair("small", made.name), Query(text="Use it."))

    return ask


class TestTools:
    def test_one_tool_keeps_its_name_and_description(self, ask: Ask) -> None:
        made = Tool.of(double)
        assert (made.name, made.description, made.invocation) == ("double", "Double a number.", "native")
        assert ask(made, "double", number=4).answer == "8"

    def test_several_are_one_toolset(self, ask: Ask) -> None:
        made = Tool.of([double, shout, whisper], name="kit", settings={"max_rounds": 2})
        assert made.description == "double: Double a number.\nshout: Say it aloud.\nwhisper: Say it quietly."
        assert made.settings == {"max_rounds": 2}
        assert ask(made, "double", number=4).answer == "8"
        assert ask(made, "shout", text="hey").answer == "HEY"
        assert ask(made, "whisper", text="HEY").answer == "hey"

    def test_a_toolkit_is_one(self, ask: Ask) -> None:
        assert ask(Tool.of(Kit(), name="kit"), "halve", number=5).answer == "2.5"

    def test_a_function_is_one(self, ask: Ask) -> None:
        assert ask(Tool.of(shout), "shout", text="hey").answer == "HEY"

    @pytest.mark.parametrize(("member", "arguments"), [(halve, {"number": 5.0}), (OnLoopOnly(), {"text": "x"})])
    def test_one_that_is_only_asynchronous_works_in_the_foreground(
        self, ask: Ask, member: BaseTool, arguments: dict[str, Any]
    ) -> None:
        seen = ask(Tool.of(member), member.name, **arguments)
        assert seen.tool_trace[0].error is None
        assert seen.answer in ("2.5", "later: x")

    def test_an_error_inside_a_tool_is_not_taken_for_being_asynchronous(self, ask: Ask) -> None:
        ran = []

        @tool
        def broken() -> str:
            """Break."""
            ran.append(1)
            raise NotImplementedError("deeper down")

        assert "deeper down" in str(ask(Tool.of(broken), "broken").tool_trace[0].error)
        assert ran == [1], "it was called once, not again on an event loop"

    async def test_a_foreground_call_inside_a_running_loop(self, serve: Serve, reach: Reach) -> None:
        replies = iter([{"tool_calls": [call_tool("halve", {"number": 3})]}, "done"])
        pool = Pool(models=(reach(serve(lambda _: next(replies))),), tools=(Tool.of(halve),))
        seen = LiveExecutor(pool).run(Pair("small", "halve"), Query(text="Halve 3."))
        assert (seen.answer, seen.tool_trace[0].output) == ("done", "1.5")

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ([double, shout], "need a name; give one to the 2 of them: double, shout"),
            ([], "the list is empty"),
            (42, "42 is not a LangChain tool"),
            (int, "is not a LangChain tool"),
            (lambda text: text, "can't be made a tool: .*description"),
            (LIBRARY, r"use Tool\.from_retriever"),
            (adder(), r"use Tool\.from_graph"),
        ],
    )
    def test_refuses_what_is_none(self, wrong: Any, message: str) -> None:
        with pytest.raises(PoolError, match=message):
            Tool.of(wrong)


class TestRetriever:
    def test_is_searched(self, ask: Ask) -> None:
        made = Tool.from_retriever(LIBRARY, name="town library", description="All about the town.", k=1)
        seen = ask(made, "town_library", query="ferries")
        assert seen.answer == "[1] ferries.md\nThe ferry leaves at nine."

    def test_answers_grounded(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve("At nine.")
        made = Tool.from_retriever(LIBRARY, name="library", description="The town.", invocation="grounded")
        executor = LiveExecutor(Pool(models=(reach(server),), tools=(made,)))
        assert run(executor, Pair("small", "library"), Query(text="When?")).answer == "At nine."
        assert "The ferry leaves at nine." in server.bodies[0]["messages"][-1]["content"]

    def test_is_named_in_a_pool_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.syspath_prepend(str(Path(__file__).parent))
        (tmp_path / "pool.yaml").write_text(
            "models: {small: {litellm: openai/small}}\n"
            "tools:\n"
            "  library: {use: retriever, description: The town., arguments: {retriever: 'test_tool_sources:LIBRARY'}}\n"
            "  adder: {use: graph, arguments: {graph: 'test_tool_sources:adder'}}\n"
        )
        executor = LiveExecutor(Pool.load(tmp_path / "pool.yaml"))
        (library,), (added,) = (executor._invocations[name].tools for name in ("library", "adder"))
        assert (library.name, library.description) == ("library", "The town.")
        assert (added.name, added.description) == ("adder", "Asks the graph adder.")
        assert added.invoke({"first": 1, "second": 2}) == "3"

    def test_refuses_what_is_none(self) -> None:
        with pytest.raises(PoolError, match="'json:decoder' is no retriever"):
            LiveExecutor(
                Pool(
                    models=(Model(name="small"),),
                    tools=(Tool.from_retriever("json:decoder", name="library", description="?"),),
                )
            )


class TestGraph:
    def test_over_messages_takes_a_request(self, ask: Ask) -> None:
        made = Tool.from_graph(agent(), name="researcher", description="Looks things up.")
        assert ask(made, "researcher", request="ferries").answer == "I looked into: ferries"

    @pytest.mark.parametrize("asynchronous", [False, True])
    def test_with_a_schema_takes_its_fields(self, ask: Ask, asynchronous: bool) -> None:
        made = Tool.from_graph(adder(asynchronous=asynchronous), name="adder", description="Adds.")
        assert ask(made, "adder", first=2, second=40).answer == "42"

    def test_takes_the_fields_that_are_named(self, ask: Ask) -> None:
        builder = StateGraph(Plain)
        builder.add_node("answer", lambda state: {"answer": f"{state['question']}!"})
        builder.add_edge(START, "answer")
        made = Tool.from_graph(
            builder.compile(), name="crier", description="Cries.", inputs=["question"], output="answer"
        )
        assert ask(made, "crier", question="Why").answer == "Why!"

    def test_of_the_functional_api_takes_a_request(self, ask: Ask) -> None:
        @entrypoint()
        def flow(request: str) -> dict[str, Any]:
            return {"asked": request, "letters": len(request)}

        seen = ask(Tool.from_graph(flow, name="flow", description="Counts."), "flow", request="abc")
        assert json.loads(str(seen.answer)) == {"asked": "abc", "letters": 3}

    def test_that_fails_is_an_observation(self, ask: Ask) -> None:
        def fail(text: str) -> str:
            raise ValueError(f"no {text}")

        seen = ask(Tool.from_graph(agent(fail), name="researcher", description="?"), "researcher", request="luck")
        assert "no luck" in str(seen.tool_trace[0].error)

    async def test_that_fails_is_an_answer_in_any_agent(self) -> None:
        def fail(text: str) -> str:
            raise ValueError(f"no {text}")

        tool = GraphTool(graph=agent(fail), name="researcher")
        assert tool.invoke({"request": "luck"}) == "Error: 'researcher' failed: ValueError: no luck"
        assert await tool.ainvoke({"request": "luck"}) == "Error: 'researcher' failed: ValueError: no luck"
        assert tool.invoke({}) == "Error: request: Field required"

    def test_with_wrong_arguments_is_an_observation(self, ask: Ask) -> None:
        seen = ask(Tool.from_graph(adder(), name="adder", description="Adds."), "adder", first="x")
        assert "second" in str(seen.tool_trace[0].error)

    def test_that_stops_to_ask_where_nobody_can_answer_says_so(self, ask: Ask) -> None:
        made = Tool.from_graph(agent(lambda _: interrupt("sure?")), name="careful", description="Asks first.")
        seen = ask(made, "careful", request="go")
        assert str(seen.tool_trace[0].error).startswith("Error: 'careful' stopped to ask: sure?. Nobody can answer")

    @pytest.mark.parametrize("way", ["sync", "async", "only asynchronous"])
    def test_that_interrupts_the_graph_it_is_used_in_goes_on_with_the_answer(
        self, serve: Serve, reach: Reach, way: str
    ) -> None:
        def reply(body: dict[str, Any]) -> Any:
            last = body["messages"][-1]
            calls = {"tool_calls": [call_tool("careful", {"request": "delete it"})]}
            return last["content"] if last["role"] == "tool" else calls

        made = Tool.from_graph(
            agent(lambda text: f"{text}: {interrupt('sure?')}"),
            name="careful",
            description="Asks first.",
            asynchronous=way == "only asynchronous",
        )
        executor = LiveExecutor(Pool(models=(reach(serve(reply)),), tools=(made,)))
        graph = around(executor, Pair("small", "careful"), asynchronous=way == "async")
        config: RunnableConfig = {"configurable": {"thread_id": "1"}}

        def go(what: Any) -> dict[str, Any]:
            return asyncio.run(graph.ainvoke(what, config)) if way == "async" else graph.invoke(what, config)

        assert go({"question": "?"})["__interrupt__"][0].value == "sure?"
        assert go(Command(resume="yes"))["answer"] == "delete it: yes"

    def test_refuses_what_does_not_fit(self) -> None:
        for wrong, fields, message in (
            (StateGraph(Plain), {}, "is not a compiled graph"),
            (adder(), {"output": "totl"}, "no field 'totl'"),
            (adder(), {"inputs": ["frist"]}, "no field 'frist'"),
        ):
            with pytest.raises(PoolError, match=message):
                LiveExecutor(
                    Pool(
                        models=(Model(name="small"),),
                        tools=(Tool.from_graph(wrong, name="adder", description="?", **fields),),
                    )
                )


def around(executor: LiveExecutor, pair: Pair, *, asynchronous: bool) -> Any:
    """Make a graph, with a checkpointer, one node of which runs a pair."""

    def node(_: Plain) -> Plain:
        return {"answer": executor.run(pair, Query(text="Do it.")).answer or "failed"}

    async def anode(_: Plain) -> Plain:
        return {"answer": (await executor.arun(pair, Query(text="Do it."))).answer or "failed"}

    builder = StateGraph(Plain)
    builder.add_node("ask", anode if asynchronous else node)
    builder.add_edge(START, "ask")
    builder.add_edge("ask", END)
    return builder.compile(checkpointer=InMemorySaver())


def test_structured_tools_with_a_json_schema_pass_through(ask: Callable[..., Observation]) -> None:
    schema = {"type": "object", "properties": {"a.b": {"type": "integer"}}, "required": ["a.b"]}
    made: Annotated[StructuredTool, "as MCP servers and BFCL have them"] = StructuredTool(
        name="odd", description="Odd names.", args_schema=schema, func=lambda **given: json.dumps(given)
    )
    assert ask(Tool.of(made), "odd", **{"a.b": 3}).answer == '{"a.b": 3}'


class TestGraphToolByLangChain(ToolsUnitTests):
    """LangChain's own tests of a tool."""

    @property
    def tool_constructor(self) -> type[GraphTool]:
        return GraphTool

    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        return {"graph": adder(), "name": "adder", "description": "Adds."}

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"first": 1, "second": 2}
