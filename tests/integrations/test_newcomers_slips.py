"""What a newcomer gets wrong in the first hour, and what LangChain asks of a step: each is told, or works."""

# mypy: disable-error-code="arg-type,call-arg,call-overload"

from __future__ import annotations

import operator
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import BaseTool  # noqa: TC002
from langgraph.graph import END, START, MessagesState, StateGraph

from langchain_atlas import (
    NO_TOOL,
    AtlasChain,
    AtlasContext,
    AtlasMiddleware,
    AtlasNode,
    AtlasRecord,
    ChatAtlas,
    ClusterRouter,
    FallbackRouter,
    LazyRouter,
    LiveExecutor,
    Model,
    Pair,
    Pool,
    Query,
    Trajectory,
    create_atlas_graph,
    solve,
)
from langchain_atlas.errors import InvalidInputError, PoolError, SettingError
from langchain_atlas.execution.invocations.native import NativeSettings
from langchain_atlas.testing import ScriptedExecutor, ScriptedRouter

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_atlas import OutcomeTable
    from langchain_atlas.encoders import Encoder

ROUTER = ScriptedRouter("small@@none")
ANSWERING = ScriptedExecutor({"small@@none": "42"})
POOL = Pool(
    models=[
        Model(name="small", litellm="openai/small", max_input_tokens=4000, structured_output=True),
        Model(name="large", litellm="openai/large", max_input_tokens=90_000, modalities=["text", "image"]),
    ],
    tools=[NO_TOOL],
)


def executor() -> LiveExecutor:
    return LiveExecutor(POOL)


class TestChatAtlas:
    """What LangChain and its users expect of any chat model."""

    def test_takes_its_own_default_for_router_errors(self) -> None:
        assert ChatAtlas(router=ROUTER, executor=executor(), on_router_error="raise").on_router_error == "raise"

    @pytest.mark.parametrize("pair", ["large@@none", Pair("large")])
    def test_takes_a_pair_for_router_errors(self, pair: Any) -> None:
        assert isinstance(ChatAtlas(router=ROUTER, executor=executor(), on_router_error=pair)._decider, FallbackRouter)

    def test_suggests_the_parameter_that_was_meant(self) -> None:
        with pytest.raises(SettingError, match=r"no parameter 'max_turn'. Did you mean 'max_turns'"):
            ChatAtlas(router=ROUTER, executor=executor(), max_turn=2)

    def test_says_what_can_not_be_used(self) -> None:
        with pytest.raises(SettingError, match=r"'router': .*instance of Router"):
            ChatAtlas(router=executor(), executor=ROUTER)
        with pytest.raises(SettingError, match="Did you mean 'small@@none'"):
            ChatAtlas(router=ROUTER, executor=executor(), on_router_error="smal@@none")

    def test_tells_what_can_be_relied_on_whichever_model_is_chosen(self) -> None:
        profile = ChatAtlas(router=ROUTER, executor=executor()).profile
        assert profile is not None
        assert profile["max_input_tokens"] == 4000
        assert profile["image_inputs"] is True
        assert profile["tool_calling"] is True
        assert profile["structured_output"] is False

    def test_keeps_the_profile_that_it_is_given(self) -> None:
        model = ChatAtlas(router=ROUTER, executor=executor(), profile={"max_input_tokens": 7})
        assert model.profile == {"max_input_tokens": 7}

    def test_counts_tokens_without_a_network(self) -> None:
        model = ChatAtlas(router=ROUTER, executor=executor())
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert model.get_num_tokens("hello world") == 2
            assert model.get_num_tokens_from_messages([HumanMessage("hello world")]) > 2
            assert model.get_num_tokens("<|endoftext|>") > 0

    def test_counts_tokens_as_it_is_told(self) -> None:
        model = ChatAtlas(router=ROUTER, executor=executor(), custom_get_token_ids=lambda text: [0] * len(text))
        assert model.get_num_tokens("hello") == 5


