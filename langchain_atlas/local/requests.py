"""Converting an OpenAI-style chat request to the engine's form, and the engine's pieces to an answer."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from langchain_atlas.errors import ExecutionError, InvalidInputError, SettingError
from langchain_atlas.local.engine import Piece
from langchain_atlas.local.models import LocalModel
from langchain_atlas.local.prompts import Turn, to_turns

_PASSED_ON = (
    "seed", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "repeat_penalty", "logit_bias",
)  # fmt: skip
_REFUSED = {
    "logprobs": "log-probabilities",
    "top_logprobs": "log-probabilities",
    "functions": "the old `functions` parameter (use `tools`)",
}
# As `json.dumps` writes it. If the grammar allowed any white space, a small model might write nothing else.
_JSON_LAYOUT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


@dataclass(frozen=True)
class EngineRequest:
    """A request to the engine."""

    body: Mapping[str, Any]
    """Body of the completion request."""
    is_json: bool = False
    """Whether the answer is constrained to JSON."""
    is_tool_call: bool = False
    """Whether the JSON is a call of a tool: `{"name": ..., "arguments": ...}`."""


def build_request(
    model: LocalModel, messages: Sequence[Mapping[str, Any]], options: Mapping[str, Any]
) -> EngineRequest:
    """Build the engine's request.

    Args:
        model: the model that will answer.
        messages: OpenAI-style chat messages.
        options: OpenAI-style options; the default temperature is 0. Tools are only used if the choice is forced
            (`tool_choice` "required" or a named tool), because these models never choose to call one.

    Returns:
        The request.

    Raises:
        InvalidInputError: a message can't be expressed as text, or the tool choice names no tool.
        SettingError: an option is not supported.
    """
    _refuse_unsupported(options)
    turns = to_turns(messages)
    tools = _forced_tools(options)
    schema = _call_schema(tools) if tools else _answer_schema(options.get("response_format"))
    if tools:
        turns = [Turn("system", _describe(tools)), *turns]
    body: dict[str, Any] = {name: options[name] for name in _PASSED_ON if options.get(name) is not None}
    limit = options.get("max_completion_tokens") or options.get("max_tokens")
    body |= {
        "prompt": model.write_prompt(turns),
        "temperature": options.get("temperature") or 0,
        "max_tokens": model.max_tokens if limit is None else limit,
        "stream_options": {"include_usage": True},
    }
    if schema is None:
        body["stop"] = [*_as_list(options.get("stop")), *model.stop]
        return EngineRequest(body)
    # A stop sequence inside a JSON string would leave half an object.
    body["json_schema"] = {"x-guidance": _JSON_LAYOUT, **schema}
    return EngineRequest(body, is_json=True, is_tool_call=bool(tools))


def _refuse_unsupported(options: Mapping[str, Any]) -> None:
    for name, meaning in _REFUSED.items():
        if options.get(name):
            raise SettingError(f"The embedded models do not support {meaning}; got {name}={options[name]!r}.")
    if (options.get("n") or 1) != 1:
        raise SettingError(f"The embedded models give one answer a request; got n={options['n']!r}.")


def _as_list(stop: str | Sequence[str] | None) -> list[str]:
    if stop is None:
        return []
    return [stop] if isinstance(stop, str) else list(stop)


def _answer_schema(response_format: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    kind = (response_format or {}).get("type")
    if response_format is None or kind == "text":
        return None
    if kind == "json_object":
        return {"type": "object"}
    if kind == "json_schema":
        schema = response_format.get("json_schema", {}).get("schema")
        if isinstance(schema, Mapping):
            return schema
    raise SettingError(
        f"Can't use response_format {response_format!r}. Valid types: 'text', 'json_object', and 'json_schema' "
        "with a schema under json_schema.schema."
    )


def _forced_tools(options: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    functions: list[Mapping[str, Any]] = [tool["function"] for tool in options.get("tools") or []]
    choice = options.get("tool_choice")
    wanted = choice["function"]["name"] if isinstance(choice, Mapping) else choice
    if wanted in {None, "auto", "none"}:
        return []
    chosen = [function for function in functions if wanted in {"required", function["name"]}]
    if not chosen:
        names = [function["name"] for function in functions]
        raise SettingError(f"tool_choice {choice!r} names no tool. Tools given: {names!r}.")
    return chosen


def _call_schema(tools: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    calls = [
        {
            "type": "object",
            "properties": {
                "name": {"const": tool["name"]},
                # Closed by default: a small model tends to invent arguments.
                "arguments": {"type": "object", "additionalProperties": False, **(tool.get("parameters") or {})},
            },
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for tool in tools
    ]
    return calls[0] if len(calls) == 1 else {"anyOf": calls}


def _describe(tools: Sequence[Mapping[str, Any]]) -> str:
    lines = [f"{tool['name']}: {tool.get('description') or ''}".rstrip(": ") for tool in tools]
    return "Call a tool.\n" + "\n".join(lines)


@dataclass(frozen=True)
class Answer:
    """A complete answer."""

    text: str | None
    """The model's text, stripped; None if it called a tool."""
    tool_call: Any
    """An OpenAI-style tool call; None if the model called no tool."""
    finish_reason: str
    """`stop`, `length` or `tool_calls`."""
    prompt_tokens: int
    """Tokens of the prompt."""
    completion_tokens: int
    """Tokens of the answer."""
    cached_tokens: int
    """Tokens of the prompt that the engine had cached from an earlier request."""


