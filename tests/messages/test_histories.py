"""What no provider takes is closed or left out; what every provider takes stays as it is."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_litellm.chat_models.litellm import _convert_message_to_dict
from pictures import data_url, picture
from strict_provider import fault

from langchain_atlas.messages.histories import NO_OUTPUT, NOT_ANSWERED, sendable

CALL = {"name": "double", "args": {"number": 21}, "id": "c1", "type": "tool_call"}


def test_what_every_provider_takes_is_not_touched() -> None:
    messages = [
        SystemMessage("Be kind."),
        HumanMessage("Double 21"),
        AIMessage("One moment.", tool_calls=[CALL]),
        ToolMessage("42", tool_call_id="c1"),
        AIMessage("42"),
        HumanMessage([{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": "http://x/a.png"}}]),
    ]
    assert all(sent is given for sent, given in zip(sendable(messages), messages, strict=True))


def test_a_call_without_a_result_is_closed_and_says_why() -> None:
    sent = sendable([HumanMessage("Double 21"), AIMessage("", tool_calls=[CALL]), HumanMessage("Well?")])
    assert [message.type for message in sent] == ["human", "ai", "tool", "human"]
    assert isinstance(sent[2], ToolMessage)
    assert (sent[2].tool_call_id, sent[2].status, sent[2].text) == ("c1", "error", NOT_ANSWERED)


def test_a_late_result_is_moved_to_its_call() -> None:
    result = ToolMessage("42", tool_call_id="c1")
    messages = [AIMessage("", tool_calls=[CALL]), HumanMessage("Well?"), result]
    assert sendable(messages) == [messages[0], result, messages[1]]


def test_of_two_results_of_a_call_the_later_holds() -> None:
    results = [ToolMessage("41", tool_call_id="c1"), ToolMessage("42", tool_call_id="c1")]
    assert sendable([AIMessage("", tool_calls=[CALL]), *results])[1:] == [results[1]]


def test_a_result_that_is_empty_says_so() -> None:
    (_, result) = sendable([AIMessage("", tool_calls=[CALL]), ToolMessage("", tool_call_id="c1")])
    assert result.content == NO_OUTPUT


def test_a_call_is_not_lost_because_it_is_a_block() -> None:
    block = {"type": "function_call", "name": "double", "arguments": '{"number": 21}', "call_id": "c1"}
    sent = sendable([AIMessage([block]), ToolMessage("42", tool_call_id="c1")])
    assert isinstance(sent[0], AIMessage)
    assert (sent[0].content, sent[0].tool_calls, sent[1].text) == ("", [CALL], "42")


def test_nothing_but_silence_is_left_to_the_provider() -> None:
    messages: list[BaseMessage] = [HumanMessage("")]
    assert sendable(messages) == messages


def test_an_image_that_can_not_be_read_is_said_to_be_one() -> None:
    block = {"type": "image", "base64": "PHN2Zz4=", "mime_type": "image/svg+xml"}
    (sent,) = sendable([HumanMessage([{"type": "text", "text": "Look"}, block])])
    assert sent.content == [
        {"type": "text", "text": "Look"},
        {"type": "text", "text": "[an image that could not be read]"},
    ]


def test_an_image_of_a_tool_follows_its_results() -> None:
    url = data_url(picture(size=(2, 2)))
    shown = ToolMessage([{"type": "image", "base64": url.partition(",")[2]}], tool_call_id="c1", name="plot")
    other = ToolMessage("42", tool_call_id="c2")
    messages = [AIMessage("", tool_calls=[CALL, {**CALL, "id": "c2"}]), shown, other]
    (_, first, second, last) = sendable(messages, reads={"text", "image"})
    assert first.content[0]["text"].startswith("[an image: image/png, ")  # type: ignore[index]
    assert second == other
    assert last.content == [
        {"type": "text", "text": "What the tool 'plot' returned:"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    assert len(sendable(messages, reads={"text"})) == 3


BLOCKS: st.SearchStrategy[Any] = st.sampled_from(
    [
        "bare",
        {"type": "text", "text": ""},
        {"type": "text", "text": "said", "id": "lc_1"},
        {"type": "function_call", "name": "f", "arguments": "{", "call_id": "c2"},
        {"type": "tool_use", "id": "c1", "name": "f", "input": {}},
        {"type": "reasoning", "reasoning": "Hm."},
        {"type": "image", "base64": "AA==", "mime_type": "image/png"},
        {"type": "non_standard", "value": {"type": "server_tool", "id": "1"}},
    ]
)
TEXTS = st.sampled_from(["", " ", "said"])
CALLS = st.lists(st.sampled_from(["c1", "c2", "", "a b"]), max_size=3).map(
    lambda ids: [{**CALL, "id": call_id} for call_id in ids]
)
MESSAGES = st.one_of(
    st.builds(HumanMessage, TEXTS),
    st.builds(SystemMessage, TEXTS),
    st.builds(AIMessage, TEXTS | st.lists(BLOCKS, max_size=3), tool_calls=CALLS),
    st.builds(ToolMessage, TEXTS, tool_call_id=st.sampled_from(["c1", "c2", "c3", "", "a b"])),
)


@given(st.lists(MESSAGES, max_size=8))
def test_any_history_is_one_that_every_provider_takes(messages: list[BaseMessage]) -> None:
    sent = sendable([*messages, HumanMessage("And now?")], reads={"text"})
    assert fault([_convert_message_to_dict(message) for message in sent]) is None
    assert sendable(sent, reads={"text"}) == sent
