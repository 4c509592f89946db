"""Pairs: one model with one tool, and files of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import core_schema

from langchain_atlas.errors import PoolError
from langchain_atlas.text_files import read_text, why

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import GetCoreSchemaHandler

SEPARATOR = "@@"
"""Separates model and tool in the written form of a pair."""


def check_name(kind: str, name: str) -> str:
    """Return the name of a model or a tool if it can be part of a written pair.

    Raises:
        PoolError: it can't.
    """
    unclear = kind == "model" and name.endswith("@")  # its pair 'm@@@tool' would be parsed as model 'm', tool '@tool'
    if not name or SEPARATOR in name or unclear or name != name.strip() or not name.isprintable():
        raise PoolError(
            f"{name!r} can't name a {kind}: a name is not empty, has no {SEPARATOR!r}, no line break, no space at its "
            "ends, and a model's does not end in '@'."
        )
    return name


@dataclass(frozen=True, slots=True, order=True)
class Pair:
    """One model with one tool, written ``model@@tool``."""

    model: str
    """Name of the model in the pool."""
    tool: str = "none"
    """Name of the tool in the pool; ``none`` is the model alone."""

    def __post_init__(self) -> None:
        """Reject names that the written form can't express.

        Raises:
            PoolError: a name is empty or contains ``@@`` or a line break.
        """
        for part, name in (("model", self.model), ("tool", self.tool)):
            check_name(part, name)

    @classmethod
    def parse(cls, text: str) -> Pair:
        """Parse ``model@@tool``; a bare ``model`` means the model without a tool.

        Raises:
            PoolError: the text is not of that form.
        """
        model, found, tool = text.strip().partition(SEPARATOR)
        return cls(model, tool) if found else cls(model)

    def __str__(self) -> str:
        return f"{self.model}{SEPARATOR}{self.tool}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Let records hold pairs: serialized as text in JSON, read from text or from a `Pair`."""
        del source, handler
        return core_schema.no_info_plain_validator_function(
            as_pair,
            json_schema_input_schema=core_schema.str_schema(),
            serialization=core_schema.to_string_ser_schema(),
        )


def as_pair(given: object) -> Pair:
    """Return a pair unchanged, or parse one from its written form.

    Raises:
        PoolError: it is neither.
    """
    if isinstance(given, Pair):
        return given
    if isinstance(given, str):
        return Pair.parse(given)
    raise PoolError(f"A pair is written 'model{SEPARATOR}tool'; got {given!r}.")


def as_pairs(given: Iterable[Pair | str]) -> tuple[Pair, ...]:
    """Return several pairs, in their order; those in their written form are parsed.

    Raises:
        PoolError: one of them is no pair, or a single pair is given.
    """
    if isinstance(given, str | Pair):
        raise PoolError(f"Several pairs are given in a list, and one too: [{str(given)!r}].")
    return tuple(as_pair(each) for each in given)


def read_pairs(path: str | Path) -> tuple[Pair, ...]:
    """Read a file of pairs, one ``model@@tool`` per line; empty lines and ``#`` comments are skipped.

    Raises:
        PoolError: the file can't be read, a line is not a pair, or the file has no pairs.
    """
    try:
        lines = read_text(Path(path)).splitlines()
    except (OSError, UnicodeError) as error:
        raise PoolError(f"Can't read the pairs file {str(path)!r}: {why(error)}.") from error
    pairs: list[Pair] = []
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if SEPARATOR not in text:
            raise PoolError(f"{path}, line {number}: {text!r} is not a pair; write 'model{SEPARATOR}tool'.")
        try:
            pairs.append(Pair.parse(text))
        except PoolError as error:
            raise PoolError(f"{path}, line {number}: {error}") from error
    if not pairs:
        raise PoolError(f"{path} names no pair; write one 'model{SEPARATOR}tool' a line.")
    return tuple(dict.fromkeys(pairs))
