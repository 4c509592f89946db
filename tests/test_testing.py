"""The public fakes, and the conformance suite on routers of our own."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from recorded import kinds_of_query, offer, offers

from langchain_atlas import ClusterRouter, Decision, Observation, Pair, Query, solve
from langchain_atlas.errors import ConstraintError, PoolError, SettingError
from langchain_atlas.routers.base import last_answer
from langchain_atlas.testing import (
    HANG,
    Failure,
    FakeEncoder,
    OpenAIServer,
    RouterConformance,
    ScriptedExecutor,
    ScriptedRouter,
    call_tool,
)
from langchain_atlas.trajectory import START, Constraints, Trajectory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.routers.base import Router


def similarity(encoder: FakeEncoder, one: str, other: str) -> float:
    vectors = encoder.encode([one, other])
    return float(vectors[0] @ vectors[1])


class TestFakeEncoder:
    def test_texts_that_share_words_are_nearer(self) -> None:
        encoder = FakeEncoder()
        near = similarity(encoder, "multiply six by seven", "multiply nine by two")
        assert near > similarity(encoder, "multiply six by seven", "the capital city of France")

    def test_case_and_punctuation_do_not_matter(self) -> None:
        assert similarity(FakeEncoder(), "Hello, World!", "hello world") == pytest.approx(1)

    def test_vectors_do_not_depend_on_the_process_or_the_object(self) -> None:
        vectors = FakeEncoder(dimension=4).encode(["one two three", ""])
        again = FakeEncoder(dimension=4).encode(["one two three", ""])
        assert np.array_equal(vectors, again)
        assert vectors.shape == (2, 4)
        assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1])
        # crc32 of the words modulo 4: one -> 1, two -> 2, three -> 1
        assert vectors[0] == pytest.approx(np.array([0, 2, 1, 0]) / np.sqrt(5))

    def test_refuses_an_impossible_dimension(self) -> None:
        with pytest.raises(SettingError, match="dimension is 0"):
            FakeEncoder(dimension=0)


class TestScriptedExecutor:
    def test_says_what_the_mapping_says(self) -> None:
        seen = Observation(pair=Pair("c"), answer="see", cost_usd=0.5)
        executor = ScriptedExecutor({"a@@none": "ay", "b@@none": ValueError("no"), "c@@none": seen})
        assert executor.run(Pair("a"), Query(text="q")) == Observation(pair=Pair("a"), answer="ay")
        failed = executor.run(Pair("b"), Query(text="q"))
        assert (failed.error, failed.error_types) == ("ValueError: no", ("builtins:ValueError",))
        assert executor.run(Pair("c"), Query(text="q")) is seen

    def test_says_what_the_function_says_and_remembers_the_calls(self) -> None:
        executor = ScriptedExecutor(lambda pair, query: f"{query.text} to {pair.model}")
        assert executor.run(Pair("a"), Query(text="hello")).answer == "hello to a"
        assert executor.calls == [(Pair("a"), Query(text="hello"))]

    async def test_works_asynchronously(self) -> None:
        seen = await ScriptedExecutor({"a@@none": "ay"}).arun(Pair("a"), Query(text="q"))
        assert seen.answer == "ay"

    def test_refuses_a_pair_it_was_told_nothing_of(self) -> None:
        with pytest.raises(PoolError, match=r"nothing of pair 'b@@none'.*Valid: 'a@@none'"):
            ScriptedExecutor({"a@@none": "ay"}).run(Pair("b"), Query(text="q"))


class TestScriptedRouter:
    def test_takes_the_decisions_in_turn_and_answers_with_the_last(self) -> None:
        thought = Decision(kind="think", answer="hm")
        router = ScriptedRouter("a@@none", thought, Pair("b", "tool"))
        trajectory = solve("q", router, ScriptedExecutor(lambda pair, _: f"answer of {pair}"))
        kinds = [(step.decision.kind, step.decision.pair) for step in trajectory.steps]
        assert kinds == [("route", Pair("a")), ("think", None), ("route", Pair("b", "tool")), ("answer", None)]
        assert trajectory.answer == "answer of b@@tool"
        assert router.queries == [Query(text="q")] * 4

    def test_keeps_to_the_allowed_pairs(self) -> None:
        query = Query(text="q", constraints=Constraints(pairs=frozenset({Pair("b")})))
        with pytest.raises(ConstraintError, match=r"'a@@none'.*allows: b@@none"):
            ScriptedRouter("a@@none").decide(query)

    def test_can_only_be_restricted_to_pairs_that_hold_its_script(self) -> None:
        router = ScriptedRouter("a@@none", "b@@none")
        assert router.restrict([Pair("a"), Pair("b"), Pair("c")]) is router
        with pytest.raises(PoolError, match="routes to 'b@@none'"):
            router.restrict([Pair("a")])


def post(url: str, body: Any, **headers: str) -> tuple[int, Any, Any]:
    """Send a request without any client library; return status, headers and JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json", **headers})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return response.status, response.headers, json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, json.loads(error.read())


