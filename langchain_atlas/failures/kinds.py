"""Kinds of failures: recorded in observations, and restored in the errors that are raised from them.

Observations store them by name, so that they survive a checkpoint. An error of ours that reports a provider's rate
limit is therefore an `ExecutionError`, LiteLLM's `RateLimitError` and LangChain's `ModelRateLimitError` at once, so
that LangGraph's `RetryPolicy`, ``with_retry(retry_if_exception_type=...)`` and ``except ContextOverflowError`` work.
"""

from __future__ import annotations

import importlib
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from langchain_atlas.errors import ExecutionError
from langchain_atlas.masking import error_text
from langchain_atlas.trajectory import Observation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_atlas.pool.pairs import Pair
    from langchain_atlas.trajectory import Trajectory

_LANGCHAIN = "langchain_core.exceptions"
_OF_STATUS = {
    400: "ModelInvalidRequestError",
    401: "ModelAuthenticationError",
    403: "ModelPermissionDeniedError",
    404: "ModelNotFoundError",
    408: "ModelTimeoutError",
    413: "ModelInvalidRequestError",
    422: "ModelInvalidRequestError",
    429: "ModelRateLimitError",
}
_OF_NAME = (
    ("ContextWindowExceededError", "ContextOverflowError"),
    ("ContextOverflowError", "ContextOverflowError"),
    ("Timeout", "ModelTimeoutError"),
    ("TimeoutError", "ModelTimeoutError"),
    ("APITimeoutError", "ModelTimeoutError"),
    ("TimeoutException", "ModelTimeoutError"),
    ("ConnectionError", "ModelConnectionError"),
    ("APIConnectionError", "ModelConnectionError"),
    ("TransportError", "ModelConnectionError"),
    ("gaierror", "ModelConnectionError"),
)
"""LangChain's name for a failure, by the name of its class; the first match applies."""
_SERVER_ERROR = 500
_OF_PROVIDER = frozenset(
    f"{_LANGCHAIN}:{name}"
    for name in (
        "ModelAuthenticationError",
        "ModelPermissionDeniedError",
        "ModelRateLimitError",
        "ModelAPIError",
        "ModelConnectionError",
        "ModelTimeoutError",
    )
)
_IMPORTED = frozenset({"builtins", "httpx", "langchain_core", "litellm", "openai"})
"""Packages that may be imported to look up their errors by name; a record never imports any other."""
_READ_OF_ERRORS = ("body", "code", "llm_provider", "max_retries", "model", "num_retries", "param", "response", "type")
"""Attributes of providers' errors; an error class may lack some of them."""
_seen: WeakValueDictionary[str, type[Exception]] = WeakValueDictionary()


def failed_call(
    pair: Pair, error: BaseException, variable: str | None = None, *, text: str | None = None, **fields: Any
) -> Observation:
    """Return the observation of a call that raised.

    Args:
        pair: the pair.
        error: the exception.
        variable: the environment variable that holds the model's key, which is masked in the record.
        text: how the record describes the error; by default its type and message.
        fields: further fields of the observation.
    """
    return Observation(
        pair=pair,
        error=error_text(error, variable) if text is None else text,
        error_types=error_kinds_of(error),
        error_status=status_of(error),
        **fields,
    )


