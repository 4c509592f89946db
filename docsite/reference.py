"""Write the pages of the reference that come from the running code: commands and settings.

Run with: python docsite/reference.py (`make docs-pages`). A test compares the pages with what this gives.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from typer.models import ArgumentInfo, OptionInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_REQUIRED = "*required*"
_TAKES = {Path: "PATH", str: "TEXT", int: "INTEGER", float: "NUMBER", bool: "", Any: "TEXT"}

PAGES = Path(__file__).parents[1] / "docs/reference"
_COMMANDS = """# Commands

What each command of `langchain-atlas` takes, from its own help.

Exit status: 0, 2 for a mistake of yours, 1 for a failure, 130 when you stop it. `langchain-atlas --version` prints
what a bug report needs. Wherever a router folder is named, settings may follow it, as in `DIR?target=1.0`; see
[Settings](settings.md).
"""
_SETTINGS = """# Settings

Every argument of the classes that you make yourself, with its unit and its default.

What the knobs of a router trade, and how `fit` chooses them, is on [its own page](../settings.md). The options of the
commands are under [Commands](commands.md). A *required* argument has no default.
"""
_ENVIRONMENT = """
## Environment variables

| variable | meaning | default |
|---|---|---|
| `ATLAS_CACHE_DIR` | folder for encoders, vectors and embedded models made here | `~/.cache/langchain-atlas` |
| `MONTY_BIN` | the program that runs Python in the sandbox | the one that pydantic-monty installed |

