"""`ChatLiteLLM` with plain values in its replies, no keys in its errors, and its own key hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from langchain_litellm import ChatLiteLLM
from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from langchain_atlas.costs.hidden_counts import result_without_count, with_count, without_count
from langchain_atlas.execution.models.plain_values import plain, plain_message
from langchain_atlas.failures.masked_errors import keys_masked
from langchain_atlas.masking import masked_value, remember

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
    from langchain_core.outputs import ChatGenerationChunk, ChatResult

_DECIDING = (
    "api_base",
    "custom_llm_provider",
    "organization",
    "base_model",
    "max_tokens",
    "extra_headers",
    "model_kwargs",
)


class PlainChatLiteLLM(ChatLiteLLM):
    """Replies without LiteLLM's own objects, which JSON, histories and caches can't hold.

    Every reply and every error passes through here before a tracer or any other callback sees it. If the enclosing run
    counts the tokens, callbacks don't see them; see `langchain_atlas.costs.usage_counting`.
    """

    @model_validator(mode="after")
    def _remember_keys(self) -> Self:
        remember(*(getattr(self, name) for name in type(self).model_fields if name.endswith("api_key")))
        return self

    @model_serializer(mode="wrap")
    def _without_keys(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        shown: dict[str, Any] = masked_value(serialize(self))
        return shown

    def __repr_args__(self) -> Any:
        return [(name, masked_value(value)) for name, value in super().__repr_args__()]

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """The parameters that determine a reply; LangChain's cache identifies a model by them."""
        given = {name: value for name in _DECIDING if (value := getattr(self, name)) is not None}
        return {**super()._identifying_params, **dict.fromkeys(_DECIDING), **masked_value(given)}

    def invoke(self, input: Any, *arguments: Any, **kwargs: Any) -> AIMessage:  # noqa: A002
        """Return the reply; see `BaseChatModel.invoke`."""
        return with_count(super().invoke(input, *arguments, **kwargs))

    async def ainvoke(self, input: Any, *arguments: Any, **kwargs: Any) -> AIMessage:  # noqa: A002
        """Async version of `invoke`."""
        return with_count(await super().ainvoke(input, *arguments, **kwargs))

    def stream(self, input: Any, *arguments: Any, **kwargs: Any) -> Iterator[AIMessageChunk]:  # noqa: A002
        """Yield the reply in chunks; see `BaseChatModel.stream`."""
        for chunk in super().stream(input, *arguments, **kwargs):
            yield with_count(chunk)

    async def astream(self, input: Any, *arguments: Any, **kwargs: Any) -> AsyncIterator[AIMessageChunk]:  # noqa: A002
        """Async version of `stream`."""
        async for chunk in super().astream(input, *arguments, **kwargs):
            yield with_count(chunk)

    def _generate_with_cache(self, messages: list[BaseMessage], *arguments: Any, **kwargs: Any) -> ChatResult:
        return result_without_count(super()._generate_with_cache(messages, *arguments, **kwargs))

    async def _agenerate_with_cache(self, messages: list[BaseMessage], *arguments: Any, **kwargs: Any) -> ChatResult:
        return result_without_count(await super()._agenerate_with_cache(messages, *arguments, **kwargs))

    @keys_masked
    def _generate(self, messages: list[BaseMessage], *arguments: Any, **kwargs: Any) -> ChatResult:
        return _plain_result(super()._generate(messages, *arguments, **kwargs))

    @keys_masked
    async def _agenerate(self, messages: list[BaseMessage], *arguments: Any, **kwargs: Any) -> ChatResult:
        return _plain_result(await super()._agenerate(messages, *arguments, **kwargs))

    @keys_masked
    def _stream(self, messages: list[BaseMessage], *arguments: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        for chunk in super()._stream(messages, *arguments, **kwargs):
            yield _plain_chunk(chunk)

    @keys_masked
    async def _astream(
        self, messages: list[BaseMessage], *arguments: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        async for chunk in super()._astream(messages, *arguments, **kwargs):
            yield _plain_chunk(chunk)


def _plain_result(result: ChatResult) -> ChatResult:
    for generation in result.generations:
        generation.message = plain_message(generation.message)
        generation.generation_info = plain(generation.generation_info)
    result.llm_output = plain(result.llm_output)
    return result


def _plain_chunk(chunk: ChatGenerationChunk) -> ChatGenerationChunk:
    chunk.message = without_count(plain_message(chunk.message))
    chunk.generation_info = plain(chunk.generation_info)
    return chunk
