"""Names and arguments of the available tools."""

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
    """Return a name in normal form: lower case, with underscores for all separators."""
    return _NAME.sub("_", name.lower()).strip("_")


@dataclass(frozen=True)
class Signature:
    """A tool that may be called."""

    name: str
    """Its name."""
    properties: Mapping[str, Any] = field(default_factory=dict)
    """JSON schema of each argument, in order; empty for a tool without arguments."""
    required: tuple[str, ...] = ()
    """Names of the required arguments."""
    definitions: Mapping[str, Any] = field(default_factory=dict)
    """Schemas that the arguments' schemas refer to."""

    @classmethod
    def of(cls, name: str, parameters: Mapping[str, Any] | None) -> Signature:
        """Read a JSON schema of arguments; a schema without ``properties`` means no arguments."""
        parameters = parameters or {}
        properties, required = parameters.get("properties"), parameters.get("required")
        return cls(
            name,
            properties if isinstance(properties, dict) else {},
            tuple(map(str, required)) if isinstance(required, list) else (),
            {**(parameters.get("definitions") or {}), **(parameters.get("$defs") or {})},
        )

    def is_meant_by(self, name: str) -> bool:
        """Return whether a folded name is this tool's, possibly in a namespace (``functions.``) or with ``.call``."""
        own = folded(self.name)
        return name in (own, f"{own}_call") or name in [f"{space}_{own}" for space in _NAMESPACES]

    @property
    def only_argument(self) -> str | None:
        """The argument that plain text is assigned to: the only one, or the only required one."""
        for names in (list(self.properties), list(self.required)):
            if len(names) == 1:
                return names[0]
        return None

    def fitted(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return arguments by name; a number becomes its written form where a string is expected."""
        named = by_name(arguments, list(self.properties))
        return {key: self._fitted(value, self.properties.get(key)) for key, value in named.items()}

    def value(self, argument: str, text: str) -> Any:
        """Return the value of an argument that was written as text, without quotes.

        A string argument stays unchanged, even if it is optional; ``null`` becomes None where that is allowed.
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
        """Return the JSON types that a schema and its subschemas allow; empty if it does not restrict them."""
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
    """Return arguments by name, including those given by position (``#0``).

    A single object in the first position whose keys are all arguments of the tool is read as its arguments:
    ``weather({"city": "Oslo"})``.
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
