"""The functions available in a query's context, and what their schemas say about arguments."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from langchain_atlas.text.signatures import folded

if TYPE_CHECKING:
    from collections.abc import Mapping

_NUMBER_TYPES = frozenset({"integer", "int", "long", "short", "byte", "bigint"})
_FLOAT_TYPES = frozenset({"float", "number", "double"})
_LIST_TYPES = frozenset({"array", "list", "tuple", "arraylist", "set"})
_MAPPING_TYPES = frozenset({"dict", "object", "hashmap", "map", "hashtable"})
_PYTHON: tuple[tuple[frozenset[str], Any], ...] = (
    (_NUMBER_TYPES, int),
    (_FLOAT_TYPES, (int, float)),
    (frozenset({"string"}), str),
    (frozenset({"boolean", "bool"}), bool),
    (_LIST_TYPES, (list, tuple)),
    (_MAPPING_TYPES, dict),
)
_EXACT = 2**53
"""Whole numbers below this are exact as a float."""

_NAME = re.compile(r"[^0-9a-z]+")
_STATED = re.compile(
    r"defaults?(?:\s+(?:value|values))?(?:\s+(?:is|to|are|as|of))*(?:\s+set\s+to)?\s*[:=]?\s*"
    r"(?:'([^']*)'|\"([^\"]*)\"|`([^`]*)`|([^\s,;)]+))",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class OfferedFunction:
    """A function that a model may call."""

    name: str
    """Its normalized name: see `langchain_atlas.text.signatures`."""
    types: Mapping[str, str]
    """Type of each parameter, in the order of the schema, in lower case; empty where none is given."""
    required: frozenset[str]
    """Parameters that a call must include."""
    choices: Mapping[str, frozenset[str]]
    """Normalized values that a parameter may take, if the schema lists them."""
    defaults: Mapping[str, frozenset[str]]
    """Normalized default of a parameter, according to the schema or the description in it."""


@lru_cache(maxsize=4096)
def functions_of(context: str | None) -> tuple[OfferedFunction, ...]:
    """Return the functions in a context; none if it is not a JSON list of function schemas.

    Two forms are accepted: a bare schema with a name, and OpenAI's ``{"type": "function", "function": schema}``.
    """
    if not context or not context.lstrip().startswith(("[", "{")):
        return ()
    try:
        value = json.loads(context)
    except (ValueError, RecursionError):
        return ()
    entries = value if isinstance(value, list) else [value]
    schemas = [entry.get("function", entry) if isinstance(entry, dict) else None for entry in entries]
    return tuple(
        _function(schema) for schema in schemas if isinstance(schema, dict) and isinstance(schema.get("name"), str)
    )


def _function(schema: Mapping[str, Any]) -> OfferedFunction:
    parameters = schema.get("parameters")
    parameters = parameters if isinstance(parameters, dict) else {}
    properties = parameters.get("properties")
    fields = {str(key): value for key, value in (properties if isinstance(properties, dict) else {}).items()}
    known = {key: value for key, value in fields.items() if isinstance(value, dict)}
    required = parameters.get("required")
    return OfferedFunction(
        name=folded(schema["name"]),
        types={key: str(known.get(key, {}).get("type", "")).lower() for key in fields},
        required=frozenset(map(str, required)) if isinstance(required, list) else frozenset(),
        choices={
            key: frozenset(folded_value(item) for item in value["enum"])
            for key, value in known.items()
            if isinstance(value.get("enum"), list)
        },
        defaults={key: _defaults(value) for key, value in known.items()},
    )


def _defaults(parameter: Mapping[str, Any]) -> frozenset[str]:
    """Return a parameter's default from its schema, and the one that its description mentions."""
    kind = str(parameter.get("type", "")).lower()
    stated = ["".join(match).rstrip(".") for match in _STATED.findall(str(parameter.get("description", "")))]
    given = [parameter["default"]] if "default" in parameter else []
    return frozenset(folded_value(typed(value, kind)) for value in (*given, *stated))


def typed(value: Any, kind: str) -> Any:
    """Convert a value to a parameter's type: ``"5"`` becomes 5 for an integer; one that can't be converted is kept."""
    if isinstance(value, str):
        text = value.strip()
        if kind in _NUMBER_TYPES | _FLOAT_TYPES:
            return _number(text, value)
        if kind in ("boolean", "bool") and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if kind in _LIST_TYPES | _MAPPING_TYPES and text[:1] in "[{(":
            return _literal(text, value)
    return value


def fits(value: Any, kind: str) -> bool:
    """Whether a value, already `typed`, has a parameter's type; any value fits an unknown type."""
    wanted = next((types for names, types in _PYTHON if kind in names), None)
    if wanted is None:
        return True
    return isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))


def folded_value(value: Any) -> str:
    """Return a value as text that is equal for equal values, apart from case, spaces and number formats."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        whole = isinstance(value, int) or (value.is_integer() and abs(value) < _EXACT)
        return str(int(value)) if whole else f"{value:.6g}"  # identifiers and times differ in their last digits
    if isinstance(value, dict):
        inner = sorted((folded(str(key)), folded_value(item)) for key, item in value.items())
        return "{" + ",".join(f"{key}:{item}" for key, item in inner) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(folded_value(item) for item in value) + "]"
    if value is None:
        return ""
    if isinstance(value, set | frozenset):  # sorted, because their order differs between processes
        value = sorted(map(repr, value))
    return _NAME.sub(" ", str(value).lower()).strip() or str(value).strip()


def _number(text: str, otherwise: Any) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return otherwise


def _literal(text: str, otherwise: Any) -> Any:
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    return otherwise
