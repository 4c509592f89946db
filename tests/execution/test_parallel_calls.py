"""Several calls of one step: side by side, drawn anew, and not all of them need succeed."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import litellm
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.messages import HumanMessage
from langchain_core.tools import BaseTool

from langchain_atlas import LiveExecutor, Model, Observation, Pair, Pool, Query, Tool
from langchain_atlas.errors import SettingError
from langchain_atlas.execution.invocations import Invocation, ModelCall, ToolCall, text_of
from langchain_atlas.testing import Failure
from langchain_atlas.usage import Spending, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fixture_types import Reach, Run, Serve

    from langchain_atlas.execution.invocations import Conversation


PAIR = Pair("small", "several")
QUESTION = Query(text="Well?")


class _Samples(Invocation):
    """Asks the query four times at once and returns all that came back."""

    def converse(self, query: Query) -> Conversation:
        calls = [ModelCall((HumanMessage(query.text),), sample=number, may_fail=True) for number in range(4)]
        replies = yield tuple(calls)
        return ", ".join(type(reply).__name__ if isinstance(reply, Exception) else text_of(reply) for reply in replies)


class _Strict(Invocation):
    """Asks twice at once, and needs both."""

    def converse(self, query: Query) -> Conversation:
        one, other = yield (ModelCall((HumanMessage("one"),)), ModelCall((HumanMessage(query.text),)))
        return f"{text_of(one)} {text_of(other)}"


def executor_of(model: Model, invocation: type[Invocation] = _Samples, **settings: Any) -> LiveExecutor:
    pool = Pool(models=(model,), tools=(Tool(name="several", invocation="several"),))
    return LiveExecutor(pool, invocations={"several": invocation}, retries=0, **settings)


def counting(*fail: int) -> Callable[[Any], Any]:
    """Say 1, 2, 3, ...; the calls of these numbers fail."""
    lock, count = threading.Lock(), iter(range(1, 100))

    def reply(_: Any) -> Any:
        with lock:
            number = next(count)
        return Failure(400) if number in fail else str(number)

    return reply


def test_model_calls_of_one_step_go_on_side_by_side(serve: Serve, reach: Reach, run: Run) -> None:
    together = threading.Barrier(4, timeout=30)

    def reply(_: Any) -> str:
        together.wait()  # breaks, and the call fails, unless four requests are open at once
        return "here"

    assert run(executor_of(reach(serve(reply))), PAIR, QUESTION).answer == "here, here, here, here"


def test_no_more_go_on_at_once_than_allowed(serve: Serve, reach: Reach, run: Run) -> None:
    lock, open_now, most = threading.Lock(), 0, 0

    def reply(_: Any) -> str:
        nonlocal open_now, most
        with lock:
            open_now += 1
            most = max(most, open_now)
        time.sleep(0.05)
        with lock:
            open_now -= 1
        return "here"

    run(executor_of(reach(serve(reply)), max_parallel=2), PAIR, QUESTION)
    assert most == 2


def test_what_all_calls_used_adds_up(serve: Serve, reach: Reach, run: Run) -> None:
    model = reach(serve("a b c"), input_cost_per_token=1, output_cost_per_token=10)
    seen = run(executor_of(model), PAIR, QUESTION)
    assert seen.model_calls == 4
    assert seen.usage == Usage(input_tokens=4, output_tokens=12)
    assert seen.cost_usd == pytest.approx(4 * 1 + 12 * 10)


def test_a_call_that_may_fail_does_not_end_the_run(serve: Serve, reach: Reach, run: Run) -> None:
    model = reach(serve(counting(2)), input_cost_per_token=1, output_cost_per_token=1)
    seen = run(executor_of(model), PAIR, QUESTION)
    assert sorted(str(seen.answer).split(", ")) == ["1", "3", "4", "BadRequestError"]
    assert seen.model_calls == 4
    assert seen.cost_usd is None, "what the failed call cost is not known"


def test_a_call_that_must_not_fail_ends_the_run_after_the_others_are_counted(
    serve: Serve, reach: Reach, run: Run
) -> None:
    def reply(body: dict[str, Any]) -> Any:
        return Failure(400) if body["messages"][0]["content"] == "one" else "fine"

    seen = run(executor_of(reach(serve(reply)), _Strict), PAIR, QUESTION)
    assert str(seen.error).startswith("BadRequestError")
    assert seen.model_calls == 2


def test_samples_differ_in_their_seed_where_the_model_has_one(serve: Serve, reach: Reach, run: Run) -> None:
    server = serve(counting())
    run(executor_of(reach(server, options={"seed": 10})), PAIR, QUESTION)
    assert sorted(body["seed"] for body in server.bodies) == [10, 11, 12, 13]


def test_samples_carry_nothing_else(serve: Serve, reach: Reach, run: Run) -> None:
    server = serve(counting())
    run(executor_of(reach(server)), PAIR, QUESTION)
    expected = {"model": "small", "messages": [{"role": "user", "content": "Well?"}]}
    assert server.bodies == [expected] * 4


@pytest.fixture
def caches() -> Iterator[None]:
    """Switch on LangChain's cache and LiteLLM's."""
    set_llm_cache(InMemoryCache())
    litellm.cache = litellm.Cache(type="local")
    yield
    set_llm_cache(None)
    litellm.cache = None


@pytest.mark.usefixtures("caches")
def test_no_cache_makes_samples_one(serve: Serve, reach: Reach, run: Run) -> None:
    executor = executor_of(reach(serve(counting())))
    assert sorted(str(run(executor, PAIR, QUESTION).answer).split(", ")) == ["1", "2", "3", "4"]
    assert sorted(str(run(executor, PAIR, QUESTION).answer).split(", ")) == ["5", "6", "7", "8"]


@pytest.mark.parametrize("max_parallel", [0, -1])
def test_at_least_one_call_must_be_allowed(max_parallel: int) -> None:
    with pytest.raises(SettingError, match="max_parallel is"):
        executor_of(Model(name="small"), max_parallel=max_parallel)


class _Costly(BaseTool):
    """A tool that has a model of its own."""

    name: str = "costly"
    description: str = "Ask a judge."
    response_format: str = "content_and_artifact"

    def _run(self) -> tuple[str, Spending]:
        return "fine", Spending(usage=Usage(input_tokens=100, output_tokens=1), cost_usd=0.5)


class _CallsIt(Invocation):
    def converse(self, query: Query) -> Conversation:
        (trace,) = yield (ToolCall(self.tools[0], {}),)
        (reply,) = yield (ModelCall((HumanMessage(f"{query.text} {trace.output}"),)),)
        return text_of(reply)


def test_what_a_tool_spent_on_models_counts(serve: Serve, reach: Reach, run: Run) -> None:
    model = reach(serve("well"), input_cost_per_token=1, output_cost_per_token=1)
    pool = Pool(models=(model,), tools=(Tool(name="several", tools=(_Costly(),), invocation="calls"),))
    seen = run(LiveExecutor(pool, invocations={"calls": _CallsIt}), PAIR, QUESTION)
    assert seen.usage == Usage(input_tokens=102, output_tokens=2)
    assert seen.cost_usd == pytest.approx(0.5 + 2 + 1)
    assert seen.model_calls == 1
    assert seen.tool_trace[0].spent == Spending(usage=Usage(input_tokens=100, output_tokens=1), cost_usd=0.5)
    assert Observation.from_json(seen.to_json()) == seen
