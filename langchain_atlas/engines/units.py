"""A unit of work as it travels: what came of it, or the error it raised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import ExecutionError
from langchain_atlas.masking import masked

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Done:
    """What came of a unit."""

    value: Any
    """The result."""


@dataclass(frozen=True)
class Failed:
    """The error that a unit raised, in parts: many errors can't be made again from their message alone."""

    kind: type[BaseException]
    """Its class."""
    message: tuple[Any, ...]
    """Its arguments."""
    state: dict[str, Any]
    """Its attributes."""

    def error(self) -> BaseException:
        """Return the error."""
        made = self.kind.__new__(self.kind, *self.message)
        made.args = self.message
        made.__dict__.update(self.state)
        return made


def carried_out(work: Callable[..., Any], *arguments: Any, travels: Callable[[Any], Any]) -> Done | Failed:
    """Do a unit of work, and return what came of it, or its error.

    Args:
        work: the work.
        arguments: what it is given.
        travels: raises if a value can't be sent.
    """
    try:
        return Done(work(*arguments))
    except Exception as error:  # noqa: BLE001  # raised again where the result is awaited
        return failed(error, travels)


def failed(error: Exception, travels: Callable[[Any], Any]) -> Failed:
    """Return an error as it travels; one that can't be sent becomes an `ExecutionError` that says the same."""
    found = Failed(type(error), error.args, dict(error.__dict__))
    try:
        travels(found)
    except Exception:  # noqa: BLE001  # whatever the pickler meets
        return Failed(ExecutionError, (masked(f"{type(error).__name__}: {error}"),), {"observation": None})
    return found


def result(found: Done | Failed) -> Any:
    """Return what came of a unit, or raise its error."""
    if isinstance(found, Failed):
        raise found.error()
    return found.value
