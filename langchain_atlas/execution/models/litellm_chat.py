"""`ChatLiteLLM` with retries that wait briefly and repeat only transient failures.

Imports LiteLLM, which takes seconds, so this module is only imported when a model is first called.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from litellm.exceptions import Timeout
from pydantic import Field

from langchain_atlas.costs.receipts import Receipt
from langchain_atlas.errors import ReplyTooLongError
from langchain_atlas.execution.models.bounds import MAX_REPLY_BYTES, Bounds
from langchain_atlas.execution.models.plain_chat import PlainChatLiteLLM
from langchain_atlas.pool.embedded import is_embedded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatGenerationChunk, ChatResult

_PASSING = frozenset({409, 429, 500, 502, 503, 504})
"""HTTP statuses of transient failures."""
_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 8.0
_LONGEST_ASKED_S = 30.0


class RetryingChatLiteLLM(PlainChatLiteLLM):
    """Repeats a request that failed for a transient reason; a stream is only repeated before it has begun.

    LiteLLM's own ``num_retries`` sends up to twice the configured number of requests, also repeats rejected keys and
    malformed requests, and repeats timeouts, so that a caller waits five times as long as allowed; `ChatLiteLLM`'s
    waits at least 4 seconds. A timeout is not repeated here, because the router can choose another model instead.
    Nor is a request that the provider has begun to answer, even if the answer breaks off or can't be read: the provider
    charges for it.

    The timeout covers the whole call: all its requests, the pauses between them, and the reply to its last byte.
    """

    retries: int = Field(default=0, ge=0)
    """How often a request is repeated."""
    max_reply_bytes: int = Field(default=MAX_REPLY_BYTES, ge=1)
    """Maximum size of a reply, in bytes."""

    def completion_with_retry(
        self, run_manager: CallbackManagerForLLMRun | None = None, receipt: Receipt | None = None, **kwargs: Any
    ) -> Any:
        """Send a request, and repeat it if necessary.

        Raises:
            litellm.Timeout: there was no complete reply in time.
            ReplyTooLongError: the reply is too long.
        """
        del run_manager
        bounds, receipt = self._bounds(kwargs), receipt or Receipt()
        attempt = 0
        while True:
            try:
                with self._explained(bounds), bounds.waiting() as left:
                    response = self.client.completion(**_in_time(kwargs, left))
            except Exception as error:
                seconds = None if bounds.answered or attempt >= self.retries else pause(error, attempt)
                if seconds is None or not bounds.fits(seconds):
                    raise
            else:
                if kwargs.get("stream"):
                    return self._chunks(response, bounds, receipt)
                receipt.read(response)
                return response
            time.sleep(seconds)
            bounds.pass_by(seconds)
            attempt += 1

    async def acompletion_with_retry(
        self, run_manager: AsyncCallbackManagerForLLMRun | None = None, receipt: Receipt | None = None, **kwargs: Any
    ) -> Any:
        """Async version of `completion_with_retry`."""
        del run_manager
        bounds, receipt = self._bounds(kwargs), receipt or Receipt()
        attempt = 0
        while True:
            try:
                with self._explained(bounds), bounds.waiting() as left:
                    async with asyncio.timeout(_finite(left)):
                        response = await self.client.acompletion(**_in_time(kwargs, left))
            except Exception as error:
                seconds = None if bounds.answered or attempt >= self.retries else pause(error, attempt)
                if seconds is None or not bounds.fits(seconds):
                    raise
            else:
                if kwargs.get("stream"):
                    return self._achunks(response, bounds, receipt)
                receipt.read(response)
                return response
            await asyncio.sleep(seconds)
            bounds.pass_by(seconds)
            attempt += 1

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        stream: bool | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        if self.streaming if stream is None else stream:
            return super()._generate(messages, stop, run_manager, stream, **kwargs)  # by `_stream`
        receipt = Receipt()
        return _settled(super()._generate(messages, stop, run_manager, stream, receipt=receipt, **kwargs), receipt)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        stream: bool | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        if self.streaming if stream is None else stream:
            return await super()._agenerate(messages, stop, run_manager, stream, **kwargs)
        receipt = Receipt()
        result = await super()._agenerate(messages, stop, run_manager, stream, receipt=receipt, **kwargs)
        return _settled(result, receipt)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        receipt = Receipt()
        for chunk in super()._stream(messages, stop, run_manager, receipt=receipt, **kwargs):
            receipt.settle(chunk.message)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        receipt = Receipt()
        async for chunk in super()._astream(messages, stop, run_manager, receipt=receipt, **kwargs):
            receipt.settle(chunk.message)
            yield chunk

    def _bounds(self, request: Mapping[str, Any]) -> Bounds:
        seconds = request.get("timeout")
        return Bounds(seconds if isinstance(seconds, int | float) else math.inf, self.max_reply_bytes)

    def _chunks(self, response: Any, bounds: Bounds, receipt: Receipt) -> Iterator[Any]:
        chunks, end = iter(response), object()
        try:
            while True:
                try:
                    with self._explained(bounds), bounds.waiting():
                        chunk = next(chunks, end)
                except Exception:
                    if not _is_whole(response):
                        raise
                    if not response.sent_last_chunk:
                        yield response.finish_reason_handler()
                    return
                if chunk is end:
                    return
                receipt.read_chunk(chunk, response)
                yield chunk
        finally:
            _close(response)

    async def _achunks(self, response: Any, bounds: Bounds, receipt: Receipt) -> AsyncIterator[Any]:
        chunks, end = aiter(response), object()
        try:
            while True:
                try:
                    with self._explained(bounds), bounds.waiting() as left:
                        async with asyncio.timeout(_finite(left)):
                            chunk: Any = await anext(chunks, end)
                except Exception:
                    if not _is_whole(response):
                        raise
                    if not response.sent_last_chunk:
                        yield response.finish_reason_handler()
                    return
                if chunk is end:
                    return
                receipt.read_chunk(chunk, response)
                yield chunk
        finally:
            await _aclose(response)

    @contextmanager
    def _explained(self, bounds: Bounds) -> Iterator[None]:
        """Turn an error that was caused by the bounds into one that explains them."""
        try:
            yield
        except Exception as error:
            if bounds.too_long:
                raise ReplyTooLongError(
                    f"The reply of {self.model!r} is longer than {bounds.max_bytes:,} bytes and was cut off; where it "
                    "may be that long, raise max_reply_bytes."
                ) from error
            if bounds.late or isinstance(error, TimeoutError):
                raise Timeout(
                    f"no full answer within {bounds.seconds:.3g} s", self.model, self.custom_llm_provider or ""
                ) from error
            raise


def _in_time(request: dict[str, Any], left: float) -> dict[str, Any]:
    """Return a request with the remaining time as its timeout, if nothing else limits it.

    Calls over the network are limited by `Bounds`. For them the timeout is unchanged: LiteLLM keeps a client, with its
    connections, for every timeout value that it encounters.
    """
    embedded = is_embedded(request.get("model"))
    return {**request, "timeout": left} if embedded and left != math.inf else request


def _finite(seconds: float) -> float | None:
    return None if seconds == math.inf else seconds


def _settled(result: ChatResult, receipt: Receipt) -> ChatResult:
    for generation in result.generations:
        receipt.settle(generation.message)
    return result


def _is_whole(stream: Any) -> bool:
    """Say whether a provider has said why its reply ended, before its stream broke.

    What can't be read after that, such as counts that are words, takes nothing from the reply: its cost is unknown.
    """
    return getattr(stream, "received_finish_reason", None) is not None


def _close(stream: Any) -> None:
    """Close a stream that nobody reads any more."""
    close = getattr(getattr(stream, "completion_stream", None), "close", None)
    if close is not None:
        with suppress(Exception):
            close()


async def _aclose(stream: Any) -> None:
    """Async version of `_close`."""
    close = getattr(stream, "aclose", None)
    if close is not None:
        with suppress(Exception):
            await close()


def pause(error: Exception, attempt: int) -> float | None:
    """Return the seconds to wait before a request is repeated, or None if repeating it is useless.

    Args:
        error: the error that LiteLLM raised.
        attempt: how often the request has been repeated already.
    """
    if getattr(error, "status_code", None) not in _PASSING:
        return None
    headers: Mapping[str, str] = getattr(error, "litellm_response_headers", None) or {}
    try:
        asked = float(headers.get("retry-after", ""))
    except ValueError:  # missing, or given as a date
        longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0**attempt)
        return longest * random.uniform(0.5, 1)  # noqa: S311  # jitter, not cryptography
    return asked if 0 <= asked <= _LONGEST_ASKED_S else None
