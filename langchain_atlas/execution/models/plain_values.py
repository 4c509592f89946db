"""Reducing messages to plain values, so that they can be written as JSON, kept in any history, and cached."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import math
from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

Message = TypeVar("Message", bound="BaseMessage")

_DEEPEST = 30
_LISTS = (list, tuple, set, frozenset)


def plain(value: Any, *, depth: int = _DEEPEST) -> Any:
    """Return a value in JSON types: mappings with string keys, lists, strings, numbers, booleans and None.

    LiteLLM's objects, and other objects with fields, become mappings. A number that JSON can't express becomes None,
    bytes become base64, and anything else becomes a string. A value that is already plain is returned itself.
    """
    if value is None or type(value) in (str, bool, int):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else None
    if depth <= 0:
        return str(value)
    if isinstance(value, Mapping):
        changed = {_name(key): plain(inner, depth=depth - 1) for key, inner in value.items()}
        same = type(value) is dict and all(changed.get(key, changed) is inner for key, inner in value.items())
        return value if same else changed
    if isinstance(value, _LISTS):
        members = [plain(member, depth=depth - 1) for member in value]
        same = type(value) is list and all(new is old for new, old in zip(members, value, strict=True))
        return value if same else members
    return _taken_apart(value, depth)


def plain_message(message: Message) -> Message:
    """Return a message with all its fields plain; the message itself if they already are."""
    changes = {
        name: changed
        for name in ("content", "additional_kwargs", "response_metadata", "tool_calls", "invalid_tool_calls")
        if hasattr(message, name) and (changed := plain(getattr(message, name))) is not getattr(message, name)
    }
    return message.model_copy(update=changes) if changes else message


def _name(key: Any) -> str:
    return key if type(key) is str else str(plain(key))


def _taken_apart(value: Any, depth: int) -> Any:
    if isinstance(value, Enum):
        return plain(value.value, depth=depth - 1)
    for kind in (str, int, float):
        if isinstance(value, kind):
            return plain(kind(value))
    if isinstance(value, BaseModel):
        return plain({name: getattr(value, name) for name in _fields(value)}, depth=depth)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain({field.name: getattr(value, field.name) for field in dataclasses.fields(value)}, depth=depth)
    return _as_text_or_number(value)


def _fields(value: BaseModel) -> list[str]:
    """Return the names of a record's fields, including extra ones that it does not declare."""
    return [name for name in (*type(value).model_fields, *(value.model_extra or {})) if hasattr(value, name)]


def _as_text_or_number(value: Any) -> Any:
    """Convert another library's number to a Python number, and anything else to a string."""
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    try:
        number = value.item() if hasattr(value, "item") else float(value)
    except (TypeError, ValueError, OverflowError):
        return str(value)
    return plain(number) if isinstance(number, bool | int | float | str) else str(value)
