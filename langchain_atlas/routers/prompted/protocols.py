"""The forms in which a language model writes its steps: tags, native function calls, or constrained JSON."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from langchain_atlas.routers.prompted import conversation
from langchain_atlas.routers.prompted.conversation import GO_ON, PASS_ON, STOPS, answered, observation_text, routed
from langchain_atlas.routers.prompted.tags import Block, TagError, read_call, write_blocks
from langchain_atlas.text.json_objects import first_object
from langchain_atlas.trajectory import Decision

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.trajectory import Step, Trajectory

_ANSWER = "answer"
_LONGEST_THOUGHT = 300
_LONGEST_INPUT = 1000
_LONGEST_REASONING = 1000

_CALLING = """You answer questions by asking others. Each of them is a language model with a tool:
{pairs}

First call `route` to ask the one that is good at the question. Ask another one if the result is missing or in doubt, \
at most {turns} in all. Then call `answer` with the final answer and nothing else. Always ask before you answer. As \
the input of `route` you may write "the question", which passes the question on; as the answer "result 1", which gives \
the first result unchanged."""

_JSON = """You answer questions by asking others. Each of them is a language model with a tool:
{pairs}

Write one step at a time, as a JSON object with a "thought" (who is good at this, or why this is the answer), an \
"action" (whom to ask, or "answer") and an "input" (what to ask, or the final answer and nothing else). First ask the \
one that is good at the question; then stop, and the result comes. Ask another one if it is missing or in doubt, at \
most {turns} in all. Always ask before you answer. As the input you may write "the question", which passes the \
question on; as the answer "result 1", which gives the first result unchanged."""


@dataclass(frozen=True)
class Asking:
    """How a chat model is called for a step, beside the messages."""

    options: Mapping[str, Any] = field(default_factory=dict)
    """Parameters of the call."""
    functions: Sequence[Mapping[str, Any]] = ()
    """Functions that the model may call, as OpenAI-style tools."""


class StepProtocol(ABC):
    """One form of the steps. The result of a call is shown as data: markup in it becomes plain words."""

    name: ClassVar[str]
    """Its name as a setting."""

    @abstractmethod
    def system(self, described: Mapping[Pair, str], turns: int) -> str:
        """Return the system prompt."""

    @abstractmethod
    def shown(self, step: Step, number: int, chars: int) -> list[BaseMessage]:
        """Return the turns of an earlier step: what the model wrote, and what it was told, cut to `chars`."""

    @abstractmethod
    def asking(self, trajectory: Trajectory, allowed: Sequence[Pair]) -> Asking:
        """Return how the model is called for the next step."""

    @abstractmethod
    def read(self, reply: AIMessage, trajectory: Trajectory, allowed: Sequence[Pair]) -> Decision:
        """Parse a step.

        Raises:
            TagError: it can't be used.
        """


class TagProtocol(StepProtocol):
    """The paper's tags; with stop sequences, so that the model does not make results up."""

    name = "tags"

    def system(self, described: Mapping[Pair, str], turns: int) -> str:
        """Return the system prompt."""
        return conversation.system_prompt(described, turns)

    def shown(self, step: Step, number: int, chars: int) -> list[BaseMessage]:
        """Return the turns of an earlier step."""
        del number
        return conversation.step_messages(step, chars)

    def asking(self, trajectory: Trajectory, allowed: Sequence[Pair]) -> Asking:
        """Return how the model is called."""
        del trajectory, allowed
        return Asking({"stop": list(STOPS)})

    def read(self, reply: AIMessage, trajectory: Trajectory, allowed: Sequence[Pair]) -> Decision:
        """Parse a step; see `conversation.read_step`.

        LiteLLM takes a thought at the beginning out of the text; it is put back.
        """
        text, thought = str(reply.text), reply.additional_kwargs.get("reasoning_content")
        if isinstance(thought, str) and thought.strip() and "<think>" not in text:
            text = f"{write_blocks([Block('think', thought.strip()[-_LONGEST_REASONING:])])}\n{text}"
        return conversation.read_step(text, trajectory, allowed)