class TestSchemas:
    """Schemas of what goes in and out; tools made of them."""

    @pytest.mark.parametrize(
        "step",
        [
            ROUTER,
            ANSWERING,
            ROUTER | ANSWERING,
            AtlasChain(ROUTER, ANSWERING),
            AtlasNode(ROUTER, ANSWERING, output_key="answer"),
            create_atlas_graph(ROUTER, ANSWERING).compile(),
        ],
    )
    def test_are_there_for_every_step(self, step: Any) -> None:
        for schema in (step.get_input_jsonschema(), step.get_output_jsonschema()):
            assert schema["title"]

    @pytest.mark.parametrize("step", [ROUTER, AtlasChain(ROUTER, ANSWERING), ROUTER | ANSWERING])
    def test_of_what_is_asked_are_texts(self, step: Any) -> None:
        assert step.get_input_jsonschema()["type"] == "string"

    def test_of_a_node_name_the_keys_that_it_reads_and_writes(self) -> None:
        node = AtlasNode(ROUTER, ANSWERING, input_key="question", output_key="answer", record_key="route")
        assert set(node.get_input_jsonschema()["properties"]) == {"question"}
        assert set(node.get_output_jsonschema()["properties"]) == {"answer", "route"}

    def test_of_the_graph_ask_for_messages_alone(self) -> None:
        schema = create_atlas_graph(ROUTER, ANSWERING).compile().get_input_jsonschema()
        assert set(schema["properties"]) == {"messages"}
        assert schema["required"] == ["messages"]

    @pytest.mark.filterwarnings("ignore:This API is in beta")
    @pytest.mark.parametrize("asked", ["What is 6 times 7?", {"__arg1": "What is 6 times 7?"}])
    def test_make_a_tool_of_the_chain_that_answers_in_text(self, asked: Any) -> None:
        tool = AtlasChain(ROUTER, ANSWERING).as_tool(name="ask", description="Answers.")
        assert tool.name == "ask"
        assert tool.invoke(asked) == "42"
        call = {"name": "ask", "args": {"__arg1": "6 times 7?"}, "id": "1", "type": "tool_call"}
        assert tool.invoke(call) == ToolMessage("42", name="ask", tool_call_id="1")

    @pytest.mark.filterwarnings("ignore:This API is in beta")
    def test_make_tools_of_a_pipe_and_of_a_node(self) -> None:
        piped: BaseTool = (ROUTER | ANSWERING).as_tool(name="ask", description="Answers.")
        assert piped.invoke("6 times 7?").answer == "42"
        for node in (AtlasNode(ROUTER, ANSWERING), AtlasNode(ROUTER, ANSWERING, output_key="answer", goto="end")):
            assert node.as_tool(name="ask", description="Answers.").invoke("6 times 7?") == "42"

    @pytest.mark.filterwarnings("ignore:This API is in beta")
    @pytest.mark.parametrize(
        "messages",
        [
            [HumanMessage("6 times 7?")],
            [{"role": "user", "content": "6 times 7?"}],
            [{"type": "human", "content": "6 times 7?"}],
            [("user", "6 times 7?")],
            ["6 times 7?"],
            "6 times 7?",
        ],
    )
    def test_make_a_tool_of_the_graph_that_reads_messages_in_every_form(self, messages: Any) -> None:
        tool = create_atlas_graph(ROUTER, ANSWERING).compile().as_tool(name="ask", description="Answers.")
        assert tool.invoke({"messages": messages})["messages"][-1].text == "42"


class State(MessagesState):
    """A state in which branches may write records side by side."""

    atlas: AtlasRecord
    seen: Annotated[list[str], operator.add]


def test_nodes_that_run_side_by_side_each_answer() -> None:
    graph = StateGraph(State)
    for name, answer in (("a", "one"), ("b", "two"), ("c", "three")):
        graph.add_node(name, AtlasNode(ROUTER, ScriptedExecutor({"small@@none": answer})))
        graph.add_edge(START, name)
        graph.add_edge(name, END)
    state = graph.compile().invoke({"messages": [HumanMessage("?")]})
    answers = [message for message in state["messages"] if isinstance(message, AIMessage)]
    assert [message.text for message in answers] == ["one", "two", "three"]
    assert all(message.response_metadata["atlas"]["answered"] for message in answers)
    assert state["atlas"] == answers[-1].response_metadata["atlas"]


