"""A whole LangGraph graph as a tool: an agent that other models can call."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Self, get_type_hints

from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig  # noqa: TC002  # LangChain reads the annotations
from langchain_core.tools import BaseTool, ToolException
from pydantic import BaseModel, Field, create_model, model_validator

from langchain_atlas.errors import PoolError, suggest
from langchain_atlas.tools.event_loop import loop_thread
from langchain_atlas.tools.failures import answer_error, answer_validation_error, tool_failure

MESSAGES = "messages"
"""Name of the state's list of messages, by LangGraph's convention."""

_REQUEST = Field(description="What to ask, complete in itself: nothing else of the conversation is passed on.")


class GraphTool(BaseTool):
    """A LangChain tool that runs a compiled graph.

    A graph whose state has ``messages`` takes one argument, ``request``, as a human message, and its last message is
    the result. Any other graph takes the fields of its input schema as arguments, and the result is its other output
    fields, as JSON. A graph without a state, of the functional API, takes ``request`` unchanged.

    An interrupt inside the graph passes through if the tool is called within a graph that has a checkpointer.
    Otherwise nobody could answer it, and the tool returns an error.

    Raises:
        PoolError: a named field does not exist in the graph's state.
    """

    name: str = "agent"
    description: str = "Hands a request to an agent and returns its answer."
    args_schema: Any = None
    handle_tool_error: Any = answer_error
    handle_validation_error: Any = answer_validation_error

    graph: Any = Field(exclude=True, repr=False)
    """A compiled graph."""
    inputs: tuple[str, ...] | None = None
    """Fields of the state that are the tool's arguments; None for all of the graph's input schema."""
    output: str | None = None
    """Field of the state that is the result; None for the default described above."""
    asynchronous: bool | None = None
    """Whether it must run on an event loop even if the caller has none. None: only if one of its nodes is only
    asynchronous. Set it if something deeper is, such as an agent's tools from an MCP server."""

    @model_validator(mode="after")
    def _fits_the_graph(self) -> Self:
        if not callable(getattr(self.graph, "invoke", None)):
            raise PoolError(f"{self.graph!r} is not a compiled graph; call 'compile' on a StateGraph first.")
        known = state_fields(getattr(getattr(self.graph, "builder", None), "input_schema", None))
        channels = getattr(self.graph, "channels", None)
        for name in (*(self.inputs or ()), *([self.output] if self.output else ())):
            if known and channels is not None and name not in channels:
                raise PoolError(f"The graph's state has no field {name!r}. {suggest(name, known)}")
        wanted = known if self.inputs is None else {name: known.get(name, (Any, ...)) for name in self.inputs}
        self.inputs = tuple(wanted)
        if self.args_schema is None:
            fields: Any = wanted if wanted and MESSAGES not in wanted else {"request": (str, _REQUEST)}
            self.args_schema = create_model(self.name, **fields)
        if self.asynchronous is None:
            self.asynchronous = any(map(is_only_asynchronous, getattr(self.graph, "nodes", {}).values()))
        return self

    def _run(self, config: RunnableConfig, **arguments: Any) -> str:
        state = self._state(arguments)
        try:
            if self.asynchronous:
                return self._result(loop_thread("tools").run(self.graph.ainvoke(state, config)), arguments)
            return self._result(self.graph.invoke(state, config), arguments)
        except Exception as error:
            raise tool_failure(error, f"{self.name!r} failed") from error

    async def _arun(self, config: RunnableConfig, **arguments: Any) -> str:
        try:
            return self._result(await self.graph.ainvoke(self._state(arguments), config), arguments)
        except Exception as error:
            raise tool_failure(error, f"{self.name!r} failed") from error

    def _state(self, arguments: dict[str, Any]) -> Any:
        if not self.inputs:
            return arguments["request"]
        return {MESSAGES: [HumanMessage(arguments["request"])]} if MESSAGES in self.inputs else arguments

    def _result(self, state: Any, arguments: dict[str, Any]) -> str:
        if not isinstance(state, dict):
            return field_text(state)
        if waiting := state.get("__interrupt__"):
            asked = "; ".join(str(getattr(each, "value", each)) for each in waiting)
            raise ToolException(
                f"{self.name!r} stopped to ask: {asked}. Nobody can answer here; "
                "call it within a graph that has a checkpointer."
            )
        if self.output is not None:
            return field_text(state.get(self.output))
        if state.get(MESSAGES):
            return field_text(state[MESSAGES])
        left = {name: value for name, value in state.items() if name not in arguments}
        return field_text(next(iter(left.values())) if len(left) == 1 else left or state)


def state_fields(schema: Any) -> dict[str, Any]:
    """Return the fields of a state's schema as `create_model` takes them; none for what has no fields."""
    if not isinstance(schema, type):
        return {}
    if issubclass(schema, BaseModel):
        return {name: (field.annotation, field) for name, field in schema.model_fields.items()}
    optional = set(getattr(schema, "__optional_keys__", ()))
    if dataclasses.is_dataclass(schema):
        missing = dataclasses.MISSING
        fields = dataclasses.fields(schema)
        optional = {each.name for each in fields if (each.default, each.default_factory) != (missing, missing)}
    hints = {name: _plain(hint) for name, hint in get_type_hints(schema).items()}
    return {name: (hint | None, None) if name in optional else (hint, ...) for name, hint in hints.items()}


def _plain(hint: Any) -> Any:
    """Return a type that pydantic can describe; before Python 3.12 it can't describe `typing.TypedDict`."""
    return dict[str, Any] if hasattr(hint, "__required_keys__") else hint


def field_text(value: Any) -> str:
    """Write a field of a graph's state; of messages, the last one."""
    if isinstance(value, list) and value and isinstance(value[-1], BaseMessage):
        value = value[-1]
    if isinstance(value, BaseMessage):
        return str(value.text)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def is_only_asynchronous(node: Any) -> bool:
    """Return whether a node of a graph can only run on an event loop."""
    bound = getattr(node, "bound", None)
    return getattr(bound, "afunc", None) is not None and getattr(bound, "func", ...) is None
