"""What decides a reply of `ChatAtlas` beside the messages: LangChain's cache may give an earlier reply for no less."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_atlas.routers.state_digest import state_digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.tools import BaseTool

    from langchain_atlas.execution.live import LiveExecutor
    from langchain_atlas.routers.base import Router


def cache_key(router: Router, executor: LiveExecutor, settings: Mapping[str, Any]) -> str:
    """Return 32 hex digits that change with anything that decides a reply.

    Args:
        router: who decides, as it is fitted and set.
        executor: its pool with options and prices, its tools, and the chat models that were given to it.
        settings: what the run sets; see `AtlasContext`.
    """
    given = {model.name: executor.given_model(model.name) for model in executor.pool.models}
    tools = [
        [tool.name, type(executor.invocation(tool.name)), [_told(member) for member in executor.tools_of(tool.name)]]
        for tool in executor.pool.tools
    ]
    limits = {name: _as_set(value) for name, value in settings.items() if value is not None}
    return state_digest(router, executor.pool.to_json(), tools, given, limits)


def _told(tool: BaseTool) -> list[Any]:
    """Return a tool as a model sees it, with the function behind it."""
    return [type(tool), tool.name, tool.description, tool.args, getattr(tool, "func", None)]


def _as_set(value: Any) -> Any:
    """Return pairs without regard to their order, and in the form that they are written in."""
    return sorted(map(str, value)) if isinstance(value, list | tuple | set | frozenset) else value