class FunctionProtocol(StepProtocol):
    """Native function calls: ``route(model, tool, input)`` and ``answer(text)``."""

    name = "functions"

    def system(self, described: Mapping[Pair, str], turns: int) -> str:
        """Return the system prompt."""
        return _CALLING.format(pairs=_lines(described), turns=turns)

    def shown(self, step: Step, number: int, chars: int) -> list[BaseMessage]:
        """Return the turns of an earlier step."""
        decision = step.decision
        if decision.pair is None:
            return [AIMessage(decision.answer or "..."), HumanMessage(GO_ON)] if decision.kind == "think" else []
        told = {"model": decision.pair.model, "tool": decision.pair.tool, "input": decision.input or PASS_ON}
        call = {"name": "route", "args": told, "id": f"call_{number}"}
        result = ToolMessage(observation_text(step.observation, chars), tool_call_id=f"call_{number}")
        return [AIMessage(decision.reason, tool_calls=[call]), result]

    def asking(self, trajectory: Trajectory, allowed: Sequence[Pair]) -> Asking:
        """Return how the model is called: before the first call, it can only call `route`."""
        text = {"type": "string"}
        models = {"type": "string", "enum": list(dict.fromkeys(pair.model for pair in allowed))}
        tools = {"type": "string", "enum": list(dict.fromkeys(pair.tool for pair in allowed))}
        route = _function("route", "Ask a model with a tool.", {"model": models, "tool": tools, "input": text})
        if not trajectory.calls:
            return Asking(functions=[route])
        return Asking(functions=[route, _function("answer", "Give the final answer.", {"text": text})])

    def read(self, reply: AIMessage, trajectory: Trajectory, allowed: Sequence[Pair]) -> Decision:
        """Parse a step: its first call; text without a call is a thought."""
        thought = str(reply.text).strip()
        if not reply.tool_calls:
            if reply.invalid_tool_calls:
                raise TagError("The arguments of the call are not JSON.")
            if not thought:
                raise TagError("There is no call of 'route' or 'answer'.")
            return Decision(kind="think", answer=thought, rule="policy")
        call = reply.tool_calls[0]
        told = {name: value for name, value in call["args"].items() if isinstance(value, str)}
        if call["name"] == "route":
            named = f"{told.get('model', '')}@@{told.get('tool', '')}"
            pair, asked = read_call(f"{named}: {told.get('input') or PASS_ON}", allowed)
            return routed(pair, asked, thought)
        if call["name"] != _ANSWER:
            raise TagError(f"There is no function {call['name']!r}; there are 'route' and 'answer'.")
        return _answered(told.get("text", ""), trajectory, thought)


class JsonProtocol(StepProtocol):
    """A JSON object that a schema constrains, where the endpoint can do that: even small models keep to it.

    The schema names the pairs that may be called, so no other can be; before the first call, there is no way to answer.
    """

    name = "json"

    def system(self, described: Mapping[Pair, str], turns: int) -> str:
        """Return the system prompt."""
        return _JSON.format(pairs=_lines(described), turns=turns)

    def shown(self, step: Step, number: int, chars: int) -> list[BaseMessage]:
        """Return the turns of an earlier step."""
        del number
        decision = step.decision
        if decision.pair is None:
            if decision.kind != "think":
                return []
            return [AIMessage(json.dumps({"thought": decision.answer})), HumanMessage(GO_ON)]
        told = {"thought": decision.reason, "action": str(decision.pair), "input": decision.input or PASS_ON}
        return [AIMessage(json.dumps(told)), HumanMessage(observation_text(step.observation, chars))]

    def asking(self, trajectory: Trajectory, allowed: Sequence[Pair]) -> Asking:
        """Return how the model is called."""
        return Asking({"response_format": step_schema(allowed, may_answer=trajectory.calls > 0)})

    def read(self, reply: AIMessage, trajectory: Trajectory, allowed: Sequence[Pair]) -> Decision:
        """Parse a step."""
        found = first_object(str(reply.text))
        if found is None:
            raise TagError("There is no JSON object.")
        thought, action, written = (str(found.get(name) or "").strip() for name in ("thought", "action", "input"))
        if not action:
            if not thought:
                raise TagError("There is no 'action'.")
            return Decision(kind="think", answer=thought, rule="policy")
        if action == _ANSWER:
            return _answered(written, trajectory, thought)
        pair, asked = read_call(f"{action}: {written or PASS_ON}", allowed)
        return routed(pair, asked, thought)


def step_schema(allowed: Sequence[Pair], *, may_answer: bool) -> dict[str, Any]:
    """Return the ``response_format`` that constrains a step to one that can be used.

    Args:
        allowed: the pairs that may be called.
        may_answer: whether a step may answer.
    """
    actions = [*map(str, allowed), *([_ANSWER] if may_answer else [])]
    fields = {
        "thought": {"type": "string", "maxLength": _LONGEST_THOUGHT},
        "action": {"type": "string", "enum": actions},
        "input": {"type": "string", "maxLength": _LONGEST_INPUT},
    }
    schema = {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
    return {"type": "json_schema", "json_schema": {"name": "step", "schema": schema, "strict": True}}


PROTOCOLS: Mapping[str, StepProtocol] = {
    protocol.name: protocol for protocol in (TagProtocol(), FunctionProtocol(), JsonProtocol())
}
"""The forms by name."""


def _answered(text: str, trajectory: Trajectory, thought: str) -> Decision:
    if not trajectory.calls:
        raise TagError("Nobody was asked yet: route before you answer.")
    if not text.strip():
        raise TagError("The answer is empty.")
    return answered(text.strip(), trajectory, thought)


def _lines(described: Mapping[Pair, str]) -> str:
    return "\n".join(f"- {pair}: {text}".rstrip(": ") for pair, text in described.items())


def _function(name: str, description: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    parameters = {"type": "object", "properties": fields, "required": list(fields)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}
