"""Pools in YAML files; the format is described in ``docs/pools.md``."""

from __future__ import annotations

from collections.abc import Hashable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import yaml

from langchain_atlas.errors import PoolError, suggest
from langchain_atlas.pool import NO_TOOL, SEPARATOR, Model, Pair, Pool, Tool
from langchain_atlas.text_files import read_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_SECTIONS = ("models", "tools", "exclude", "pairs")
_FOLDERS = ("folder", "cwd")
"""Arguments of tools that are folders."""


def read_pool(path: Path) -> Pool:
    """Read a pool file.

    Raises:
        PoolError: the file can't be read, or an entry is wrong; the message names file and entry.
    """
    try:
        data = yaml.load(read_text(path), Loader=_StrictLoader)  # noqa: S506  # a SafeLoader
    except (OSError, yaml.YAMLError, ValueError, LookupError, AttributeError) as error:
        # The last three are what PyYAML meets in a date or a number that can't be one, and lets through.
        raise PoolError(f"Can't read the pool file {str(path)!r}: {error}") from error
    try:
        return _build(data, path.parent)
    except PoolError as error:
        raise PoolError(f"{path}: {error}") from error


def _build(data: Any, folder: Path) -> Pool:
    if not isinstance(data, dict):
        raise PoolError(f"a pool file has the sections {', '.join(_SECTIONS)}; this one holds {data!r}.")
    for section in data:
        if section not in _SECTIONS:
            raise PoolError(f"unknown section {section!r}. {suggest(str(section), _SECTIONS)}")
    models = [_member(Model, name, entry) for name, entry in _entries(data, "models")]
    tools = [_tool(name, entry, folder) for name, entry in _entries(data, "tools")] or [NO_TOOL]
    excluded: set[Pair] = set()
    patterns = data.get("exclude") or []
    if not isinstance(patterns, list):
        raise PoolError(f"'exclude' is a list of patterns such as 'model@@*'; it holds {patterns!r}.")
    for pattern in patterns:
        excluded.update(matching(str(pattern), models, tools))
    return Pool(
        models=tuple(models),
        tools=tuple(tools),
        excluded=frozenset(excluded),
        pair_options=_pair_options(data, models, tools),
    )


def _pair_options(data: dict[Any, Any], models: list[Model], tools: list[Tool]) -> dict[Pair, dict[str, Any]]:
    """Collect the options of pairs; where several patterns name a pair, later ones win, parameter by parameter."""
    found: dict[Pair, dict[str, Any]] = {}
    for pattern, entry in _entries(data, "pairs"):
        for field in entry:
            if field != "options":
                raise PoolError(f"pairs.{pattern} has no field {field!r}. {suggest(str(field), ['options'])}")
        options = entry.get("options") or {}
        if not isinstance(options, dict):
            raise PoolError(f"pairs.{pattern}: 'options' holds parameters by name; it holds {options!r}.")
        for pair in matching(pattern, models, tools):
            found[pair] = {**found.get(pair, {}), **options}
    return found


def matching(pattern: str, models: Iterable[Model], tools: Iterable[Tool]) -> list[Pair]:
    """Return the pairs of the product that a pattern such as ``gemma*@@*`` names.

    Raises:
        PoolError: it names none.
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
        raise PoolError(f"section {section!r} maps names to entries; it holds {entries!r}.")
    for name, entry in entries.items():
        if not isinstance(entry, dict | None):
            raise PoolError(f"{section}.{name} must hold fields; it holds {entry!r}.")
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
    """Return the arguments with their folders meant from where the pool file lies, not from where the command runs."""
    placed = {
        **arguments,
        **{key: str(folder / arguments[key]) for key in _FOLDERS if isinstance(arguments.get(key), str)},
    }
    if isinstance(placed.get("provider"), list):  # of search: each of them may be a folder
        placed["provider"] = [_placed(one, folder) if isinstance(one, dict) else one for one in placed["provider"]]
    return placed


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that stands twice, of which YAML would keep the second in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if not isinstance(name, Hashable):
                raise yaml.constructor.ConstructorError(problem=f"{name!r} can't be a key", problem_mark=key.start_mark)
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {name!r} stands twice", problem_mark=key.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep)
