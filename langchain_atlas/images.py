"""Images in any supported form, converted to the URLs that a query carries."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from langchain_atlas.errors import InvalidInputError
from langchain_atlas.text_files import why

MAX_BYTES = 20 * 2**20
"""Largest image, in bytes; the large providers accept no more."""

Image = str | bytes | Path | Mapping[str, Any]
"""A URL or data URL, the bytes of an image file, its path, or a content block of a LangChain message."""

_DATA = re.compile(r"data:(?P<kind>[\w.+-]+/[\w.+-]+)?(?:;[\w.+-]+=[^;,]*)*(?P<base64>;base64)?,", re.ASCII)
_SPACE = re.compile(r"\s+")
_SHOWN = 40


def kind_of(data: bytes) -> str | None:
    """Return the media type of an image, detected from its first bytes; None if models can't read it."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def image_url(image: Image) -> str:
    """Return an image as a URL: http and https URLs unchanged, everything else as a data URL.

    Args:
        image: a URL, the bytes of a file, a `Path`, or a content block (``image_url``, ``image``). A string is never
            treated as a path, because the author of a message could then read files on this machine.

    Raises:
        InvalidInputError: it is not a PNG, JPEG, GIF or WebP, is too large, or can't be read.
    """
    if isinstance(image, Path):
        return _data_url(_read(image), f"The file {str(image)!r}")
    if isinstance(image, bytes | bytearray | memoryview):
        return _data_url(bytes(image), "The image")
    if isinstance(image, Mapping):
        return image_url(block_url(image))
    if not isinstance(image, str):
        raise InvalidInputError(
            f"An image is a URL, bytes, a pathlib.Path or a content block; this is a {type(image).__name__}."
        )
    if image.startswith("data:"):
        return _data_url(image_bytes(image), "The data URL")
    if image.lower().startswith(("http://", "https://")):
        return image
    raise InvalidInputError(
        f"{shown(image)!r} is no URL of an image: one begins with http://, https:// or data:. To read a file, give a "
        "pathlib.Path."
    )


def placed(image: str, folder: Path) -> str | Path:
    """Return an image reference from a local file: a URL unchanged, anything else as a path in `folder`."""
    return image if image.lower().startswith(("http://", "https://", "data:")) else folder / image


def block_url(block: Mapping[str, Any]) -> str:
    """Return the URL in a content block of any form that LangChain knows; the URL is not checked.

    Raises:
        InvalidInputError: it is not an image block, or gives only a provider's id for the image.
    """
    kind = block.get("type")
    place = block.get("image_url") if kind in ("image_url", "input_image") else None
    if isinstance(place, Mapping):
        place = place.get("url")
    source = block.get("source")
    inner: Mapping[str, Any] = source if isinstance(source, Mapping) else block
    if kind == "image":
        place = inner.get("url")
    data = inner.get("base64") or inner.get("data")
    media = str(inner.get("mime_type") or inner.get("media_type") or "image/png")
    if not place and data and (kind == "image" or (kind == "media" and media.startswith("image/"))):
        place = f"data:{media};base64,{data}"
    if not isinstance(place, str) or not place:
        raise InvalidInputError(
            f"The content block of type {kind!r} with the fields {', '.join(map(repr, block))} holds no image as URL "
            "or base64."
        )
    return place


def image_bytes(url: str) -> bytes:
    """Return the bytes in a data URL.

    Raises:
        InvalidInputError: it is not a data URL, is not in base64, or is too large.
    """
    head = _DATA.match(url)
    if head is None or not head["base64"]:
        raise InvalidInputError(f"{shown(url)!r} is not a data URL in base64, such as 'data:image/png;base64,...'.")
    text = url[head.end() :]
    if len(text) > MAX_BYTES * 1.5:
        raise InvalidInputError(f"The data URL is larger than {MAX_BYTES >> 20} MiB.")
    try:
        return base64.b64decode(_SPACE.sub("", text), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInputError(f"{shown(url)!r} is not in base64: {error}.") from error


def shown(url: str) -> str:
    """Return a URL shortened for a message or a record; of a data URL, its beginning and its size."""
    if not url.startswith("data:") or len(url) <= _SHOWN:
        return url if len(url) <= 200 else f"{url[:200]}…"  # noqa: PLR2004
    return f"{url[:_SHOWN]}… ({len(url)} characters)"


def _data_url(data: bytes, what: str) -> str:
    if len(data) > MAX_BYTES:
        raise InvalidInputError(f"{what} has {len(data)} bytes; an image has at most {MAX_BYTES >> 20} MiB.")
    kind = kind_of(data)
    if kind is None:
        raise InvalidInputError(
            f"{what} is not an image that models read: it begins with {data[:8]!r}. Give a PNG, JPEG, GIF or WebP."
        )
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidInputError(f"Can't read the image {str(path)!r}: {why(error)}.") from error
