"""Pools in YAML files; the format is described in ``docs/pools.md``."""

from __future__ import annotations

from collections.abc import Hashable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import yaml

from langchain_atlas.errors import PoolError, suggest
from langchain_atlas.masking import without_forms
from langchain_atlas.pool.pool import NO_TOOL, SEPARATOR, Model, Pair, Pool, Tool
from langchain_atlas.pool.variants import with_bases
from langchain_atlas.text_files import decoded, why

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_SECTIONS = ("models", "tools", "exclude", "pairs")

MAX_BYTES, MAX_DEPTH, MAX_VALUES, MAX_NUMBER = 500_000, 40, 50_000, 100
"""Limits of a pool file: bytes, nesting depth, values with all aliases expanded, and digits of a number."""

_SHOWN = 200
_FOLDERS = ("folder", "cwd")
"""Arguments of tools that name folders."""


def read_pool(path: Path) -> Pool:
    """Read a pool file.

    Raises:
        PoolError: the file can't be read, or an entry is invalid; the message names the file and the entry.
    """
    try:
        data = yaml.load(_text(path), Loader=_StrictLoader)  # noqa: S506  # a SafeLoader
    except (OSError, yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, OverflowError) as error:
        # The last five are what PyYAML raises, unwrapped, for an invalid date or number.
        raise PoolError(f"Can't read the pool file {str(path)!r}: {why(error)}") from error
    except RecursionError as error:
        raise PoolError(f"Can't read the pool file {str(path)!r}: it is nested more than {MAX_DEPTH} deep") from error
    try:
        return _build(data, path.parent)
    except PoolError as error:
        raise PoolError(f"{path}: {error}") from error


def _text(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)  # the file size would not do: pipes and devices have none
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES:,} bytes, which no pool needs")
    return decoded(content)


def _shown(value: Any) -> str:
    text = without_forms(repr(value))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _build(data: Any, folder: Path) -> Pool:
    if not isinstance(data, dict):
        raise PoolError(f"a pool file has the sections {', '.join(_SECTIONS)}; this one holds {_shown(data)}.")
    for section in data:
        if section not in _SECTIONS:
            raise PoolError(f"unknown section {section!r}. {suggest(str(section), _SECTIONS)}")
    models = [_member(Model, name, entry) for name, entry in with_bases(_entries(data, "models"))]
    tools = [_tool(name, entry, folder) for name, entry in _entries(data, "tools")] or [NO_TOOL]
    excluded: set[Pair] = set()
    patterns = data.get("exclude") or []
    if not isinstance(patterns, list):
        raise PoolError(f"'exclude' is a list of patterns such as 'model@@*'; it holds {_shown(patterns)}.")
    for pattern in patterns:
        excluded.update(matching(str(pattern), models, tools))
    return Pool(
        models=tuple(models),
        tools=tuple(tools),
        excluded=frozenset(excluded),
        pair_options=_pair_options(data, models, tools),
    )


def _pair_options(data: dict[Any, Any], models: list[Model], tools: list[Tool]) -> dict[Pair, dict[str, Any]]:
    """Collect the options of pairs; if several patterns match a pair, later ones override earlier ones by parameter."""
    found: dict[Pair, dict[str, Any]] = {}
    for pattern, entry in _entries(data, "pairs"):
        for field in entry:
            if field != "options":
                raise PoolError(f"pairs.{pattern} has no field {field!r}. {suggest(str(field), ['options'])}")
        options = entry.get("options") or {}
        if not isinstance(options, dict):
            raise PoolError(f"pairs.{pattern}: 'options' holds parameters by name; it holds {_shown(options)}.")
        for pair in matching(pattern, models, tools):
            found[pair] = {**found.get(pair, {}), **options}
    return found


def matching(pattern: str, models: Iterable[Model], tools: Iterable[Tool]) -> list[Pair]:
    """Return the pairs of models and tools that match a pattern such as ``gemma*@@*``.

    Raises:
        PoolError: no pair matches.
    """
    model_part, _, tool_part = pattern.partition(SEPARATOR)
    tools = tuple(tools)
    found = [
        Pair(model.name, tool.name)
        for model in models
        for tool in tools
        if fnmatchcase(model.name, model_part) and fnmatchcase(tool.name, tool_part or "*")
    ]
    if not found:
        raise PoolError(f"The pattern {pattern!r} names no pair of this pool; write 'model{SEPARATOR}tool', * allowed.")
    return found


