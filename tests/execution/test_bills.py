"""What replies cost: what the provider bills, and unknown where it can't be known."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool

from langchain_atlas import LiveExecutor, Model, Observation, Pair, Pool, Query, Tool
from langchain_atlas.costs.billing import billed
from langchain_atlas.testing import call_tool
from langchain_atlas.usage import Spending, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fixture_types import Reach, Run, Serve

SMALL = Pair("small")
QUESTION = Query(text="What is up?")
UNSAID: dict[str, Any] = {
    "no usage": None,
    "empty": {},
    "zeros": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    "nulls": {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None},
    "only a total": {"total_tokens": 15},
    "a million too few": {"prompt_tokens": -1_000_000, "completion_tokens": 5, "total_tokens": 5},
    "fewer than none written": {"prompt_tokens": 5, "completion_tokens": -5, "total_tokens": 0},
    "more than there are": {"prompt_tokens": 10**30, "completion_tokens": 5, "total_tokens": 5},
    "more cached than read": {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 99},
    },
}


def tokens(read: int, written: int, **details: Any) -> dict[str, Any]:
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written, **details}


def executor_of(model: Model, *tools: Tool) -> LiveExecutor:
    return LiveExecutor(Pool(models=(model,), tools=(*Pool(models=(model,)).tools, *tools)), retries=0)


def streamed(executor: LiveExecutor) -> AIMessage:
    whole: Any = None
    for chunk in executor.chat_model("small").stream("What is up?"):
        whole = chunk if whole is None else whole + chunk
    return whole


@pytest.fixture
def cache() -> Iterator[None]:
    set_llm_cache(InMemoryCache())
    yield
    set_llm_cache(None)


class TestUsageThatIsNotKnown:
    @pytest.mark.parametrize("name", UNSAID)
    @pytest.mark.parametrize("prices", [{}, {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}])
    def test_leaves_the_cost_unknown(
        self, serve: Serve, reach: Reach, run: Run, name: str, prices: dict[str, float]
    ) -> None:
        model = reach(serve({"content": "the sky", "usage": UNSAID[name]}), litellm="openai/gpt-4o-mini", **prices)
        seen = run(executor_of(model), SMALL, QUESTION)
        assert seen.answer == "the sky"
        assert seen.cost_usd is None
        assert None in (seen.usage.input_tokens, seen.usage.output_tokens)

    @pytest.mark.parametrize("name", UNSAID)
    def test_is_not_guessed_for_a_stream(self, serve: Serve, reach: Reach, name: str) -> None:
        model = reach(serve({"content": "the sky", "usage": UNSAID[name]}), litellm="openai/gpt-4o-mini")
        reply = streamed(executor_of(model))
        assert reply.text == "the sky"
        assert reply.usage_metadata is None
        assert billed(reply, model).cost_usd is None

    def test_half_of_it_is_unknown_too(self, serve: Serve, reach: Reach, run: Run) -> None:
        usage = {"prompt_tokens": 10, "total_tokens": 15}
        model = reach(serve({"content": "the sky", "usage": usage}), litellm="openai/gpt-4o-mini")
        assert run(executor_of(model), SMALL, QUESTION).cost_usd is None

    @pytest.mark.parametrize("count", [-1, 10**30, math.nan, math.inf, "many", 1.5, True])
    def test_of_a_chat_model_of_ones_own(self, count: Any) -> None:
        reply = AIMessage("hi", usage_metadata={"input_tokens": 3, "output_tokens": 3, "total_tokens": 6})
        reply.usage_metadata["input_tokens"] = count  # type: ignore[index]
        model = Model(name="small", input_cost_per_token=1, output_cost_per_token=1)
        executor = LiveExecutor(
            Pool(models=(model,)), chat_models={"small": GenericFakeChatModel(messages=iter([reply]))}
        )
        assert executor.run(SMALL, QUESTION).cost_usd is None

    @pytest.mark.parametrize("dollars", [-1.0, math.nan, math.inf, 10**30, "-3"])
    def test_nor_can_a_tool_or_an_executor_spend_less_than_nothing(self, dollars: Any) -> None:
        assert Spending(cost_usd=dollars).cost_usd is None
        assert Observation(pair=SMALL, answer="x", cost_usd=dollars).cost_usd is None
        assert Usage(input_tokens=-5).input_tokens is None

    def test_of_a_model_without_a_price_is_not_free(self) -> None:
        reply = AIMessage("hi", usage_metadata={"input_tokens": 3, "output_tokens": 3, "total_tokens": 6})
        reply.response_metadata["response_cost"] = 0.0
        assert billed(reply, Model(name="nobody/knows-it")).cost_usd is None
        free = Model(name="nobody/knows-it", input_cost_per_token=0, output_cost_per_token=0)
        assert billed(reply, free).cost_usd == 0


class TestBill:
    CASES = (
        ("openai/gpt-5", tokens(100_000, 100, prompt_tokens_details={"cached_tokens": 99_000}), 0.014625),
        ("openai/gpt-5", tokens(100, 1000, completion_tokens_details={"reasoning_tokens": 900}), 0.010125),
        ("openai/gpt-4o-mini", tokens(10, 5, cost=0.123), 0.123),
        ("openai/nobody-knows-it", tokens(10, 5, cost=0.123), 0.123),
        ("openai/gpt-4o-mini", tokens(10, 5, cost=-0.123), 4.5e-6),
        ("openai/gpt-4o-mini", tokens(10, 5, cost="NaN"), 4.5e-6),
        ("openai/gpt-4o-mini", {"cost": 0.123}, 0.123),
    )

    @pytest.mark.parametrize(("litellm", "usage", "dollars"), CASES)
    def test_is_the_providers(
        self, serve: Serve, reach: Reach, run: Run, litellm: str, usage: dict[str, Any], dollars: float
    ) -> None:
        server = serve({"content": "hi", "usage": usage})
        model = reach(server, litellm=litellm, options={"custom_llm_provider": "openai"})
        seen = run(executor_of(model), SMALL, QUESTION)
        assert seen.cost_usd == pytest.approx(dollars)
        assert billed(streamed(executor_of(model)), model).cost_usd == pytest.approx(dollars)

    def test_of_a_long_prompt_is_by_its_tier_and_cached_tokens_are_cheaper(self) -> None:
        pro = Model(name="gemini/gemini-2.5-pro")
        assert pro.price(300_000, 1_000) == pytest.approx(0.765)
        assert pro.price(200_000, 1_000) == pytest.approx(0.26)
        assert Model(name="openai/gpt-5").price(100_000, 100, 99_000) == pytest.approx(0.014625)

    def test_is_at_the_pools_prices_where_it_gives_some(self, serve: Serve, reach: Reach, run: Run) -> None:
        usage = tokens(1_000, 100, prompt_tokens_details={"cached_tokens": 900})
        server = serve({"content": "hi", "usage": usage})
        prices = {"input_cost_per_token": 1e-3, "output_cost_per_token": 1e-2}
        flat = reach(server, litellm="openai/gpt-5", **prices)
        assert run(executor_of(flat), SMALL, QUESTION).cost_usd == pytest.approx(2.0)
        cached = reach(server, litellm="openai/gpt-5", cached_input_cost_per_token=1e-4, **prices)
        assert run(executor_of(cached), SMALL, QUESTION).cost_usd == pytest.approx(0.1 + 0.09 + 1.0)
        assert billed(streamed(executor_of(cached)), cached).cost_usd == pytest.approx(0.1 + 0.09 + 1.0)

    def test_counts_thoughts_that_a_provider_counts_apart(self, serve: Serve, reach: Reach, run: Run) -> None:
        usage = {**tokens(100, 10, completion_tokens_details={"reasoning_tokens": 900}), "total_tokens": 1010}
        prices = {"input_cost_per_token": 0, "output_cost_per_token": 1e-3}
        seen = run(executor_of(reach(serve({"content": "hi", "usage": usage}), **prices)), SMALL, QUESTION)
        assert seen.usage.output_tokens == 910
        assert seen.cost_usd == pytest.approx(0.91)

    def test_takes_a_pools_prices_from_a_file(self, tmp_path: Any) -> None:
        file = tmp_path / "pool.yaml"
        prices = "input_cost_per_token: 1, output_cost_per_token: 2, cached_input_cost_per_token: 0.5"
        file.write_text(f"models: {{m: {{{prices}}}}}")
        assert Pool.load(file).model("m").price(10, 1, 4) == pytest.approx(6 + 2 + 2)


@pytest.mark.usefixtures("cache")
class TestCachedReply:
    def test_is_not_paid_again(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve("the sky")
        executor = executor_of(reach(server, input_cost_per_token=1e-3, output_cost_per_token=1e-3))
        first, again = run(executor, SMALL, QUESTION), run(executor, SMALL, QUESTION)
        assert len(server.requests) == 1
        assert (first.cost_usd, first.saved_usd) == (pytest.approx(0.005), 0)
        assert (again.answer, again.cost_usd, again.saved_usd) == ("the sky", 0, pytest.approx(0.005))
        assert "saved_usd" not in first.to_json()
        assert Observation.from_json(json.loads(json.dumps(again.to_json()))) == again


def test_what_a_tool_spends_is_unknown_where_it_can_not_be(serve: Serve, reach: Reach, run: Run) -> None:
    @tool(response_format="content_and_artifact")
    def ask(topic: str) -> tuple[str, Spending]:
        """Ask a model of one's own."""
        return topic, Spending(usage=Usage(input_tokens=-1, output_tokens=1), cost_usd=-5)

    replies = iter([{"tool_calls": [call_tool("ask", {"topic": "x"})]}, "done"])
    model = reach(serve(lambda _: next(replies)), input_cost_per_token=1, output_cost_per_token=1)
    seen = run(executor_of(model, Tool(name="own", tools=(ask,))), Pair("small", "own"), QUESTION)
    assert seen.answer == "done"
    assert seen.cost_usd is None
