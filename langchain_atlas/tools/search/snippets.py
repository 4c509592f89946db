"""What a search gives, and who gives it."""

import re
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

    def __post_init__(self) -> None:
        """Keep source and heading on one line: with line ends in them they could pass for several snippets."""
        object.__setattr__(self, "source", one_line(self.source))
        object.__setattr__(self, "heading", one_line(self.heading))


@runtime_checkable
class SearchProvider(Protocol):
    """Where snippets come from."""

    def search(self, query: str, k: int) -> list[Snippet]:
        """The best `k` snippets for a query, best first; fewer or none when no more fit."""
        ...  # pragma: no cover


_UNSEEN = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]+")
"""White space, what ends a line, what turns the direction of writing, and what can't be written at all."""

_NUMBERED = re.compile(r"^(\s*)(?=\[\d+\])", re.MULTILINE)


def one_line(text: str) -> str:
    """Return a name as one line of characters that show."""
    return _UNSEEN.sub(" ", text).strip()


def marked(text: str) -> str:
    """Return a passage in which no line begins as the line of a source does, such as ``[2] bank.md``."""
    return _NUMBERED.sub(r"\1\\", _LINE_ENDS.sub("\n", text))


_LINE_ENDS = re.compile(r"\r\n?|[\v\f\x1c-\x1e\x85\u2028\u2029]")


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
