"""The error family.

Every error raised on purpose derives from `AtlasError`. A message names the bad value, what would be valid,
and what to do next. What the caller can fix is an `InvalidInputError` (the command line exits with status 2);
what went wrong at run time is an `ExecutionError` (exit status 1).

Each class has a section in docs/reference/errors.md: what it means, why it is raised, what to do. A note on the error
names it, so that a traceback and the command line end with it, and the message itself stays as it is.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from langchain_atlas.masking import masked

PAGE = "docs/reference/errors.md"
"""The page on the errors."""


class AtlasError(Exception):
    """Base of all errors raised by langchain-atlas."""

    @property
    def __notes__(self) -> list[str]:  # a list, as `add_note` wants it
        """Notes that tracebacks show below the message; the first one says where to read more."""
        notes: list[str] = self.__dict__.setdefault("__notes__", [f"More: {page_of(type(self))}"])
        return notes

    @__notes__.setter
    def __notes__(self, notes: list[str]) -> None:
        self.__dict__["__notes__"] = notes


class InvalidInputError(AtlasError, ValueError):
    """The caller gave something that can't be used; the message says what is valid."""


class PoolError(InvalidInputError):
    """A model, tool, pair or pool is malformed, or names something that does not exist."""


class OutcomeError(InvalidInputError):
    """An outcome table or query file is missing, unreadable, or violates the contract of its columns."""


class SettingError(InvalidInputError):
    """A parameter is out of range or unknown."""


class WritingError(InvalidInputError):
    """A file or folder can't be written at the given path."""


class ArtifactError(InvalidInputError):
    """A saved router can't be read, or does not fit the encoder or the pool it is used with."""


class ConstraintError(InvalidInputError):
    """No pair satisfies the constraints of a query."""


class LimitError(ConstraintError):
    """A limit that holds over several calls or runs is reached, or can't be checked; see `Limits`."""


class ExecutionError(AtlasError):
    """Running a pair failed, and the caller asked for an exception instead of an observation.

    Args:
        message: what failed.
        observation: the `Observation` of the run, if there is one.

    An error that reports failed calls is also of their kinds, such as LiteLLM's `RateLimitError`: see
    `failures/kinds.py`.
    """

    error_types: tuple[str, ...] = ()
    """Names of its kinds, as ``module:class``."""

    def __init__(self, message: str = "", observation: Any = None) -> None:
        Exception.__init__(self, masked(message))  # not super(): the next class may need more arguments
        self.observation = observation

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


class ReplyTooLongError(ExecutionError):
    """A model's reply was cut off because it exceeds the maximum length."""


class BrokenStreamError(ExecutionError):
    """A reply broke off after part of it was streamed, so another call can't replace it."""


class MissingExtraError(AtlasError, ImportError):
    """An optional dependency is not installed; the message gives the command that installs it.

    Args:
        feature: what needs it.
        extra: the extra of langchain-atlas that installs it.
        package: the package to install if no extra does; several are separated by spaces.
    """

    def __init__(self, feature: str, extra: str = "", *, package: str | None = None) -> None:
        packages = " ".join(f"'{name}'" for name in (package or f"langchain-atlas[{extra}]").split())
        super().__init__(f"{feature} needs packages that are not installed. Install them with: pip install {packages}")


FOR_LEARNING = {
    "pyarrow": "pyarrow",
    "scipy": "scipy",
    "sentence_transformers": "sentence-transformers",
    "sklearn": "scikit-learn",
    "torch": "torch",
    "transformers": "transformers",
}
"""Libraries that a slim install is without: their modules, and the packages that bring them."""


class SlimInstallError(MissingExtraError):
    """A slim install, which decides and answers, was asked to learn.

    Args:
        feature: what needs the libraries.
        missing: the packages that it lacks.
    """

    @classmethod
    def of(cls, feature: str, error: ModuleNotFoundError) -> "SlimInstallError | None":
        """Return what to tell of a module that was not found; None if learning has nothing to do with it."""
        package = FOR_LEARNING.get((error.name or "").partition(".")[0])
        return None if package is None else cls(feature, [package])

    def __init__(self, feature: str, missing: Iterable[str]) -> None:
        ImportError.__init__(
            self,
            f"{feature} needs {', '.join(missing)}. This is a slim install, which decides and answers. Install what "
            "learning needs with: pip install langchain-atlas",
        )


def page_of(kind: type[AtlasError]) -> str:
    """Return the page that explains a class of errors, such as ``docs/reference/errors.md#settingerror``.

    Args:
        kind: the class; one that is defined elsewhere is explained as the nearest class of this module above it.
    """
    (name, *_) = (one.__name__ for one in kind.__mro__ if globals().get(one.__name__) is one)
    return f"{PAGE}#{name.lower()}"


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, without its full stop, for a sentence; its type where it is empty.

    Messages of other libraries may go on for paragraphs, or say nothing.
    """
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(". ") if lines else type(error).__name__


def suggest(bad: str, valid: Iterable[str], limit: int = 12) -> str:
    """List the names that are valid in place of `bad`, the closest first.

    Args:
        bad: the name that was not found.
        valid: the names that exist.
        limit: how many names to list at most.

    Returns:
        A sentence such as ``Did you mean 'gpt-4o'? Valid: 'gpt-4o', 'claude'.``
    """
    names = list(dict.fromkeys(valid))
    close = get_close_matches(bad, names, n=1)
    shown = ", ".join(repr(name) for name in names[:limit])
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return f"{hint}Valid: {shown}{more}." if names else f"{hint}There is nothing to choose from."
