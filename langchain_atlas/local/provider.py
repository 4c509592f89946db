"""The LiteLLM provider `atlas-local`.

Each request runs in its own thread, and the caller reads the pieces from a queue. One path thus serves all four modes,
a waiting caller can be interrupted or time out, and an event loop is never blocked.
"""

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import litellm
from litellm.exceptions import (
    BadRequestError,
    ContextWindowExceededError,
    InternalServerError,
    NotFoundError,
    Timeout,
)
from litellm.llms.custom_llm import CustomLLM
from litellm.types.utils import Choices, GenericStreamingChunk, Message, ModelResponse, Usage
from litellm.utils import custom_llm_setup

from langchain_atlas.errors import AtlasError, InvalidInputError, MissingExtraError
from langchain_atlas.local.engine import Piece, get_engine
from langchain_atlas.local.models import find_model
from langchain_atlas.local.requests import Answer, EngineRequest, PromptTooLongError, Reader, build_request
from langchain_atlas.pool.embedded import PROVIDER

# LiteLLM wraps unknown exceptions in an APIConnectionError and prints an advertisement; it passes on its own. These
# classes belong to both families, so that either can be caught.


class LocalRequestError(BadRequestError, InvalidInputError):
    """The request can't be served by an embedded model."""


class LocalModelNotFoundError(NotFoundError, InvalidInputError):
    """No embedded model has this name."""


class LocalContextError(ContextWindowExceededError, InvalidInputError):
    """Prompt and answer do not fit the model's context."""


class LocalModelMissingError(MissingExtraError, NotFoundError):
    """The weights or the engine are not installed."""

    def __init__(self, message: str, model: str, llm_provider: str) -> None:
        # The message is already complete: it comes from a `MissingExtraError`.
        NotFoundError.__init__(self, message, model=model, llm_provider=llm_provider)


class _Run:
    """One request that is being processed by the engine."""

    def __init__(self, model: str, request: EngineRequest, deliver: Callable[[Piece | Exception | None], None]) -> None:
        self._model = model
        self._request = request
        self._deliver = deliver
        self._cancelled = threading.Event()
        # A daemon, because a caller may abandon a stream; `shutdown` waits for it at exit.
        threading.Thread(target=self._work, name=f"atlas-local-{model}", daemon=True).start()

    def _work(self) -> None:
        end: Exception | None = None
        try:
            get_engine(self._model).run(self._request.body, self._receive)
        except Exception as error:  # noqa: BLE001 - any error is raised in the waiting caller
            end = error
        # If the caller's event loop is closed, nobody is waiting any more.
        with contextlib.suppress(RuntimeError):
            self._deliver(end)

    def _receive(self, piece: Piece) -> bool:
        if not self._cancelled.is_set():
            try:
                self._deliver(piece)
            except RuntimeError:
                self._cancelled.set()
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Make the engine stop at the next token."""
        self._cancelled.set()


def _pieces(model: str, request: EngineRequest, patience: float | None) -> Generator[Piece, None, None]:
    inbox: queue.SimpleQueue[Piece | Exception | None] = queue.SimpleQueue()
    deadline = None if patience is None else time.monotonic() + patience
    run = _Run(model, request, inbox.put)
    try:
        while True:
            left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
            item = inbox.get(timeout=left)
            if item is None:
                return
            if isinstance(item, Exception):
                raise item
            yield item
    except queue.Empty:
        raise _timed_out(model, patience) from None
    finally:
        run.cancel()


async def _apieces(model: str, request: EngineRequest, patience: float | None) -> AsyncGenerator[Piece, None]:
    inbox: asyncio.Queue[Piece | Exception | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    deadline = None if patience is None else loop.time() + patience
    run = _Run(model, request, lambda item: _hand_over(loop, inbox, item))
    try:
        while True:
            async with asyncio.timeout_at(deadline):
                item = await inbox.get()
            if item is None:
                return
            if isinstance(item, Exception):
                raise item
            yield item
    except TimeoutError:
        raise _timed_out(model, patience) from None
    finally:
        run.cancel()


def _hand_over(loop: asyncio.AbstractEventLoop, inbox: "asyncio.Queue[Any]", item: Any) -> None:
    loop.call_soon_threadsafe(inbox.put_nowait, item)


def _timed_out(model: str, patience: float | None) -> Exception:
    return Timeout(f"The embedded model {model!r} was not done after {patience} s.", model=model, llm_provider=PROVIDER)


def _seconds(timeout: Any) -> float | None:
    """Return LiteLLM's timeout (seconds, an `httpx.Timeout`, or None) in seconds."""
    value = getattr(timeout, "read", timeout)
    return None if value is None else float(value)


@dataclass(frozen=True)
class _Call:
    """A call from LiteLLM, prepared for the engine."""

    model: str
    """Name of the model, without the provider."""
    reader: Reader
    """Holds the request and reads the answer."""
    patience: float | None
    """Seconds after which the caller gives up."""


