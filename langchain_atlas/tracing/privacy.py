"""Keeping the texts of queries and answers out of a trace."""

from __future__ import annotations

from typing import Any

HIDDEN = "[hidden]"
"""Replaces a text."""

_NAMES = frozenset({
    "atlas_kind", "atlas_model", "atlas_pair", "atlas_rule", "atlas_runner_up", "atlas_tool",
    "kind", "pair", "rule",
    "langgraph_node", "langgraph_checkpoint_ns", "checkpoint_ns", "thread_id", "run_id", "assistant_id", "graph_id",
    "ls_integration", "ls_method", "ls_model_name", "ls_model_type", "ls_provider", "ls_run_depth", "lc_versions",
    "LANGSMITH_ENDPOINT", "LANGSMITH_PROJECT", "LANGSMITH_TRACING", "revision_id",
})  # fmt: skip
"""Fields whose texts are names, not prose."""


def hide_texts(data: dict[str, Any]) -> dict[str, Any]:
    """Return inputs, outputs, metadata or an error of a run without their texts: numbers, names and structure stay.

    Pass it to LangSmith's own client, which applies it to everything that it sends::

        langsmith.configure(client=langsmith.Client(anonymizer=hide_texts))

    Numbers stay, such as tokens, costs and expected scores; so do the names of pairs, rules, models, nodes and fields,
    and the type of an error.
    """
    return {name: _hidden(value, name) for name, value in data.items()}


def _hidden(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return hide_texts(value)
    if isinstance(value, (list, tuple)):
        return [_hidden(member, name) for member in value]
    if not isinstance(value, str) or name in _NAMES:
        return value
    return _error_type(value) if name == "error" else HIDDEN


def _error_type(message: str) -> str:
    """Return what an error is called, of ``Type: message`` or of ``Type('message')`` with its traceback."""
    kind = message.partition(":")[0].partition("(")[0]
    return f"{kind}: {HIDDEN}" if kind.isidentifier() else HIDDEN
