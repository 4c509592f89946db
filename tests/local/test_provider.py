"""The embedded models through LiteLLM and LangChain: real models, real calls."""

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from langchain_atlas.errors import InvalidInputError, MissingExtraError
from langchain_atlas.local import engine, models, register, shutdown

# LiteLLM silences it at import; pytest puts it back.
pytestmark = pytest.mark.filterwarnings("ignore:Item .* is using the `ReadOnly` qualifier:UserWarning")

CAPITAL = [{"role": "user", "content": "What is the capital of France?"}]
AGE = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
CALCULATOR = {
    "type": "function",
    "function": {
        "name": "calculator",
        "description": "Computes.",
        "parameters": {
            "type": "object",
            "properties": {"expression": {"type": "string", "pattern": "^[0-9]+ [-+*/] [0-9]+$"}},
            "required": ["expression"],
        },
    },
}


def complete(model: str, messages: Any = None, **options: Any) -> Any:
    import litellm

    return litellm.completion(model=model, messages=messages or CAPITAL, max_tokens=12, **options)


async def acomplete(model: str, **options: Any) -> Any:
    import litellm

    return await litellm.acompletion(model=model, messages=CAPITAL, max_tokens=12, **options)


def put_together(chunks: list[Any]) -> tuple[str, str | None, Any]:
    """Text, finish reason and usage of a stream."""
    choices = [choice for chunk in chunks for choice in chunk.choices]
    usages = [chunk.usage for chunk in chunks if getattr(chunk, "usage", None)]
    reasons = [choice.finish_reason for choice in choices if choice.finish_reason]
    return "".join(choice.delta.content or "" for choice in choices), reasons[-1], usages[-1] if usages else None


@pytest.mark.parametrize("name", list(models.MODELS))
async def test_all_four_modes_say_the_same(name: str, local_models: list[str]) -> None:
    model = f"atlas-local/{name}"
    whole = complete(model)
    text = whole.choices[0].message.content
    assert "Paris" in text
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage.prompt_tokens > 5
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens

    awaited = await acomplete(model)
    assert awaited.choices[0].message.content == text

    with_usage = {"stream": True, "stream_options": {"include_usage": True}}
    streams = [
        list(complete(model, **with_usage)),
        [chunk async for chunk in await acomplete(model, **with_usage)],
    ]
    for chunks in streams:
        streamed, reason, usage = put_together(chunks)
        assert (streamed, reason) == (text, "stop")
        assert usage.prompt_tokens == whole.usage.prompt_tokens
        assert usage.completion_tokens == whole.usage.completion_tokens


async def test_langchain_sees_the_same_with_its_usage(smollm2: str) -> None:
    from langchain_litellm import ChatLiteLLM

    llm = ChatLiteLLM(model=smollm2, max_tokens=12, model_kwargs={"stream_options": {"include_usage": True}})
    question = "What is the capital of France?"
    messages = [
        ChatLiteLLM(model=smollm2, max_tokens=12).invoke(question),
        await ChatLiteLLM(model=smollm2, max_tokens=12).ainvoke(question),
        sum_up(list(llm.stream(question))),
        sum_up([chunk async for chunk in llm.astream(question)]),
    ]
    assert len({message.content for message in messages}) == 1
    assert "Paris" in messages[0].content
    assert [message.usage_metadata["total_tokens"] for message in messages] == [24] * 4


def sum_up(chunks: list[Any]) -> Any:
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    return total


@pytest.mark.parametrize("name", list(models.MODELS))
def test_json_keeps_to_its_schema(name: str, local_models: list[str]) -> None:
    import litellm

    response = litellm.completion(
        model=f"atlas-local/{name}",
        messages=[{"role": "user", "content": "Ada is 36 years old. Who is this?"}],
        response_format={"type": "json_schema", "json_schema": {"name": "person", "schema": AGE}},
        max_tokens=60,
    )
    value = json.loads(response.choices[0].message.content)
    assert set(value) == {"name", "age"}
    assert isinstance(value["age"], int)


def test_json_object_begins_as_one(smollm2: str) -> None:
    response = complete(smollm2, response_format={"type": "json_object"})
    assert response.choices[0].message.content.startswith("{")


def test_a_schema_that_cannot_be_read_is_refused(smollm2: str) -> None:
    wrong = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "no such type"}}}
    with pytest.raises(InvalidInputError, match="schema"):
        complete(smollm2, response_format=wrong)


@pytest.mark.parametrize("stream", [False, True])
def test_a_forced_tool_is_called(smollm2: str, stream: bool) -> None:
    import litellm

    question = [{"role": "user", "content": "What is 12 plus 30?"}]
    answer = litellm.completion(
        model=smollm2,
        messages=question,
        tools=[CALCULATOR],
        tool_choice="required",
        max_tokens=60,
        stream=stream,
        _skip_mcp_handler=True,  # LiteLLM's gateway does not load beside the mcp that the adapters need
    )
    if stream:
        answer = litellm.stream_chunk_builder(list(answer))
    assert answer.choices[0].finish_reason == "tool_calls"
    call = answer.choices[0].message.tool_calls[0].function
    assert call.name == "calculator"
    assert json.loads(call.arguments)["expression"].startswith("12")