def events(url: str, body: dict[str, Any]) -> list[Any]:
    data = json.dumps({**body, "stream": True}).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
        lines = [line.decode().strip() for line in response if line.strip()]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


ASK = {"model": "m", "messages": [{"role": "user", "content": "say three words"}]}


class TestOpenAIServer:
    def test_answers(self) -> None:
        with OpenAIServer(lambda body: f"you said {body['messages'][-1]['content']}") as server:
            status, _, answer = post(f"{server.url}/chat/completions", ASK, authorization="Bearer key")
        assert status == 200
        assert answer["object"] == "chat.completion"
        assert answer["model"] == "m"
        assert answer["choices"] == [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "you said say three words"},
                "finish_reason": "stop",
                "logprobs": None,
            }
        ]
        assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
        assert server.bodies == [ASK]
        assert server.requests[0].path == "/v1/chat/completions"
        assert server.requests[0].headers["authorization"] == "Bearer key"

    def test_streams(self) -> None:
        with OpenAIServer(lambda _: "one  two\nthree ") as server:
            chunks = events(f"{server.url}/chat/completions", ASK)
        deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
        assert deltas[0] == {"role": "assistant", "content": ""}
        assert len(deltas) > 3
        assert "".join(delta.get("content", "") for delta in deltas) == "one  two\nthree "
        assert [chunk["choices"][0]["finish_reason"] for chunk in chunks][-2:] == [None, "stop"]
        assert not any("usage" in chunk for chunk in chunks)

    def test_streams_the_usage_where_it_is_asked_for(self) -> None:
        with OpenAIServer(lambda _: "one two") as server:
            chunks = events(f"{server.url}/chat/completions", {**ASK, "stream_options": {"include_usage": True}})
        assert chunks[-1]["choices"] == []
        assert chunks[-1]["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}

    def test_calls_tools(self) -> None:
        calls = [call_tool("add", {"a": 1, "b": 2}), call_tool("add", "{oops", "call_2")]
        with OpenAIServer(lambda _: {"tool_calls": calls}) as server:
            _, _, answer = post(f"{server.url}/chat/completions", ASK)
            chunks = events(f"{server.url}/chat/completions", ASK)
        assert answer["choices"][0]["message"] == {"role": "assistant", "content": None, "tool_calls": calls}
        assert answer["choices"][0]["finish_reason"] == "tool_calls"
        pieces = [piece for chunk in chunks for piece in chunk["choices"][0]["delta"].get("tool_calls", [])]
        first = [piece["function"]["arguments"] for piece in pieces if piece["index"] == 0]
        assert json.loads("".join(first)) == {"a": 1, "b": 2}
        assert [piece["id"] for piece in pieces if "id" in piece] == ["call_1", "call_2"]

    def test_can_say_how_it_ended_and_what_it_used(self) -> None:
        with OpenAIServer(lambda _: {"content": "cut", "finish_reason": "length", "usage": None}) as server:
            _, _, answer = post(f"{server.url}/chat/completions", ASK)
        assert answer["choices"][0]["finish_reason"] == "length"
        assert "usage" not in answer

    @pytest.mark.parametrize("status", [400, 401, 429, 500])
    def test_fails_as_told(self, status: int) -> None:
        with OpenAIServer(lambda _: Failure(status, "no way", {"retry-after": "3"})) as server:
            got, headers, answer = post(f"{server.url}/chat/completions", ASK)
        assert got == status
        assert headers["retry-after"] == "3"
        assert answer["error"]["message"] == "no way"

    @pytest.mark.parametrize(("path", "body", "status"), [("/nothing", ASK, 404), ("/chat/completions", b"{", 400)])
    def test_refuses_what_is_no_chat_request(self, path: str, body: Any, status: int) -> None:
        with OpenAIServer(lambda _: "never") as server:
            assert post(server.url + path, body)[0] == status
            assert server.requests == []

    def test_shows_a_mistake_in_the_script(self) -> None:
        with OpenAIServer(lambda body: body["no such key"]) as server:
            status, _, answer = post(f"{server.url}/chat/completions", ASK)
        assert status == 500
        assert "KeyError('no such key')" in answer["error"]["message"]

    def test_hangs_until_it_is_closed(self) -> None:
        ended = threading.Event()
        with OpenAIServer(lambda _: HANG) as server:
            url = f"{server.url}/chat/completions"

            def ask() -> None:
                with pytest.raises(OSError):  # noqa: PT011  # whichever way the connection broke
                    post(url, ASK)
                ended.set()

            threading.Thread(target=ask, daemon=True).start()
            while not server.requests:
                time.sleep(0.005)
            assert not ended.wait(0.1)
        assert ended.wait(5)

    def test_waits_before_it_answers(self) -> None:
        with OpenAIServer(lambda _: "late", delay_s=0.2) as server:
            start = time.perf_counter()
            post(f"{server.url}/chat/completions", ASK)
        assert time.perf_counter() - start >= 0.2

    def test_serves_two_hundred_at_once(self) -> None:
        together = threading.Barrier(200, timeout=20)

        def reply(body: dict[str, Any]) -> str:
            together.wait()  # passes once all are in
            return str(body["messages"][0]["content"])

        with OpenAIServer(reply) as server, ThreadPoolExecutor(200) as threads:
            url = f"{server.url}/chat/completions"
            asks = [{"model": "m", "messages": [{"role": "user", "content": f"number {n}"}]} for n in range(200)]
            answers = list(threads.map(lambda ask: post(url, ask)[2], asks))
        said = [answer["choices"][0]["message"]["content"] for answer in answers]
        assert said == [f"number {n}" for n in range(200)]

    def test_leaves_no_thread_behind(self) -> None:
        before = set(threading.enumerate())
        with OpenAIServer(lambda _: "hi") as server:
            post(f"{server.url}/chat/completions", ASK)
        deadline = time.monotonic() + 5
        while set(threading.enumerate()) - before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not set(threading.enumerate()) - before
        with pytest.raises(RuntimeError, match="not running"):
            _ = server.url


class TestClusterRouterConforms(RouterConformance):
    def make_router(self) -> Router:
        return ClusterRouter(FakeEncoder(), n_clusters=3).fit(kinds_of_query())

    def encoder(self) -> Encoder:
        return FakeEncoder()

    def queries(self) -> list[Query]:
        return [Query(text="numbers sum add two"), Query(text="say hello to me", cost_weight=0.0), Query(text="?")]


class TestClusterRouterAsInPaperConforms(TestClusterRouterConforms):
    def make_router(self) -> Router:
        return ClusterRouter.as_in_paper(FakeEncoder(), n_clusters=3).fit(kinds_of_query())


class TestClusterRouterWithContextConforms(TestClusterRouterConforms):
    """On enough queries that the view has directions, and the finer clusterings more clusters than the first."""

    def make_router(self) -> Router:
        router = ClusterRouter(FakeEncoder(), n_clusters=2).fit(offers())
        assert router.view_ is not None
        assert router.view_.directions.shape[1] == 2
        assert router.clusterings_.sizes == (2, 4, 4, 4, 6, 6)
        return router

    def queries(self) -> list[Query]:
        fits, unfit = (Query(text="open the door", context=offer(text)) for text in ("open door", "sell piano"))
        return [fits, unfit, Query(text="open", context="a door", cost_weight=0.0), Query(text="?")]


class TestScriptedRouterConforms(RouterConformance):
    def make_router(self) -> Router:
        return ScriptedRouter("small@@none", Decision(kind="think", answer="hm"))


class TestRouterThatTakesAnyPairConforms(RouterConformance):
    def make_router(self) -> Router:
        return _Lambda(lambda _, trajectory: "answer" if trajectory.observations else "route")


class _Lambda(ScriptedRouter):
    """A router that does what a function says; some of those in this file break the contract on purpose."""

    def __init__(self, kind_of: Callable[[Query, Trajectory], str]) -> None:
        super().__init__()
        self._kind_of = kind_of

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        kind = self._kind_of(query, trajectory)
        if kind == "route":
            return Decision(kind="route", pair=Pair("a"))
        if kind == "answer" and trajectory.observations:
            return last_answer(trajectory, rule="told", reason="Told so.")
        return Decision(kind="answer", answer="made up") if kind == "answer" else Decision(kind="think")

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return ()


def suite_of(router: Router) -> RouterConformance:
    class Suite(RouterConformance):
        def make_router(self) -> Router:
            return router

    return Suite()


class TestTheSuiteItself:
    """Each fault must be found: a suite that passes whatever it is given shows nothing."""

    def test_finds_a_router_that_answers_out_of_thin_air(self) -> None:
        with pytest.raises(AssertionError, match="nothing to answer with"):
            suite_of(_Lambda(lambda _, __: "answer")).test_decides()

    def test_finds_a_router_that_changes_its_mind(self) -> None:
        turns: Iterator[str] = iter(["route", "think"] * 9)
        with pytest.raises(AssertionError, match="must not change the router"):
            suite_of(_Lambda(lambda _, __: next(turns))).test_decides()

    def test_finds_a_router_that_never_ends(self) -> None:
        with pytest.raises(AssertionError, match="no answer in 4 turns"):
            suite_of(_Lambda(lambda _, __: "route")).test_ends_when_every_call_fails()

    def test_finds_a_router_that_takes_a_failed_call_for_an_answer(self) -> None:
        class Proud(ScriptedRouter):
            def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
                decision = super().decide(query, trajectory)
                return decision.replace(source=0) if decision.kind == "answer" else decision

        with pytest.raises(AssertionError, match="no call returned the answer"):
            suite_of(Proud("a@@none")).test_ends_when_every_call_fails()

    def test_finds_a_router_that_only_thinks(self) -> None:
        with pytest.raises(AssertionError, match="no pair was asked"):
            suite_of(_Lambda(lambda _, __: "think")).test_routes_to_its_own_pairs()

    def test_finds_a_router_that_passes_over_constraints(self) -> None:
        class Deaf(ScriptedRouter):
            def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
                return super().decide(query.replace(constraints=Constraints()), trajectory)

        with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
            suite_of(Deaf("a@@none")).test_refuses_a_query_that_allows_no_pair()
        with pytest.raises((AssertionError, ConstraintError)):  # the loop sees to it, too
            suite_of(Deaf("a@@none", "b@@none")).test_keeps_to_the_pairs_that_a_query_allows()

    def test_finds_a_router_that_forgets_when_saved(self, tmp_path: Path) -> None:
        class Forgetful(TestClusterRouterConforms):
            def load(self, folder: Path) -> Router:
                return super().load(folder).configure(cost_weight=1.0)

        with pytest.raises(AssertionError):
            Forgetful().test_save_and_load(tmp_path)

    def test_finds_a_router_that_takes_any_setting(self) -> None:
        class Meek(ScriptedRouter):
            def configure(self, **_: Any) -> Meek:
                return self

        with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
            suite_of(Meek("a@@none")).test_configure()

    def test_says_what_is_missing(self) -> None:
        with pytest.raises(NotImplementedError, match="override make_router"):
            RouterConformance().test_decides()
