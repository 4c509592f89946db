"""Content blocks of messages, in the one form that is sent to every provider: text, images, PDF, audio.

The type of a block's data is detected from its bytes, not taken from its label.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any, Literal

from langchain_atlas.errors import InvalidInputError
from langchain_atlas.images import block_url, image_bytes, image_url

Media = Literal["image", "pdf", "audio"]

MAX_FILE_BYTES = 32 * 2**20
"""Largest document or recording, in bytes; the large providers accept no more."""

THOUGHTS = frozenset({"thinking", "redacted_thinking", "reasoning"})
"""Types of blocks that hold a model's reasoning; a chat model that does not know them leaves them out."""

_IMAGES = frozenset({"image", "image_url", "input_image"})
_FILES = frozenset({"file", "input_file", "document"})
_AUDIO = frozenset({"audio", "input_audio"})
_TEXTS = frozenset({"text", "text-plain", "input_text", "output_text", "refusal"})
_DETAILS = frozenset({"auto", "low", "high", "original"})
_SPACE = re.compile(r"\s+")
_SOUNDS = (
    (re.compile(rb"RIFF....WAVE", re.DOTALL), "wav"),
    (re.compile(rb"ID3|\xff[\xe2-\xff]"), "mp3"),
    (re.compile(rb"OggS"), "ogg"),
    (re.compile(rb"fLaC"), "flac"),
    (re.compile(rb"....ftyp", re.DOTALL), "m4a"),
    (re.compile(rb"FORM....AIFF", re.DOTALL), "aiff"),
)
NAMES = {"image": "image", "pdf": "PDF document", "audio": "recording"}


def unwrapped(block: Any) -> Any:
    """Return a block as its provider wrote it, without the wrapper that LangChain puts around unknown types."""
    if isinstance(block, Mapping) and block.get("type") == "non_standard":
        return block.get("value")
    return block


def text_in(block: Any) -> str | None:
    """Return the text of a block that holds one; None for any other block."""
    block = unwrapped(block)
    if isinstance(block, str):
        return block
    source = block.get("source") if isinstance(block, Mapping) else None
    if isinstance(source, Mapping) and source.get("type") == "text":  # a plain text document
        return str(source.get("data") or "")
    if not isinstance(block, Mapping) or block.get("type") not in _TEXTS:
        return None
    text = block.get("refusal") if block["type"] == "refusal" else block.get("text")
    return text if isinstance(text, str) else None


def text_block(block: Any) -> dict[str, Any] | None:
    """Return a text block with only the fields that every provider takes; None for any other block."""
    text, inner = text_in(block), unwrapped(block)
    if text is None:
        return None
    kept = {"cache_control": inner["cache_control"]} if isinstance(inner, Mapping) and "cache_control" in inner else {}
    return {"type": "text", "text": text, **kept}


def media_of(block: Any) -> Media | None:
    """Return the kind of media that a block declares; None for text and for unknown types."""
    block = unwrapped(block)
    if not isinstance(block, Mapping):
        return None
    kind, said = block.get("type"), _media_type(block)
    if kind in _IMAGES or (kind == "media" and said.startswith("image/")):
        return "image"
    if kind in _AUDIO or (kind == "media" and said.startswith("audio/")):
        return "audio"
    is_pdf = said == "application/pdf" or (not said and kind != "media")
    if kind in _FILES and said.startswith(("image/", "audio/")):
        return "image" if said.startswith("image/") else "audio"
    return "pdf" if (kind in _FILES or kind == "media") and is_pdf else None


def portable_media(block: Any) -> dict[str, Any]:
    """Return an image, a PDF document or a recording as a block that LiteLLM sends to any provider.

    Returns:
        ``{"type": "image_url", "image_url": {"url", "detail"}}``, ``{"type": "file", "file": {...}}`` or
        ``{"type": "input_audio", "input_audio": {"data", "format"}}``.

    Raises:
        InvalidInputError: its data is not of the declared type, is too large, or is given only by an id.
    """
    block = unwrapped(block)
    media = media_of(block)
    if media == "image":
        detail = _detail(block)
        return {"type": "image_url", "image_url": {"url": _image(block), **({"detail": detail} if detail else {})}}
    if media == "pdf":
        return _pdf(block)
    if media == "audio":
        return _audio(block)
    raise InvalidInputError("It carries text, images, PDF documents and recordings.")