def _open(arguments: Mapping[str, Any]) -> _Call:
    model: str = arguments["model"]
    try:
        found = find_model(model)
    except InvalidInputError as error:
        raise LocalModelNotFoundError(str(error), model, PROVIDER) from error
    with _translated(model):
        request = build_request(found, arguments["messages"], arguments.get("optional_params") or {})
    return _Call(model, Reader(request), _seconds(arguments.get("timeout")))


@contextlib.contextmanager
def _translated(model: str) -> Iterator[None]:
    """Convert our errors to ones that LiteLLM passes on."""
    try:
        yield
    except Timeout:
        raise
    except PromptTooLongError as error:
        raise LocalContextError(str(error), model, PROVIDER) from error
    except MissingExtraError as error:
        raise LocalModelMissingError(str(error), model, PROVIDER) from error
    # The engine raises ValueError when it rejects a request.
    except ValueError as error:
        raise LocalRequestError(str(error), model, PROVIDER) from error
    except AtlasError as error:
        raise InternalServerError(str(error), PROVIDER, model) from error


def _to_response(response: Any, model: str, answer: Answer) -> ModelResponse:
    # LiteLLM passes its own response object, with id and time filled in.
    calls = [answer.tool_call] if answer.tool_call else None
    message = Message(role="assistant", content=answer.text, tool_calls=calls)
    response.model = model
    response.choices = [Choices(finish_reason=answer.finish_reason, index=0, message=message)]
    response.usage = Usage(**_usage(answer))
    filled: ModelResponse = response
    return filled


def _usage(answer: Answer) -> Any:
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": answer.cached_tokens},
    }


def _text_chunk(text: str) -> GenericStreamingChunk:
    return GenericStreamingChunk(text=text, tool_use=None, is_finished=False, finish_reason="", usage=None, index=0)


def _last_chunk(reader: Reader) -> GenericStreamingChunk:
    answer = reader.finish()
    # An answer that was meant to be a call but was cut off has not been shown so far.
    late = answer.text or "" if reader.request.is_tool_call else ""
    return GenericStreamingChunk(
        text=late,
        tool_use=answer.tool_call,
        is_finished=True,
        finish_reason=answer.finish_reason,
        usage=_usage(answer),
        index=0,
    )


class LocalProvider(CustomLLM):
    """Answers LiteLLM's calls with the embedded models.

    LiteLLM passes everything by keyword; used here are `model`, `messages`, `optional_params`, `timeout` and
    `model_response`.
    """

    def completion(self, *_: Any, **arguments: Any) -> ModelResponse:
        """Return the complete answer.

        Returns:
            LiteLLM's `model_response`, filled in.
        """
        call = _open(arguments)
        with _translated(call.model):
            for piece in _pieces(call.model, call.reader.request, call.patience):
                call.reader.read(piece)
            return _to_response(arguments["model_response"], call.model, call.reader.finish())

    async def acompletion(self, *_: Any, **arguments: Any) -> ModelResponse:
        """Async version of `completion`; does not block the event loop.

        Returns:
            LiteLLM's `model_response`, filled in.
        """
        call = _open(arguments)
        with _translated(call.model):
            pieces = _apieces(call.model, call.reader.request, call.patience)
            async with contextlib.aclosing(pieces):
                async for piece in pieces:
                    call.reader.read(piece)
            return _to_response(arguments["model_response"], call.model, call.reader.finish())

    def streaming(self, *_: Any, **arguments: Any) -> Iterator[GenericStreamingChunk]:
        """Stream the answer.

        Yields:
            Chunks of text; the last chunk holds the finish reason and the usage.
        """
        call = _open(arguments)
        with _translated(call.model):
            for piece in _pieces(call.model, call.reader.request, call.patience):
                if text := call.reader.read(piece):
                    yield _text_chunk(text)
            yield _last_chunk(call.reader)

    async def astreaming(self, *_: Any, **arguments: Any) -> AsyncIterator[GenericStreamingChunk]:  # type: ignore[override]
        """Async version of `streaming`; does not block the event loop.

        Yields:
            Chunks of text; the last chunk holds the finish reason and the usage.
        """
        call = _open(arguments)
        with _translated(call.model):
            pieces = _apieces(call.model, call.reader.request, call.patience)
            async with contextlib.aclosing(pieces):
                async for piece in pieces:
                    if text := call.reader.read(piece):
                        yield _text_chunk(text)
            yield _last_chunk(call.reader)


_registering = threading.Lock()


def add_to_litellm() -> None:
    """Register the provider with LiteLLM, next to any others. Doing it twice has no effect."""
    with _registering:
        # Checked each time: somebody may have assigned another list since.
        if not any(item["provider"] == PROVIDER for item in litellm.custom_provider_map):
            litellm.custom_provider_map.append({"provider": PROVIDER, "custom_handler": LocalProvider()})
        # Updates `provider_list` as LiteLLM would at the first completion; some of its functions are called
        # before that.
        custom_llm_setup()  # type: ignore[no-untyped-call]
