"""`ChatLiteLLM` whose replies hold plain values, whose errors show no key, and which shows its own to nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from langchain_litellm import ChatLiteLLM
from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from langchain_atlas.execution.plain_values import plain, plain_message
from langchain_atlas.masked_errors import keys_masked
from langchain_atlas.secrets import masked_value, remember

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from langchain_core.messages import BaseMessage
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
    """Replies without LiteLLM's own objects in them, which no JSON, history or cache can hold.

    Every reply and every error passes here before a tracer or any other callback hears of it.
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
        """What decides a reply; LangChain's cache knows a model by it."""
        return {**super()._identifying_params, **{name: masked_value(getattr(self, name)) for name in _DECIDING}}

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
    chunk.message = plain_message(chunk.message)
    chunk.generation_info = plain(chunk.generation_info)
    return chunk