def as_text(block: Any) -> str:
    """Return a block of a tool's result as text: its text, a description of its media, or its JSON."""
    text, inner = text_in(block), unwrapped(block)
    if text is not None:
        return text
    if media_of(block) is not None:
        return described(block)
    value = inner.get("json", inner) if isinstance(inner, Mapping) else inner
    return json.dumps(value, ensure_ascii=False, default=str)


def readable(block: Any) -> bool:
    """Return whether a block holds an image, a document or a recording that can be sent."""
    try:
        portable_media(block)
    except InvalidInputError:
        return False
    return True


def described(block: Any) -> str:
    """Return a short description of an image, a document or a recording, for a model that can't be sent it."""
    media = media_of(block)
    try:
        made = portable_media(block)
    except InvalidInputError:
        return f"[{'a file' if media is None else _with_article(media)} that could not be read]"
    if media == "image":
        url = made["image_url"]["url"]
        if not url.startswith("data:"):
            return f"[an image: {url[:200]}]"
        return f"[an image: {url[5 : url.index(';')]}, {len(image_bytes(url))} bytes]"
    return f"[{_with_article(media)}]"


def _with_article(media: Media | None) -> str:
    name = NAMES[media or "pdf"]
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _image(block: Mapping[str, Any]) -> str:
    if block.get("type") in _FILES:
        block = {"type": "image", "base64": _data(block), "mime_type": _media_type(block)}
    return image_url(block_url(block))


def _detail(block: Mapping[str, Any]) -> str | None:
    """Return the level of detail for an image, if the block gives one."""
    inner = block.get("image_url")
    extras = block.get("extras")
    places = (inner, block, extras)
    said = [place["detail"] for place in places if isinstance(place, Mapping) and place.get("detail") is not None]
    if said and said[0] not in _DETAILS:
        raise InvalidInputError(f"The image has the detail {said[0]!r}; it is one of {', '.join(sorted(_DETAILS))}.")
    return said[0] if said else None


def _pdf(block: Mapping[str, Any]) -> dict[str, Any]:
    inner = block.get("file")
    given: Mapping[str, Any] = inner if isinstance(inner, Mapping) else block
    url = _source(block).get("url") or _source(block).get("file_url")
    if isinstance(url, str) and url.lower().startswith(("http://", "https://")):
        return {"type": "file", "file": {"file_id": url, "format": "application/pdf"}}
    data = _data(block)
    if data is None:
        raise InvalidInputError("The file is known by an id at a provider alone; give its bytes in base64.")
    if not _decoded(data, "The file").startswith(b"%PDF-"):
        raise InvalidInputError("The file says that it is a PDF document, and is none: it does not begin with '%PDF-'.")
    extras = block.get("extras")
    name = given.get("filename") or given.get("title") or (extras or {}).get("filename") or "document.pdf"
    return {"type": "file", "file": {"filename": str(name), "file_data": f"data:application/pdf;base64,{data}"}}


def _audio(block: Mapping[str, Any]) -> dict[str, Any]:
    data = _data(block)
    if data is None:
        raise InvalidInputError("The recording has no bytes; give them in base64, not a URL or an id.")
    begin = _decoded(data, "The recording")[:16]
    found = next((name for form, name in _SOUNDS if form.match(begin)), None)
    if found is None:
        raise InvalidInputError(
            f"The recording is not one that models hear: it begins with {begin[:8]!r}. Give WAV, MP3, OGG, FLAC or M4A."
        )
    return {"type": "input_audio", "input_audio": {"data": data, "format": found}}


def _source(block: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the part of a block that holds the data."""
    for name in ("source", "file", "input_audio"):
        inner = block.get(name)
        if isinstance(inner, Mapping):
            return inner
    return block


def _media_type(block: Mapping[str, Any]) -> str:
    source = _source(block)
    said = source.get("mime_type") or source.get("media_type") or source.get("format") or block.get("mime_type") or ""
    data = source.get("file_data")
    if not said and isinstance(data, str) and data.startswith("data:"):
        said = data[5:].partition(";")[0]
    return str(said).lower()


def _data(block: Mapping[str, Any]) -> str | None:
    """Return the base64 data in a block; None if it holds none."""
    source = _source(block)
    data = source.get("base64") or source.get("data") or source.get("file_data")
    if not isinstance(data, str) or not data:
        return None
    return _SPACE.sub("", data.partition("base64,")[2] if data.startswith("data:") else data)


def _decoded(data: str, what: str) -> bytes:
    if len(data) > MAX_FILE_BYTES * 1.5:
        raise InvalidInputError(f"{what} is larger than {MAX_FILE_BYTES >> 20} MiB.")
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInputError(f"{what} is not in base64: {error}.") from error
