"""Prompted calls in the formats of model families, of free choice, in several rounds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from calling import QUESTION, in_turn, look_up, multiply

from langchain_atlas import LiveExecutor, Model, Observation, Pair, Pool, Tool
from langchain_atlas.errors import PoolError
from langchain_atlas.execution.invocations.calls.formats import FORMATS

if TYPE_CHECKING:
    from fixture_types import Reach, Run, Serve


def tool_of(**settings: Any) -> Tool:
    return Tool(name="t", tools=(multiply, look_up), invocation="prompted", settings=settings)


def execute(run: Run, model: Model, **settings: Any) -> Observation:
    executor = LiveExecutor(Pool(models=(model,), tools=(tool_of(**settings),)), retries=0)
    return run(executor, Pair("small", "t"), QUESTION)


def last(body: dict[str, Any]) -> str:
    return str(body["messages"][-1]["content"])


SIX, TEA = {"first": 6, "second": 7}, {"topic": "tea"}


@pytest.mark.parametrize("name", sorted(FORMATS))
class TestFormat:
    def test_is_asked_for_and_read(self, serve: Serve, reach: Reach, run: Run, name: str) -> None:
        form = FORMATS[name]
        server = serve(in_turn(form.write("multiply", SIX), "It is 42."))
        seen = execute(run, reach(server), format=name)
        assert seen.answer == "It is 42."
        assert [(trace.arguments, trace.output) for trace in seen.tool_trace] == [(SIX, "42")]
        system = server.bodies[0]["messages"][0]["content"]
        assert form.form in system
        assert form.noun in system
        assert '"name": "multiply"' in system
        assert server.bodies[0].get("stop") == (list(form.stop) or None)

    def test_is_that_of_worked_examples(self, serve: Serve, reach: Reach, run: Run, name: str) -> None:
        server = serve(in_turn(FORMATS[name].write("multiply", SIX), "42"))
        example = {"query": "Tea?", "tool": "look_up", "arguments": TEA}
        execute(run, reach(server), format=name, examples=[example])
        assert server.bodies[0]["messages"][2]["content"] == FORMATS[name].write("look_up", TEA)

    def test_shows_results_where_the_conversation_goes_on(
        self, serve: Serve, reach: Reach, run: Run, name: str
    ) -> None:
        form = FORMATS[name]
        server = serve(in_turn(form.write("multiply", SIX), form.write("look_up", TEA), "42 and tea"))
        seen = execute(run, reach(server), format=name, max_rounds=3)
        assert seen.answer == "42 and tea"
        assert len(seen.tool_trace) == 2
        assert form.results([("multiply", "42")]) in last(server.bodies[1])
        assert [message["role"] for message in server.bodies[2]["messages"]] == [
            "system",
            "user",
            "assistant",
            "user",
            "assistant",
            "user",
        ]

    def test_is_mended_once(self, serve: Serve, reach: Reach, run: Run, name: str) -> None:
        server = serve(in_turn("Let me think.", FORMATS[name].write("multiply", SIX), "42"))
        assert execute(run, reach(server), format=name).answer == "42"
        assert f"no {FORMATS[name].noun} in 'Let me think.'" in last(server.bodies[1])


def written(name: str, **arguments: Any) -> str:
    return json.dumps({"tool": name, "arguments": arguments})


class TestChoice:
    def test_may_be_left_to_the_model(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve("42, by heart")
        seen = execute(run, reach(server, structured_output=True), tool_choice="auto")
        assert (seen.answer, seen.tool_trace, seen.model_calls) == ("42, by heart", (), 1)
        assert "Where a tool helps" in server.bodies[0]["messages"][0]["content"]
        assert "response_format" not in server.bodies[0], "a schema would force a call"

    def test_that_is_free_still_takes_calls(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve(in_turn(written("multiply", **SIX), "It is 42."))
        assert execute(run, reach(server), tool_choice="auto").answer == "It is 42."

    def test_that_is_free_lets_json_be_the_answer(self, serve: Serve, reach: Reach, run: Run) -> None:
        answer = '{"name": "result", "arguments": {"value": 42}}'
        seen = execute(run, reach(serve(answer)), tool_choice="auto")
        assert seen.answer == answer
        assert seen.model_calls == 2, "it was asked once whether it meant a call"

    def test_of_one_tool_leaves_the_others_out(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve(in_turn(written("look_up", **TEA), written("multiply", **SIX), "42"))
        model = reach(server, structured_output=True)
        assert execute(run, model, tool_choice="multiply").answer == "42"
        assert "look_up" not in server.bodies[0]["messages"][0]["content"]
        assert "no tool named 'look_up'" in last(server.bodies[1])
        schema = server.bodies[0]["response_format"]["json_schema"]["schema"]
        assert schema["properties"]["tool"] == {"const": "multiply"}

    def test_hides_thoughts_and_the_words_before_an_answer(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve("<think>easy</think>\nFinal Answer: 42")
        assert execute(run, reach(server), tool_choice="auto", format="react").answer == "42"


class TestRounds:
    def test_end_in_an_answer(self, serve: Serve, reach: Reach, run: Run) -> None:
        def reply(body: dict[str, Any]) -> Any:
            return "enough" if "Call no more tools" in last(body) else written("multiply", **SIX)

        server = serve(reply)
        seen = execute(run, reach(server), max_rounds=2)
        assert seen.answer == "enough"
        assert len(seen.tool_trace) == 2

    def test_run_the_calls_of_one_reply_together(self, serve: Serve, reach: Reach, run: Run) -> None:
        both = f"{written('multiply', **SIX)}\n{written('look_up', topic='nothing')}"
        server = serve(in_turn(both, "42"))
        seen = execute(run, reach(server))
        assert seen.answer == "42"
        assert len(seen.tool_trace) == 2
        assert "multiply: 42\nlook_up: LookupError: no such topic" in last(server.bodies[1])

    def test_run_no_more_calls_than_allowed(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve(in_turn(written("multiply", **SIX) * 5, "42"))
        assert len(execute(run, reach(server), max_calls=2).tool_trace) == 2

    def test_can_give_what_several_tools_returned(self, serve: Serve, reach: Reach, run: Run) -> None:
        both = f"{written('multiply', **SIX)}\n{written('look_up', **TEA)}"
        assert execute(run, reach(serve(both)), answer="tool").answer == "42\nAll about tea"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tool_choice": "mutiply"}, r"tool_choice is 'mutiply'. Did you mean 'multiply'"),
        ({"format": "xml"}, "Input should be 'json', 'hermes'"),
        ({"format": "llama", "arguments_only": True}, "'arguments_only' goes with format 'json', not 'llama'"),
        ({"max_rounds": 0}, "max_rounds"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(PoolError, match=message):
        LiveExecutor(Pool(models=(Model(name="small"),), tools=(tool_of(**settings),)))
