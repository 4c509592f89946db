"""Verifiers: checks of an answer by something other than another answer."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from langchain_atlas import ChatAtlas, LiveExecutor, Observation, Pair, Pool, Query, Verdict, solve
from langchain_atlas.errors import SettingError
from langchain_atlas.execution.verifiers import (
    CallsVerifier,
    CitationVerifier,
    CompileVerifier,
    ExamplesVerifier,
    JudgeVerifier,
    NumberVerifier,
    SchemaVerifier,
    ToolsVerifier,
    Verifier,
    Verifiers,
    as_verifier,
)
from langchain_atlas.testing import ScriptedRouter
from langchain_atlas.trajectory import ToolTrace

if TYPE_CHECKING:
    from fixture_types import Reach, Run, Serve

SMALL = Pair("small")
TASK = Query(
    text='def add_one(x):\n    """Add one.\n    >>> add_one(1)\n    2\n    >>> add_one(-1)\n    0\n    """\n'
    "assert add_one(5) == 6"
)
RIGHT, WRONG = "```python\ndef add_one(x):\n    return x + 1\n```", "```python\ndef add_one(x):\n    return x + 2\n```"
FUNCTIONS = json.dumps(
    [
        {
            "name": "go",
            "parameters": {"properties": {"to": {"type": "string"}, "km": {"type": "integer"}}, "required": ["to"]},
        }
    ]
)
TRIP = Query(text="Go to Oslo.", context=FUNCTIONS)
PAPER = Query(
    text="What does it say?", context="[1] The ferry leaves at nine in the morning.\n[2] It is late on Sundays."
)


def said(verifier: Any, query: Query | str, answer: str, **fields: Any) -> Verdict:
    observation = Observation(pair=SMALL, answer=answer, **fields)
    judged = as_verifier(verifier).judged(Query.of(query), observation)
    awaited = asyncio.run(as_verifier(verifier).ajudged(Query.of(query), observation))
    assert judged.verdict is not None
    assert awaited.verdict is not None
    assert awaited.verdict.status == judged.verdict.status
    return judged.verdict


@pytest.mark.parametrize(
    ("verifier", "query", "answer", "status", "reason"),
    [
        (ExamplesVerifier(), TASK, RIGHT, "passed", "3 examples"),
        (ExamplesVerifier(), TASK, WRONG, "failed", "(add_one(1)) == (2)"),
        (ExamplesVerifier(), TASK, "```python\ndef plus(x):\n    return x + 1\n```", "failed", "NameError"),
        (ExamplesVerifier(), TASK, "```python\ndef add_one(x:\n```", "failed", "SyntaxError"),
        (ExamplesVerifier(), TASK, "```python\ndef add_one(x):\n    while True: pass\n```", "failed", "TimeoutError"),
        (ExamplesVerifier(), TASK, "I can't.", "unknown", "no code"),
        (ExamplesVerifier(), "Write add_one.", RIGHT, "unknown", "no examples"),
        (CompileVerifier(), "?", RIGHT, "passed", "runs"),
        (CompileVerifier(), "?", "```python\nimport no_such_module\n```", "unknown", "no_such_module"),
        (CompileVerifier(run=False), "?", "```python\nimport no_such_module\n```", "passed", "compiles"),
        (CompileVerifier(), "?", "```python\nx = (\n```", "failed", "does not compile"),
        (CompileVerifier(), "?", "```python\n1 / 0\n```", "failed", "ZeroDivisionError"),
        (SchemaVerifier({"type": "object", "required": ["a"]}), "?", '{"a": 1}', "passed", ""),
        (SchemaVerifier({"type": "object", "required": ["a"]}), "?", 'Here: ```json\n{"b": 1}\n```', "failed", "'a'"),
        (SchemaVerifier({"type": "object"}), "?", "no", "failed", "no JSON"),
        (SchemaVerifier({"type": "array"}), "?", "[1, 2]", "passed", ""),
        (CallsVerifier(), TRIP, '[go(to="Oslo", km=3)]', "passed", ""),
        (CallsVerifier(), TRIP, '[go(km="far")]', "failed", "missing argument, wrong type"),
        (CallsVerifier(), TRIP, '[fly(to="Oslo")]', "failed", "unknown function"),
        (CallsVerifier(), TRIP, "I can't go.", "unknown", "none of the functions"),
        (CallsVerifier(), "Go.", '[go(to="Oslo")]', "unknown", "no functions"),
        (CitationVerifier(), PAPER, 'It says: "The ferry leaves at nine".', "passed", ""),
        (CitationVerifier(), PAPER, 'It says: "The ferry leaves at ten".', "failed", "leaves at ten"),
        (CitationVerifier(), PAPER, "At nine [1], late on Sundays [2].", "passed", "2 citations"),
        (CitationVerifier(), PAPER, "At nine [3].", "failed", "no document [3]"),
        (CitationVerifier(), PAPER, '"The ferry leaves ... in the morning"', "passed", ""),
        (CitationVerifier(), PAPER, 'It is called "the ferry".', "unknown", "quotes nothing"),
        (CitationVerifier(), "?", '"The ferry leaves at nine"', "unknown", "no documents"),
        (NumberVerifier(low=0, high=100), "?", "It is 42.", "passed", ""),
        (NumberVerifier(low=0, high=100), "?", "It is 1,042.", "failed", "above 100"),
        (NumberVerifier(low=0), "?", "It is \u22125 degrees", "failed", "below 0"),
        (NumberVerifier(whole=True), "?", "It is 4.5", "failed", "whole"),
        (NumberVerifier(unit="km"), "?", "\\boxed{42 km}", "passed", ""),
        (NumberVerifier(unit="$"), "?", "It costs $42", "passed", ""),
        (NumberVerifier(unit="km"), "?", "42 kmh", "failed", "in km"),
        (NumberVerifier(unit="km"), "?", "far", "failed", "no number"),
        (lambda _, answer: "yes" in answer, "?", "yes", "passed", ""),
        (lambda _, answer: "yes" in answer, "?", "no", "failed", ""),
        (lambda *_: "too short", "?", "no", "failed", "too short"),
        (lambda *_: "", "?", "no", "passed", ""),
        (lambda *_: None, "?", "no", "unknown", ""),
        (lambda *_: 0.5, "?", "no", "unknown", "returned 0.5"),
        (lambda *_: 1 / 0, "?", "no", "unknown", "could not be made: ZeroDivisionError"),
        ([lambda *_: None, lambda *_: True], "?", "no", "passed", ""),
        ([lambda *_: True, lambda *_: "no good"], "?", "no", "failed", "no good"),
        (Verifiers(lambda *_: None), "?", "no", "unknown", ""),
    ],
)
def test_says(verifier: Any, query: Query | str, answer: str, status: str, reason: str) -> None:
    verdict = said(verifier, query, answer)
    assert verdict.status == status, verdict
    assert reason in verdict.reason


def test_tools_that_failed_last_fail_the_answer() -> None:
    good, bad = (
        ToolTrace(name="tests", arguments={}, output="ok"),
        ToolTrace(name="tests", arguments={}, error="exit 1"),
    )
    other = ToolTrace(name="search", arguments={}, error="offline")
    assert said(ToolsVerifier(), "?", "done", tool_trace=(bad, good)).status == "passed"
    assert said(ToolsVerifier(), "?", "done", tool_trace=(good, bad)).reason == "The last call of tests failed: exit 1"
    assert said(ToolsVerifier("tests"), "?", "done", tool_trace=(good, other)).status == "passed"
    assert said(ToolsVerifier("tests"), "?", "done", tool_trace=(other,)).status == "unknown"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Verifiers, "at least one verifier"),
        (lambda: as_verifier(3), "3 can't check answers"),
        (NumberVerifier, "checks nothing"),
        (lambda: NumberVerifier(low=2, high=1), "low can't be above high"),
        (lambda: SchemaVerifier({"type": "objekt"}), "The schema is not valid"),
    ],
)
def test_refuses_what_can_not_check(make: Any, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        make()


class TestInRuns:
    def test_is_part_of_the_observation(self, serve: Serve, reach: Reach, run: Run) -> None:
        executor = LiveExecutor(Pool(models=(reach(serve(WRONG)),)), verifier=ExamplesVerifier())
        seen = run(executor, SMALL, TASK)
        assert seen.answer == WRONG.strip()
        assert seen.verdict is not None
        assert (seen.verdict.status, seen.verdict.verifier) == ("failed", "examples")
        assert Observation.from_json(json.loads(json.dumps(seen.to_json()))) == seen

    def test_is_not_asked_of_a_failed_call(self, serve: Serve, reach: Reach, run: Run) -> None:
        executor = LiveExecutor(Pool(models=(reach(serve(" ")),)), verifier=lambda *_: True)
        assert run(executor, SMALL, TASK).verdict is None

    def test_of_a_function_may_be_asynchronous(self, serve: Serve, reach: Reach) -> None:
        async def check(_: str, answer: str) -> bool:
            await asyncio.sleep(0)
            return answer == "Yes"

        executor = LiveExecutor(Pool(models=(reach(serve("Yes")),)), verifier=check)
        verdict = asyncio.run(executor.arun(SMALL, TASK)).verdict
        assert verdict is not None
        assert (verdict.status, verdict.verifier) == ("passed", "check")
        verdict = executor.run(SMALL, TASK).verdict
        assert verdict is not None
        assert "is asynchronous" in verdict.reason

    @pytest.mark.parametrize(
        ("said", "status"), [("Fine.\nVERDICT: passed", "passed"), ("**Verdict:** FAILED", "failed"), ("Hm", "unknown")]
    )
    def test_of_a_judge_costs_what_it_costs(self, serve: Serve, reach: Reach, run: Run, said: str, status: str) -> None:
        server = serve(said)
        judge = reach(server, "judge", input_cost_per_token=1.0, output_cost_per_token=1.0)
        small = reach(serve("Yes"), input_cost_per_token=0.5, output_cost_per_token=0.5)
        asked = JudgeVerifier(LiveExecutor(Pool(models=(judge,))).chat_model("judge"), model=judge)
        seen = run(LiveExecutor(Pool(models=(small,)), verifier=asked), SMALL, Query(text="Is it?"))
        assert seen.verdict is not None
        assert seen.verdict.status == status
        assert "<answer>\nYes\n</answer>" in server.bodies[0]["messages"][1]["content"]
        spent = seen.verdict.spent
        assert spent is not None
        assert spent.cost_usd == (spent.usage.input_tokens or 0) + (spent.usage.output_tokens or 0) > 0
        own = (seen.usage.input_tokens or 0) + (seen.usage.output_tokens or 0) - spent.cost_usd
        assert seen.cost_usd == pytest.approx(spent.cost_usd + 0.5 * own)

    @pytest.mark.parametrize("way", ["sync", "async"])
    def test_is_made_where_an_integration_calls_the_model_itself(self, serve: Serve, reach: Reach, way: str) -> None:
        executor = LiveExecutor(Pool(models=(reach(serve("Yes")),)), verifier=lambda _, answer: answer == "Yes")
        chat = ChatAtlas(router=ScriptedRouter(SMALL), executor=executor)
        message = chat.invoke("Is it?") if way == "sync" else asyncio.run(chat.ainvoke("Is it?"))
        assert message.response_metadata["atlas"]["steps"][0]["observation"]["verdict"]["status"] == "passed"

    def test_is_seen_by_the_router(self, serve: Serve, reach: Reach) -> None:
        executor = LiveExecutor(Pool(models=(reach(serve("Yes")),)), verifier=lambda *_: "no good")
        (seen,) = solve("Is it?", ScriptedRouter(SMALL), executor).observations
        assert seen.verdict is not None
        assert seen.verdict.reason == "no good"


def test_a_verifier_of_ones_own_needs_one_method() -> None:
    class Polite(Verifier):
        def verify(self, query: Query, observation: Observation) -> Verdict:  # noqa: ARG002
            return Verdict(status="passed" if "please" in str(observation.answer) else "failed")

    assert said(Polite(), "?", "please").verifier == "polite"
