"""What goes over the wire when a model uses a tool, and what comes of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from calling import QUESTION, flip, in_turn, look_up, multiply
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import BaseTool, tool

from langchain_atlas import NO_TOOL, LiveExecutor, Model, Observation, Pair, Pool, Query, Tool
from langchain_atlas.errors import PoolError
from langchain_atlas.execution.invocations.base import fill
from langchain_atlas.testing import Failure, call_tool
from langchain_atlas.text.json_objects import first_object

if TYPE_CHECKING:
    from fixture_types import Reach, Run, Serve
    from langchain_core.outputs import ChatResult


@tool(return_direct=True)
def final(text: str) -> str:
    """Say the last word."""
    return f"final {text}"


MULTIPLY = {
    "type": "function",
    "function": {
        "name": "multiply",
        "description": "Multiply two numbers.",
        "parameters": {
            "type": "object",
            "properties": {"first": {"type": "integer"}, "second": {"type": "integer"}},
            "required": ["first", "second"],
        },
    },
}
CALL = call_tool("multiply", {"first": 6, "second": 7})


def tool_of(*tools: BaseTool, invocation: str = "native", **settings: Any) -> Tool:
    return Tool(name="t", tools=tools, invocation=invocation, settings=settings)


def execute(run: Run, model: Model, pool_tool: Tool, query: Query = QUESTION) -> Observation:
    """Run the pair of the model and the tool, in a pool that holds other tools too."""
    other = Tool(name="other", tools=(look_up,), invocation="prompted")
    executor = LiveExecutor(Pool(models=(model,), tools=(NO_TOOL, pool_tool, other)), retries=0)
    return run(executor, Pair(model.name, pool_tool.name), query)


def tool_messages(body: dict[str, Any]) -> dict[str, str]:
    return {message["tool_call_id"]: message["content"] for message in body["messages"] if message["role"] == "tool"}


class TestNone:
    def test_sends_no_tools(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve("42")
        seen = execute(run, reach(server), Tool(name="t", invocation="none"))
        assert seen.answer == "42"
        assert server.bodies == [{"model": "small", "messages": [{"role": "user", "content": QUESTION.text}]}]

    def test_sends_its_settings(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve("42")
        settings = {"system": "Be brief.", "options": {"max_tokens": 5, "stop": ["."]}}
        execute(run, reach(server), Tool(name="t", invocation="none", settings=settings))
        assert server.bodies == [
            {
                "model": "small",
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": QUESTION.text},
                ],
                "max_tokens": 5,
                "stop": ["."],
            }
        ]


class TestNative:
    def test_sends_the_pairs_tools_and_no_others(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve("42, by heart")
        seen = execute(run, reach(server), tool_of(multiply))
        assert seen.answer == "42, by heart"
        assert seen.tool_trace == ()
        assert server.bodies == [
            {
                "model": "small",
                "messages": [{"role": "user", "content": QUESTION.text}],
                "tools": [MULTIPLY],
                "tool_choice": "auto",
            }
        ]

    def test_shows_the_model_what_the_tool_returned(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve(in_turn({"tool_calls": [CALL]}, "It is 42."))
        seen = execute(run, reach(server), tool_of(multiply))
        assert seen.answer == "It is 42."
        assert seen.model_calls == 2
        (trace,) = seen.tool_trace
        assert (trace.name, trace.arguments, trace.output) == ("multiply", {"first": 6, "second": 7}, "42")
        assert trace.error is None
        assert trace.latency_s is not None
        assert seen.message_id
        asked, called, returned = server.bodies[1]["messages"]
        assert asked == {"role": "user", "content": QUESTION.text}
        assert called["tool_calls"][0]["function"]["name"] == "multiply"
        assert json.loads(called["tool_calls"][0]["function"]["arguments"]) == {"first": 6, "second": 7}
        assert returned == {"role": "tool", "content": "42", "tool_call_id": "call_1"}
        assert server.bodies[1]["tools"] == [MULTIPLY]

    def test_runs_parallel_calls(self, serve: Serve, reach: Reach, run: Run) -> None:
        calls = [
            CALL,
            call_tool("look_up", {"topic": "tea"}, "call_2"),
            call_tool("multiply", {"first": 2, "second": 2}, "c3"),
        ]
        server = serve(in_turn({"tool_calls": calls}, "done"))
        seen = execute(run, reach(server), tool_of(multiply, look_up))
        assert [trace.output for trace in sorted(seen.tool_trace, key=lambda trace: str(trace.output))] == [
            "4",
            "42",
            "All about tea",
        ]
        assert tool_messages(server.bodies[1]) == {"call_1": "42", "call_2": "All about tea", "c3": "4"}
        assert [entry["function"]["name"] for entry in server.bodies[0]["tools"]] == ["multiply", "look_up"]

    def test_shows_the_model_what_went_wrong(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve(in_turn({"tool_calls": [call_tool("look_up", {"topic": "nothing"})]}, "I don't know."))
        seen = execute(run, reach(server), tool_of(look_up))
        assert seen.answer == "I don't know."
        assert [(trace.output, trace.error) for trace in seen.tool_trace] == [(None, "LookupError: no such topic")]
        assert tool_messages(server.bodies[1]) == {"call_1": "LookupError: no such topic"}

    def test_shows_the_model_which_argument_is_wrong(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve(in_turn({"tool_calls": [call_tool("multiply", {"first": "six"})]}, "sorry"))
        execute(run, reach(server), tool_of(multiply))
        assert "second" in tool_messages(server.bodies[1])["call_1"]

    def test_shows_the_model_that_there_is_no_such_tool(self, serve: Serve, reach: Reach, run: Run) -> None:
        calls = [call_tool("mutiply", {"first": 6}), call_tool("multiply", {"first": 6, "second": 7}, "call_2")]
        server = serve(in_turn({"tool_calls": calls}, "42"))
        seen = execute(run, reach(server), tool_of(multiply))
        assert seen.answer == "42"
        assert tool_messages(server.bodies[1]) == {
            "call_1": "There is no tool named 'mutiply'. Did you mean 'multiply'? Valid: 'multiply'.",
            "call_2": "42",
        }

    def test_answers_every_call_of_a_reply_with_malformed_arguments(self, serve: Serve, reach: Reach, run: Run) -> None:
        calls = [call_tool("multiply", '{"first": 6, '), call_tool("multiply", {"first": 6, "second": 7}, "call_2")]
        server = serve(in_turn({"tool_calls": calls}, "42"))
        seen = execute(run, reach(server), tool_of(multiply))
        assert seen.answer == "42"
        problem = """The call could not be read: its arguments are '{"first": 6, ', and must be a JSON object."""
        assert [trace.error for trace in seen.tool_trace] == [None, problem]
        sent = [call["id"] for call in server.bodies[1]["messages"][1]["tool_calls"]]
        assert sorted(sent) == ["call_1", "call_2"], "providers refuse a result that answers no call"
        assert tool_messages(server.bodies[1]) == {
            "call_2": "42",
            "call_1": problem,
        }

    @pytest.mark.parametrize("call_id", ["same", ""])
    def test_tells_calls_apart_that_share_an_id(self, serve: Serve, reach: Reach, run: Run, call_id: str) -> None:
        calls = [call_tool("multiply", {"first": 2, "second": factor}, call_id) for factor in (2, 3)]
        server = serve(in_turn({"tool_calls": calls}, "4 and 6"))
        execute(run, reach(server), tool_of(multiply))
        sent = {call["id"]: call["function"]["arguments"] for call in server.bodies[1]["messages"][1]["tool_calls"]}
        results = tool_messages(server.bodies[1])
        assert len(sent) == 2
        assert {json.loads(sent[name])["second"]: text for name, text in results.items()} == {2: "4", 3: "6"}

    @pytest.mark.parametrize(
        ("choice", "sent"),
        [
            ("required", "required"),
            ("multiply", {"type": "function", "function": {"name": "multiply"}}),
        ],
    )
    def test_asks_for_the_choice_once(
        self, serve: Serve, reach: Reach, run: Run, choice: str, sent: str | dict[str, Any]
    ) -> None:
        server = serve(in_turn({"tool_calls": [CALL]}, "42"))
        execute(run, reach(server), tool_of(multiply, look_up, tool_choice=choice))
        assert [body["tool_choice"] for body in server.bodies] == [sent, "auto"]

    def test_must_answer_after_the_last_round(self, serve: Serve, reach: Reach, run: Run) -> None:
        def reply(body: dict[str, Any]) -> Any:
            return "enough" if body["tool_choice"] == "none" else {"tool_calls": [CALL]}

        server = serve(reply)
        seen = execute(run, reach(server), tool_of(multiply, max_rounds=2))
        assert seen.answer == "enough"
        assert [body["tool_choice"] for body in server.bodies] == ["auto", "auto", "none"]
        assert len(seen.tool_trace) == 2

    def test_that_calls_on_when_it_must_answer_has_failed(self, serve: Serve, reach: Reach, run: Run) -> None:
        seen = execute(run, reach(serve({"tool_calls": [CALL]})), tool_of(multiply, max_rounds=1))
        assert seen.error == "EmptyAnswer: the model returned no text. It ended by 'tool_calls'."

    def test_takes_the_tools_word_where_the_tool_says_so(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve({"tool_calls": [call_tool("final", {"text": "word"})]})
        seen = execute(run, reach(server), tool_of(final))
        assert seen.answer == "final word"
        assert seen.model_calls == 1
        assert seen.message_id is None, "no message of the model is the answer"

    def test_keeps_the_system_message_and_the_history(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve("42")
        query = Query(text="And times 7?", history=(HumanMessage("Take 6."), AIMessage("Taken.")))
        execute(run, reach(server), tool_of(multiply, system="You multiply."), query)
        assert [(message["role"], message["content"]) for message in server.bodies[0]["messages"]] == [
            ("system", "You multiply."),
            ("user", "Take 6."),
            ("assistant", "Taken."),
            ("user", "And times 7?"),
        ]

    def test_sends_its_options_with_every_call(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve(in_turn({"tool_calls": [CALL]}, "42"))
        execute(run, reach(server), tool_of(multiply, options={"max_tokens": 9}))
        assert [body["max_tokens"] for body in server.bodies] == [9, 9]

    def test_that_fails_midway_has_failed(self, serve: Serve, reach: Reach, run: Run) -> None:
        seen = execute(run, reach(serve(in_turn({"tool_calls": [CALL]}, Failure(400)))), tool_of(multiply))
        assert str(seen.error).startswith("BadRequestError")


def written(name: str, **arguments: Any) -> str:
    return json.dumps({"tool": name, "arguments": arguments})


SCHEMA = {
    "type": "object",
    "properties": {"tool": {"const": "multiply"}, "arguments": MULTIPLY["function"]["parameters"]},  # type: ignore[index]
    "required": ["tool", "arguments"],
    "additionalProperties": False,
}


class TestPrompted:
    def test_describes_the_tools_and_shows_the_result(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve(in_turn(f"Sure: {written('multiply', first=6, second=7)}!", "It is 42."))
        seen = execute(run, reach(server), tool_of(multiply, invocation="prompted"))
        assert seen.answer == "It is 42."
        assert [trace.output for trace in seen.tool_trace] == ["42"]
        first, second = server.bodies
        assert set(first) == set(second) == {"model", "messages"}, "neither tools nor a schema are sent"
        system, asked = first["messages"]
        assert system["role"] == "system"
        described = json.loads(system["content"].splitlines()[1])
        assert described == MULTIPLY["function"]
        assert '{"tool": "<name>", "arguments": {...}}' in system["content"]
        assert asked == {"role": "user", "content": QUESTION.text}
        assert second["messages"] == [
            {
                "role": "user",
                "content": f"The tool returned:\n42\n\nAnswer the question with it, briefly: {QUESTION.text}",
            }
        ]

    def test_shows_worked_examples(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve(in_turn(written("multiply", first=6, second=7), "42"))
        examples = [
            {"query": "2 times 3?", "tool": "multiply", "arguments": {"first": 2, "second": 3}},
            {"query": "Tea?", "tool": "look_up", "arguments": {"topic": "tea"}},
        ]
        settings = {"examples": examples, "system": "You are exact.", "instructions": False}
        execute(run, reach(server), tool_of(multiply, look_up, invocation="prompted", **settings))
        assert [(message["role"], message["content"]) for message in server.bodies[0]["messages"]] == [
            ("system", "You are exact."),
            ("user", "2 times 3?"),
            ("assistant", written("multiply", first=2, second=3)),
            ("user", "Tea?"),
            ("assistant", written("look_up", topic="tea")),
            ("user", QUESTION.text),
        ]

    def test_puts_its_instructions_after_the_system_message(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve(in_turn(written("multiply", first=6, second=7), "42"))
        execute(run, reach(server), tool_of(multiply, invocation="prompted", system="You are exact."))
        assert server.bodies[0]["messages"][0]["content"].startswith("You are exact.\n\nYou have these tools:\n{")
        assert server.bodies[1]["messages"][0] == {"role": "system", "content": "You are exact."}

    @pytest.mark.parametrize("takes_schemas", [True, False, None])
    def test_sends_a_schema_where_the_model_takes_one(
        self, serve: Serve, reach: Reach, run: Run, takes_schemas: bool | None
    ) -> None:
        server = serve(in_turn(written("multiply", first=6, second=7), "42"))
        model = reach(server, structured_output=takes_schemas)
        execute(run, model, tool_of(multiply, invocation="prompted"))
        expected = {"type": "json_schema", "json_schema": {"name": "call", "schema": SCHEMA, "strict": True}}
        assert server.bodies[0].get("response_format") == (expected if takes_schemas else None)
        assert "response_format" not in server.bodies[1], "the answer is free text"

    def test_sends_the_same_schema_again_where_a_provider_rewrote_it(self, run: Run) -> None:
        class Rewriting(GenericFakeChatModel):
            def _generate(self, *args: Any, **options: Any) -> ChatResult:
                if form := options.get("response_format"):
                    sent.append(json.dumps(form))
                    form["json_schema"]["schema"]["properties"].clear()
                return super()._generate(*args)

        sent: list[str] = []
        said = [written("multiply", first=6, second=7), "42"] * 2
        pool_tool = tool_of(multiply, invocation="prompted")
        model = Model(name="small", litellm="openai/small", structured_output=True)
        chat_model = Rewriting(messages=iter(map(AIMessage, said)))
        executor = LiveExecutor(Pool(models=(model,), tools=(pool_tool,)), chat_models={"small": chat_model})
        answers = [run(executor, Pair("small", "t"), QUESTION).answer for _ in range(2)]
        assert (answers, len(sent), len(set(sent))) == (["42", "42"], 2, 1)

    def test_offers_several_tools_in_one_schema(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve(in_turn(written("look_up", topic="tea"), "tea"))
        model = reach(server, structured_output=True)
        execute(run, model, tool_of(multiply, look_up, invocation="prompted"))
        schema = server.bodies[0]["response_format"]["json_schema"]["schema"]
        names = [option["properties"]["tool"]["const"] for option in schema["anyOf"]]
        assert names == ["multiply", "look_up"]

    def test_can_ask_for_the_arguments_alone(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve(in_turn('{"first": 6, "second": 7}', "42"))
        own_schema = {"type": "object", "properties": {"first": {"type": "integer", "maximum": 9}}}
        settings = {
            "arguments_only": True,
            "arguments_schema": own_schema,
            "examples": [{"query": "?", "arguments": {}}],
        }
        seen = execute(run, reach(server, structured_output=True), tool_of(multiply, invocation="prompted", **settings))
        assert seen.answer == "42"
        assert seen.tool_trace[0].arguments == {"first": 6, "second": 7}
        assert server.bodies[0]["response_format"]["json_schema"]["schema"] == own_schema
        assert server.bodies[0]["messages"][2] == {"role": "assistant", "content": "{}"}

    @pytest.mark.parametrize(
        ("bad", "problem"),
        [
            ("I'd rather not.", 'no JSON object in "I\'d rather not."'),
            (written("divide", first=1), "no tool named 'divide'; there are 'multiply'"),
            ('{"tool": "multiply"}', "the call of 'multiply' lacks 'first', 'second'."),
            ("", "no JSON object in ''"),
        ],
    )
    def test_mends_a_bad_call_once(self, serve: Serve, reach: Reach, run: Run, bad: str, problem: str) -> None:
        server = serve(in_turn(bad, written("multiply", first=6, second=7), "42"))
        seen = execute(run, reach(server), tool_of(multiply, invocation="prompted"))
        assert seen.answer == "42"
        assert seen.model_calls == 3
        said, told = server.bodies[1]["messages"][-2:]
        assert said == {"role": "assistant", "content": bad or "..."}
        assert problem in told["content"]

    def test_that_stays_bad_has_failed(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve("no")
        seen = execute(run, reach(server), tool_of(multiply, invocation="prompted"))
        assert seen.error == "NoCallError: no JSON object in 'no'."
        assert len(server.bodies) == 2

    def test_can_take_the_tools_word(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve(written("multiply", first=6, second=7))
        seen = execute(run, reach(server), tool_of(multiply, invocation="prompted", answer="tool"))
        assert seen.answer == "42"
        assert seen.message_id is None
        assert len(server.bodies) == 1

    def test_whose_tool_fails_has_failed_where_the_tool_answers(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve(written("look_up", topic="nothing"))
        seen = execute(run, reach(server), tool_of(look_up, invocation="prompted", answer="tool"))
        assert seen.error == "InvocationError: LookupError: no such topic"

    def test_shows_a_failing_tool_to_the_model_where_the_model_answers(
        self, serve: Serve, reach: Reach, run: Run
    ) -> None:
        server = serve(in_turn(written("look_up", topic="nothing"), "unknown"))
        seen = execute(run, reach(server), tool_of(look_up, invocation="prompted"))
        assert seen.answer == "unknown"
        assert "LookupError: no such topic" in server.bodies[1]["messages"][-1]["content"]

    def test_sends_each_call_its_options(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve(in_turn(written("multiply", first=6, second=7), "42"))
        settings = {
            "options": {"max_tokens": 30},
            "answer_options": {"max_tokens": 5},
            "result_prompt": "{query} {result}",
        }
        execute(run, reach(server), tool_of(multiply, invocation="prompted", **settings))
        assert [body["max_tokens"] for body in server.bodies] == [30, 5]
        assert server.bodies[1]["messages"][-1]["content"] == f"{QUESTION.text} 42"

    def test_works_with_models_that_have_no_function_calling(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve(in_turn(written("multiply", first=6, second=7), "42"))
        model = reach(server, function_calling=False)
        assert execute(run, model, tool_of(multiply, invocation="prompted")).answer == "42"


class TestGrounded:
    def test_calls_the_tool_with_the_query_and_shows_the_result(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve("Leaves.")
        seen = execute(run, reach(server), tool_of(look_up, invocation="grounded"), Query(text="tea"))
        assert seen.answer == "Leaves."
        assert seen.model_calls == 1
        assert seen.tool_trace[0].arguments == {"topic": "tea"}
        assert server.bodies == [
            {
                "model": "small",
                "messages": [{"role": "user", "content": "All about tea\n\nAnswer with the text above: tea"}],
            }
        ]

    def test_shows_the_model_that_the_tool_failed(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve("I don't know.")
        seen = execute(run, reach(server), tool_of(look_up, invocation="grounded"), Query(text="nothing"))
        assert seen.answer == "I don't know."
        assert seen.tool_trace[0].error == "LookupError: no such topic"
        assert "LookupError: no such topic" in server.bodies[0]["messages"][0]["content"]

    def test_has_a_prompt_and_examples_of_its_own(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve("Leaves.")
        settings = {
            "prompt": "{query} / {result}",
            "examples": [{"query": "coffee", "result": "beans", "answer": "Beans."}],
            "system": "Be brief.",
            "options": {"max_tokens": 8},
        }
        execute(run, reach(server), tool_of(look_up, invocation="grounded", **settings), Query(text="{result}"))
        body = server.bodies[0]
        assert body["max_tokens"] == 8
        assert [message["content"] for message in body["messages"]] == [
            "Be brief.",
            "coffee / beans",
            "Beans.",
            "{result} / All about {result}",
        ]

    def test_takes_the_argument_it_is_told(self, serve: Serve, reach: Reach, run: Run) -> None:
        @tool
        def search(limit: int = 3, question: str = "") -> str:
            """Search."""
            return f"{limit} on {question}"

        server = serve("ok")
        seen = execute(run, reach(server), tool_of(search, invocation="grounded", argument="question"))
        assert seen.tool_trace[0].output == f"3 on {QUESTION.text}"


class TestSettings:
    @pytest.mark.parametrize(
        ("pool_tool", "problem"),
        [
            (tool_of(multiply, max_round=3), "has no field 'max_round'"),
            (tool_of(multiply, max_rounds=0), "'max_rounds'"),
            (tool_of(multiply, invocation="prompted", examples=[{"query": "?"}]), "needs the field 'arguments'"),
            (tool_of(multiply, look_up, invocation="grounded"), "takes one LangChain tool, not 2"),
            (tool_of(look_up, invocation="grounded", argument="subject"), "no argument 'subject'; it has topic"),
            (tool_of(multiply, tool_choice="divide"), "'divide'"),
            (tool_of(multiply, invocation="prompted", answer="human"), "'answer'"),
            (
                tool_of(multiply, look_up, invocation="prompted", examples=[{"query": "?", "arguments": {}}]),
                "must name one of",
            ),
            (
                tool_of(multiply, invocation="prompted", examples=[{"query": "?", "tool": "mul", "arguments": {}}]),
                "calls 'mul'",
            ),
            (tool_of(flip, invocation="grounded"), "'flip' takes no argument"),
        ],
    )
    def test_that_do_not_fit_are_refused_when_the_executor_is_made(self, pool_tool: Tool, problem: str) -> None:
        with pytest.raises(PoolError, match=problem) as caught:
            LiveExecutor(Pool(models=(Model(name="small"),), tools=(pool_tool,)))
        assert "'t'" in str(caught.value), "the message names the tool"


class TestFill:
    def test_leaves_other_braces_alone(self) -> None:
        assert fill('{"a": {x}} {y}', x="1") == '{"a": 1} {y}'

    def test_does_not_fill_what_was_filled_in(self) -> None:
        assert fill("{a}{b}", a="{b}", b="{a}") == "{b}{a}"


class TestFirstObject:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ('{"a": 1} {"b": 2}', {"a": 1}),
            ('{oops} then {"a": {"b": [1]}}', {"a": {"b": [1]}}),
            ('```json\n{"a": "}"}\n```', {"a": "}"}),
            ("[1, 2]", None),
            ("{", None),
            ("", None),
            ("{" * 5000, None),
        ],
    )
    def test_is_found(self, text: str, found: dict[str, Any] | None) -> None:
        assert first_object(text) == found

    @given(
        st.text(alphabet=st.characters(exclude_characters="{}")),
        st.dictionaries(st.text(), st.integers() | st.text() | st.none() | st.lists(st.booleans())),
        st.text(),
    )
    def test_is_found_whatever_stands_around_it(self, before: str, value: dict[str, Any], after: str) -> None:
        assert first_object(before + json.dumps(value) + after) == value

    @given(st.text(alphabet='{}[]":,ab1 '))
    def test_never_raises(self, text: str) -> None:
        assert isinstance(first_object(text), dict | None)
