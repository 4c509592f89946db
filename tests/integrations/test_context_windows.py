"""Pairs whose model can't hold a query with its history and tools, or can't read its files, are not offered."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import END, START, MessagesState, StateGraph

from langchain_atlas import (
    NO_TOOL,
    AtlasChain,
    AtlasMiddleware,
    AtlasNode,
    ChatAtlas,
    LiveExecutor,
    Model,
    Pair,
    Pool,
    Query,
    Tool,
    create_atlas_graph,
)
from langchain_atlas.errors import ConstraintError
from langchain_atlas.execution.fitting import estimated_tokens
from langchain_atlas.routers.base import Router, last_answer
from langchain_atlas.trajectory import START as BEFORE
from langchain_atlas.trajectory import Decision, Trajectory

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_atlas.testing import OpenAIServer

PDF = base64.b64encode(b"%PDF-1.7 a report").decode()
WAV = base64.b64encode(b"RIFF\x24\x00\x00\x00WAVEfmt ").decode()
PDFS: list[dict[str, Any]] = [
    {"type": "file", "base64": PDF, "mime_type": "application/pdf"},
    {"type": "file", "source_type": "base64", "data": PDF, "mime_type": "application/pdf"},
    {"type": "file", "file": {"filename": "r.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}},
    {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}},
    {"type": "media", "mime_type": "application/pdf", "data": PDF},
]
SOUNDS: list[dict[str, Any]] = [
    {"type": "audio", "base64": WAV, "mime_type": "audio/mpeg"},
    {"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}},
    {"type": "media", "mime_type": "audio/wav", "data": WAV},
]


class First(Router):
    """Asks the first pair that it may."""

    def __init__(self, *pairs: Pair) -> None:
        self._pairs = pairs

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return self._pairs

    def decide(self, query: Query, trajectory: Trajectory = BEFORE) -> Decision:
        if trajectory.steps:
            return last_answer(trajectory, rule="done", reason="One call is enough.")
        allowed = query.constraints.pairs
        return Decision(kind="route", pair=next(pair for pair in self.pairs if allowed is None or pair in allowed))


def node(router: Router, live: LiveExecutor) -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("atlas", AtlasNode(router, live))
    graph.add_edge(START, "atlas")
    graph.add_edge("atlas", END)
    return graph.compile()


INTEGRATIONS: dict[str, Callable[[Router, LiveExecutor], Any]] = {
    "node": node,
    "graph": lambda router, live: create_atlas_graph(router, live).compile(),
    "middleware": lambda router, live: create_agent(
        live.chat_model("large"), middleware=[AtlasMiddleware(router, live, fail_open=False)]
    ),
    "chat": lambda router, live: ChatAtlas(router=router, executor=live),
    "chain": AtlasChain,
}


@pytest.fixture
def executor(serve: Callable[..., OpenAIServer], reach: Callable[..., Model]) -> tuple[OpenAIServer, LiveExecutor]:
    server = serve(lambda body: body["model"])
    small = reach(server, "small", max_input_tokens=200)
    large = reach(server, "large", max_input_tokens=5000, modalities={"text", "pdf", "audio"})
    return server, LiveExecutor(Pool(models=(small, large)), retries=0)


def asked(integration: str, live: LiveExecutor, messages: list[Any], invoke: Any) -> str:
    made = INTEGRATIONS[integration](First(*live.pairs), live)
    if integration in ("node", "graph", "middleware"):
        return str(invoke(made, {"messages": messages})["messages"][-1].text)
    return str(invoke(made, messages).text)


@pytest.mark.parametrize("integration", INTEGRATIONS)
def test_a_long_history_goes_to_a_model_that_holds_it(integration: str, executor: Any, invoke: Any) -> None:
    _, live = executor
    history = [HumanMessage("Tell me a story."), AIMessage("Once upon a time " * 100)]
    assert asked(integration, live, [HumanMessage("Hello")], invoke) == "small"
    assert asked(integration, live, [*history, HumanMessage("Go on")], invoke) == "large"
    assert asked(integration, live, [HumanMessage("word " * 300)], invoke) == "large"


@pytest.mark.parametrize("integration", INTEGRATIONS)
def test_what_none_holds_is_an_error_that_says_so(integration: str, executor: Any, invoke: Any) -> None:
    server, live = executor
    with pytest.raises(ConstraintError, match=r"has about 60\d\d tokens, and the model large reads at most 5000"):
        asked(integration, live, [HumanMessage("word " * 6000)], invoke)
    assert server.bodies == []


def test_tools_count(serve: Any, reach: Any) -> None:
    def look(topic: str) -> str:
        """Look up."""
        return topic

    look.__doc__ = "Look up. " + "It knows a lot. " * 100
    server = serve(lambda body: body["model"])
    small, large = reach(server, "small", max_input_tokens=200), reach(server, "large", max_input_tokens=5000)
    live = LiveExecutor(Pool(models=(small, large), tools=(NO_TOOL, Tool.of(look, name="look"))))
    assert sorted(map(str, live.unable(Query(text="Hello")))) == ["small@@look"]
    assert sorted(map(str, live.unable(Query(text="Hello"), beside="word " * 300))) == ["small@@look", "small@@none"]
    chat = ChatAtlas(router=First(*live.pairs), executor=live)
    assert chat.invoke("Hello").text == "small"
    assert chat.bind_tools([look]).invoke("Hello").text == "large"


@pytest.mark.parametrize("integration", INTEGRATIONS)
@pytest.mark.parametrize("block", [*PDFS, *SOUNDS])
def test_documents_and_recordings_go_to_models_that_take_them(
    integration: str, block: dict[str, Any], executor: Any, invoke: Any
) -> None:
    server, live = executor
    assert asked(integration, live, [HumanMessage([block, {"type": "text", "text": "Sum it up."}])], invoke) == "large"
    first, text = server.bodies[-1]["messages"][-1]["content"]
    assert text == {"type": "text", "text": "Sum it up."}
    if block in PDFS:
        assert first["file"]["file_data"] == f"data:application/pdf;base64,{PDF}"
    else:
        assert first == {"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}}


@pytest.mark.parametrize("integration", INTEGRATIONS)
def test_where_no_model_takes_them_the_error_says_so(integration: str, serve: Any, reach: Any, invoke: Any) -> None:
    server = serve("?")
    live = LiveExecutor(Pool(models=(reach(server, "large"),)), retries=0)
    message = HumanMessage([{"type": "text", "text": "Sum it up."}, PDFS[0]])
    with pytest.raises(ConstraintError, match="a PDF document, which the model large is not said to read"):
        asked(integration, live, [message], invoke)
    assert server.bodies == []


def test_a_document_said_earlier_does_not_end_the_thread(serve: Any, reach: Any) -> None:
    server = serve("Fine.")
    live = LiveExecutor(Pool(models=(reach(server, "large"),)), retries=0)
    earlier = [HumanMessage([{"type": "text", "text": "Sum it up."}, PDFS[0]]), AIMessage("It is a report.")]
    assert (
        ChatAtlas(router=First(*live.pairs), executor=live).invoke([*earlier, HumanMessage("Thanks")]).text == "Fine."
    )
    assert server.bodies[0]["messages"][0]["content"][1] == {"type": "text", "text": "[a PDF document]"}


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("hello " * 500, 503), ("法国的首都是巴黎。" * 40, 243), ("3.14159265358979 " * 200, 1601)],
)
def test_tokens_are_estimated_near_enough(text: str, tokens: int) -> None:
    assert estimated_tokens(text) == pytest.approx(tokens, rel=0.15)


def test_litellm_knows_who_reads_documents() -> None:
    assert Model(name="gpt-4o").modalities == {"text", "image", "pdf"}
    assert "audio" in Model(name="gemini/gemini-2.5-pro").modalities