def test_stop_seed_and_system_text_count(smollm2: str) -> None:
    assert "Paris" not in complete(smollm2, stop=[" Paris"]).choices[0].message.content
    story = [{"role": "user", "content": "Tell a story."}]
    warm = {"temperature": 1.5, "messages": story}
    first, again, other = (complete(smollm2, seed=seed, **warm).choices[0].message.content for seed in (1, 1, 2))
    assert first == again != other
    shout = complete(smollm2, [{"role": "system", "content": "Answer in one word."}, *CAPITAL])
    assert shout.usage.prompt_tokens > complete(smollm2).usage.prompt_tokens


def test_eight_threads_load_the_model_once_and_get_their_own_answers(
    smollm2: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutdown()
    loads = []
    start = engine._start_server
    monkeypatch.setattr(engine, "_start_server", lambda model: loads.append(model.name) or start(model))
    words = ["apple", "river", "seven", "cloud", "piano", "green", "tiger", "house"]
    schemas = [
        {
            "type": "object",
            "properties": {"word": {"const": word}},
            "required": ["word"],
            "additionalProperties": False,
        }
        for word in words
    ]
    ready = threading.Barrier(len(words))

    def ask(schema: dict[str, Any]) -> str:
        ready.wait()
        form = {"type": "json_schema", "json_schema": {"name": "word", "schema": schema}}
        return str(json.loads(complete(smollm2, response_format=form).choices[0].message.content)["word"])

    with ThreadPoolExecutor(len(words)) as pool:
        assert list(pool.map(ask, schemas)) == words
    assert loads == ["smollm2-135m"]


async def test_the_event_loop_goes_on_while_a_model_writes(smollm2: str) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.002)

    ticking = asyncio.create_task(tick())
    await asyncio.gather(acomplete(smollm2), acomplete(smollm2))
    ticking.cancel()
    assert ticks > 5


def test_a_stream_that_is_left_early_frees_the_engine(smollm2: str) -> None:
    import litellm

    story = [{"role": "user", "content": "Tell a long story about a hen."}]
    stream = litellm.completion(model=smollm2, messages=story, stream=True, max_tokens=2000)
    next(stream)
    stream.completion_stream.close()
    assert wait_until_idle(), "the engine went on writing for nobody"


def test_a_caller_who_runs_out_of_time_is_told_so(smollm2: str) -> None:
    import litellm

    story = [{"role": "user", "content": "Tell a long story about a fox."}]
    with pytest.raises(litellm.Timeout):
        litellm.completion(model=smollm2, messages=story, max_tokens=3000, timeout=0.05, num_retries=0)
    assert wait_until_idle()


def wait_until_idle() -> bool:
    running = engine.get_engine("smollm2-135m")
    for _ in range(500):
        if running._in_use == 0:
            return True
        time.sleep(0.01)
    return False


def test_an_unknown_model_is_both_kinds_of_error(local_models: list[str]) -> None:
    import litellm

    with pytest.raises(InvalidInputError, match=r"'nope'.*'smollm2-135m'") as raised:
        complete("atlas-local/nope")
    assert isinstance(raised.value, litellm.NotFoundError)


def test_a_prompt_beyond_the_context_is_the_error_litellm_knows(smollm2: str) -> None:
    import litellm

    with pytest.raises(litellm.ContextWindowExceededError, match="4096"):
        complete(smollm2, [{"role": "user", "content": "word " * 5000}])


def test_missing_packages_are_both_kinds_of_error(smollm2: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import litellm

    def missing(model: Any) -> Any:
        raise MissingExtraError(f"The embedded model {model.name!r}", "local")

    shutdown()
    monkeypatch.setattr(engine, "_start_server", missing)
    with pytest.raises(MissingExtraError, match=r"langchain-atlas\[local\]") as raised:
        complete(smollm2)
    assert isinstance(raised.value, litellm.NotFoundError)


def test_registering_again_keeps_other_providers(smollm2: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import litellm

    other = {"provider": "somebody-else", "custom_handler": object()}
    monkeypatch.setattr(litellm, "custom_provider_map", [other])
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: register(), range(32)))
    assert [item["provider"] for item in litellm.custom_provider_map] == ["somebody-else", "atlas-local"]
    assert litellm.custom_provider_map[0] is other


def test_after_a_shutdown_the_next_request_loads_again(smollm2: str) -> None:
    before = complete(smollm2).choices[0].message.content
    shutdown()
    assert complete(smollm2).choices[0].message.content == before
