"""Reading text files in any common encoding."""

from __future__ import annotations

import codecs
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is a prefix of this one
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"\x84\x31\x95\x33", "gb18030"),
)
"""Byte order marks and the encodings that they announce."""

_LOOKED_AT = 4096
_MOSTLY, _HARDLY = 0.4, 0.05
_WESTERN = 0.3
"""Maximum share of non-ASCII letters in a text that is taken for Western European."""


def why(error: Exception) -> str:
    """Return what kept a file from being read, without numbers of errors and the path, which the message has."""
    return str(getattr(error, "strerror", None) or error)


def read_text(path: Path, *, western: bool = False) -> str:
    """Read a text file.

    Args:
        path: path of the file.
        western: see `decoded`.

    Raises:
        OSError: it can't be read.
        UnicodeError: it can't be decoded; the message says where, and what to do.
    """
    return decoded(path.read_bytes(), western=western)


def decoded(data: bytes, *, western: bool = False) -> str:
    """Decode bytes: by a byte order mark, as UTF-8, or as UTF-16 recognised by its zero bytes.

    Args:
        data: the content of a file.
        western: decode anything else as Windows-1252 if it reads like Western European text. Leave it off where a wrong
            guess would do harm, as in data.

    Raises:
        UnicodeError: it can't be decoded; the message says where, and what to do.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _strictly(data[len(mark) :], encoding)
    if wide := _wide(data):
        return _strictly(data, wide)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        old = _windows_1252(data)
        if western and old is not None:
            return old
        line = data.count(b"\n", 0, error.start) + 1
        looks = " It may be Windows-1252 (also called ANSI or Latin-1)." if old is not None else ""
        raise UnicodeError(
            f"line {line}: byte 0x{data[error.start]:02x} at {error.start} is not UTF-8 ({error.reason}).{looks} "
            "Save the file as UTF-8"
        ) from error


def _strictly(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise UnicodeError(
            f"it begins as {encoding.upper()} and is not: {error.reason} at byte {error.start}. Save the file as UTF-8"
        ) from error


def _wide(data: bytes) -> str | None:
    """Return which UTF-16 unmarked bytes are, if any: in most languages, most of its every second byte are zero."""
    start = data[:_LOOKED_AT]
    if b"\0" not in start or len(data) % 2:
        return None
    first, second = (start[offset::2].count(0) / max(len(start[offset::2]), 1) for offset in (0, 1))
    if second > _MOSTLY and first < _HARDLY:
        return "utf-16-le"
    return "utf-16-be" if first > _MOSTLY and second < _HARDLY else None


def _windows_1252(data: bytes) -> str | None:
    """Decode Western European text in Windows-1252; None if it does not look like that.

    Any bytes could be decoded this way, but text in another encoding comes out with hardly any plain letters, or with
    symbols where letters should be.
    """
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        return None
    beyond = [letter for letter in text if letter > "\x7f"]
    plain = sum(letter.isalpha() for letter in text) - sum(letter.isalpha() for letter in beyond)
    odd = sum(unicodedata.category(letter) in {"Cc", "Sk"} for letter in beyond) + text.count("\0")
    return text if not odd and len(beyond) <= _WESTERN * (plain + len(beyond)) else None
