"""Every integration, run on a scene in every way there is; what it sends, streams, writes and traces as plain JSON."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NotRequired

from langchain.agents import AgentState, create_agent
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tracers import BaseTracer
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from node_graph import node_graph
from snapshots import Plain

from langchain_atlas import AtlasChain, AtlasContext, AtlasMiddleware, AtlasNode, ChatAtlas, create_atlas_graph
from langchain_atlas.execution.models.chat_models import build_chat_model
from langchain_atlas.trajectory import Assignment, Observation

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.tracers.schemas import Run
    from scenes import Scene

    from langchain_atlas.testing import OpenAIServer

THREAD = {"thread_id": "1"}
MODES = ["updates", "custom", "messages"]
_SENT = ("model", "messages", "stream", "tool_choice", "response_format", "stop", "temperature", "max_tokens")


class Noting(BaseTracer):
    """Notes the runs of ATLAS, of models and of tools, each with the one it is a part of."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[str] = []

    def _persist_run(self, run: Run) -> None:
        self._note(run, 0)

    def _note(self, run: Run, depth: int) -> None:
        if noted := run.name.startswith("atlas.") or run.run_type in ("llm", "chat_model", "tool"):
            self.runs.append("  " * depth + run.name)
        for child in sorted(run.child_runs, key=lambda child: child.start_time):
            self._note(child, depth + noted)


def message_of(message: BaseMessage) -> dict[str, Any]:
    """Return what is kept of a message."""
    said: dict[str, Any] = {"type": message.type, "content": message.content, "id": message.id}
    if isinstance(message, AIMessage):
        usage = message.usage_metadata
        said["calls"] = [[call["name"], call["args"]] for call in message.tool_calls]
        said["tokens"] = None if usage is None else [usage["input_tokens"], usage["output_tokens"]]
        said["atlas"] = message.response_metadata.get("atlas")
        said["model_name"] = message.response_metadata.get("model_name")
    return said


def plain(value: Any) -> Any:
    """Return a state, a message or an event as JSON."""
    if isinstance(value, BaseMessage | Observation | Assignment):
        return message_of(value) if isinstance(value, BaseMessage) else value.to_json()
    if isinstance(value, Command):
        return {"update": plain(value.update), "goto": plain(value.goto)}
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if hasattr(value, "interrupts") or (hasattr(value, "value") and hasattr(value, "id")):
        return {"interrupt": plain(value.value)}
    return value


def sent(server: OpenAIServer) -> list[dict[str, Any]]:
    """Return what the provider was sent."""
    return [
        {name: body[name] for name in _SENT if name in body}
        | {"tools": [entry["function"]["name"] for entry in body.get("tools", [])]}
        for body in server.bodies
    ]


def event(part: Any) -> Any:
    """Return one event of a graph's stream."""
    mode, value = part
    if mode == "messages":
        message, metadata = value
        return ["token", metadata.get("langgraph_node"), message.id, message.text, message.type]
    return [mode, plain(value)]


def graph_runs(graph: Any, scene: Scene, tracer: Noting, way: str) -> list[Any]:
    """Run a graph, and go on for as long as a human has something to say."""
    config: Any = {"configurable": dict(THREAD), "callbacks": [tracer]}
    states: list[Any] = []
    for given in ({"messages": [scene.message]}, *(Command(resume=word) for word in scene.resume)):
        settings = {"config": config, "context": AtlasContext(**scene.settings)}
        states.append(GRAPH_WAYS[way](graph, given, settings))
    return states


def _gstream(graph: Any, given: Any, settings: Any) -> Any:
    return [event(part) for part in graph.stream(given, stream_mode=MODES, **settings)]


def _gastream(graph: Any, given: Any, settings: Any) -> Any:
    async def collect() -> list[Any]:
        return [event(part) async for part in graph.astream(given, stream_mode=MODES, **settings)]

    return asyncio.run(collect())


