"""Members of a zip file, also those that are compressed with Zstandard, which Python reads only since 3.14."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from langchain_atlas.errors import OutcomeError

if TYPE_CHECKING:
    import zipfile

_MOST_BYTES = 1 << 30
_ZSTANDARD = 93
_LOCAL_HEADER = 30


def unzipped(file: zipfile.ZipFile, name: str) -> bytes:
    """Return what a member of a zip file holds.

    Raises:
        OutcomeError: it holds more than a gibibyte, whatever its entry says.
        ValueError: it is damaged.
        NotImplementedError: it is compressed in another way.
    """
    entry = file.getinfo(name)
    if entry.file_size > _MOST_BYTES:
        raise _too_large(name)
    return _zstandard(file, entry) if entry.compress_type == _ZSTANDARD else file.read(name)


def _too_large(name: str) -> OutcomeError:
    return OutcomeError(f"{name} holds more than {_MOST_BYTES >> 30} GiB")


def _zstandard(file: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    raw = file.fp
    if raw is None:
        raise ValueError("the file is closed")
    raw.seek(entry.header_offset)
    header = raw.read(_LOCAL_HEADER)
    raw.seek(int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little"), 1)
    try:
        with pa.input_stream(pa.BufferReader(raw.read(entry.compress_size)), compression="zstd") as stream:
            content: bytes = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{entry.filename} is damaged: {error}") from error
    if len(content) > _MOST_BYTES:
        raise _too_large(entry.filename)
    if len(content) != entry.file_size:
        raise ValueError(f"{entry.filename} is damaged: it holds {len(content)} bytes, and should {entry.file_size}")
    return content
