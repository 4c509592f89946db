"""Unpacking what came compressed, never further than was asked for: a few bytes can stand for gigabytes."""

from __future__ import annotations

import zlib

from langchain_atlas.tools.web.addresses import FetchError

ACCEPTED = "gzip, deflate"
"""What a fetch says it can unpack, as the header Accept-Encoding."""

_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class Unpacker:
    """Takes a body in pieces and keeps it unpacked.

    Args:
        encoding: the body's Content-Encoding; empty for none.
        max_bytes: bytes that the body may have, unpacked.

    Raises:
        FetchError: it is packed in a way that nobody asked for, or several times over.
    """

    def __init__(self, encoding: str, max_bytes: int) -> None:
        ways = [way for way in (part.strip().lower() for part in encoding.split(",")) if way not in ("", "identity")]
        if len(ways) > 1 or any(way not in _WINDOWS for way in ways):
            raise FetchError(
                f"The answer is packed as {encoding[:60]!r}; it may be packed once ({ACCEPTED}), or not at all."
            )
        self._way = ways[0] if ways else ""
        self._max_bytes = max_bytes
        self._inflater = zlib.decompressobj(_WINDOWS[self._way]) if self._way else None
        self._fresh = True
        self._body = bytearray()

    def take(self, piece: bytes) -> None:
        """Take the next piece.

        Raises:
            FetchError: the body is too long, or not packed as it says.
        """
        if self._inflater is None:
            self._body += piece
            self._check()
            return
        while piece:
            piece = self._inflate(piece)
            self._check()

    def body(self) -> bytes:
        """Return what was unpacked.

        Raises:
            FetchError: the body breaks off.
        """
        if self._inflater is not None and not self._fresh and not self._inflater.eof:
            raise FetchError(f"The answer is packed as {self._way!r} and breaks off.")
        return bytes(self._body)

    def _inflate(self, piece: bytes) -> bytes:
        """Unpack as much as there is room for; what is left of the piece."""
        if self._inflater is None or self._inflater.eof:  # gzip may have several parts, one after the other
            if self._way == "deflate":
                return b""
            self._inflater = zlib.decompressobj(_WINDOWS[self._way])
        room = self._max_bytes + 1 - len(self._body)
        try:
            self._body += self._inflater.decompress(piece, room)
        except zlib.error as error:
            if self._way != "deflate" or not self._fresh:
                raise FetchError(f"The answer is not packed as it says, {self._way!r}: {error}.") from error
            self._fresh, self._inflater = (
                False,
                zlib.decompressobj(-zlib.MAX_WBITS),
            )  # some servers leave the header out
            return piece
        self._fresh = False
        return self._inflater.unused_data if self._inflater.eof else self._inflater.unconsumed_tail

    def _check(self) -> None:
        if len(self._body) > self._max_bytes:
            raise FetchError(f"The answer is longer than {self._max_bytes} bytes.")
