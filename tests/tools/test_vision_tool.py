"""Looking at images as a tool of its own, for any agent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.language_models import FakeListChatModel
from langchain_litellm import ChatLiteLLM
from langchain_tests.unit_tests import ToolsUnitTests
from pictures import data_url, picture

from langchain_atlas.errors import SettingError
from langchain_atlas.testing import Failure, images_of
from langchain_atlas.tools.registry import build_tools
from langchain_atlas.tools.vision import PROCEDURES, VisionTool, says_right, stage_answer
from langchain_atlas.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.tools import BaseTool

    from langchain_atlas.testing import OpenAIServer

    Run = Callable[[BaseTool, dict[str, str]], str]

IMAGE = data_url(picture("12 crowns"))


class TestStandard(ToolsUnitTests):
    @property
    def tool_constructor(self) -> type[BaseTool]:
        return VisionTool

    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        return {"procedure": "chart", "model": FakeListChatModel(responses=["Answer: 3"])}

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"image": "https://example.org/a.png", "question": "How many boats?"}


@pytest.fixture(params=["sync", "async"])
def run(request: pytest.FixtureRequest) -> Run:
    if request.param == "sync":
        return lambda tool, arguments: tool.invoke(arguments)
    return lambda tool, arguments: asyncio.run(tool.ainvoke(arguments))


def model_at(server: OpenAIServer) -> ChatLiteLLM:
    return ChatLiteLLM(model="openai/eyes", api_base=server.url, api_key="secret", max_retries=0)


@pytest.mark.parametrize(("procedure", "calls"), [("chart", 2), ("counting", 2), ("geometry", 4), ("ocr", 2)])
def test_the_image_arrives_at_every_stage(run: Run, serve: Any, procedure: str, calls: int) -> None:
    server = serve(lambda body: "12" if images_of(body) == [IMAGE] else Failure(400, "no image"))
    tool = VisionTool.of(procedure, model_at(server))
    assert run(tool, {"image": IMAGE, "question": "What does it cost?"}) == "12"
    assert len(server.bodies) == calls
    assert tool.name == procedure
    assert tool.description.lower().startswith(PROCEDURES[procedure].purpose[:20])


def test_it_says_what_the_model_cost(serve: Any) -> None:
    server = serve({"content": "12", "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}})
    model = model_at(server).model_copy(
        update={
            "model": "openai/priced-eyes",
            "model_kwargs": {"input_cost_per_token": 0.01, "output_cost_per_token": 0.1},
        }
    )
    call = {"name": "chart", "args": {"image": IMAGE, "question": "?"}, "id": "1", "type": "tool_call"}
    unpriced = VisionTool.of("chart", model_at(server)).invoke(call)  # first: LiteLLM remembers prices
    assert unpriced.artifact.cost_usd is None
    message = VisionTool.of("chart", model).invoke(call)
    assert message.content == "12"
    assert message.artifact.usage == Usage(input_tokens=10, output_tokens=4)
    assert message.artifact.cost_usd == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("image", "reply", "problem"),
    [
        ("chart.png", "3", "'chart.png' is no URL of an image"),
        (data_url(b"hello"), "3", "is not an image that models read"),
        (IMAGE, "", "returned no text"),
        (IMAGE, Failure(400, "no eyes"), "The vision model failed. BadRequestError: "),
    ],
)
def test_failures_are_answers(run: Run, serve: Any, image: str, reply: Any, problem: str) -> None:
    tool = VisionTool.of("chart", model_at(serve(reply)))
    answer = run(tool, {"image": image, "question": "?"})
    assert answer.startswith("Error: ")
    assert problem in answer


def test_by_name() -> None:
    (tool,) = build_tools("vision", {"procedure": "counting", "model": "openai/gpt-4o-mini"})
    assert isinstance(tool, VisionTool)
    assert tool.model.model == "openai/gpt-4o-mini"
    with pytest.raises(SettingError, match="no procedure 'painting' for images; there are chart, counting"):
        build_tools("vision", {"procedure": "painting", "model": "openai/gpt-4o-mini"})


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Answer: 5", "5"),
        ("Because.\n\n**Answer:** 5 cm", "5 cm"),
        ("**Answer: 5**", "5"),
        ("Final answer = 5", "5"),
        ("Answer: 4\nNo.\nanswer: 5\n", "5"),
        ("The answer is 5.", "The answer is 5."),
        ("My answer: 5", "My answer: 5"),
        ("Answer:\n5\n", "5"),
        ("Answer:", "Answer:"),
        ("", ""),
    ],
)
def test_the_answer_is_what_stands_after_its_mark(text: str, answer: str) -> None:
    assert stage_answer(text) == answer


@given(st.text())
def test_no_answer_is_made_up(text: str) -> None:
    assert stage_answer(text) in text


@pytest.mark.parametrize(
    ("check", "right"),
    [
        ("Verdict: right", True),
        ("**Verdict:** right.", True),
        ("verdict = Right", True),
        ("Verdict: right? No.\nVerdict: wrong", False),
        ("Verdict: wrong", False),
        ("Verdict: rightly doubted", False),
        ("All is right.", False),
        ("", False),
    ],
)
def test_a_check_is_passed_only_when_it_says_so(check: str, right: bool) -> None:
    assert says_right(check) is right
