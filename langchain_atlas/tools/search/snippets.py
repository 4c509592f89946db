"""What a search gives, and who gives it."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from langchain_atlas.errors import ExecutionError, SettingError

MAX_PASSAGE = 1_200
"""Characters of a passage; longer paragraphs are split between words."""


class SearchError(ExecutionError):
    """A provider could not search; the message says why, and holds no key."""


@dataclass(frozen=True)
class Snippet:
    """A passage that answers a query."""

    text: str
    """The passage itself."""

    source: str
    """Where it is from: for a folder, the path of the file below it."""

    heading: str = ""
    """The headings above it, outermost first, joined by `` > ``; empty when there is none."""

    score: float = 0.0
    """How well it fits the query; above 0, comparable within one search only."""


@runtime_checkable
class SearchProvider(Protocol):
    """Where snippets come from."""

    def search(self, query: str, k: int) -> list[Snippet]:
        """The best `k` snippets for a query, best first; fewer or none when no more fit."""
        ...  # pragma: no cover


def seconds(value: float) -> float:
    """Return a time limit if it is one.

    Raises:
        SettingError: it is no number above 0.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise SettingError(f"timeout_s is {value!r}; it must be a number of seconds above 0.")
    return value


def clipped(text: str, length: int = MAX_PASSAGE) -> str:
    """Return the text, cut between words where it is longer than that."""
    text = text.strip()
    if len(text) <= length:
        return text
    end = text.rfind(" ", length // 2, length - 1)
    return text[: end if end > 0 else length - 1].rstrip() + "…"
