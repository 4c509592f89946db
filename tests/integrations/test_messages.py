"""Reading the ask from messages, and writing the answer as one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_atlas import Decision, Observation, Pair, Trajectory
from langchain_atlas.errors import InvalidInputError
from langchain_atlas.integrations.messages import (
    AtlasContext,
    answer_message,
    read_ask,
    read_query,
    record,
    run_settings,
)
from langchain_atlas.trajectory import Constraints
from langchain_atlas.usage import Usage

GIF = "R0lGODlhAQABAAAAACwAAAAAAQABAAACAkQBADs="


class TestReadQuery:
    def test_asks_what_the_human_said_last(self) -> None:
        messages = [
            SystemMessage("Be kind."),
            HumanMessage("Hello", id="h1"),
            AIMessage("Hello to you"),
            HumanMessage("Double 21", id="h2"),
            AIMessage("", tool_calls=[{"name": "double", "args": {"number": 21}, "id": "c1"}]),
            ToolMessage("42", tool_call_id="c1"),
        ]
        query = read_query(messages, {})
        assert (query.text, query.id) == ("Double 21", "h2")
        assert query.history == tuple(messages[:3]), "what a tool said afterwards is neither the ask nor its history"
        assert query.since == tuple(messages[4:]), "but goes along, with its ids"
        assert query.constraints == Constraints()
        assert query.cost_weight is None

    def test_leaves_out_what_was_answered_already(self) -> None:
        call = AIMessage("", tool_calls=[{"name": "double", "args": {"number": 21}, "id": "c1"}])
        result = ToolMessage("42", tool_call_id="c1")
        messages = [HumanMessage("Double 21"), call, result, AIMessage("It is 42.")]
        assert read_query(messages, {}).since == (call, result)
        assert read_query([messages[0], messages[3]], {}).since == ()

    @pytest.mark.parametrize("message", [("user", "hi"), {"role": "user", "content": "hi"}, "hi"])
    def test_takes_messages_in_all_their_forms(self, message: Any) -> None:
        assert read_query([message], {}).text == "hi"

    def test_takes_the_settings_of_the_run(self) -> None:
        settings = {"cost_weight": 0.3, "max_cost_usd": 0.1, "max_latency_s": 2, "pairs": ["a@@none", "b"]}
        query = read_query([HumanMessage("hi")], settings)
        assert query.cost_weight == 0.3
        assert query.constraints == Constraints(
            max_cost_usd=0.1, max_latency_s=2, pairs=frozenset({Pair("a"), Pair("b")})
        )

    def test_takes_a_single_pair_as_one(self) -> None:
        assert read_query([HumanMessage("hi")], {"pairs": "a@@none"}).constraints.pairs == {Pair("a")}

    @pytest.mark.parametrize(
        ("settings", "problem"),
        [
            ({"cost_weight": 2}, "'cost_weight'.*got 2"),
            ({"max_cost_usd": -1}, "'max_cost_usd'.*got -1"),
            ({"max_latency_s": 0}, "'max_latency_s'.*got 0"),
            ({"pairs": ["@@none"]}, "''"),
        ],
    )
    def test_refuses_settings_out_of_range(self, settings: dict[str, Any], problem: str) -> None:
        with pytest.raises(InvalidInputError, match=problem):
            read_query([HumanMessage("hi")], settings)

    @pytest.mark.parametrize("messages", [[], [AIMessage("hi")], [SystemMessage("hi")]])
    def test_needs_a_human_message(self, messages: list[Any]) -> None:
        with pytest.raises(InvalidInputError, match="hold no human message"):
            read_query(messages, {})

    @pytest.mark.parametrize("content", ["", " \n", []])
    def test_needs_text_or_an_image(self, content: Any) -> None:
        with pytest.raises(InvalidInputError, match="has no text"):
            read_query([HumanMessage(content)], {})

    @pytest.mark.parametrize(
        ("block", "image"),
        [
            ({"type": "image_url", "image_url": {"url": "http://x/a.png"}}, "http://x/a.png"),
            ({"type": "image_url", "image_url": "http://x/a.png"}, "http://x/a.png"),
            (
                {"type": "image_url", "image_url": {"url": f"data:image/gif;base64,{GIF}"}},
                f"data:image/gif;base64,{GIF}",
            ),
            ({"type": "image", "url": "http://x/a.png"}, "http://x/a.png"),
            ({"type": "image", "base64": GIF, "mime_type": "image/gif"}, f"data:image/gif;base64,{GIF}"),
            (
                {"type": "image", "source_type": "base64", "data": GIF, "mime_type": "image/gif"},
                f"data:image/gif;base64,{GIF}",
            ),
        ],
    )
    def test_takes_images_in_all_their_forms(self, block: dict[str, Any], image: str) -> None:
        query = read_query([HumanMessage([{"type": "text", "text": "What is it?"}, block])], {})
        assert query.text == "What is it?"
        assert query.images == (image,)

    @pytest.mark.parametrize(
        "block",
        [
            {"type": "audio", "base64": "AA==", "mime_type": "audio/wav"},
            {"type": "file", "base64": "AA==", "mime_type": "application/pdf"},
            {"type": "image", "file_id": "file-1"},
        ],
    )
    def test_refuses_what_would_be_lost(self, block: dict[str, Any]) -> None:
        with pytest.raises(InvalidInputError, match=f"block of type '{block['type']}'"):
            read_query([HumanMessage([{"type": "text", "text": "What is it?"}, block])], {})


class TestReadAsk:
    @pytest.mark.parametrize("asked", ["hi", HumanMessage("hi"), [HumanMessage("hi")], [("user", "hi")], ("hi",)])
    def test_takes_a_text_a_message_or_messages(self, asked: Any) -> None:
        query = read_ask(asked, {"cost_weight": 0.3})
        assert (query.text, query.cost_weight) == ("hi", 0.3)

    @pytest.mark.parametrize("asked", [42, {"text": "hi"}, AIMessage("hi"), " "])
    def test_refuses_what_is_no_ask(self, asked: Any) -> None:
        with pytest.raises(InvalidInputError, match=r"The ask is|no human message|has no text"):
            read_ask(asked, {})


class TestRunSettings:
    def test_come_from_the_config(self) -> None:
        config = {"configurable": {"cost_weight": 0.3, "thread_id": "7"}}
        assert run_settings(config) == {"cost_weight": 0.3}

    @pytest.mark.parametrize("config", [{}, {"configurable": None}, {"configurable": {}}])
    def test_may_be_none(self, config: dict[str, Any]) -> None:
        assert run_settings(config) == {}

    def test_are_the_fields_of_the_context(self) -> None:
        fields = {name: getattr(AtlasContext(), name) for name in AtlasContext.__dataclass_fields__}
        names = ("cost_weight", "max_cost_usd", "max_latency_s", "pairs", "private")
        assert fields == dict.fromkeys(names)


def trajectory_of(*seen: Observation, answer: str | None, source: int | None) -> Trajectory:
    trajectory = Trajectory()
    for observation in seen:
        trajectory = trajectory.then(Decision(kind="route", pair=observation.pair), observation)
    return trajectory.then(Decision(kind="answer", answer=answer, source=source))


FAILED = Observation(pair=Pair("a"), error="RuntimeError: no", latency_s=1.0)
RIGHT = Observation(
    pair=Pair("b", "t"),
    answer="42",
    usage=Usage(input_tokens=3, output_tokens=4),
    cost_usd=0.5,
    latency_s=2.0,
    message_id="run-1",
)


class TestAnswerMessage:
    def test_carries_the_answer_the_usage_and_the_record(self) -> None:
        second = RIGHT.replace(pair=Pair("c"), answer="43", message_id="run-2")
        message = answer_message(trajectory_of(RIGHT, second, answer="42", source=0))
        assert message.content == "42"
        assert message.id == "run-1"
        assert message.usage_metadata == {"input_tokens": 6, "output_tokens": 8, "total_tokens": 14}
        assert message.response_metadata["atlas"]["pair"] == "b@@t"
        assert message.response_metadata["atlas"]["cost_usd"] == 1.0
        assert message.response_metadata["atlas"]["latency_s"] == 4.0

    def test_has_no_id_where_no_message_is_the_answer(self) -> None:
        message = answer_message(trajectory_of(RIGHT.replace(message_id=None), answer="42", source=0))
        assert message.id is None

    def test_does_not_know_the_usage_where_a_call_does_not(self) -> None:
        message = answer_message(trajectory_of(FAILED, RIGHT, answer="42", source=1))
        assert message.content == "42"
        assert message.usage_metadata is None
        assert message.response_metadata["atlas"]["cost_usd"] is None

    def test_says_what_failed(self) -> None:
        other = FAILED.replace(pair=Pair("b"), error="Timeout: slow")
        message = answer_message(trajectory_of(FAILED, other, answer=None, source=None))
        assert message.content == ("No answer: every call failed (a@@none: RuntimeError: no; b@@none: Timeout: slow).")
        assert message.response_metadata["atlas"]["answered"] is False

    def test_says_that_nobody_was_asked(self) -> None:
        message = answer_message(trajectory_of(answer=None, source=None))
        assert message.content == "No answer: no pair was called."
        assert message.usage_metadata == {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}

    def test_says_why_nobody_was_asked(self) -> None:
        decided = Trajectory().then(Decision(kind="answer", reason="A human did not approve a@@none."))
        assert answer_message(decided).content == "No answer: A human did not approve a@@none."


class TestRecord:
    def test_is_json(self) -> None:
        written = record(trajectory_of(FAILED, RIGHT, answer="42", source=1))
        assert json.loads(json.dumps(written)) == written
        assert {name: value for name, value in written.items() if name != "steps"} == {
            "answered": True,
            "pair": "b@@t",
            "calls": 2,
            "cost_usd": None,
            "latency_s": 3.0,
        }

    def test_holds_the_trajectory(self) -> None:
        trajectory = trajectory_of(FAILED, RIGHT, answer="42", source=1)
        assert Trajectory.from_json({"steps": record(trajectory)["steps"]}) == trajectory
