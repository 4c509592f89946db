"""Quoted calls: text that comes from a tool or a document is data, and does not call anything."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

from langchain_atlas.text.dialects import plainly_marked
from langchain_atlas.text.markup import neutral

if TYPE_CHECKING:
    from collections.abc import Sequence

_LINE_END = re.compile(r"\\[nrt]")
_CODE = re.compile(r"\\u([0-9a-fA-F]{4})")
_LOOSE = re.compile(r"[\s\"'`\\*>]+")
_CLOSERS = re.compile(r"[\]})]+\Z")


class Quotes:
    """Texts that a model may quote.

    Args:
        data: tool output and documents.
    """

    def __init__(self, data: Sequence[str]) -> None:
        self._data = [text for text in data if text]

    def hold(self, source: str) -> bool:
        """Return whether a call is in one of the texts, whatever its spacing, quotes and escapes there."""
        if not self._data or not source.strip():
            return False
        wanted = {_squeezed(form) for form in (source, neutral(source))}
        cut = {_CLOSERS.sub("", form) or form for form in wanted}
        return any(form in text for form in cut for text in self._texts)

    @cached_property
    def _texts(self) -> list[str]:
        return [_squeezed(form) for text in self._data for form in dict.fromkeys((text, plainly_marked(text)))]


def _squeezed(text: str) -> str:
    """Return a text in lower case, without spaces, quotes and escapes."""
    bare = _CODE.sub(lambda code: chr(int(code[1], 16)), _LINE_END.sub(" ", text))
    return _LOOSE.sub("", bare).casefold().replace("none", "null")
