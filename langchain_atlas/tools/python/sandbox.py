"""The contract of sandboxes: they run untrusted Python and report the result.

A backend is a class with the one method of `Sandbox`; `langchain_atlas.tools.python.monty` has the one in use.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

MAX_CODE = 100_000
"""Characters of a program."""


@dataclass(frozen=True)
class Execution:
    """The result of running a program."""

    output: str = ""
    """What it printed, cut to the sandbox's limit."""

    value: str | None = None
    """The `repr` of its last expression, cut to the same limit; none when there is none, or when it is None."""

    error: str | None = None
    """Kind and message of the exception, as ``ZeroDivisionError: division by zero``; none when it ended well."""

    line: int | None = None
    """Line of the program where the error arose, from 1; none when the error has no line."""

    snippet: int = 0
    """Which of several programs the error arose in, from 0."""

    unsupported: str | None = None
    """What Python has and this sandbox lacks, when the program failed for that; none otherwise."""

    truncated: bool = False
    """Whether output or value was cut."""

    seconds: float = 0.0
    """Wall-clock time of the run, in seconds."""

    @property
    def succeeded(self) -> bool:
        """Whether it ended without an error."""
        return self.error is None


@runtime_checkable
class Sandbox(Protocol):
    """Runs untrusted programs."""

    def run(self, *programs: str) -> Execution:
        """Run programs one after another in one fresh interpreter, up to the first error.

        A program that ends itself, as by ``exit()``, has ended well unless it gives a status other than 0; the next one
        runs all the same.

        Args:
            programs: source texts; later ones see the names of earlier ones.

        Returns:
            The output of all, and the value of the last. Errors of the programs are in the result, not raised.
        """
        ...  # pragma: no cover


@runtime_checkable
class Session(Protocol):
    """Runs that share one interpreter."""

    def run(self, *programs: str) -> Execution:
        """Run programs after those that ran before, with their names; else as `Sandbox.run`."""
        ...  # pragma: no cover


@runtime_checkable
class SessionSandbox(Sandbox, Protocol):
    """A sandbox that can keep names between runs."""

    def session(self) -> AbstractContextManager[Session]:
        """Begin a session; it ends with the context."""
        ...  # pragma: no cover