Keys of providers (`OPENAI_API_KEY`, `ANTHROPIC_API_KEY`, ...) are read by LiteLLM; they are never stored or logged.
"""
CONFIGURED = (
    "AtlasNode",
    "create_atlas_graph",
    "AtlasMiddleware",
    "ChatAtlas",
    "AtlasChain",
    "LiveExecutor",
    "ReplayExecutor",
    "Store",
    "ClusterRouter",
    "RLRouter",
    "DualRouter",
    "PromptedRouter",
    "LearningRouter",
    "FallbackRouter",
    "ShadowRouter",
    "Canary",
    "SentenceTransformerEncoder",
    "StaticEncoder",
    "EmbeddingsEncoder",
)
"""Public names that have settings, in the order of the page."""
RECORDS = ("Model", "Tool", "Pool", "Query", "Constraints")
"""Records whose fields are settings."""


def pages() -> dict[str, str]:
    """Return the pages, by file name."""
    return {"commands.md": commands_page(), "settings.md": settings_page()}


@dataclass(frozen=True)
class Option:
    """An option or an argument of a command."""

    name: str
    """As it is written: ``--data``, or ``SOURCE...`` of an argument."""
    takes: str
    """What it takes, such as ``PATH``; empty of a flag."""
    default: str
    help: str
    is_argument: bool

    @property
    def required(self) -> bool:
        """Whether the command does not run without it."""
        return self.default == _REQUIRED

    @property
    def written(self) -> str:
        """The option as one writes it in a command."""
        return self.name if self.is_argument else f"{self.name} {self.takes}".strip()


def commands_page() -> str:
    """Return the page of the commands, as their help says."""
    from langchain_atlas.cli.app import app

    parts = [_COMMANDS]
    for command in app.registered_commands:
        callback: Any = command.callback
        name = command.name or callback.__name__
        options = list(options_of(callback))
        needed = " ".join(
            option.written.replace("`", "") for option in options if option.required or option.is_argument
        )
        usage = f"langchain-atlas {name} {needed}".strip()
        rows = [f"| `{one.name}` | {one.takes} | {one.default} | {_cell(one.help)} |" for one in options]
        table = "\n".join(["| option | takes | default | meaning |", "|---|---|---|---|", *rows])
        parts.append(f"\n## `{name}`\n\n{_flat(inspect.getdoc(callback))}\n\n```console\n$ {usage}\n```\n\n{table}\n")
    return "".join(parts)


def options_of(callback: Any) -> Iterator[Option]:
    """Yield the options and arguments of a command that are shown in its help."""
    hints = get_type_hints(callback, include_extras=True)
    for name, parameter in inspect.signature(callback).parameters.items():
        kind, *infos = get_args(hints[name])
        info: Any = next((one for one in infos if isinstance(one, OptionInfo | ArgumentInfo)), None)
        if info is None or info.hidden:
            continue
        is_argument = isinstance(info, ArgumentInfo)
        metavar = info.metavar or _TAKES[_plain(kind)]
        shown = f"`{info.show_default}`" if isinstance(info.show_default, str) else _option_default(parameter.default)
        # within `Annotated`, typer has the first name of an option in the place of the default
        names = [one for one in (info.default, *(info.param_decls or ())) if isinstance(one, str)]
        written = (info.metavar or name.upper()) if is_argument else ", ".join(names)
        yield Option(written, "" if _plain(kind) is bool else f"`{metavar}`", shown, info.help or "", is_argument)


def _plain(kind: Any) -> Any:
    """Return the type of one value: of ``int | None`` and ``list[int]``, ``int``."""
    inner = [one for one in get_args(kind) if one is not NoneType]
    return _plain(inner[0]) if inner else kind


def _option_default(value: Any) -> str:
    if value is inspect.Parameter.empty:
        return _REQUIRED
    if value is None or value is False or value in ([], ()):
        return ""
    return f"`{value}`"


def settings_page() -> str:
    """Return the page of the settings, from signatures, docstrings and fields."""
    import langchain_atlas
    from langchain_atlas.routers.utility.router import UtilityRouter

    parts = [_SETTINGS]
    for name in CONFIGURED:
        found = getattr(langchain_atlas, name)
        rows = [row for row in arguments(found) if row[0] != "settings"]
        if name == "ClusterRouter":  # its `**settings`
            rows += arguments(UtilityRouter)
        parts.append(f"\n## `{name}`\n\n{_first(found)}\n{_settings_table(rows)}")
    for name in RECORDS:
        found = getattr(langchain_atlas, name)
        parts.append(f"\n## `{name}`\n\n{_first(found)}\n{_settings_table(fields(found))}")
    return "".join([*parts, _ENVIRONMENT])


def _first(found: Any) -> str:
    return _flat((inspect.getdoc(found) or "").partition("\n\n")[0])


def _settings_table(rows: Iterable[tuple[str, str, str]]) -> str:
    lines = [f"| `{name}` | {default} | {_cell(meaning)} |" for name, default, meaning in rows]
    return "\n| setting | default | meaning |\n|---|---|---|\n" + "\n".join(lines) + "\n"


def arguments(found: Any) -> Iterator[tuple[str, str, str]]:
    """Yield name, default and meaning of each argument that a class or function documents."""
    if hasattr(found, "model_fields"):
        yield from fields(found)
        return
    given = inspect.signature(found).parameters
    for name, meaning in documented(inspect.getdoc(found) or "").items():
        parameter = given.get(name.strip("*"))
        yield name, _default(parameter), meaning


def documented(text: str) -> dict[str, str]:
    """Return the meaning of each argument in the ``Args`` section of a Google docstring, by name."""
    section = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)+)", text + "\n", flags=re.MULTILINE)
    found: dict[str, str] = {}
    for line in (section[1] if section else "").splitlines():
        if named := re.match(r" {4}(\*{0,2}\w+):\s*(.*)", line):
            found[named[1]] = named[2]
        elif found and line.strip():
            found[list(found)[-1]] += f" {line.strip()}"
    return found


def fields(found: Any) -> Iterator[tuple[str, str, str]]:
    """Yield name, default and meaning of each field of a record."""
    meanings = field_docs(found)
    ours = [one for one in found.__mro__ if one.__module__.startswith("langchain_atlas.")]
    own = {name for one in ours for name in inspect.get_annotations(one)}
    for name, one in found.model_fields.items():
        if name not in own:  # inherited from LangChain's classes
            continue
        value = one.get_default(call_default_factory=True) if not one.is_required() else inspect.Parameter.empty
        yield name, _shown(value), meanings[name]


def field_docs(found: Any) -> dict[str, str]:
    """Return the docstring under each field of a class, or in its ``Args``, by name."""
    from langchain_atlas.records import field_docs as docs

    return docs(found) or documented(inspect.getdoc(found) or "")


def _default(parameter: inspect.Parameter | None) -> str:
    if parameter is None:  # passed on to the base class, which has the default
        return "see the base class"
    if parameter.kind in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL):
        return "none"
    return _shown(parameter.default)


def _shown(value: Any) -> str:
    if value is inspect.Parameter.empty:
        return _REQUIRED
    if value is None:
        return "None"
    if isinstance(value, tuple) and value and all(hasattr(one, "name") for one in value):
        return f"`({', '.join(one.name for one in value)},)`"
    text = re.sub(r" at 0x[0-9a-f]+", "", repr(value))
    text = getattr(value, "__name__", text) if callable(value) else text
    return f"`{text}`".replace("|", "\\|")


def _flat(text: str | None) -> str:
    flat = " ".join((text or "").split())
    return re.sub(r"``([^`]+)``", r"`\1`", flat)


def _cell(text: str) -> str:
    return _flat(text).replace("|", "\\|").replace("[", "\\[").replace("<", "&lt;")


def main() -> None:
    """Write the pages."""
    for name, text in pages().items():
        (PAGES / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
