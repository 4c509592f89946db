"""What all importers share: drafts of outcomes, and the ledger of what could not be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_atlas.errors import AtlasError
from langchain_atlas.masking import masked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_SHOWN = 200
_Read = TypeVar("_Read")


@dataclass(frozen=True)
class Problem:
    """Something that could not be imported, with its place."""

    place: str
    """File and line, item or row, counted from 1."""
    reason: str
    """Why, and what would help."""

    def to_json(self) -> dict[str, str]:
        """Return it as plain JSON."""
        return {"place": self.place, "reason": self.reason}


@dataclass
class Draft:
    """One outcome as an importer read it, before its values are checked."""

    place: str
    """Where it was read."""
    values: dict[str, Any]
    """Values by column. ``query`` may be a conversation; ``score`` is as it was written, in any scale."""
    raw: Any = None
    """The entry that it was read from, for columns that the caller maps."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Field of each column that was recognised by its name."""
    score_name: str = "score"
    """What the source calls the score."""
    continues: bool = False
    """Whether it goes on with an earlier call for the same query, after a tool's result."""


@dataclass
class Ledger:
    """What an import has met so far, so that nothing is lost or guessed silently."""

    rejected: list[Problem] = field(default_factory=list)
    """What was not imported."""
    incomplete: list[Problem] = field(default_factory=list)
    """What was imported without one of its values."""
    notes: dict[str, int] = field(default_factory=dict)
    """Rules that were applied, with the number of rows."""
    left_behind: dict[str, None] = field(default_factory=dict)
    """Columns that were not imported, in order of appearance."""
    read: int = 0
    """Number of entries read."""

    def attempt(self, place: str, read: Callable[..., _Read], *given: Any) -> _Read | None:
        """Call what reads an entry, and note the entry as damaged if its values are not of the expected kinds.

        Args:
            place: where the entry is.
            read: what reads it.
            given: what it is called with.

        Returns:
            What it returned; None if the entry is damaged.
        """
        try:
            return read(*given)
        except AtlasError:
            raise
        except (TypeError, KeyError, AttributeError, IndexError, ValueError, OverflowError, RecursionError) as error:
            self.reject(place, f"is damaged, or of another format ({type(error).__name__}: {error})")
            return None

    def reject(self, place: str, reason: str) -> None:
        """Note that something was not imported."""
        self.rejected.append(Problem(place, masked(reason)))

    def lack(self, place: str, reason: str) -> None:
        """Note that a row was imported without one of its values."""
        self.incomplete.append(Problem(place, masked(reason)))

    def note(self, rule: str, rows: int = 1) -> None:
        """Note that a rule was applied to some rows."""
        self.notes[rule] = self.notes.get(rule, 0) + rows

    def leave(self, columns: Iterable[str]) -> None:
        """Note columns that are not imported."""
        self.left_behind.update(dict.fromkeys(columns))


def shown(value: Any) -> str:
    """Return a value for a message: with `repr`, shortened."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
