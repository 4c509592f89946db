"""Existing tools, retrievers, graphs and servers as tools of a pool, each in one line."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Self

from langchain_atlas.errors import PoolError
from langchain_atlas.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_core.tools import BaseTool


class ToolSources(Record):
    """Constructors of `Tool`."""

    @classmethod
    def of(cls, tools: Any, *, name: str | None = None, description: str | None = None, **fields: Any) -> Self:
        """Make a tool from one or more LangChain tools or functions, which are offered together.

        Args:
            tools: a LangChain tool, a function with a docstring, a list of them, or a LangChain toolkit.
            name: its name in the pool; optional for a single tool.
            description: what it does; by default combined from the members' descriptions.
            **fields: other fields of `Tool`.

        Raises:
            PoolError: the list is empty, several tools are given without a name, or a member is not a tool.
        """
        members = _members(tools)
        if name is None and len(members) != 1:
            names = ", ".join(member.name for member in members)
            raise PoolError(f"Tools that go together need a name; give one to the {len(members)} of them: {names}.")
        if description is None:
            description = members[0].description if len(members) == 1 else "\n".join(map(_summary, members))
        return cls(**{"name": name or members[0].name, "description": description, "tools": members, **fields})

    @classmethod
    def from_retriever(cls, retriever: Any, *, name: str, description: str, k: int = 3, **fields: Any) -> Self:
        """Make a tool from a LangChain retriever.

        Args:
            retriever: the retriever, or ``package.module:attribute`` that names one or a function that returns one.
            name: its name in the pool and for the models.
            description: what can be found there; models read it.
            k: maximum number of documents in a result.
            **fields: other fields of `Tool`; ``invocation="grounded"`` searches for every query on its own.
        """
        arguments = {"retriever": retriever, "k": k}
        return cls(**{"name": name, "description": description, "use": "retriever", "arguments": arguments, **fields})

    @classmethod
    def from_graph(
        cls,
        graph: Any,
        *,
        name: str,
        description: str,
        inputs: Iterable[str] | None = None,
        output: str | None = None,
        asynchronous: bool | None = None,
        **fields: Any,
    ) -> Self:
        """Make a tool from a compiled LangGraph graph, such as an agent; see `langchain_atlas.tools.graphs.GraphTool`.

        Args:
            graph: the compiled graph, or ``package.module:attribute`` that names one or a function that returns one.
            name: its name in the pool and for the models.
            description: what it can do; models read it.
            inputs: fields of the graph's state that the model fills in; None for its input schema.
            output: field of the graph's state that is the result; None for the last message, or all new values.
            asynchronous: set this if something in the graph, such as an MCP tool, only works asynchronously.
            **fields: other fields of `Tool`.
        """
        given = {"inputs": None if inputs is None else tuple(inputs), "output": output, "asynchronous": asynchronous}
        arguments = {"graph": graph, **{key: value for key, value in given.items() if value is not None}}
        return cls(**{"name": name, "description": description, "use": "graph", "arguments": arguments, **fields})

    @classmethod
    def agent(
        cls,
        factory: Any,
        *,
        name: str | None = None,
        description: str | None = None,
        input_key: str | None = None,
        output_key: str | None = None,
        asynchronous: bool | None = None,
        **fields: Any,
    ) -> Self:
        """Make a tool of a whole agent that is built around the pair's own model; see ``docs/agent-pairs.md``.

        Args:
            factory: a function that takes a chat model and returns a LangGraph graph, such as that of `create_agent`,
                or another runnable; or ``package.module:attribute`` that names one.
            name: its name in the pool; by default that of the function.
            description: what it can do; by default the first line of the function's docstring.
            input_key: field of the graph's state that takes the query's text; None for its ``messages``.
            output_key: field of the graph's state that is the answer; None for the last message.
            asynchronous: set this if something in the agent, such as an MCP tool, only works asynchronously.
            **fields: other fields of `Tool`; ``settings={"system": ..., "max_steps": ...}`` are the agent's.

        Raises:
            PoolError: no name is given, and the factory has none.
        """
        own = factory.rpartition(":")[2] if isinstance(factory, str) else getattr(factory, "__name__", "")
        name = name or own.strip("_<>").replace("_", "-").replace(".", "-")
        if not name or name == "lambda":
            raise PoolError(f"{factory!r} has no name for the pool; give one: Tool.agent(factory, name=...).")
        told = "" if isinstance(factory, str) else (inspect.getdoc(factory) or "").partition("\n")[0]
        given = {"input_key": input_key, "output_key": output_key, "asynchronous": asynchronous}
        arguments = {"factory": factory, **{key: value for key, value in given.items() if value is not None}}
        about = told if description is None else description
        return cls(**{"name": name, "description": about, "use": "agent", "arguments": arguments, **fields})

    @classmethod
    def from_mcp(
        cls,
        name: str,
        *,
        description: str = "",
        invocation: str = "native",
        settings: dict[str, Any] | None = None,
        **server: Any,
    ) -> Self:
        """Make a tool from the tools of an MCP server, which is started or connected when the tool is first built.

        Args:
            name: its name in the pool.
            description: what it does.
            invocation: how models use it.
            settings: settings of the invocation.
            **server: fields of `langchain_atlas.tools.McpServer`, such as ``command`` and ``args``, or ``url``; and
                ``only``, the names of the tools to take.
        """
        fields = {"use": "mcp", "arguments": server, "invocation": invocation, "settings": settings or {}}
        return cls(**{"name": name, "description": description, **fields})


def as_langchain_tool(member: Any) -> BaseTool:
    """Return a LangChain tool unchanged, or make one from a function, synchronous or not.

    Raises:
        PoolError: it is neither, or the function has no docstring.
    """
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.tools import BaseTool, StructuredTool

    if isinstance(member, BaseTool):
        return member
    if callable(getattr(member, "invoke", None)):
        way = "from_retriever" if isinstance(member, BaseRetriever) else "from_graph"
        raise PoolError(f"{member!r} is not a LangChain tool; use Tool.{way}(..., name=..., description=...).")
    if not callable(member) or isinstance(member, type):
        raise PoolError(f"{member!r} is not a LangChain tool; give a BaseTool or a function with a docstring.")
    try:
        if inspect.iscoroutinefunction(member):
            return StructuredTool.from_function(coroutine=member)
        return StructuredTool.from_function(member)
    except ValueError as error:
        raise PoolError(f"{member!r} can't be made a tool: {error}") from error


def _members(tools: Any) -> tuple[BaseTool, ...]:
    if callable(getattr(tools, "get_tools", None)):
        tools = tools.get_tools()
    found = tuple(tools) if isinstance(tools, list | tuple) else (tools,)
    if not found:
        raise PoolError("A tool wraps at least one LangChain tool; the list is empty.")
    return tuple(map(as_langchain_tool, found))


def _summary(tool: BaseTool) -> str:
    first = next((line.strip() for line in tool.description.splitlines() if line.strip()), "")
    return f"{tool.name}: {first}" if first else tool.name
