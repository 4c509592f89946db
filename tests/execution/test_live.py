"""The live executor, through LiteLLM, against a provider on this machine."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypedDict

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

from langchain_atlas import NO_TOOL, LiveExecutor, Model, Observation, Pair, Pool, Query, Tool
from langchain_atlas.errors import ExecutionError, PoolError, SettingError
from langchain_atlas.execution.invocations import Invocation, ModelCall, text_of
from langchain_atlas.execution.models.litellm_chat import pause
from langchain_atlas.testing import HANG, Failure, call_tool
from langchain_atlas.usage import Usage

if TYPE_CHECKING:
    from fixture_types import Reach, Run, Serve
    from langchain_core.runnables import RunnableConfig

    from langchain_atlas.execution.invocations import Conversation


SMALL = Pair("small")
QUESTION = Query(text="What is up?")


def executor_of(model: Model, *tools: Tool, **settings: Any) -> LiveExecutor:
    return LiveExecutor(Pool(models=(model,), tools=(NO_TOOL, *tools)), **settings)


class TestAnswer:
    def test_comes_back_with_all_that_is_known_of_it(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve("the sky is", delay_s=0.1)
        model = reach(server, input_cost_per_token=0.01, output_cost_per_token=0.5)
        seen = run(executor_of(model), SMALL, QUESTION)
        assert seen.pair == SMALL
        assert seen.answer == "the sky is"
        assert seen.error is None
        assert seen.usage == Usage(input_tokens=3, output_tokens=3)
        assert seen.cost_usd == pytest.approx(3 * 0.01 + 3 * 0.5)
        assert seen.model_calls == 1
        assert seen.tool_trace == ()
        assert seen.message_id
        assert 0.1 <= (seen.latency_s or 0) < 30

    def test_is_stripped(self, serve: Serve, reach: Reach, run: Run) -> None:
        assert run(executor_of(reach(serve(" 42\n"))), SMALL, QUESTION).answer == "42"

    def test_that_is_empty_is_a_failure(self, serve: Serve, reach: Reach, run: Run) -> None:
        seen = run(executor_of(reach(serve(" "))), SMALL, QUESTION)
        assert seen.failed
        assert seen.answer is None
        assert seen.error == "EmptyAnswer: the model returned no text."


class TestRequest:
    def test_holds_the_question_and_the_model_and_nothing_else(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve("hi")
        run(executor_of(reach(server)), SMALL, QUESTION)
        assert server.bodies == [{"model": "small", "messages": [{"role": "user", "content": "What is up?"}]}]
        assert server.requests[0].headers["authorization"] == "Bearer secret"

    def test_holds_the_models_options(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve("hi")
        options = {"temperature": 0, "max_tokens": 7, "seed": 3, "model_kwargs": {"stop": ["."]}}
        run(executor_of(reach(server, options=options)), SMALL, QUESTION)
        body = server.bodies[0]
        assert {name: body[name] for name in ("temperature", "max_tokens", "seed", "stop")} == {
            "temperature": 0,
            "max_tokens": 7,
            "seed": 3,
            "stop": ["."],
        }

    def test_holds_history_context_and_images(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve("hi")
        query = Query(
            text="What is it?",
            context="a picture",
            history=(HumanMessage("Hello"), AIMessage("Hello to you")),
            images=("data:image/png;base64,iVBORw0KGgo=",),
        )
        run(executor_of(reach(server)), SMALL, query)
        assert server.bodies[0]["messages"] == [
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hello to you"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it?\n\nContext:\na picture"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                ],
            },
        ]

    def test_holds_what_came_since_the_ask(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve("hi")
        call = AIMessage("", tool_calls=[{"name": "double", "args": {"number": 21}, "id": "c1"}])
        run(executor_of(reach(server)), SMALL, QUESTION.replace(since=(call, ToolMessage("42", tool_call_id="c1"))))
        asked, called, returned = server.bodies[0]["messages"]
        assert asked == {"role": "user", "content": "What is up?"}
        assert called["tool_calls"][0]["id"] == "c1"
        assert (returned["role"], returned["content"], returned["tool_call_id"]) == ("tool", "42", "c1")

    def test_holds_the_pairs_tools_and_nothing_of_ours(self, serve: Serve, reach: Reach, run: Run) -> None:
        def double(number: int) -> int:
            """Double a number."""
            return 2 * number

        server = serve("hi")
        run(executor_of(reach(server), Tool(name="math", tools=(double,))), Pair("small", "math"), QUESTION)
        assert set(server.bodies[0]) == {"model", "messages", "tools", "tool_choice"}

    def test_goes_to_the_model_of_the_pair(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve(lambda body: f"I am {body['model']}")
        executor = LiveExecutor(Pool(models=(reach(server, "small"), reach(server, "big"))))
        answers = [run(executor, Pair(name), QUESTION).answer for name in ("small", "big", "small")]
        assert answers == ["I am small", "I am big", "I am small"]


class TestCost:
    def test_is_that_of_litellms_table(self, serve: Serve, reach: Reach, run: Run) -> None:
        usage = {"prompt_tokens": 1_000_000, "completion_tokens": 0, "total_tokens": 1_000_000}
        model = reach(serve({"content": "hi", "usage": usage}), litellm="openai/gpt-4o-mini")
        assert run(executor_of(model), SMALL, QUESTION).cost_usd == pytest.approx(0.15)

    def test_is_that_of_the_pool_before_that_of_litellms_table(self, serve: Serve, reach: Reach, run: Run) -> None:
        prices = {"input_cost_per_token": 1.0, "output_cost_per_token": 0.0}
        model = reach(serve("hi"), litellm="openai/gpt-4o-mini", **prices)
        assert run(executor_of(model), SMALL, QUESTION).cost_usd == pytest.approx(3.0)

    def test_is_unknown_without_prices(self, serve: Serve, reach: Reach, run: Run) -> None:
        seen = run(executor_of(reach(serve("hi"))), SMALL, QUESTION)
        assert seen.cost_usd is None
        assert seen.usage == Usage(input_tokens=3, output_tokens=1)

    def test_of_a_free_model_is_zero(self, serve: Serve, reach: Reach, run: Run) -> None:
        model = reach(serve("hi"), input_cost_per_token=0, output_cost_per_token=0)
        assert run(executor_of(model), SMALL, QUESTION).cost_usd == 0

    def test_adds_up_over_the_calls(self, serve: Serve, reach: Reach, run: Run) -> None:
        def double(number: int) -> int:
            """Double a number."""
            return 2 * number

        replies = iter([{"tool_calls": [call_tool("double", {"number": 4})]}, "8"])
        model = reach(serve(lambda _: next(replies)), input_cost_per_token=1, output_cost_per_token=0)
        server_counts = run(executor_of(model, Tool(name="math", tools=(double,))), Pair("small", "math"), QUESTION)
        assert server_counts.model_calls == 2
        assert server_counts.usage.input_tokens is not None
        assert server_counts.cost_usd == server_counts.usage.input_tokens > 3


class TestFailure:
    @pytest.mark.parametrize(
        ("status", "name"),
        [(400, "BadRequestError"), (401, "AuthenticationError"), (429, "RateLimitError"), (500, "InternalServerError")],
    )
    def test_becomes_an_observation(self, serve: Serve, reach: Reach, run: Run, status: int, name: str) -> None:
        model = reach(serve(Failure(status, "not today")), input_cost_per_token=1, output_cost_per_token=1)
        seen = run(executor_of(model, retries=0), SMALL, QUESTION)
        assert seen.failed
        assert seen.answer is None
        assert str(seen.error).startswith(f"{name}: ")
        assert "not today" in str(seen.error)
        assert seen.usage == Usage()
        assert seen.cost_usd is None, "what a failed call cost is not known"
        assert seen.latency_s is not None
        assert seen.model_calls == 1

    def test_of_a_provider_that_is_not_there(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ATLAS_TEST_KEY", "secret")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        model = Model(
            name="small",
            litellm="openai/small",
            options={"api_base": f"http://127.0.0.1:{port}/v1"},
            api_key_env="ATLAS_TEST_KEY",
        )
        seen = run(executor_of(model, retries=0), SMALL, QUESTION)
        assert "Connection error" in str(seen.error)

    def test_of_a_provider_that_never_answers(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve(HANG)
        start = time.perf_counter()
        seen = run(executor_of(reach(server), timeout_s=0.3, retries=2), SMALL, QUESTION)
        assert str(seen.error).startswith("Timeout: ")
        assert time.perf_counter() - start < 3
        assert len(server.requests) == 1, "a timeout is not repeated: the caller has waited long enough"

    def test_of_a_provider_that_litellm_does_not_know(self, run: Run) -> None:
        seen = run(executor_of(Model(name="small", litellm="no-such-provider/m")), SMALL, QUESTION)
        assert str(seen.error).startswith("BadRequestError: ")

    def test_is_raised_where_the_caller_asks_for_it(self, serve: Serve, reach: Reach, run: Run) -> None:
        executor = executor_of(reach(serve(Failure(401, "who are you?"))), raise_errors=True)
        with pytest.raises(ExecutionError, match=r"small@@none failed: AuthenticationError.*who are you\?"):
            run(executor, SMALL, QUESTION)

    def test_keeps_the_key_to_itself(
        self, serve: Serve, reach: Reach, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = reach(serve(Failure(401, "Incorrect API key provided: open-sesame-42.")))
        monkeypatch.setenv(str(model.api_key_env), "open-sesame-42")
        seen = run(executor_of(model, retries=0), SMALL, QUESTION)
        assert "Incorrect API key provided: ***." in str(seen.error)
        assert "sesame" not in seen.model_dump_json()

    def test_prints_nothing(self, serve: Serve, reach: Reach, run: Run, capfd: pytest.CaptureFixture[str]) -> None:
        run(executor_of(reach(serve(Failure(400)))), SMALL, QUESTION)
        assert capfd.readouterr().out == ""

    def test_midway_counts_the_calls_before_it(self, serve: Serve, reach: Reach, run: Run) -> None:
        def double(number: int) -> int:
            """Double a number."""
            return 2 * number

        replies = iter([{"tool_calls": [call_tool("double", {"number": 4})]}, Failure(400)])
        model = reach(serve(lambda _: next(replies)))
        seen = run(executor_of(model, Tool(name="math", tools=(double,))), Pair("small", "math"), QUESTION)
        assert seen.failed
        assert seen.model_calls == 2
        assert [trace.output for trace in seen.tool_trace] == ["8"]
        assert seen.message_id is None


@pytest.mark.usefixtures("short_pauses")
class TestRetry:
    @pytest.mark.parametrize("status", [429, 500, 502, 503])
    def test_mends_what_passes(self, serve: Serve, reach: Reach, run: Run, status: int) -> None:
        replies = iter([Failure(status), Failure(status), "at last"])
        server = serve(lambda _: next(replies))
        seen = run(executor_of(reach(server), retries=2), SMALL, QUESTION)
        assert seen.answer == "at last"
        assert seen.model_calls == 1
        assert len(server.requests) == 3

    @pytest.mark.parametrize("retries", [0, 1, 2])
    def test_ends(self, serve: Serve, reach: Reach, run: Run, retries: int) -> None:
        server = serve(Failure(500))
        assert run(executor_of(reach(server), retries=retries), SMALL, QUESTION).failed
        assert len(server.requests) == retries + 1

    @pytest.mark.parametrize("status", [400, 401, 403, 404])
    def test_is_not_tried_on_what_stays(self, serve: Serve, reach: Reach, run: Run, status: int) -> None:
        server = serve(Failure(status))
        assert run(executor_of(reach(server), retries=2), SMALL, QUESTION).failed
        assert len(server.requests) == 1

    def test_waits_as_long_as_the_provider_asks(self, serve: Serve, reach: Reach, run: Run) -> None:
        replies = iter([Failure(429, headers={"retry-after": "0.4"}), "thanks"])
        seen = run(executor_of(reach(serve(lambda _: next(replies)))), SMALL, QUESTION)
        assert seen.answer == "thanks"
        assert (seen.latency_s or 0) >= 0.4


class _Refused(Exception):  # noqa: N818
    def __init__(self, status_code: int, retry_after: str | None = None) -> None:
        super().__init__()
        self.status_code = status_code
        self.litellm_response_headers = None if retry_after is None else {"retry-after": retry_after}


class TestPause:
    def test_doubles_up_to_eight_seconds(self) -> None:
        for attempt, longest in enumerate([0.25, 0.5, 1, 2, 4, 8, 8]):
            waits = [pause(_Refused(503), attempt) or 0 for _ in range(50)]
            assert longest / 2 <= min(waits) < max(waits) <= longest

    @pytest.mark.parametrize(("asked", "waits"), [("3", 3.0), ("0", 0.0), ("31", None), ("-1", None)])
    def test_is_what_the_provider_asks_for_within_reason(self, asked: str, waits: float | None) -> None:
        assert pause(_Refused(429, asked), 0) == waits

    def test_does_not_read_dates(self) -> None:
        assert 0 < (pause(_Refused(429, "Wed, 21 Oct 2026 07:28:00 GMT"), 0) or 0) <= 0.25

    @pytest.mark.parametrize("error", [_Refused(401), _Refused(408), ValueError("odd")])
    def test_is_none_for_what_does_not_pass(self, error: Exception) -> None:
        assert pause(error, 0) is None


class TestConcurrency:
    def test_threads_share_an_executor(self, serve: Serve, reach: Reach) -> None:
        server = serve(lambda body: f"re: {body['messages'][-1]['content']}", delay_s=0.02)
        executor = executor_of(reach(server))
        queries = [Query(text=f"number {n}") for n in range(40)]
        with ThreadPoolExecutor(8) as threads:
            seen = list(threads.map(lambda query: executor.run(SMALL, query), queries))
        assert [one.answer for one in seen] == [f"re: number {n}" for n in range(40)]
        assert len({one.message_id for one in seen}) == 40

    async def test_tasks_share_an_executor(self, serve: Serve, reach: Reach) -> None:
        def echo(text: str) -> str:
            """Say it again."""
            return f"<{text}>"

        def reply(body: dict[str, Any]) -> Any:
            last = body["messages"][-1]
            if last["role"] == "tool":
                return f"heard {last['content']}"
            return {"tool_calls": [call_tool("echo", {"text": last["content"]})]}

        server = serve(reply, delay_s=0.05)
        executor = executor_of(reach(server), Tool(name="echo", tools=(echo,)))
        await executor.arun(SMALL, QUESTION)  # loads LiteLLM
        start = time.perf_counter()
        pair = Pair("small", "echo")
        seen = await asyncio.gather(*(executor.arun(pair, Query(text=f"number {n}")) for n in range(50)))
        assert [one.answer for one in seen] == [f"heard <number {n}>" for n in range(50)]
        assert [one.tool_trace[0].arguments for one in seen] == [{"text": f"number {n}"} for n in range(50)]
        assert time.perf_counter() - start < 50 * 0.1, "one after the other they would take this long"

    async def test_a_model_that_is_still_being_loaded_keeps_no_other_waiting(
        self, serve: Serve, reach: Reach, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = serve("ok")
        executor = LiveExecutor(Pool(models=(reach(server), reach(server, "slow"))))
        executor.chat_model("small")
        answered, waited = threading.Event(), []

        def load(*_: Any, **__: Any) -> Any:
            waited.append(answered.wait(5))
            return executor.chat_model("small")

        monkeypatch.setattr("langchain_atlas.execution.live.build_chat_model", load)
        slow = asyncio.create_task(executor.achat_model("slow"))
        await asyncio.sleep(0.05)
        assert (await executor.arun(SMALL, QUESTION)).answer == "ok"
        answered.set()
        await slow
        assert waited == [True], "the event loop would have waited for the slow one"

    async def test_a_cancelled_run_is_not_a_failure(self, serve: Serve, reach: Reach) -> None:
        server = serve(HANG)
        task = asyncio.create_task(executor_of(reach(server)).arun(SMALL, QUESTION))
        while not server.requests:  # noqa: ASYNC110  # the server is another thread
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


class _Asked(TypedDict, total=False):
    answer: str


class TestInterrupt:
    @pytest.mark.parametrize("asynchronous", [False, True])
    def test_in_a_tool_stops_the_graph_until_it_is_resumed(
        self, serve: Serve, reach: Reach, asynchronous: bool
    ) -> None:
        def delete(path: str) -> str:
            """Delete a file, if a human agrees."""
            return f"{path}: {interrupt(f'delete {path}?')}"

        def reply(body: dict[str, Any]) -> Any:
            last = body["messages"][-1]
            calls = {"tool_calls": [call_tool("delete", {"path": "x.txt"})]}
            return last["content"] if last["role"] == "tool" else calls

        server = serve(reply)
        executor = executor_of(reach(server), Tool(name="files", tools=(delete,)))

        def node(_: _Asked) -> _Asked:
            return {"answer": executor.run(Pair("small", "files"), QUESTION).answer or "failed"}

        async def anode(_: _Asked) -> _Asked:
            return {"answer": (await executor.arun(Pair("small", "files"), QUESTION)).answer or "failed"}

        builder = StateGraph(_Asked)
        builder.add_node("ask", anode if asynchronous else node)
        builder.add_edge(START, "ask")
        builder.add_edge("ask", END)
        graph = builder.compile(checkpointer=InMemorySaver())
        config: RunnableConfig = {"configurable": {"thread_id": "1"}}

        def go(what: Any) -> dict[str, Any]:
            return asyncio.run(graph.ainvoke(what, config)) if asynchronous else graph.invoke(what, config)

        assert go({})["__interrupt__"][0].value == "delete x.txt?"
        assert go(Command(resume="agreed"))["answer"] == "x.txt: agreed"


class TestStreaming:
    """Inside a graph that streams its messages, LangChain turns every call of a chat model into a streamed one."""

    @pytest.mark.parametrize("asynchronous", [False, True])
    def test_is_observed_like_any_other_call(self, serve: Serve, reach: Reach, asynchronous: bool) -> None:
        server = serve("the sky is")
        executor = executor_of(reach(server, input_cost_per_token=0.01, output_cost_per_token=0.5))
        seen: list[Observation] = []
        builder = StateGraph(_Asked)
        builder.add_node("ask", lambda _: seen.append(executor.run(SMALL, QUESTION)))

        async def anode(_: _Asked) -> None:
            seen.append(await executor.arun(SMALL, QUESTION))

        if asynchronous:
            builder = StateGraph(_Asked)
            builder.add_node("ask", anode)
        builder.add_edge(START, "ask")
        graph = builder.compile()

        async def astream() -> list[Any]:
            return [part async for part in graph.astream({}, stream_mode="messages")]

        parts = asyncio.run(astream()) if asynchronous else list(graph.stream({}, stream_mode="messages"))
        assert server.bodies[0]["stream"] is True
        assert "".join(part.content for part, _ in parts) == "the sky is"
        assert seen[0].answer == "the sky is"
        assert seen[0].usage == Usage(input_tokens=3, output_tokens=3)
        assert seen[0].cost_usd == pytest.approx(3 * 0.01 + 3 * 0.5)
        assert {part.id for part, _ in parts} == {seen[0].message_id}

    @pytest.mark.usefixtures("short_pauses")
    def test_that_does_not_begin_is_repeated(self, serve: Serve, reach: Reach) -> None:
        replies = iter([Failure(503), "at last"])
        server = serve(lambda _: next(replies))
        executor = executor_of(reach(server, options={"streaming": True}))
        seen = executor.run(SMALL, QUESTION)
        assert seen.answer == "at last"
        assert [body["stream"] for body in server.bodies] == [True, True]


class _Twice(Invocation):
    """Asks two questions at once."""

    def converse(self, query: Query) -> Conversation:
        one, other = yield (ModelCall((HumanMessage("one"),)), ModelCall((HumanMessage(query.text),)))
        return f"{text_of(one)} and {text_of(other)}"


class TestConstruction:
    def test_takes_other_chat_models(self, run: Run) -> None:
        def model() -> GenericFakeChatModel:
            return GenericFakeChatModel(messages=iter([AIMessage("by hand")]))

        seen = run(executor_of(Model(name="small"), chat_models={"small": model()}), SMALL, QUESTION)
        assert seen.answer == "by hand"
        assert seen.usage == Usage()
        assert seen.cost_usd is None

    def test_takes_other_invocations(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve(lambda body: body["messages"][-1]["content"].upper())
        tool = Tool(name="twice", invocation="doubled")
        executor = executor_of(reach(server), tool, invocations={"doubled": _Twice})
        assert run(executor, Pair("small", "twice"), Query(text="two")).answer == "ONE and TWO"

    def test_refuses_a_pair_that_the_pool_does_not_have(self, reach: Reach, serve: Serve, run: Run) -> None:
        with pytest.raises(PoolError, match="Unknown pair 'large@@none'"):
            run(executor_of(reach(serve("hi"))), Pair("large"), QUESTION)

    def test_refuses_a_key_that_is_not_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("ATLAS_TEST_KEY", raising=False)
        with pytest.raises(PoolError, match="'ATLAS_TEST_KEY', which is not set"):
            executor_of(Model(name="small", api_key_env="ATLAS_TEST_KEY"))

    @pytest.mark.parametrize("settings", [{"timeout_s": 0}, {"timeout_s": -1}, {"retries": -1}])
    def test_refuses_settings_out_of_range(self, settings: dict[str, Any]) -> None:
        with pytest.raises(SettingError, match="timeout_s is"):
            executor_of(Model(name="small"), **settings)

    def test_refuses_an_invocation_that_nobody_knows(self) -> None:
        def double(number: int) -> int:
            """Double a number."""
            return 2 * number

        with pytest.raises(PoolError, match=r"invocation 'nativ'.*Did you mean 'native'"):
            executor_of(Model(name="small"), Tool(name="math", tools=(double,), invocation="nativ"))

    def test_refuses_what_is_no_tool(self) -> None:
        with pytest.raises(PoolError, match="42 is not a LangChain tool"):
            executor_of(Model(name="small"), Tool(name="math", tools=(42,)))

    def test_refuses_two_tools_of_one_name(self) -> None:
        def double(number: int) -> int:
            """Double a number."""
            return 2 * number

        with pytest.raises(PoolError, match="two LangChain tools of one name"):
            executor_of(Model(name="small"), Tool(name="math", tools=(double, double)))

    def test_refuses_a_chat_model_for_nobody(self) -> None:
        model = GenericFakeChatModel(messages=iter([]))
        with pytest.raises(PoolError, match="Unknown model 'larg'"):
            executor_of(Model(name="large"), chat_models={"larg": model})
