"""What is kept of a model's reply, wherever it was asked: why it ended, which model it was, what it thought."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from node_graph import node_graph

from langchain_atlas import (
    AtlasChain,
    AtlasMiddleware,
    AtlasNode,
    ChatAtlas,
    Decision,
    Observation,
    Pair,
    Router,
    Trajectory,
    create_atlas_graph,
    solve,
)
from langchain_atlas.execution.observing import told_by
from langchain_atlas.testing import ScriptedRouter
from langchain_atlas.trajectory import START, Query, last_answer

if TYPE_CHECKING:
    from fixture_types import Connect, Serve

HELLO = {"messages": [HumanMessage("hello", id="1")]}
THOUGHTFUL = {"content": "to be or", "finish_reason": "length", "reasoning_content": "Hamlet, I think."}
SMALL, LARGE = Pair("small"), Pair("large")


def asked(name: str, router: Router, executor: Any, agent: Any, server: Any) -> AIMessage:
    built: dict[str, Any] = {
        "node": lambda: node_graph(AtlasNode(router, executor)).compile(),
        "durable": lambda: node_graph(AtlasNode(router, executor, durable=True)).compile(),
        "graph": lambda: create_atlas_graph(router, executor).compile(),
        "chain": lambda: AtlasChain(router, executor),
        "chat": lambda: ChatAtlas(router=router, executor=executor),
        "middleware": lambda: agent(server, AtlasMiddleware(router, executor)),
    }
    came = built[name]().invoke(HELLO["messages"] if name == "chat" else HELLO)
    return came["messages"][-1] if isinstance(came, dict) else came


EVERYWHERE = pytest.mark.parametrize("name", ["node", "durable", "graph", "chain", "chat", "middleware"])


class TestAMessage:
    @EVERYWHERE
    def test_keeps_why_it_ended_which_model_it_was_and_what_it_thought(
        self, serve: Serve, connect: Connect, agent: Any, name: str
    ) -> None:
        server = serve(THOUGHTFUL)
        message = asked(name, ScriptedRouter("small@@none"), connect(server), agent, server)
        assert message.text == "to be or"
        assert message.response_metadata["finish_reason"] == "length"
        assert message.response_metadata["model_name"] == "openai/small"
        assert message.additional_kwargs["reasoning_content"] == "Hamlet, I think."

    @EVERYWHERE
    def test_that_was_cut_or_withheld_shows_it_in_the_record(
        self, serve: Serve, connect: Connect, agent: Any, name: str
    ) -> None:
        server = serve({"content": "to be or", "finish_reason": "content_filter"})
        record = asked(name, ScriptedRouter("small@@none"), connect(server), agent, server).response_metadata["atlas"]
        seen = Observation.from_json(record["steps"][0]["observation"])
        assert (seen.finish_reason, seen.incomplete, seen.failed) == ("content_filter", True, False)

    @EVERYWHERE
    def test_streamed_in_a_graph_is_the_same(self, serve: Serve, connect: Connect, agent: Any, name: str) -> None:
        if name in ("chain", "chat"):
            pytest.skip("no graph of its own")
        server = serve(THOUGHTFUL)
        router, executor = ScriptedRouter("small@@none"), connect(server)
        graph = {
            "node": lambda: node_graph(AtlasNode(router, executor)).compile(),
            "durable": lambda: node_graph(AtlasNode(router, executor, durable=True)).compile(),
            "graph": lambda: create_atlas_graph(router, executor).compile(),
            "middleware": lambda: agent(server, AtlasMiddleware(router, executor)),
        }[name]()
        *_, (mode, last) = graph.stream(HELLO, stream_mode=["messages", "values"])
        message = last["messages"][-1]
        assert mode == "values"
        assert message.response_metadata["finish_reason"] == "length"
        assert message.additional_kwargs["reasoning_content"] == "Hamlet, I think."


class Wary(Router):
    """Asks the large model where the small one's reply is not whole."""

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:  # noqa: ARG002
        if not trajectory.observations:
            return Decision(kind="route", pair=SMALL)
        if trajectory.calls == 1 and trajectory.observations[0].incomplete:
            return Decision(kind="route", pair=LARGE)
        return last_answer(trajectory, rule="wary", reason="")


class TestARouter:
    def test_may_ask_again_where_a_reply_was_cut(self, serve: Serve, connect: Connect) -> None:
        def reply(body: dict[str, Any]) -> Any:
            return {"content": "to be or", "finish_reason": "length"} if body["model"] == "small" else "not to be"

        trajectory = solve("hello", Wary(), connect(serve(reply)))
        assert [str(seen.pair) for seen in trajectory.observations] == ["small@@none", "large@@none"]
        assert trajectory.answer == "not to be"

    def test_that_gives_the_last_answer_prefers_a_whole_one(self) -> None:
        whole = Observation(pair=SMALL, answer="whole", finish_reason="stop")
        cut = Observation(pair=LARGE, answer="cu", finish_reason="MAX_TOKENS")
        for seen, answer in (([whole, cut], "whole"), ([cut, whole], "whole"), ([cut, cut], "cu")):
            trajectory = START
            for one in seen:
                trajectory = trajectory.then(Decision(kind="route", pair=one.pair), one)
            assert last_answer(trajectory, rule="", reason="").answer == answer

    def test_is_told_why_there_is_no_word(self, serve: Serve, connect: Connect) -> None:
        server = serve({"content": "", "finish_reason": "length"})
        seen = solve("hello", ScriptedRouter("small@@none"), connect(server)).observations[0]
        assert seen.error == "EmptyAnswer: the model returned no text. It ended by 'length'."


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            AIMessage("x", response_metadata={"stop_reason": "max_tokens", "model": "claude"}),
            ("max_tokens", "claude", None),
        ),
        (AIMessage("x", response_metadata={"done_reason": "length"}), ("length", None, None)),
        (AIMessage([{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "x"}]), (None, None, "hm")),
        (AIMessage("x", additional_kwargs={"reasoning_content": ""}), (None, None, None)),
        (AIMessage("x", response_metadata={"model_name": 7, "finish_reason": None}), (None, None, None)),
    ],
)
def test_providers_other_than_litellms_are_read_too(message: AIMessage, told: tuple[Any, ...]) -> None:
    assert tuple(told_by(message).values()) == told
