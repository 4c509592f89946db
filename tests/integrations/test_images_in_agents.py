"""Images in messages reach the models that look at them, and tools that look are not picked without one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from pictures import data_url, picture

from langchain_atlas import (
    NO_TOOL,
    AtlasMiddleware,
    AtlasNode,
    ChatAtlas,
    LiveExecutor,
    Pair,
    Pool,
    Tool,
    create_atlas_graph,
)
from langchain_atlas.integrations.messages import has_images, read_query
from langchain_atlas.routers.base import Router, last_answer
from langchain_atlas.testing import Failure, OpenAIServer, ScriptedRouter, images_of
from langchain_atlas.trajectory import START as BEFORE
from langchain_atlas.trajectory import Decision, Query, Trajectory

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_atlas import Model

PNG = picture("12 crowns")
URL, WEB = data_url(PNG), "https://example.org/a.png"
BASE64 = URL.partition(",")[2]
BLOCKS = {
    "image_url": ({"type": "image_url", "image_url": {"url": URL}}, URL),
    "image_url on the web": ({"type": "image_url", "image_url": {"url": WEB, "detail": "low"}}, WEB),
    "bare image_url": ({"type": "image_url", "image_url": WEB}, WEB),
    "v1 base64": ({"type": "image", "base64": BASE64, "mime_type": "image/png"}, URL),
    "v1 url": ({"type": "image", "url": WEB}, WEB),
    "v0 base64": ({"type": "image", "source_type": "base64", "data": BASE64, "mime_type": "image/png"}, URL),
    "v0 url": ({"type": "image", "source_type": "url", "url": WEB}, WEB),
    "source": ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": BASE64}}, URL),
    "source url": ({"type": "image", "source": {"type": "url", "url": WEB}}, WEB),
    "input_image": ({"type": "input_image", "image_url": WEB}, WEB),
    "media": ({"type": "media", "mime_type": "image/png", "data": BASE64}, URL),
}


NONE, CHART = Pair("eyed"), Pair("eyed", "chart")


class Chart(Router):
    """Wants to look at a chart whenever it may, and asks the model alone otherwise."""

    pairs = (NONE, CHART)

    def decide(self, query: Query, trajectory: Trajectory = BEFORE) -> Decision:
        if trajectory.steps:
            return last_answer(trajectory, rule="done", reason="One call is enough.")
        allowed = query.constraints.pairs
        return Decision(kind="route", pair=CHART if allowed is None or CHART in allowed else NONE)


@pytest.fixture
def executor(serve: Callable[..., OpenAIServer], reach: Callable[..., Model]) -> tuple[OpenAIServer, LiveExecutor]:
    def reply(body: dict[str, Any]) -> Any:
        text = str(body["messages"][-1]["content"])
        if "chart" in text and not images_of(body):
            return Failure(400, "no image")
        return "May: 12" if "Look at the chart" in text else "Answer: May"

    server = serve(reply)
    model = reach(server, "eyed", modalities={"text", "image"})
    return server, LiveExecutor(
        Pool(models=(model,), tools=(NO_TOOL, Tool(name="chart", invocation="chart"))), retries=0
    )


def node(executor: LiveExecutor) -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("atlas", AtlasNode(Chart(), executor))
    graph.add_edge(START, "atlas")
    graph.add_edge("atlas", END)
    return graph.compile()


INTEGRATIONS = {
    "node": node,
    "graph": lambda executor: create_atlas_graph(Chart(), executor).compile(),
    "middleware": lambda executor: create_agent(
        executor.chat_model("eyed"), middleware=[AtlasMiddleware(Chart(), executor)]
    ),
}


@pytest.mark.parametrize("integration", INTEGRATIONS)
@pytest.mark.parametrize("form", BLOCKS)
def test_an_image_reaches_every_stage(integration: str, form: str, executor: Any, invoke: Any) -> None:
    server, live = executor
    block, url = BLOCKS[form]
    message = HumanMessage([{"type": "text", "text": "Which month is best?"}, block])
    state = invoke(INTEGRATIONS[integration](live), {"messages": [message]})
    assert state["messages"][-1].text == "May"
    assert [images_of(body) for body in server.bodies] == [[url], [url]]


@pytest.mark.parametrize("form", BLOCKS)
def test_an_image_reaches_a_model_without_a_tool(form: str, executor: Any, invoke: Any) -> None:
    server, live = executor
    block, url = BLOCKS[form]
    message = HumanMessage([{"type": "text", "text": "Which month is best?"}, block])
    router = ScriptedRouter("eyed@@none")
    invoke(ChatAtlas(router=router, executor=live), [message])
    middleware = AtlasMiddleware(router, live, fail_open=False)
    invoke(create_agent(live.chat_model("eyed"), middleware=[middleware]), {"messages": [message]})
    assert [images_of(body) for body in server.bodies] == [[url], [url]]


def test_an_image_alone_is_an_ask(executor: Any, invoke: Any) -> None:
    server, live = executor
    message = HumanMessage([BLOCKS["v1 base64"][0]])
    router = ScriptedRouter("eyed@@none")
    invoke(ChatAtlas(router=router, executor=live), [message])
    invoke(AtlasNode(router, live), {"messages": [message]})
    image = {"type": "image_url", "image_url": {"url": URL}}
    assert [body["messages"] for body in server.bodies] == [[{"role": "user", "content": [image]}]] * 2


@pytest.mark.parametrize("integration", INTEGRATIONS)
def test_without_an_image_no_tool_that_looks_is_picked(integration: str, executor: Any, invoke: Any) -> None:
    server, live = executor
    state = invoke(INTEGRATIONS[integration](live), {"messages": [HumanMessage("Which month is best?")]})
    assert state["messages"][-1].text == "Answer: May"
    assert len(server.bodies) == 1


@pytest.mark.parametrize("form", BLOCKS)
def test_a_query_carries_the_image(form: str) -> None:
    block, url = BLOCKS[form]
    message = HumanMessage([{"type": "text", "text": "?"}, block])
    assert read_query([message], {}).images == (url,)
    assert has_images([message])


@pytest.mark.parametrize("form", BLOCKS)
def test_an_image_said_earlier_goes_along(form: str, executor: Any, invoke: Any) -> None:
    server, live = executor
    block, url = BLOCKS[form]
    earlier = [HumanMessage([{"type": "text", "text": "Look."}, block]), AIMessage("A picture.")]
    state = invoke(node(live), {"messages": [*earlier, HumanMessage("Which month is best?")]})
    assert state["messages"][-1].text == "Answer: May"
    assert images_of(server.bodies[0]) == [url]


@pytest.mark.parametrize(
    "block", [{"type": "image", "file_id": "f"}, {"type": "media", "mime_type": "video/mp4", "data": "AA=="}]
)
def test_what_it_can_not_carry_is_refused(block: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"block of type '{block['type']}' that a query can't carry"):
        read_query([HumanMessage([{"type": "text", "text": "?"}, block])], {})
