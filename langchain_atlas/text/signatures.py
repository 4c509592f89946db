"""What a tool on offer is called, and what arguments it takes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_atlas.text.json_objects import WrittenFloat, first_object, json_value

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

_NAME = re.compile(r"[^0-9a-z]+")
_NAMESPACES = ("functions", "function", "tools", "tool", "default_api")
_ANY = "any"
_DEEPEST = 8
_NUMBERS = frozenset({"number", "integer", _ANY})
_TYPES: tuple[tuple[str, Any], ...] = (
    ("boolean", bool),
    ("integer", int),
    ("number", (int, float)),
    ("string", str),
    ("array", list),
    ("object", dict),
    ("null", type(None)),
)


def folded(name: str) -> str:
    """Return a name as all interfaces write it alike: lower case, whatever joins its parts an underscore."""
    return _NAME.sub("_", name.lower()).strip("_")


@dataclass(frozen=True)
class Signature:
    """A tool that may be called."""

    name: str
    """Its name."""
    properties: Mapping[str, Any] = field(default_factory=dict)
    """JSON schema of each argument, in order; empty for a tool that takes none."""
    required: tuple[str, ...] = ()
    """Arguments that a call must give."""
    definitions: Mapping[str, Any] = field(default_factory=dict)
    """Schemas that those of the arguments refer to."""

    @classmethod
    def of(cls, name: str, parameters: Mapping[str, Any] | None) -> Signature:
        """Read a JSON schema of arguments; one without ``properties`` means that there are none."""
        parameters = parameters or {}
        properties, required = parameters.get("properties"), parameters.get("required")
        return cls(
            name,
            properties if isinstance(properties, dict) else {},
            tuple(map(str, required)) if isinstance(required, list) else (),
            {**(parameters.get("definitions") or {}), **(parameters.get("$defs") or {})},
        )

    def is_meant_by(self, name: str) -> bool:
        """Whether a folded name is this tool's, as it is, in a namespace such as ``functions.``, or with ``.call``."""
        own = folded(self.name)
        return name in (own, f"{own}_call") or name in [f"{space}_{own}" for space in _NAMESPACES]

    @property
    def only_argument(self) -> str | None:
        """The argument that a plain text is meant for: the only one, or the only one that is required."""
        for names in (list(self.properties), list(self.required)):
            if len(names) == 1:
                return names[0]
        return None

    def fitted(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return arguments by name, with numbers as they were written where a text is wanted."""
        named = by_name(arguments, list(self.properties))
        return {key: self._fitted(value, self.properties.get(key)) for key, value in named.items()}

    def value(self, argument: str, text: str) -> Any:
        """Return what an argument is that was written as text, without quotes.

        A text stays as it is, also where it may be left out; ``null`` is none where that is allowed.
        """
        kinds = self._kinds(self.properties.get(argument))
        bare = text.strip()
        if "null" in kinds and bare.lower() in ("null", "none"):
            return None
        if kinds and kinds <= {"string", "null"}:
            return text.strip("\n")
        read = json_value(bare)
        if read is None and bare != "null":
            read = {"true": True, "false": False}.get(bare.lower())
            if read is None:
                read = first_object(bare) if bare.startswith("{") else None
            if read is None:
                return text.strip("\n")
        if kinds and _ANY not in kinds and "string" in kinds and not _is_of(read, kinds):
            return text.strip("\n")
        return read

    def _fitted(self, value: Any, schema: Any, depth: int = 0) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            kinds = self._kinds(schema)
            written = value.written if isinstance(value, WrittenFloat) else str(value)
            if "string" in kinds and not kinds & _NUMBERS:
                return written
            return float(value) if isinstance(value, float) else value
        if depth > _DEEPEST:
            return value
        if isinstance(value, list):
            items = schema.get("items") if isinstance(schema, dict) else None
            return [self._fitted(item, items, depth + 1) for item in value]
        if isinstance(value, dict):
            inner = schema.get("properties") if isinstance(schema, dict) else None
            known = inner if isinstance(inner, dict) else {}
            return {key: self._fitted(item, known.get(key), depth + 1) for key, item in value.items()}
        return value

    def _kinds(self, schema: Any, depth: int = 0) -> frozenset[str]:
        """Return the JSON types that a schema allows, of all that it is put together from; none where it says none."""
        if not isinstance(schema, dict) or depth > _DEEPEST:
            return frozenset()
        given = schema.get("type")
        kinds = {given} if isinstance(given, str) else set(given) if isinstance(given, list) else set()
        if not kinds:
            values = [schema["const"]] if "const" in schema else schema.get("enum") or []
            kinds |= {name for value in values for name, kind in _TYPES if isinstance(value, kind)}
        if "$ref" in schema:
            kinds |= self._kinds(self.definitions.get(str(schema["$ref"]).rpartition("/")[2]), depth + 1)
        for word in ("anyOf", "oneOf", "allOf"):
            for part in schema.get(word) or []:
                kinds |= self._kinds(part, depth + 1) or {_ANY}
        return frozenset(kinds)


def by_name(arguments: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return arguments by their names, those given by place (``#0``) too.

    One object in the first place that holds nothing but arguments of the tool is its arguments: ``weather({"city":
    "Oslo"})``.
    """
    only = arguments.get("#0") if len(arguments) == 1 else None
    if isinstance(only, dict) and only and set(only) <= set(names):
        return dict(only)
    named: dict[str, Any] = {}
    for key, value in arguments.items():
        place = int(key[1:]) if key.startswith("#") and key[1:].isdecimal() else len(names)
        named[names[place] if place < len(names) else key] = value
    return named


def _is_of(value: Any, kinds: Collection[str]) -> bool:
    matching = {name for name, kind in _TYPES if isinstance(value, kind)}
    if isinstance(value, bool):
        matching = {"boolean"}
    return bool(matching & set(kinds))