def _entries(data: dict[Any, Any], section: str) -> list[tuple[str, dict[str, Any]]]:
    entries = data.get(section) or {}
    if not isinstance(entries, dict):
        raise PoolError(f"section {section!r} maps names to entries; it holds {_shown(entries)}.")
    for name, entry in entries.items():
        if not isinstance(entry, dict | None):
            raise PoolError(f"{section}.{name} must hold fields; it holds {_shown(entry)}.")
    return [(str(name), entry or {}) for name, entry in entries.items()]


def _member(kind: type[Model | Tool], name: str, entry: dict[str, Any]) -> Any:
    for field in entry:
        if field not in kind.model_fields or field in ("name", "tools"):
            valid = [known for known in kind.model_fields if known not in ("name", "tools")]
            raise PoolError(f"{kind.__name__.lower()} {name!r} has no field {field!r}. {suggest(str(field), valid)}")
    return kind(name=name, **entry)


def _tool(name: str, entry: dict[str, Any], folder: Path) -> Tool:
    if name == NO_TOOL.name and not entry:
        return NO_TOOL
    if isinstance(entry.get("arguments"), dict):
        entry = {**entry, "arguments": _placed(entry["arguments"], folder)}
    tool: Tool = _member(Tool, name, entry)
    return tool


def _placed(arguments: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the arguments with folders resolved relative to the pool file, not to the working directory."""
    placed = {
        **arguments,
        **{key: str(folder / arguments[key]) for key in _FOLDERS if isinstance(arguments.get(key), str)},
    }
    if isinstance(placed.get("provider"), list):  # of search: each entry may be a folder
        placed["provider"] = [_placed(one, folder) if isinstance(one, dict) else one for one in placed["provider"]]
    return placed


_MERGE = "tag:yaml.org,2002:merge"


class _StrictLoader(yaml.SafeLoader):
    """Rejects duplicate keys, of which YAML would silently keep the second, and input that expands when it is read.

    Ten lines of aliases can expand to a billion values, an alias can contain itself, and a number of a million digits
    takes minutes to read. So the nodes are checked before anything is constructed from them.
    """

    def get_single_node(self) -> yaml.Node | None:
        node: yaml.Node | None = super().get_single_node()
        if node is not None:
            _Extent().of(node, 1)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.tag == _MERGE:  # merges another mapping; the keys given here win
                continue
            name = self.construct_object(key, deep=True)
            if not isinstance(name, Hashable):
                raise yaml.constructor.ConstructorError(problem=f"{name!r} can't be a key", problem_mark=key.start_mark)
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {name!r} appears twice", problem_mark=key.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep)


class _Extent:
    """How many values a node expands to; every node is visited once, however often an alias refers to it."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, int]] = {}
        self._open: set[int] = set()

    def of(self, node: yaml.Node, depth: int) -> tuple[int, int]:
        """Return how many values a node expands to, and how deep they are nested.

        Raises:
            yaml.constructor.ConstructorError: it is too large, is too deep, contains itself, or is too long a number.
        """
        if id(node) in self._open:
            raise _refused(node, "it is part of itself: an alias names what contains it")
        if id(node) not in self._known:
            self._open.add(id(node))
            within = [self.of(child, depth + 1) for child in _children(node, depth)]
            values, levels = 1 + sum(size for size, _ in within), 1 + max((deep for _, deep in within), default=0)
            if values > MAX_VALUES:
                raise _refused(node, f"with its aliases written out it holds more than {MAX_VALUES:,} values")
            self._open.discard(id(node))
            self._known[id(node)] = values, levels
        if depth + self._known[id(node)][1] > MAX_DEPTH + 1:
            raise _refused(node, f"it is nested more than {MAX_DEPTH} deep")
        return self._known[id(node)]


def _children(node: yaml.Node, depth: int) -> list[yaml.Node]:
    if isinstance(node, yaml.ScalarNode):
        if not node.tag.endswith((":str", ":binary")) and len(node.value) > MAX_NUMBER:
            raise _refused(node, f"a number or date of {len(node.value):,} characters")
        return []
    if depth > MAX_DEPTH:
        raise _refused(node, f"it is nested more than {MAX_DEPTH} deep")
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value)


def _refused(node: yaml.Node, problem: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(problem=problem, problem_mark=node.start_mark)