GRAPH_WAYS: dict[str, Callable[..., Any]] = {
    "invoke": lambda graph, given, settings: plain(graph.invoke(given, **settings)),
    "ainvoke": lambda graph, given, settings: plain(asyncio.run(graph.ainvoke(given, **settings))),
    "stream": _gstream,
    "astream": _gastream,
}


def _stream(runnable: Any, given: Any, settings: Any) -> Any:
    return [plain(part) for part in runnable.stream(given, **settings)]


def _astream(runnable: Any, given: Any, settings: Any) -> Any:
    async def collect() -> list[Any]:
        return [plain(part) async for part in runnable.astream(given, **settings)]

    return asyncio.run(collect())


RUN_WAYS: dict[str, Callable[..., Any]] = {**GRAPH_WAYS, "stream": _stream, "astream": _astream}


def runnable_run(runnable: Any, scene: Scene, tracer: Noting, way: str) -> Any:
    """Run a runnable on the scene's message."""
    settings = {"config": {"configurable": dict(scene.settings), "callbacks": [tracer]}}
    return RUN_WAYS[way](runnable, [scene.message], settings)


class RememberingState(AgentState[Any]):
    """An agent's state with what is asked of a human."""

    note: NotRequired[str]


def _node(scene: Scene, server: OpenAIServer, *, durable: bool) -> Any:
    node = AtlasNode(scene.router(), scene.executor(server), durable=durable, **scene.options)
    return node_graph(node, context_schema=AtlasContext).compile(checkpointer=InMemorySaver())


def _graph(scene: Scene, server: OpenAIServer) -> Any:
    return create_atlas_graph(scene.router(), scene.executor(server), **scene.options).compile(
        checkpointer=InMemorySaver()
    )


def _agent(scene: Scene, server: OpenAIServer) -> Any:
    executor = scene.executor(server)
    own = build_chat_model(executor.pool.model("large"), timeout_s=10, retries=0).model_copy(
        update={"model": "openai/own"}
    )
    middleware = AtlasMiddleware(scene.router(), executor, **scene.options)
    return create_agent(own, middleware=[middleware], context_schema=AtlasContext, checkpointer=InMemorySaver())


GRAPHS: dict[str, Callable[[Scene, OpenAIServer], Any]] = {
    "node": lambda scene, server: _node(scene, server, durable=False),
    "durable node": lambda scene, server: _node(scene, server, durable=True),
    "graph": _graph,
    "middleware": _agent,
}
RUNNABLES: dict[str, Callable[[Scene, OpenAIServer], Any]] = {
    "chat model": lambda scene, server: ChatAtlas(
        router=scene.router(), executor=scene.executor(server), **scene.options
    ),
    "chain": lambda scene, server: AtlasChain(scene.router(), scene.executor(server), **scene.options),
    "pipe": lambda scene, server: scene.router() | scene.executor(server) | RunnableLambda(lambda seen: seen),
}
INTEGRATIONS = (*GRAPHS, *RUNNABLES)
WAYS = tuple(GRAPH_WAYS)


def recorded(integration: str, scene: Scene, start: Callable[..., OpenAIServer]) -> dict[str, Any]:
    """Run an integration on a scene in every way, each against a provider of its own.

    A way whose record is that of an earlier one names it.
    """
    records: dict[str, Any] = {}
    for way in WAYS:
        server, tracer = start(scene.reply), Noting()
        try:
            if integration in GRAPHS:
                came: Any = graph_runs(GRAPHS[integration](scene, server), scene, tracer, way)
            else:
                came = runnable_run(RUNNABLES[integration](scene, server), scene, tracer, way)
        except Exception as error:  # noqa: BLE001  # it is part of the record
            came = {"raised": f"{type(error).__name__}: {error}"}
        record = Plain()({"sent": sent(server), "came": came, "traced": tracer.runs})
        same = next((name for name, other in records.items() if other == record), None)
        records[way] = record if same is None else same
    return records
