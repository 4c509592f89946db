"""The cache key of `ChatAtlas`: everything, besides the messages, that determines a reply in LangChain's cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_atlas.routers.saved.state_digest import state_digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.tools import BaseTool

    from langchain_atlas.execution.live import LiveExecutor
    from langchain_atlas.routers.base import Router


def cache_key(router: Router, executor: LiveExecutor, settings: Mapping[str, Any]) -> str:
    """Return 32 hex digits that change with anything that determines a reply.

    Args:
        router: the router, in its fitted state and with its settings.
        executor: the executor: its pool with options and prices, its tools, and the chat models given to it.
        settings: the settings of the run; see `AtlasContext`.
    """
    given = {model.name: executor.given_model(model.name) for model in executor.pool.models}
    tools = [
        [tool.name, type(executor.invocation(tool.name)), [_told(member) for member in executor.tools_of(tool.name)]]
        for tool in executor.pool.tools
    ]
    limits = {name: _as_set(value) for name, value in settings.items() if value is not None}
    return state_digest(router, executor.pool.to_json(), tools, given, limits)


def _told(tool: BaseTool) -> list[Any]:
    """Return a tool as the model sees it, together with its function."""
    return [type(tool), tool.name, tool.description, tool.args, getattr(tool, "func", None)]


def _as_set(value: Any) -> Any:
    """Return pairs in written form, in an order that does not depend on the given one."""
    return sorted(map(str, value)) if isinstance(value, list | tuple | set | frozenset) else value
