"""A digest of everything a router's decisions depend on: two routers with the same digest decide alike."""

from __future__ import annotations

import hashlib
import json
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from pathlib import PurePath
from typing import Any
from weakref import ref

from langchain_core.language_models import BaseLanguageModel
from langchain_core.load import dumps
from pydantic import BaseModel

from langchain_atlas.encoders import Encoder
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.lazy import LazyRouter

_DEEPEST = 24
_HELPERS = (
    "_thread",
    "threading",
    "asyncio",
    "_asyncio",
    "weakref",
    "_weakref",
    "logging",
    "concurrent",
    "contextvars",
)
"""Modules whose objects do not affect decisions: locks, threads, loggers."""
_LARGE = 1_000_000
_PROCESS = uuid.uuid4().hex
_DIGESTS: dict[int, tuple[Any, str]] = {}


def state_digest(*values: Any) -> str:
    """Return 32 hex digits that change when a router is fitted again or reconfigured; works for any other values too.

    All attributes of an object count, except those that its class lists in ``not_deciding``, such as a log. An object
    that can't be inspected is identified by itself: its digest is the same for the same object in the same process.
    """
    return _Walk().digest(list(values))


@dataclass
class _Walk:
    """One traversal of some values."""

    open: set[int] = field(default_factory=set)

    def digest(self, value: Any) -> str:
        return hashlib.blake2b(json.dumps(self.described(value, 0)).encode(), digest_size=16).hexdigest()

    def described(self, value: Any, depth: int) -> Any:
        """Return a value as plain JSON."""
        if value is None or isinstance(value, bool | int | float | str):
            return (
                value if type(value) in (bool, int, float, str, type(None)) else [type(value).__qualname__, str(value)]
            )
        if isinstance(value, LazyRouter):
            return self.described(value.router, depth)
        if type(value).__module__.partition(".")[0] in _HELPERS:
            return None
        if id(value) in self.open:
            return "part of itself"
        if depth > _DEEPEST:
            return _itself(value)
        self.open.add(id(value))
        try:
            return self._looked_into(value, depth + 1)
        finally:
            self.open.discard(id(value))

    def _looked_into(self, value: Any, depth: int) -> Any:
        if isinstance(value, bytes | bytearray):
            return ["bytes", hashlib.blake2b(value, digest_size=16).hexdigest()]
        if isinstance(value, Enum | PurePath):
            return [_name(type(value)), str(value)]
        if isinstance(value, Encoder | BaseLanguageModel):
            return value.identity() if isinstance(value, Encoder) else dumps(value)
        if isinstance(value, Mapping | list | tuple | set | frozenset):
            return self._container(value, depth)
        numbers = _numbers(value)
        return self._object(value, depth) if numbers is None else numbers

    def _container(self, value: Any, depth: int) -> Any:
        if isinstance(value, Mapping):
            pairs = [[self.described(key, depth), self.described(inner, depth)] for key, inner in [*value.items()]]
            return {"mapping": sorted(pairs, key=json.dumps)}
        members = [self.described(member, depth) for member in [*value]]
        return (
            [type(value).__qualname__, members] if isinstance(value, list | tuple) else sorted(members, key=json.dumps)
        )

    def _object(self, value: Any, depth: int) -> Any:
        if isinstance(value, type) or callable(getattr(value, "__code__", None) and value):
            return self._code(value, depth)
        if isinstance(value, BaseModel):
            held: dict[str, Any] = {name: getattr(value, name) for name in type(value).model_fields}
        elif hasattr(value, "state_dict") and callable(value.state_dict):  # a network
            held = dict(value.state_dict())
        elif isinstance(value, Router) or hasattr(value, "__dict__"):
            held = {name: inner for name, inner in [*vars(value).items()] if _decides(value, name)}
        elif hasattr(value, "__slots__"):
            held = {name: getattr(value, name, None) for name in value.__slots__}
        else:
            return _itself(value)
        return [_name(type(value)), self.described(held, depth)]

    def _code(self, value: Any, depth: int) -> Any:
        """Return a class or a function: its name if that resolves to it, otherwise its code and closure."""
        found: Any = sys.modules.get(value.__module__)
        for part in value.__qualname__.split("."):
            found = getattr(found, part, None)
        if found is value:
            return _name(value)
        if isinstance(value, type):
            return _itself(value)
        enclosed = [cell.cell_contents for cell in value.__closure__ or ()]
        code = value.__code__
        return [
            _name(value),
            code.co_code.hex(),
            self.described([str(code.co_consts), value.__defaults__, enclosed], depth),
        ]


def _decides(value: Any, name: str) -> bool:
    """Return whether an attribute affects decisions; one that is computed from the others does not count."""
    kind = type(value)
    declared = getattr(kind, "__dataclass_fields__", {}).get(name)
    if declared is not None and not declared.compare:
        return False
    return name not in getattr(kind, "not_deciding", ()) and not isinstance(getattr(kind, name, None), cached_property)


def _numbers(value: Any) -> Any:
    """Return an array or tensor as its type, shape and a digest of its numbers; None for anything else."""
    if type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if not (hasattr(value, "dtype") and hasattr(value, "tobytes")):
        return None
    return [str(value.dtype), list(value.shape), _digest(value)]


def _digest(array: Any) -> str:
    """Return a digest of an array's numbers; that of a large array is cached as long as the array lives."""
    if array.dtype.hasobject:
        return hashlib.blake2b(repr(array.tolist()).encode(), digest_size=16).hexdigest()
    known = _DIGESTS.get(id(array))
    if known is not None and known[0]() is array:
        return known[1]
    digest = hashlib.blake2b(array.tobytes(), digest_size=16).hexdigest()
    if array.nbytes > _LARGE:
        for gone in [key for key, (there, _) in list(_DIGESTS.items()) if there() is None]:
            _DIGESTS.pop(gone, None)
        _DIGESTS[id(array)] = ref(array), digest
    return digest


def _name(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"


def _itself(value: Any) -> str:
    return f"{_name(type(value))} {id(value)} of {_PROCESS}"
