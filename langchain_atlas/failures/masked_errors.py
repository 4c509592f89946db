"""Errors without keys: masked in place, together with the errors they are chained to, so that they keep their class."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing
from typing import Any, TypeVar, cast

from langchain_atlas.errors import ExecutionError
from langchain_atlas.masking import STARS, error_text, keys_looked_up, masked, masked_value

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])

_SECRET_HEADERS = ("auth", "key", "token", "cookie", "secret")
"""Parts of the names of request headers that hold keys."""
_CHAINS = ("__cause__", "__context__")


def cleaned(error: Exception) -> Exception:
    """Return an error with keys masked, in the error itself and in all the errors that it is chained to.

    The error and its fields are changed in place: LiteLLM's errors hold the provider's response, which holds the
    request with its headers. An error that can't be changed, such as pydantic's, is replaced with an `ExecutionError`
    with the same message. Interrupts of a graph are returned unchanged.

    Args:
        error: the exception.
    """
    from langgraph.errors import GraphBubbleUp

    if isinstance(error, GraphBubbleUp):
        return error
    with keys_looked_up():
        return cast("Exception", _cleaned(error, {}))


def keys_masked(function: AnyFunction) -> AnyFunction:
    """Decorate a function, coroutine function or generator function so that its errors show no keys."""
    if inspect.isasyncgenfunction(function):
        wrapper: Any = _async_generator(function)
    elif inspect.isgeneratorfunction(function):
        wrapper = _generator(function)
    else:
        wrapper = _coroutine(function) if inspect.iscoroutinefunction(function) else _plain_function(function)
    return cast("AnyFunction", functools.wraps(function)(wrapper))


def _plain_function(function: Any) -> Any:
    def masking(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  # raised again below
            failure = cleaned(error)
        raise failure  # outside the except block, so that the original error does not become its context

    return masking


def _coroutine(function: Any) -> Any:
    async def masking(*args: Any, **kwargs: Any) -> Any:
        try:
            return await function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  # raised again below
            failure = cleaned(error)
        raise failure

    return masking


def _generator(function: Any) -> Any:
    def masking(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        try:
            return (yield from function(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  # raised again below
            failure = cleaned(error)
        raise failure

    return masking


def _async_generator(function: Any) -> Any:
    async def masking(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        failure = None
        async with aclosing(function(*args, **kwargs)) as items:
            try:
                async for item in items:
                    yield item
            except Exception as error:  # noqa: BLE001  # raised again below
                failure = cleaned(error)
        if failure is not None:
            raise failure

    return masking


def _cleaned(error: BaseException, seen: dict[int, BaseException]) -> BaseException:
    if id(error) in seen:
        return seen[id(error)]
    seen[id(error)] = error
    suppressed = error.__suppress_context__
    _mask_fields(error, seen)
    kept = error
    if isinstance(error, BaseExceptionGroup):
        members = [_cleaned(member, seen) for member in error.exceptions]
        if any(new is not old for new, old in zip(members, error.exceptions, strict=True)):
            kept = seen[id(error)] = error.derive(members).with_traceback(error.__traceback__)
    if _shows_keys(kept):
        kept = ExecutionError(error_text(error)).with_traceback(error.__traceback__)
        seen[id(error)] = kept
    for chain in _CHAINS:
        before = getattr(error, chain)
        if before is not None:
            setattr(kept, chain, _cleaned(before, seen))
    kept.__suppress_context__ = suppressed
    return kept


def _mask_fields(error: BaseException, seen: dict[int, BaseException]) -> None:
    """Mask an error's arguments and its other attributes."""
    arguments = tuple(_field(value, seen) for value in error.args)
    if any(new is not old for new, old in zip(arguments, error.args, strict=True)):
        error.args = arguments
    for name, value in list(vars(error).items()):
        changed = _field(value, seen)
        if changed is not value:
            try:
                setattr(error, name, changed)
            except (AttributeError, TypeError):
                vars(error)[name] = changed


def _field(value: Any, seen: dict[int, BaseException]) -> Any:
    if isinstance(value, BaseException):
        return _cleaned(value, seen)
    if type(value).__module__.partition(".")[0] == "httpx":
        return _exchange(value)
    return masked_value(value)


def _exchange(value: Any) -> Any:
    """Return a copy of an httpx request, response or headers without keys, with what the reader of an error needs."""
    import httpx

    held = value if isinstance(value, httpx.Headers) else getattr(value, "headers", {})
    headers = {name: masked(text) for name, text in held.items()}
    if isinstance(value, httpx.Headers):
        return httpx.Headers(headers)
    if isinstance(value, httpx.Request):
        secret = [name for name in headers if any(word in name.lower() for word in _SECRET_HEADERS)]
        return httpx.Request(value.method, masked(str(value.url)), headers={**headers, **dict.fromkeys(secret, STARS)})
    if not isinstance(value, httpx.Response):
        return value
    for name in ("content-encoding", "content-length", "transfer-encoding"):  # they describe the original body
        headers.pop(name, None)
    try:
        request = _exchange(value.request)
    except RuntimeError:  # it was created without a request
        request = None
    content = masked_value(value.content) if value.is_closed and value.is_stream_consumed else b""
    return httpx.Response(value.status_code, headers=headers, content=content, request=request)


def _shows_keys(error: BaseException) -> bool:
    texts = [str(error), repr(error), *getattr(error, "__notes__", ())]
    return any(masked(text) != text for text in texts)
