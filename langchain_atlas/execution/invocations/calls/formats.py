"""How the main model families write function calls in plain text."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

FormatName = Literal["json", "hermes", "qwen", "llama", "mistral", "python", "react"]

Result = tuple[str, str]
"""Name of a tool, and its result or error."""


@dataclass(frozen=True)
class CallFormat:
    """One way to write calls."""

    noun: str
    """The name for a call, such as ``JSON object``."""
    form: str
    """The form of a call, shown to the model."""
    tools: str
    """Presentation of the tools; ``{tools}`` is filled in with one JSON description per line."""
    write: Callable[[str, Mapping[str, Any]], str]
    """Formats a call, for worked examples."""
    results: Callable[[Sequence[Result]], str]
    """Formats the results of calls."""
    stop: tuple[str, ...] = ()
    """Stop sequences: what the model writes after them would be made up."""

    def cut(self, text: str) -> str:
        """Cut a model's text where it should have stopped; not every model supports stop sequences."""
        ends = [place for mark in self.stop if (place := text.find(mark)) >= 0]
        return text[: min(ends)].strip() if ends else text


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _plain_results(results: Sequence[Result]) -> str:
    return "\n".join(f"{name} returned: {text}" for name, text in results)


def _hermes(name: str, arguments: Mapping[str, Any]) -> str:
    return f"<tool_call>\n{_json({'name': name, 'arguments': dict(arguments)})}\n</tool_call>"


def _hermes_results(results: Sequence[Result]) -> str:
    return "\n".join(f"<tool_response>\n{_json({'name': n, 'content': t})}\n</tool_response>" for n, t in results)


def _mistral(name: str, arguments: Mapping[str, Any]) -> str:
    return f"[TOOL_CALLS] [{_json({'name': name, 'arguments': dict(arguments)})}]"


def _mistral_results(results: Sequence[Result]) -> str:
    return "\n".join(f"[TOOL_RESULTS] {_json({'name': n, 'content': t})} [/TOOL_RESULTS]" for n, t in results)


def _python(name: str, arguments: Mapping[str, Any]) -> str:
    return f"[{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})]"


def _react(name: str, arguments: Mapping[str, Any]) -> str:
    return f"Action: {name}\nAction Input: {_json(dict(arguments))}"


JSON = CallFormat(
    noun="JSON object",
    form='{"tool": "<name>", "arguments": {...}}',
    tools="You have these tools:\n{tools}",
    write=lambda name, arguments: _json({"tool": name, "arguments": dict(arguments)}),
    results=_plain_results,
)
HERMES = CallFormat(
    noun="<tool_call> block",
    form='<tool_call>\n{"name": "<name>", "arguments": {...}}\n</tool_call>',
    tools="You have these tools:\n<tools>\n{tools}\n</tools>",
    write=_hermes,
    results=_hermes_results,
)

FORMATS: Mapping[str, CallFormat] = {
    "json": JSON,
    "hermes": HERMES,
    "qwen": HERMES,
    "llama": CallFormat(
        noun="JSON object",
        form='{"name": "<name>", "parameters": {...}}',
        tools="You have these functions:\n{tools}",
        write=lambda name, arguments: _json({"name": name, "parameters": dict(arguments)}),
        results=lambda results: "\n".join(_json({"output": text}) for _, text in results),
    ),
    "mistral": CallFormat(
        noun="[TOOL_CALLS] list",
        form='[TOOL_CALLS] [{"name": "<name>", "arguments": {...}}]',
        tools="You have these tools:\n[AVAILABLE_TOOLS]\n{tools}\n[/AVAILABLE_TOOLS]",
        write=_mistral,
        results=_mistral_results,
    ),
    "python": CallFormat(
        noun="list of Python calls",
        form="[<name>(<argument>=<value>, ...)]",
        tools="You have these Python functions:\n{tools}",
        write=_python,
        results=_plain_results,
    ),
    "react": CallFormat(
        noun="pair of lines 'Action:' and 'Action Input:'",
        form='Action: <name>\nAction Input: {"<argument>": <value>, ...}',
        tools="You have these tools:\n{tools}",
        write=_react,
        results=lambda results: "\n".join(f"Observation: {text}" for _, text in results),
        stop=("\nObservation:",),
    ),
}
"""The formats by name. ``hermes`` is what Qwen and the Hermes models are trained on."""