class TestSwappedAndMistyped:
    """What is given in the wrong place, or in the wrong form."""

    def test_a_text_is_a_query(self) -> None:
        assert ROUTER.decide("text").pair == Pair("small")
        assert ANSWERING.run("small@@none", "text").answer == "42"

    async def test_a_text_is_a_query_on_the_event_loop(self) -> None:
        assert (await ROUTER.adecide("text")).pair == Pair("small")
        assert (await ANSWERING.arun("small", "text")).answer == "42"

    def test_a_fitted_router_takes_a_text_too(self, outcomes: OutcomeTable, encoder: Encoder) -> None:
        router = ClusterRouter(encoder, n_clusters=2, n_trees=0).fit(outcomes)
        text = outcomes.queries[0].text
        assert router.decide(text).pair == router.decide(Query(text=text)).pair

    @pytest.mark.parametrize(
        ("wrong", "told"),
        [
            (lambda: ROUTER.decide(Trajectory(), Query(text="?")), "The query is a Trajectory"),
            (lambda: ROUTER.decide(Query(text="?"), "earlier"), "The trajectory is 'earlier'"),
            (lambda: ROUTER.decide(None), "The query is None"),
            (lambda: ROUTER.decide([HumanMessage("?")]), "The query is a list"),
            (lambda: ANSWERING.run(Query(text="?"), Pair("small")), "The pair is a Query"),
            (lambda: ANSWERING.run(Pair("small"), 5), "The query is 5"),
            (lambda: solve("?", ANSWERING, ROUTER), "They are swapped"),
            (lambda: solve(ROUTER, "?", ANSWERING), "The router is '\\?'"),
            (lambda: AtlasNode(ANSWERING, ROUTER), "They are swapped"),
            (lambda: AtlasChain(ANSWERING, ROUTER), "They are swapped"),
            (lambda: create_atlas_graph(ANSWERING, ROUTER), "They are swapped"),
            (lambda: AtlasMiddleware(executor(), ROUTER), "They are swapped"),
            (lambda: AtlasNode(ROUTER, POOL), "The executor is a Pool"),
            (lambda: AtlasNode("router", ANSWERING), "The router is 'router'"),
            (lambda: AtlasNode(ClusterRouter, ANSWERING), "The router is the class ClusterRouter"),
        ],
    )
    def test_what_is_wrong_is_said(self, wrong: Callable[[], Any], told: str) -> None:
        with pytest.raises(InvalidInputError, match=told):
            wrong()

    def test_a_field_of_settings_is_suggested(self) -> None:
        with pytest.raises(InvalidInputError, match=r"no field 'tool_choise'. Did you mean 'tool_choice'"):
            NativeSettings(tool_choise="any")
        with pytest.raises(PoolError, match=r"no field 'litelm'. Did you mean 'litellm'"):
            Model(name="a", litelm="b")


@dataclass
class OwnContext:
    """A context of the user's own, with a slip in it."""

    user: str = "ann"
    max_cost: float = 0.1


def routed() -> Any:
    """A user's graph with a node of ours."""
    graph = StateGraph(MessagesState).add_node("atlas", AtlasNode(ROUTER, ANSWERING))
    return graph.add_edge(START, "atlas").compile()