def error_kinds_of(error: BaseException) -> tuple[str, ...]:
    """Return an error's kinds as ``module:class``: its own class, and LangChain's if there is one."""
    told = getattr(error, "error_types", None)
    if isinstance(error, ExecutionError) and told:
        return tuple(told)
    own = type(error)
    if not issubclass(own, Exception) or own is ExecutionError:
        return ()
    name = f"{own.__module__}:{own.__qualname__}"
    _seen[name] = own
    common = _common(error)
    return (name,) if common is None or _is(own, common) else (name, f"{_LANGCHAIN}:{common}")


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status of an error; None if it has none."""
    told = getattr(error, "status_code", None)
    if told is None:
        told = getattr(getattr(error, "response", None), "status_code", None)
    return told if isinstance(told, int) and not isinstance(told, bool) else None


def is_of_provider(observation: Observation) -> bool:
    """Return whether a call failed for a reason that its provider's other models may fail for too.

    It did if the provider is unreachable, is overloaded, or rejects the key.
    """
    return not _OF_PROVIDER.isdisjoint(observation.error_types)


def execution_error(
    message: str,
    observations: Iterable[Observation],
    base: type[ExecutionError] = ExecutionError,
) -> ExecutionError:
    """Return an error that is an instance of every kind of the failed calls.

    Args:
        message: its message.
        observations: the observations of the calls, oldest first; those that did not fail are ignored.
        base: the class it is always an instance of.
    """
    failed = tuple(seen for seen in observations if seen.failed)[::-1]
    names = tuple(dict.fromkeys(name for seen in failed for name in seen.error_types))
    kind = _class(base, names)
    if kind is base and failed:  # these kinds can't be combined in one class
        kind = _class(base, failed[0].error_types)
    error = kind(message, failed[0] if failed else None)
    error.error_types = names
    status = next((seen.error_status for seen in failed if seen.error_status is not None), None)
    if kind is not base:
        _attach(error, message, status)
    return error


def no_answer(trajectory: Trajectory, before: str = "No answer") -> ExecutionError:
    """Return the error of a trajectory that ends without an answer.

    Args:
        trajectory: the trajectory.
        before: the beginning of the message.
    """
    return execution_error(f"{before}: {why_unanswered(trajectory)}", trajectory.observations)


def why_unanswered(trajectory: Trajectory) -> str:
    """Return why a trajectory has no answer: the errors of its calls, or why no call was made."""
    errors = failures(trajectory)
    if errors:
        return f"every call failed ({errors})."
    return (trajectory.steps[-1].decision.reason if trajectory.steps else "") or "no pair was called."


def failures(trajectory: Trajectory) -> str:
    """Return the errors of the failed calls as text; empty if none failed."""
    return "; ".join(f"{seen.pair}: {seen.error}" for seen in trajectory.observations if seen.failed)


def _common(error: BaseException) -> str | None:
    """Return LangChain's name for a failure; a refused connection, which LiteLLM calls a server error, is not one."""
    status = status_of(error)
    cause: BaseException | None = error
    while cause is error or (cause is not None and (status or 0) >= _SERVER_ERROR):
        names = {member.__name__ for member in type(cause).__mro__}
        for name, common in _OF_NAME:
            if name in names:
                return common
        cause = cause.__cause__ or cause.__context__
    if status is None:
        return None
    return "ModelAPIError" if status >= _SERVER_ERROR else _OF_STATUS.get(status)


def _is(own: type, common: str) -> bool:
    return any(member.__module__ == _LANGCHAIN and member.__name__ == common for member in own.__mro__)


def _attach(error: Any, message: str, status: int | None) -> None:
    """Set the attributes that callers read from such errors, but not the provider's response, which may hold keys."""
    for name in _READ_OF_ERRORS:
        setattr(error, name, None)
    error.message, error.status_code = message, status
    if status is not None and "httpx" in sys.modules:
        error.response = sys.modules["httpx"].Response(status)


def _class(base: type[ExecutionError], names: Sequence[str]) -> type[ExecutionError]:
    usable: Any = _usable  # mypy does not treat classes as hashable
    joined: Any = _joined
    named = (kind for kind in map(_named, names) if kind is not None)
    found = [kind for kind in dict.fromkeys(map(usable, named)) if not issubclass(base, kind)]
    kinds = tuple(kind for kind in found if not any(other is not kind and issubclass(other, kind) for other in found))
    kind: type[ExecutionError] = joined(base, kinds) if kinds else base
    return kind


@lru_cache(maxsize=256)
def _usable(kind: type[Exception]) -> type[Exception]:
    """Return the class, or its nearest base class that an error of ours can also inherit from."""
    return next(
        above for above in kind.__mro__ if above is Exception or _joined(ExecutionError, (above,)) is not ExecutionError
    )


@lru_cache(maxsize=256)
def _joined(base: type[ExecutionError], kinds: tuple[type[Exception], ...]) -> type[ExecutionError]:
    """Return a class that inherits from all of these, or `base` alone if Python can't create one."""
    members = {"__module__": base.__module__, "__qualname__": base.__qualname__, "__doc__": base.__doc__}
    try:
        kind = type(base.__name__, (base, *kinds), {**members, "__reduce__": _reduced})
        kind("")  # some have a constructor of their own
    except TypeError:
        return base
    return kind


def _reduced(error: ExecutionError) -> Any:
    """Pickle an error by its constructor arguments: its class is generated and can't be found by name."""
    base = next(member for member in type(error).__mro__[1:] if issubclass(member, ExecutionError))
    return _made_again, (base, str(error), error.error_types, error.observation)


def _made_again(
    base: type[ExecutionError], message: str, names: Sequence[str], observation: Observation | None
) -> ExecutionError:
    error = _class(base, names)(message, observation)
    error.error_types = tuple(names)
    if type(error) is not base:
        _attach(error, message, None if observation is None else observation.error_status)
    return error


def _named(name: str) -> type[Exception] | None:
    """Return the class of an error by its name; None if it can't be found."""
    if name in _seen:
        return _seen[name]
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    if found is None and module.partition(".")[0] in _IMPORTED:
        try:
            found = importlib.import_module(module)
        except ImportError:
            return None
    for part in path.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) and issubclass(found, Exception) else None
