"""An agent built around the pair's model: a LangGraph graph or any other runnable that a factory makes."""

from __future__ import annotations

from collections.abc import Callable
from inspect import isawaitable, signature
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from pydantic import Field

from langchain_atlas.errors import PoolError, suggest
from langchain_atlas.execution.invocations.base import (
    AgentCall,
    Conversation,
    Invocation,
    InvocationError,
    InvocationSettings,
    text_of,
)
from langchain_atlas.tools.graphs import MESSAGES, field_text, is_only_asynchronous, state_fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.language_models import BaseChatModel
    from langchain_core.tools import BaseTool

    from langchain_atlas.pool.pool import Tool
    from langchain_atlas.trajectory import Query

Factory = Callable[["BaseChatModel"], Any]
"""Takes a chat model and returns a graph, compiled or not, or another runnable; it may be asynchronous."""

_ARGUMENTS = ("factory", "input_key", "output_key", "asynchronous")
_KEPT = 64
_NESTED = "structured_response"


class AgentSettings(InvocationSettings):
    """Settings of agents."""

    max_steps: int | None = Field(default=None, ge=1)
    """Maximum number of steps of the graph, LangGraph's ``recursion_limit``; None for its usual one."""


class Agent(Invocation):
    """A whole agent answers: a factory builds it around the pair's own model.

    A graph whose state has ``messages`` receives the conversation, and its last message is the answer. Any other graph
    receives the query's text under `input_key`, and its answer is under `output_key`. A runnable that is no graph
    receives the messages as a list, or the text under `input_key`, and returns a message or a text.
    """

    Settings: ClassVar[type[InvocationSettings]] = AgentSettings
    settings: AgentSettings

    def __init__(self, tool: Tool, tools: tuple[BaseTool, ...]) -> None:
        super().__init__(tool, tools)
        given = tool.arguments
        for name in given:
            if name not in _ARGUMENTS:
                raise PoolError(f"Tool {tool.name!r}: an agent has no argument {name!r}. {suggest(name, _ARGUMENTS)}")
        self._factory = _factory(tool.name, given.get("factory"))
        self.input_key: str | None = given.get("input_key")
        self.output_key: str | None = given.get("output_key")
        self.asynchronous: bool | None = given.get("asynchronous")
        self._built: dict[tuple[str, str], Any] = {}
        self._lock = Lock()

    def converse(self, query: Query) -> Conversation:
        """Have the agent answer."""
        (run,) = yield (AgentCall(self, self.opening(query), query.full_text, options=self.settings.options),)
        return str(run.answer)

    def known(self, key: tuple[str, str]) -> Any:
        """Return the agent that was built under a key; None if there is none."""
        return self._built.get(key)

    def build(self, chat_model: BaseChatModel) -> Any:
        """Call the factory; its result may have to be awaited."""
        return self._factory(chat_model)

    def keep(self, key: tuple[str, str], made: Any) -> Any:
        """Return what the factory made as a runnable, and keep it under a key.

        Raises:
            PoolError: it is neither a graph nor a runnable, or its state can't be filled.
        """
        if isawaitable(made):
            raise PoolError(f"Tool {self.tool.name!r}: the factory's result is awaitable twice; return the graph.")
        if not callable(getattr(made, "invoke", None)) and callable(getattr(made, "compile", None)):
            made = made.compile()
        if not callable(getattr(made, "invoke", None)):
            raise PoolError(
                f"Tool {self.tool.name!r}: its factory returned {made!r}; it must return a graph or another runnable, "
                "such as create_agent(model, tools=[...])."
            )
        self._check_state(made)
        with self._lock:
            if len(self._built) >= _KEPT:
                self._built.clear()
            self._built[key] = made
        return made

    def must_await(self, agent: Any) -> bool:
        """Return whether an agent can only run on an event loop."""
        if self.asynchronous is not None:
            return self.asynchronous
        return any(map(is_only_asynchronous, getattr(agent, "nodes", {}).values())) if _is_graph(agent) else False

    def given(self, agent: Any, messages: Sequence[BaseMessage], text: str) -> Any:
        """Return the agent's input."""
        if self.input_key is not None:
            return {self.input_key: list(messages) if self.input_key == MESSAGES else text}
        return {MESSAGES: list(messages)} if _is_graph(agent) else list(messages)

    def answer(self, returned: Any, new: Sequence[BaseMessage]) -> tuple[str, AIMessage | None]:
        """Return the answer, and the model's message that it is, if it is one.

        Args:
            returned: what the agent returned.
            new: the messages that it added to the conversation.

        Raises:
            InvocationError: it stopped to ask, and nobody can answer.
        """
        if isinstance(returned, dict):
            if waiting := returned.get("__interrupt__"):
                asked = "; ".join(str(getattr(each, "value", each)) for each in waiting)
                raise InvocationError(
                    f"The agent {self.tool.name!r} stopped to ask: {asked}. Nobody can answer here; run its pair in an "
                    "AtlasNode or create_atlas_graph with a checkpointer."
                )
            if self.output_key is not None:
                return field_text(returned.get(self.output_key)), None
            last = next((one for one in reversed(new) if isinstance(one, AIMessage | ToolMessage)), None)
            if returned.get(_NESTED) is not None and not (isinstance(last, AIMessage) and text_of(last)):
                nested = returned[_NESTED]
                return field_text(nested.model_dump() if hasattr(nested, "model_dump") else nested), None
            if MESSAGES in returned:
                return ("", None) if last is None else (text_of(last), last if isinstance(last, AIMessage) else None)
            left = {name: value for name, value in returned.items() if name != self.input_key}
            return field_text(next(iter(left.values())) if len(left) == 1 else left or returned), None
        if isinstance(returned, BaseMessage):
            return text_of(returned), returned if isinstance(returned, AIMessage) else None
        return field_text(returned), None

    def _check_state(self, agent: Any) -> None:
        known = state_fields(getattr(getattr(agent, "builder", None), "input_schema", None))
        if not known:
            return
        if (self.input_key or MESSAGES) not in known:
            advice = "" if self.input_key else " Name the field that takes the text: input_key=..."
            raise PoolError(
                f"Tool {self.tool.name!r}: the agent's state has no field {self.input_key or MESSAGES!r}. "
                f"{suggest(self.input_key or MESSAGES, known)}{advice}"
            )
        channels = getattr(agent, "channels", {})
        if self.output_key is not None and self.output_key not in channels:
            raise PoolError(
                f"Tool {self.tool.name!r}: the agent's state has no field {self.output_key!r}. "
                f"{suggest(self.output_key, known)}"
            )


def _is_graph(agent: Any) -> bool:
    return hasattr(agent, "channels") and hasattr(agent, "nodes")


def _factory(name: str, given: Any) -> Factory:
    if isinstance(given, str):
        from langchain_atlas.tools.registry import found_by_path

        given = found_by_path(given)
    if not callable(given) or callable(getattr(given, "invoke", None)):
        raise PoolError(
            f"Tool {name!r}: an agent needs a 'factory', a function that takes the pair's chat model and returns a "
            f"graph; got {given!r}."
        )
    try:
        signature(given).bind(None)
    except TypeError as error:
        raise PoolError(f"Tool {name!r}: its factory must take one argument, the chat model: {error}.") from error
    except ValueError:  # some builtins have no signature
        pass
    factory: Factory = given
    return factory
