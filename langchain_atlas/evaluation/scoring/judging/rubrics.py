"""Rubrics: by what a judge marks the answers of a domain, and on which scale."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import yaml
from pydantic import Field, model_validator

from langchain_atlas.errors import SettingError
from langchain_atlas.records import Record
from langchain_atlas.text_files import read_text, why

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT = "default"
"""The rubric of every domain that has none."""


class Rubric(Record):
    """By what a judge marks answers."""

    text: str = (
        "An answer is right if it gives the person what they asked for, and what it says is true. Work the answer out "
        "for yourself before you trust it. Where a reference is given, an answer is right if it says the same as the "
        "reference, in whatever words or form. Length, tone and confidence don't count."
    )
    """The rubric as the judge reads it."""
    scale: tuple[int, int] = (0, 1)
    """Lowest and highest mark, whole numbers: 0 and 1 for wrong and right, such as 1 and 5 for shades."""

    @classmethod
    def _error(cls, message: str) -> SettingError:
        return SettingError(message)

    @model_validator(mode="after")
    def _can_be_used(self) -> Self:
        low, high = self.scale
        if not low < high:
            raise ValueError(f"the scale is {low} to {high}; the lowest mark must be below the highest")
        if not self.text.strip():
            raise ValueError("the text is empty; say by what the judge marks")
        return self


class Rubrics(Record):
    """The rubrics of all domains."""

    by_domain: dict[str, Rubric] = Field(default_factory=lambda: {DEFAULT: Rubric()})
    """Rubric of each domain; ``default`` is that of all others."""

    def of(self, domain: str) -> Rubric:
        """Return the rubric of a domain."""
        return self.by_domain.get(domain) or self.by_domain.get(DEFAULT) or Rubric()

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a YAML or JSON file: for each domain a text, or ``text`` and ``scale``.

        Raises:
            SettingError: the file can't be read, or an entry is no rubric; the message names file and domain.
        """
        path = Path(path)
        try:
            text = read_text(path)
            data = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
            raise SettingError(f"Can't read the rubrics from {str(path)!r}: {why(error)}") from error
        if not isinstance(data, dict) or not data:
            raise SettingError(
                f"{str(path)!r} holds no rubrics; write 'domain: text' for each domain, and 'default: text' for others."
            )
        return cls(by_domain={str(domain): _rubric(entry, f"{path}, {domain!r}") for domain, entry in data.items()})


def _rubric(entry: Any, where: str) -> Rubric:
    fields: Mapping[str, Any] | None = {"text": entry} if isinstance(entry, str) else entry
    if not isinstance(fields, dict):
        raise SettingError(f"{where}: {entry!r} is no rubric; write a text, or 'text' and 'scale', such as [1, 5].")
    try:
        return Rubric(**{str(name): value for name, value in fields.items()})
    except SettingError as error:
        raise SettingError(f"{where}: {error}") from error
