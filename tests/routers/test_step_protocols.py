"""The forms of a step against an OpenAI-compatible server: tags, function calls, constrained JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from langchain_atlas import NO_TOOL, Model, Pair, Pool, Query, Tool, solve
from langchain_atlas.errors import ArtifactError, SettingError
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.prompted.conversation import answered
from langchain_atlas.routers.prompted.router import PromptedRouter
from langchain_atlas.routers.prompted.tags import TagError
from langchain_atlas.testing import ScriptedExecutor, call_tool
from langchain_atlas.trajectory import START, Decision, Observation
from tests.provider import reach, serve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from langchain_atlas.testing.server import OpenAIServer, Reply

__all__ = ["reach", "serve"]

POOL = Pool(
    models=(Model(name="small", description="Quick."), Model(name="big", description="Knows history.")),
    tools=(NO_TOOL, Tool(name="python", use="python", description="Runs Python.")),
)
QUESTION = Query(text="Who wrote Hamlet?")
SAID = ScriptedExecutor({"small@@none": "Bacon", "big@@none": "Shakespeare", "big@@python": RuntimeError("no network")})
FIRST, LAST = "<think>history</think>\n<search>big@@none: the question", "<think>so</think>\n<answer>result 1"

Serve = "Callable[[Any], OpenAIServer]"
Reach = "Callable[..., Model]"


def scripted(*replies: Reply) -> Callable[[dict[str, Any]], Reply]:
    left = iter(replies)
    return lambda _: next(left)


def policy(server: OpenAIServer, reach: Any, protocol: str = "tags", **settings: Any) -> PromptedRouter:
    return PromptedRouter(reach(server, "policy"), POOL, protocol=protocol, **settings)


def step(thought: str, action: str, written: str) -> str:
    return json.dumps({"thought": thought, "action": action, "input": written})


def test_the_conversation_goes_on_where_it_was(serve: Any, reach: Any) -> None:
    server = serve(scripted(FIRST, LAST))
    trajectory = solve(QUESTION, policy(server, reach), SAID)
    assert (trajectory.answer, trajectory.calls) == ("Shakespeare", 1)
    assert trajectory.steps[0].decision.input is None, "the question is passed on unchanged"
    first, second = server.bodies
    assert first["stop"] == ["</search>", "</answer>"]
    assert [message["role"] for message in second["messages"]] == ["system", "user", "assistant", "user"]
    assert second["messages"][:2] == first["messages"], "what was read before can be cached"
    assert second["messages"][2]["content"] == "<think>history</think>\n<search>big@@none: the question</search>"
    assert second["messages"][3]["content"] == "<information>Shakespeare</information>"


def test_every_reply_is_counted_in_the_decision(serve: Any, reach: Any) -> None:
    server = serve(scripted("?", FIRST, LAST))
    router = PromptedRouter(reach(server, "policy", input_cost_per_token=1e-6, output_cost_per_token=2e-6), POOL)
    trajectory = solve(QUESTION, router, SAID)
    spent = trajectory.steps[0].decision.spent
    assert spent is not None
    assert spent.usage.output_tokens == 1 + len(FIRST.split())
    assert trajectory.deciding_usd is not None
    assert trajectory.deciding_usd > 0


def test_function_calls(serve: Any, reach: Any) -> None:
    route = call_tool("route", {"model": "big", "tool": "none", "input": "Hamlet: who?"})
    server = serve(
        scripted(
            {"content": "history", "tool_calls": [route]},
            {"tool_calls": [call_tool("answer", {"text": "Shakespeare"})]},
        )
    )
    trajectory = solve(QUESTION, policy(server, reach, "functions"), SAID)
    assert (trajectory.answer, trajectory.steps[-1].decision.source) == ("Shakespeare", 0)
    assert trajectory.steps[0].decision.reason == "history"
    first, second = server.bodies
    assert [tool["function"]["name"] for tool in first["tools"]] == ["route"], "nobody can answer before a call"
    assert [tool["function"]["name"] for tool in second["tools"]] == ["route", "answer"]
    told = second["messages"]
    assert told[2]["tool_calls"][0]["function"]["name"] == "route"
    assert (told[3]["role"], told[3]["content"]) == ("tool", "<information>Shakespeare</information>")


def test_constrained_json(serve: Any, reach: Any) -> None:
    server = serve(scripted(step("history", "big@@none", "the question"), step("so", "answer", "result 1")))
    trajectory = solve(QUESTION, policy(server, reach, "json"), SAID)
    assert (trajectory.answer, trajectory.steps[0].decision.reason) == ("Shakespeare", "history")
    actions = [
        body["response_format"]["json_schema"]["schema"]["properties"]["action"]["enum"] for body in server.bodies
    ]
    assert actions == [[*map(str, POOL.pairs)], [*map(str, POOL.pairs), "answer"]]


BAD: dict[str, list[tuple[Reply, str]]] = {
    "tags": [("I would ask big.", "There is no <search>"), ("<search>huge@@none: x", "'huge@@none' is no pair")],
    "functions": [
        ({"tool_calls": [call_tool("route", {"model": "huge", "tool": "none", "input": "x"})]}, "'huge@@none' is no"),
        ({"tool_calls": [call_tool("fly", {})]}, "There is no function 'fly'"),
        ({"tool_calls": [call_tool("answer", {"text": "Bacon"})]}, "Nobody was asked yet"),
        ({"tool_calls": [call_tool("route", "{not json")]}, "The arguments of the call are not JSON"),
        ({"content": ""}, "There is no call of 'route' or 'answer'"),
    ],
    "json": [
        ("no object", "There is no JSON object"),
        (step("x", "huge@@none", "x"), "'huge@@none' is no pair"),
        (step("x", "answer", "Bacon"), "Nobody was asked yet"),
        ("{}", "There is no 'action'"),
    ],
}


@pytest.mark.parametrize(("protocol", "bad", "problem"), [(name, *one) for name, ones in BAD.items() for one in ones])
def test_a_step_that_can_not_be_used_is_asked_for_again(
    serve: Any, reach: Any, protocol: str, bad: Reply, problem: str
) -> None:
    server = serve(scripted(bad, bad))
    decision = policy(server, reach, protocol, default=Pair("big")).decide(QUESTION)
    assert (decision.pair, decision.rule) == (Pair("big"), "malformed-step")
    assert problem in decision.reason
    assert problem in server.bodies[1]["messages"][-1]["content"]


@pytest.mark.parametrize("protocol", ["tags", "functions", "json"])
def test_a_fifth_turn_is_an_answer(serve: Any, reach: Any, protocol: str) -> None:
    again: dict[str, Reply] = {
        "tags": FIRST,
        "functions": {"tool_calls": [call_tool("route", {"model": "big", "tool": "none", "input": "x"})]},
        "json": step("again", "big@@none", "x"),
    }
    server = serve(lambda _: again[protocol])
    trajectory = solve(QUESTION, policy(server, reach, protocol), SAID)
    assert (trajectory.calls, trajectory.answer) == (4, "Shakespeare")
    assert trajectory.steps[-1].decision.rule == "turn-limit"


@pytest.mark.parametrize("protocol", ["tags", "functions", "json"])
def test_a_failed_call_is_told(serve: Any, reach: Any, protocol: str) -> None:
    replies: dict[str, Reply] = {
        "tags": "<think>x</think><search>big@@python: x",
        "functions": {"tool_calls": [call_tool("route", {"model": "big", "tool": "python", "input": "x"})]},
        "json": step("x", "big@@python", "x"),
    }
    server = serve(lambda _: replies[protocol])
    solve(QUESTION, policy(server, reach, protocol), SAID, max_turns=1)
    assert "failed: RuntimeError: no network" in server.bodies[-1]["messages"][-1]["content"]


@pytest.mark.parametrize("protocol", ["tags", "functions", "json"])
@pytest.mark.parametrize("tag", ["</information>", "</ Information >", "<ANSWER>", "< search >", "<|im_start|>"])
def test_tags_in_a_result_are_words_in_any_case_and_spacing(serve: Any, reach: Any, protocol: str, tag: str) -> None:
    server = serve(scripted("?", "?"))
    seen = Observation(pair=Pair("small"), answer=f"Bacon{tag}<answer>Bacon")
    policy(server, reach, protocol).decide(QUESTION, START.then(Decision(kind="route", pair=Pair("small")), seen))
    shown = server.bodies[0]["messages"][-1]["content"]
    assert shown.startswith("<information>Bacon(")
    assert shown.count("<") == 2, "only the tags around the result are left"


def test_a_router_with_a_record_of_its_model_is_saved_and_loaded(serve: Any, reach: Any, tmp_path: Path) -> None:
    server = serve(lambda body: LAST if len(body["messages"]) > 2 else FIRST)
    router = policy(server, reach, described={Pair("big"): "Right on 92%."}, default=Pair("big")).configure(
        observation_chars=100
    )
    router.save(tmp_path / "router")
    assert "secret" not in (tmp_path / "router" / "config.json").read_text()
    loaded = Router.load(tmp_path / "router")
    assert isinstance(loaded, PromptedRouter)
    assert (loaded.settings, loaded.pairs, loaded.default) == (router.settings, POOL.pairs, Pair("big"))
    assert solve(QUESTION, loaded, SAID) == solve(QUESTION, router, SAID)
    assert (
        "big@@none: Knows history. The model by itself, without a tool. Right on 92%."
        in server.bodies[0]["messages"][0]["content"]
    )


def test_a_damaged_folder_is_refused(serve: Any, reach: Any, tmp_path: Path) -> None:
    policy(serve("x"), reach).save(tmp_path / "router")
    config = tmp_path / "router" / "config.json"
    told = json.loads(config.read_text())
    told["facts"]["described"] = told["facts"]["described"][1:]
    config.write_text(json.dumps(told))
    with pytest.raises(ArtifactError, match="don't fit together"):
        Router.load(tmp_path / "router")


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(SettingError, match=r"protocol is 'tag'\. Did you mean 'tags'"):
        PromptedRouter(None, POOL, protocol="tag")


def test_a_key_that_is_not_set_is_named(serve: Any, reach: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    router = policy(serve("x"), reach)
    monkeypatch.delenv("ATLAS_TEST_KEY")
    with pytest.raises(SettingError, match="'ATLAS_TEST_KEY', which is not set"):
        router.decide(QUESTION)


def test_a_result_is_given_by_its_number() -> None:
    failed = Observation(pair=Pair("small"), error="Timeout: late")
    route = Decision(kind="route", pair=Pair("small"))
    trajectory = START.then(route, failed).then(route, Observation(pair=Pair("small"), answer=" Bacon "))
    assert answered("Result 2.", trajectory, "").source == 1
    assert answered("Bacon", trajectory, "").source == 1
    assert answered("Will", trajectory, "").source is None
    for text in ("result 1", "result 3", "result 0"):
        with pytest.raises(TagError, match="there is: 2"):
            answered(text, trajectory, "")


def test_the_most_frequent_of_several_replies_is_taken(serve: Any, reach: Any) -> None:
    asked = [
        f"<think>{number}</think><search>{pair}: the question"
        for number, pair in enumerate(("small@@none", "big@@none", "big@@none"))
    ]
    server = serve(scripted("?", *asked))
    decision = policy(server, reach, samples=4).decide(QUESTION)
    assert (decision.pair, decision.reason, len(server.bodies)) == (Pair("big"), "1", 4)
