"""Tools that belong to a graph: they are given its state, its store and its runtime, and may update it.

Whoever runs pairs in a node opens a `graph_scope`. LangGraph's own `ToolNode` injects what a tool asks for; the
`Command` that a tool returns is kept for the node to hand to the graph.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

from langchain_core.messages import ToolMessage
from langchain_core.tools import ToolException
from langgraph.types import Command

from langchain_atlas.execution.tool_calls import tool_input
from langchain_atlas.tools.event_loop import invoke, loop_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.tools import BaseTool

    from langchain_atlas.execution.invocations import ToolCall


@dataclass
class GraphScope:
    """The node that runs, for the tools that are called in it."""

    state: Any
    """The graph's state, as the node was given it."""
    messages_key: str = "messages"
    """The state's key that holds the messages."""
    commands: list[Command[Any]] = field(default_factory=list)
    """What tools want done to the graph, in the order of their calls."""

    def update(self, update: Any) -> Any:
        """Return a node's update with what tools want done before it."""
        return [*self.commands, update] if self.commands else update


_SCOPE: ContextVar[GraphScope | None] = ContextVar("atlas_graph_scope", default=None)


def current_scope() -> GraphScope | None:
    """Return the scope of the node that runs; None outside of one."""
    return _SCOPE.get()


@contextmanager
def graph_scope(state: Any, messages_key: str = "messages") -> Iterator[GraphScope]:
    """Let tools called in this context be part of the graph whose state this is.

    Args:
        state: the graph's state, as the node was given it.
        messages_key: the state's key that holds the messages.
    """
    scope = GraphScope(state, messages_key)
    token = _SCOPE.set(scope)
    try:
        yield scope
    finally:
        _SCOPE.reset(token)


def injected(tool: BaseTool) -> tuple[str, ...]:
    """Return the arguments of a tool that the graph gives it: of its state, its store, its runtime."""
    from langgraph.prebuilt import InjectedState, InjectedStore, ToolRuntime

    kinds = (InjectedState, InjectedStore, ToolRuntime)
    return tuple(name for name, kind in _annotations(tool).items() if _is_one_of(kind, kinds))


def call_tool(call: ToolCall) -> Any:
    """Call a tool, with what it asks of the graph, and return what it returned to the model.

    Raises:
        ToolException: it belongs to a graph, and there is none.
    """
    node, asked = _injecting(call)
    if node is None:
        return _told(invoke(call.tool, asked))
    only_asynchronous = getattr(call.tool, "func", None) is None and getattr(call.tool, "coroutine", None) is not None
    return _told(loop_thread("tools").run(node.ainvoke(asked)) if only_asynchronous else node.invoke(asked))


async def acall_tool(call: ToolCall) -> Any:
    """Do what `call_tool` does on the event loop."""
    node, asked = _injecting(call)
    return _told(await (call.tool if node is None else node).ainvoke(asked))


def _injecting(call: ToolCall) -> tuple[Any, dict[str, Any]]:
    """Return LangGraph's node that injects what a tool asks for, with its input; None and the call for other tools."""
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
    """Return what a tool says to the model, and keep what it wants done to the graph."""
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
    """Return the result that a command holds for the model, and the command without it, or None where that is empty.

    The call stands in no message of the graph's, so its result would be an orphan there.
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
    """Return the types of a tool's arguments, as its function and its schema have them."""
    function = getattr(tool, "func", None) or getattr(tool, "coroutine", None) or type(tool)._run  # noqa: SLF001  # LangChain's name for what a tool overrides
    found: dict[str, Any] = {}
    schema = tool.args_schema
    for source in (function, schema if isinstance(schema, type) else None):
        try:
            found |= get_type_hints(source, include_extras=True) if source is not None else {}
        except (NameError, TypeError):  # written as texts that can't be looked up here
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