@dataclass
class Reader:
    """Reads the pieces of one answer."""

    request: EngineRequest
    """The request."""
    _written: list[str] = field(default_factory=list)
    _held_back: str = ""
    _finish_reason: str | None = None
    _usage: Mapping[str, Any] = field(default_factory=dict)

    def read(self, piece: Piece) -> str:
        """Process a piece.

        Args:
            piece: a piece of the engine's output.

        Returns:
            The text that may be shown now; white space is held until something follows it, and tool calls are held
            until they are complete.

        Raises:
            SettingError: the engine rejects the request.
            PromptTooLongError: prompt and answer do not fit the model's context.
            ExecutionError: the engine failed.
        """
        if "error" in piece:
            raise _engine_error(piece["error"])
        self._usage = piece.get("usage") or self._usage
        shown = ""
        for choice in piece.get("choices", ()):
            self._finish_reason = choice.get("finish_reason") or self._finish_reason
            shown += self._show(choice.get("text") or "")
        return "" if self.request.is_tool_call else shown

    def _show(self, text: str) -> str:
        waiting = self._held_back + text
        if not self._written:
            waiting = waiting.lstrip()
        shown = waiting.rstrip()
        self._held_back = waiting[len(shown) :]
        if shown:
            self._written.append(shown)
        return shown

    def finish(self) -> Answer:
        """Return the complete answer.

        Returns:
            The answer.

        Raises:
            ExecutionError: the engine stopped before the end.
            SettingError: the engine did not follow the JSON schema, because it does not understand it.
        """
        if self._finish_reason is None:
            raise ExecutionError("The embedded model was stopped before its answer was whole.")
        text = "".join(self._written)
        call = None
        finish_reason = self._finish_reason
        if self.request.is_json:
            value = _parse(text, whole=finish_reason == "stop")
            if self.request.is_tool_call and value is not None:
                call = _tool_call(value)
                finish_reason = "tool_calls"
        details = self._usage.get("prompt_tokens_details") or {}
        return Answer(
            text=None if call else text,
            tool_call=call,
            finish_reason=finish_reason,
            prompt_tokens=int(self._usage.get("prompt_tokens", 0)),
            completion_tokens=int(self._usage.get("completion_tokens", 0)),
            cached_tokens=int(details.get("cached_tokens", 0)),
        )


class PromptTooLongError(InvalidInputError):
    """Prompt and answer do not fit the model's context."""


def _engine_error(error: Mapping[str, Any]) -> Exception:
    message = f"The embedded model refused the request: {error.get('message')}"
    if error.get("type") == "exceed_context_size_error":
        return PromptTooLongError(message)
    # As in HTTP, codes from 500 on are failures of the engine.
    return ExecutionError(message) if int(error.get("code", 500)) >= 500 else SettingError(message)  # noqa: PLR2004


def _parse(text: str, *, whole: bool) -> Any:
    """Parse constrained output; None if it was cut off by the token limit."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        # The engine silently drops a schema that it can't read, and the model writes freely.
        if whole or (text and text[0] not in '{["-0123456789tfn'):
            raise SettingError(
                f"The engine did not follow the JSON schema; it can't read it. It wrote {text[:80]!r}."
            ) from None
        return None


def _tool_call(value: Mapping[str, Any]) -> Any:
    return {
        "id": f"call_{uuid4().hex[:24]}",
        "type": "function",
        "index": 0,
        "function": {"name": value["name"], "arguments": json.dumps(value["arguments"])},
    }
