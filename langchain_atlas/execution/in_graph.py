"""Tools that belong to a graph: they receive its state, its store and its runtime, and may update it.

A node that runs pairs opens a `graph_scope`. LangGraph's own `ToolNode` injects what a tool declares; a `Command` that
a tool returns is kept, and the node returns it to the graph.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from langchain_core.messages import ToolMessage
from langchain_core.tools import ToolException
from langgraph.types import Command

from langchain_atlas.execution.tool_calls import tool_input
from langchain_atlas.tools.event_loop import invoke, loop_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.tools import BaseTool

    from langchain_atlas.execution.invocations import ToolCall

Update = TypeVar("Update")


@dataclass
class GraphScope:
    """The running node, as seen by the tools that are called in it."""

    state: Any
    """The graph's state, as the node received it."""
    messages_key: str = "messages"
    """The state's key that holds the messages."""
    commands: list[Command[Any]] = field(default_factory=list)
    """The commands that tools returned, in the order of their calls."""

    def update(self, update: Update) -> Update | list[Any]:
        """Return a node's update, preceded by the commands of its tools."""
        return [*self.commands, update] if self.commands else update


_SCOPE: ContextVar[GraphScope | None] = ContextVar("atlas_graph_scope", default=None)


def current_scope() -> GraphScope | None:
    """Return the scope of the running node; None outside a node."""
    return _SCOPE.get()


@contextmanager
def graph_scope(state: Any, messages_key: str = "messages") -> Iterator[GraphScope]:
    """Make tools called in this context part of the graph with this state.

    Args:
        state: the graph's state, as the node received it.
        messages_key: the state's key that holds the messages.
    """
    scope = GraphScope(state, messages_key)
    token = _SCOPE.set(scope)
    try:
        yield scope
    finally:
        _SCOPE.reset(token)


def injected(tool: BaseTool) -> tuple[str, ...]:
    """Return the names of a tool's arguments that the graph injects: from its state, store or runtime."""
    from langgraph.prebuilt import InjectedState, InjectedStore, ToolRuntime

    kinds = (InjectedState, InjectedStore, ToolRuntime)
    return tuple(name for name, kind in _annotations(tool).items() if _is_one_of(kind, kinds))


def call_tool_in_graph(call: ToolCall) -> Any:
    """Call a tool with its injected arguments, and return its result for the model.

    Raises:
        ToolException: the tool needs a graph, and none is running.
    """
    node, asked = _injecting(call)
    if node is None:
        return _told(invoke(call.tool, asked))
    only_asynchronous = getattr(call.tool, "func", None) is None and getattr(call.tool, "coroutine", None) is not None
    return _told(loop_thread("tools").run(node.ainvoke(asked)) if only_asynchronous else node.invoke(asked))


async def acall_tool(call: ToolCall) -> Any:
    """Async version of `call_tool_in_graph`."""
    node, asked = _injecting(call)
    return _told(await (call.tool if node is None else node).ainvoke(asked))


def _injecting(call: ToolCall) -> tuple[Any, dict[str, Any]]:
    """Return LangGraph's node that injects a tool's arguments, with its input; for other tools, None and the call."""
    asked, names, scope = tool_input(call), injected(call.tool), _SCOPE.get()
    if not names:
        return None, asked
    if scope is None:
        raise ToolException(
            f"The tool {call.tool.name!r} takes {', '.join(names)} from a graph, and no graph runs it. Use its pair in "
            "an AtlasNode or create_atlas_graph."
        )
    from langgraph.prebuilt import ToolNode

    node = ToolNode([call.tool], handle_tool_errors=False, messages_key=scope.messages_key)
    return node, {"__type": "tool_call_with_context", "tool_call": asked, "state": scope.state}


def _told(returned: Any) -> Any:
    """Return a tool's result for the model, and keep its commands for the graph."""
    scope = _SCOPE.get()
    key = "messages" if scope is None else scope.messages_key
    outcomes = _outcomes(returned, key)
    if not any(isinstance(one, Command) for one in outcomes):
        return outcomes[0] if len(outcomes) == 1 else returned
    if scope is None:
        raise ToolException("The tool returned a Command, which only a graph can carry out, and no graph runs it.")
    said: Any = ToolMessage("Done.", tool_call_id="atlas")
    for one in outcomes:
        if isinstance(one, Command):
            found, left = _without_result(one, key)
            said = said if found is None else found
            if left is not None:
                scope.commands.append(left)
        else:
            said = one
    return said


def _outcomes(returned: Any, key: str) -> list[Any]:
    if isinstance(returned, dict) and set(returned) == {key} and isinstance(returned[key], list):
        return list(returned[key])  # a ToolNode's update
    if isinstance(returned, list) and any(isinstance(one, Command | ToolMessage | dict) for one in returned):
        if not all(
            isinstance(one, Command | ToolMessage) or (isinstance(one, dict) and key in one) for one in returned
        ):
            return [returned]
        return [each for one in returned for each in (one[key] if isinstance(one, dict) else [one])]
    return [returned]


def _without_result(command: Command[Any], key: str) -> tuple[ToolMessage | None, Command[Any] | None]:
    """Return a command's result for the model, and the command without it, or None if nothing else is in it.

    The graph has no message with the call, so the result would be an orphan there.
    """
    update, found = command.update, None
    if isinstance(update, dict) and isinstance(update.get(key), list | tuple):
        results = [one for one in update[key] if isinstance(one, ToolMessage) and one.tool_call_id == "atlas"]
        kept = [one for one in update[key] if one not in results]
        found = results[-1] if results else None
        update = {name: value for name, value in update.items() if name != key or kept}
        update = {**update, key: kept} if kept else update
    left = replace(command, update=update)
    return found, left if update or command.goto or command.resume is not None else None


def _annotations(tool: BaseTool) -> dict[str, Any]:
    """Return the types of a tool's arguments, from its function and its schema."""
    function = getattr(tool, "func", None) or getattr(tool, "coroutine", None) or type(tool)._run  # noqa: SLF001  # LangChain's name for what a tool overrides
    found: dict[str, Any] = {}
    schema = tool.args_schema
    for source in (function, schema if isinstance(schema, type) else None):
        try:
            found |= get_type_hints(source, include_extras=True) if source is not None else {}
        except (NameError, TypeError):  # string annotations that can't be resolved here
            continue
    found.pop("return", None)
    return found


def _is_one_of(kind: Any, kinds: tuple[type, ...]) -> bool:
    if isinstance(kind, kinds) or (isinstance(kind, type) and issubclass(kind, kinds)):
        return True
    origin = get_origin(kind)
    if isinstance(origin, type) and issubclass(origin, kinds):
        return True
    return (origin is Annotated or bool(get_args(kind))) and any(_is_one_of(each, kinds) for each in get_args(kind))
