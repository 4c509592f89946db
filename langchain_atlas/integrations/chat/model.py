"""A chat model that routes every request."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from langchain_core.globals import get_llm_cache
from langchain_core.language_models import BaseChatModel, LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables.config import ensure_config
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, PrivateAttr, ValidationError

from langchain_atlas.errors import SettingError, suggest
from langchain_atlas.execution.live import LiveExecutor  # noqa: TC001  # pydantic reads it
from langchain_atlas.failures.misspelled import refuse_misspelled
from langchain_atlas.failures.slips import check_sides
from langchain_atlas.integrations.chat.cache_key import cache_key
from langchain_atlas.integrations.chat.call import ChatCall, ChatReply, ChatRequest
from langchain_atlas.integrations.chat.facts import profile_of, token_ids
from langchain_atlas.integrations.chat.structured import structured
from langchain_atlas.integrations.graphs.durable import aannouncer, announcer
from langchain_atlas.integrations.inner_runs import (
    arun_inside,
    astream_inside,
    inner_config,
    opened,
    run_inside,
    stream_inside,
)
from langchain_atlas.integrations.messages import RECORD_KEY, AtlasContext, run_settings
from langchain_atlas.integrations.storing import as_store
from langchain_atlas.loop.handler import Handler
from langchain_atlas.loop.limits.quota import Quota, as_quota  # pydantic reads it
from langchain_atlas.loop.limits.trajectory_limits import MAX_TURNS
from langchain_atlas.loop.turns import Whole, adrive, astream, drive, stream
from langchain_atlas.records import describe
from langchain_atlas.routers.base import Router  # noqa: TC001  # pydantic reads it
from langchain_atlas.routers.fallback import OnRouterError, with_fallback  # pydantic reads it

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.language_models import LanguageModelInput, ModelProfile
    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import Runnable, RunnableConfig
    from langchain_core.tools import BaseTool

PROVIDER = "langchain-atlas"

OURS = ("router", "executor", "max_turns", "on_router_error", "temperature", "max_tokens", "stop", "store", "limits")
"""The parameters of `ChatAtlas` in addition to those of all chat models."""

NOT_OURS = ("api_key", "timeout", "max_retries", "streaming")
"""Parameters that LangChain defines for every chat model; here the pool and the executor set their own."""


class ChatAtlas(BaseChatModel):
    """Routes every request to the pair that answers it best, and replies like any chat model.

    Without tools of the caller's, a request runs the loop: the router decides, and the pair's model is called with its
    tool, until there is an answer. With the caller's own tools (`bind_tools`), with structured output, and after a tool
    result, the router only picks the model: it gets the caller's tools, and its tool calls are returned, not run.
    The record of the decisions is in the reply's ``response_metadata["atlas"]``.

    If a call fails, the router's next choice is called; if none is left, `ExecutionError` is raised. A request's
    keyword arguments may be any of the fields of `AtlasContext` (``cost_weight=0.3``), and ``model``, which names the
    only model of the pool that may be called.

    Tokens are streamed immediately if the router takes the first answer and the pair uses no tool, and with the
    caller's own tools. Other answers are streamed in one piece, because only then is it known which answer is given.
    """

    router: Router = Field(exclude=True)
    """The router."""
    executor: LiveExecutor = Field(exclude=True)
    """Provides the pool's chat models, and runs pairs with tools."""
    max_turns: int = Field(default=MAX_TURNS, ge=1)
    """Maximum number of turns of the loop."""
    on_router_error: OnRouterError = "raise"
    """``raise``, or the pair that is called if the router fails."""
    temperature: float | None = None
    """Sent with every request, in place of the pool's."""
    max_tokens: int | None = None
    """Sent with every request, in place of the pool's."""
    stop: list[str] | None = None
    """Sent with every request, in place of the pool's."""
    store: Any = Field(default=None, exclude=True, repr=False)
    """Where decisions and what came of them are kept: a `Store`, or its address; None keeps nothing."""
    limits: Any = Field(default=None, exclude=True, repr=False)
    """`Limits` that hold over many calls, users and processes, counted in the store."""
    _decider: Router = PrivateAttr()
    _quota: Quota | None = PrivateAttr(default=None)

    def __init__(self, **fields: Any) -> None:
        """Reject unknown parameters, so that a misspelled one is not silently ignored.

        Raises:
            SettingError: a parameter is unknown or can't be used.
        """
        known = type(self).model_fields
        for name in fields:
            if name not in known and name not in NOT_OURS:
                raise SettingError(f"ChatAtlas has no parameter {name!r}. {suggest(name, OURS)}")
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise SettingError(describe(error, "ChatAtlas", OURS)) from error

    def model_post_init(self, context: Any, /) -> None:
        """Set up the fallback for the router."""
        super().model_post_init(context)
        check_sides(self.router, self.executor)
        self.store = as_store(self.store)
        self._quota = as_quota(self.limits, self.store, self.executor.pairs)
        self._decider = with_fallback(self.router, self.executor.pairs, self.on_router_error)

    @property
    def _llm_type(self) -> str:
        return PROVIDER

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "router": type(self.router).__name__,
            "on_router_error": str(self.on_router_error),
            "pool": self.executor.pool.fingerprint,
            "max_turns": self.max_turns,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "stop": self.stop,
        }

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """Return the string by which LangChain's cache identifies this model and its settings."""
        key = cache_key(self._decider, self.executor, run_settings(ensure_config()))
        return f"{super()._get_llm_string(stop=stop, **kwargs)} {key}"

    async def _agenerate_with_cache(self, messages: list[BaseMessage], *arguments: Any, **kwargs: Any) -> ChatResult:
        if self.cache or (self.cache is None and get_llm_cache() is not None):
            await asyncio.to_thread(self._get_llm_string)  # slow work, such as loading the router, is done by then
        return await super()._agenerate_with_cache(messages, *arguments, **kwargs)

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = LangSmithParams(
            ls_provider=PROVIDER, ls_model_name=kwargs.get("model") or "atlas", ls_model_type="chat"
        )
        values = {
            "ls_temperature": kwargs.get("temperature", self.temperature),
            "ls_max_tokens": kwargs.get("max_tokens", self.max_tokens),
            "ls_stop": stop or self.stop,
        }
        params.update({name: value for name, value in values.items() if value not in (None, [])})  # type: ignore[typeddict-item]
        return params

    def _resolve_model_profile(self) -> ModelProfile | None:
        return profile_of(self.executor.pool)

    def get_token_ids(self, text: str) -> list[int]:
        """Return the token ids of a text, without using a network; see `token_ids`."""
        return token_ids(text) if self.custom_get_token_ids is None else self.custom_get_token_ids(text)

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: dict[str, Any] | str | bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind the caller's own tools: they are sent to the chosen model, and its tool calls are returned.

        Args:
            tools: the tools.
            tool_choice: ``auto``, ``none``, ``any`` or ``required`` (or True), or a tool's name; False leaves it out.
            kwargs: further parameters of the requests.
        """
        formatted = [convert_to_openai_tool(tool) for tool in tools]
        choice = {} if tool_choice in (None, False) else {"tool_choice": tool_choice}
        return self.bind(tools=formatted, **choice, **kwargs)

    def with_structured_output(
        self,
        schema: Any = None,
        *,
        method: str = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Return a chat model that replies in the form of a schema; see `structured`."""
        return structured(self, schema, method=method, include_raw=include_raw, strict=strict, options=kwargs)

    def invoke(
        self,
        input: LanguageModelInput,  # noqa: A002
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Return the reply; the config may set fields of `AtlasContext` under `configurable`."""
        own, inner = opened(config)
        return run_inside(inner, partial(super().invoke, input, own, stop=stop, **kwargs))

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Async version of `invoke`."""
        own, inner = opened(config)
        return await arun_inside(inner, super().ainvoke(input, own, stop=stop, **kwargs))

    def stream(
        self,
        input: LanguageModelInput,  # noqa: A002
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """Like `invoke`, but yield the reply in chunks."""
        own, inner = opened(config)
        yield from stream_inside(inner, super().stream(input, own, stop=stop, **kwargs))

    async def astream(
        self,
        input: LanguageModelInput,  # noqa: A002
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """Async version of `stream`."""
        own, inner = opened(config)
        async for chunk in astream_inside(inner, super().astream(input, own, stop=stop, **kwargs)):
            yield chunk

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        call, handler = self._prepared(messages, stop, kwargs)
        return _result(run_inside(inner_config(run_manager), lambda: drive(call.steps(), handler)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        call, handler = self._prepared(messages, stop, kwargs, on_loop=True)
        return _result(await arun_inside(inner_config(run_manager), adrive(call.steps(), handler)))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        call, handler = self._prepared(messages, stop, kwargs)
        items = stream(call.steps(), handler, lambda request: request.chunks())
        for item in stream_inside(inner_config(run_manager), items):
            yield ChatGenerationChunk(message=_last(item.value) if isinstance(item, Whole) else item)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        call, handler = self._prepared(messages, stop, kwargs, on_loop=True)
        items = astream(call.steps(), handler, lambda request: request.achunks())
        async for item in astream_inside(inner_config(run_manager), items):
            yield ChatGenerationChunk(message=_last(item.value) if isinstance(item, Whole) else item)

    def _prepared(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any], *, on_loop: bool = False
    ) -> tuple[ChatCall, Handler]:
        """Return the call, and the handler that carries out its effects."""
        config = ensure_config()
        own = {"temperature": self.temperature, "max_tokens": self.max_tokens, "stop": stop or self.stop, **kwargs}
        refuse_misspelled(kwargs, AtlasContext.__dataclass_fields__, "The request")
        settings = {name: own.pop(name) for name in AtlasContext.__dataclass_fields__ if name in own}
        call = ChatCall(
            self._decider,
            self.executor,
            messages,
            options={name: value for name, value in own.items() if value not in (None, [])},
            settings={**run_settings(config), **settings},
        )
        return call, Handler(
            self._decider,
            self.executor.with_options(**call.outward),
            self.max_turns,
            ChatRequest.asend if on_loop else ChatRequest.send,
            tell=aannouncer(config) if on_loop else announcer(config),
            store=self.store,
            quota=self._quota,
        )


def _result(reply: ChatReply) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=reply.message)])


def _last(reply: ChatReply) -> AIMessageChunk:
    """Return the last chunk of a reply: the record, and the content that has not been streamed yet."""
    message = reply.message
    if reply.streamed:
        return AIMessageChunk(
            content="", response_metadata={RECORD_KEY: message.response_metadata[RECORD_KEY]}, chunk_position="last"
        )
    return AIMessageChunk(
        content=message.content,
        usage_metadata=message.usage_metadata,
        response_metadata=message.response_metadata,
        chunk_position="last",
    )
