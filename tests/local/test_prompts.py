"""Prompts are written out in full here, as each model must see them."""

import pytest

from langchain_atlas.errors import InvalidInputError
from langchain_atlas.local.prompts import Turn, chatml, question_answer, to_turns

USER = Turn("user", "Hi?")


def test_chatml_adds_no_system_text_of_its_own() -> None:
    assert chatml([USER]) == "<|im_start|>user\nHi?<|im_end|>\n<|im_start|>assistant\n"


def test_chatml_continues_an_answer_that_was_begun() -> None:
    prompt = chatml([Turn("system", "Be kind."), USER, Turn("assistant", "Hel")])
    assert prompt == (
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi?<|im_end|>\n<|im_start|>assistant\nHel"
    )


def test_question_answer_shows_what_an_answer_is_where_the_caller_does_not() -> None:
    prompt = question_answer([USER])
    assert prompt.startswith("Answer briefly.\n\nQuestion: ")
    assert prompt.endswith("\nAnswer: Hello Sam!\n\nQuestion: Hi?\nAnswer:")


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ([Turn("system", "Be kind."), USER], "Be kind.\n\nQuestion: Hi?\nAnswer:"),
        (
            [Turn("user", "One?"), Turn("assistant", "1"), USER],
            "Question: One?\nAnswer: 1\n\nQuestion: Hi?\nAnswer:",
        ),
        ([USER, Turn("assistant", "Hel")], "Question: Hi?\nAnswer: Hel"),
    ],
)
def test_question_answer_leaves_the_callers_own_example_alone(turns: list[Turn], expected: str) -> None:
    assert question_answer(turns) == expected


def test_messages_of_every_kind_become_text() -> None:
    turns = to_turns(
        [
            {"role": "developer", "content": "Be kind."},
            {"role": "user", "content": [{"type": "text", "text": "2 + "}, {"type": "text", "text": "2?"}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"function": {"name": "sum", "arguments": '{"of": [2, 2]}'}}],
            },
            {"role": "tool", "content": "4"},
        ]
    )
    assert turns == [
        Turn("system", "Be kind."),
        Turn("user", "2 + 2?"),
        Turn("assistant", '{"name": "sum", "arguments": {"of": [2, 2]}}'),
        Turn("user", "4"),
    ]


@pytest.mark.parametrize(
    ("messages", "named"),
    [
        ([], "at least one message"),
        ([{"role": "robot", "content": "x"}], "'robot'"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}], "'image_url'"),
    ],
)
def test_what_cannot_be_put_as_text_is_named(messages: list[dict[str, object]], named: str) -> None:
    with pytest.raises(InvalidInputError, match=named):
        to_turns(messages)