class TestMisspelledSettings:
    """Settings of a run that are nearly ours."""

    @pytest.mark.parametrize(
        ("slip", "meant"),
        [
            ("cost_wieght", "cost_weight"),
            ("costWeight", "cost_weight"),
            ("cost-weight", "cost_weight"),
            ("max_cost", "max_cost_usd"),
            ("MAX_COST_USD", "max_cost_usd"),
            ("max_latency", "max_latency_s"),
            ("latency_s", "max_latency_s"),
            ("pair", "pairs"),
        ],
    )
    def test_are_refused_everywhere(self, slip: str, meant: str) -> None:
        config: Any = {"configurable": {slip: 0.3, "thread_id": "1"}}
        human = {"messages": [HumanMessage("?")]}
        told = f"{slip}.*Did you mean '{meant}'"
        node = (
            StateGraph(MessagesState).add_node("atlas", AtlasNode(ROUTER, ANSWERING)).add_edge(START, "atlas").compile()
        )
        graph = create_atlas_graph(ROUTER, ANSWERING).compile()
        chat = ChatAtlas(router=ROUTER, executor=executor())
        attempts: list[Callable[[], Any]] = [
            lambda: node.invoke(human, config),
            lambda: node.invoke(human, context={slip: 0.3}),
            lambda: graph.invoke(human, config),
            lambda: graph.invoke(human, context={slip: 0.3}),
            lambda: AtlasContext(**{slip: 0.3}),
            lambda: AtlasChain(ROUTER, ANSWERING).invoke("?", config),
            lambda: AtlasChain(ROUTER, ANSWERING).invoke("?", **{slip: 0.3}),
            lambda: (ROUTER | ANSWERING).invoke("?", config),
            lambda: chat.invoke("?", config),
            lambda: chat.invoke("?", **{slip: 0.3}),
        ]
        for attempt in attempts:
            with pytest.raises(SettingError, match=told):
                attempt()

    def test_in_a_context_of_the_users_own_are_refused(self) -> None:
        graph = StateGraph(MessagesState, context_schema=OwnContext)
        graph.add_node("atlas", AtlasNode(ROUTER, ANSWERING)).add_edge(START, "atlas")
        with pytest.raises(SettingError, match=r"The context has 'max_cost'.*'max_cost_usd'"):
            graph.compile().invoke({"messages": [HumanMessage("?")]}, context=OwnContext())

    def test_other_peoples_keys_stay_free(self) -> None:
        others = [
            "thread_id",
            "checkpoint_ns",
            "user_id",
            "model",
            "max_tokens",
            "cost_center",
            "parts",
            "latency",
            "cost",
        ]
        node = (
            StateGraph(MessagesState).add_node("atlas", AtlasNode(ROUTER, ANSWERING)).add_edge(START, "atlas").compile()
        )
        given = dict.fromkeys(others, "1") | {"cost_weight": 0.3}
        human = {"messages": [HumanMessage("?")]}
        for state in (
            node.invoke(human, {"configurable": given}),
            node.invoke(human, context=given),
        ):
            assert state["messages"][-1].text == "42"
        assert ROUTER.queries[-1].cost_weight == 0.3

    def test_of_ours_unknown_ones_are_refused_however_far_off(self) -> None:
        with pytest.raises(SettingError, match=r"no setting 'alpha'. Valid: 'cost_weight'"):
            AtlasContext(alpha=0.3)


class TestWritten:
    """How routers and executors show in a notebook."""

    def test_routers_say_their_kind_pairs_and_settings(self, outcomes: OutcomeTable, encoder: Encoder) -> None:
        router = ClusterRouter(encoder, n_clusters=2, n_trees=0)
        assert repr(router).startswith("ClusterRouter(")
        written = repr(router.fit(outcomes).configure(cost_weight=0.25))
        assert written.startswith("ClusterRouter(")
        assert str(outcomes.pairs[0]) in written
        assert "cost_weight=0.25" in written
        assert repr(FallbackRouter(ROUTER, Pair("small"))) == "FallbackRouter(ScriptedRouter(small@@none))"

    def test_a_router_that_is_not_made_yet_is_not_made_for_that(self) -> None:
        def make() -> Any:
            raise AssertionError("made")

        assert repr(LazyRouter(make)) == "LazyRouter(not made yet)"

    def test_executors_and_steps_say_what_they_hold(self) -> None:
        assert repr(executor()) == "LiveExecutor(2 pairs)"
        assert repr(AtlasChain(ROUTER, executor())) == "AtlasChain(ScriptedRouter(small@@none), LiveExecutor(2 pairs))"
