"""How a tool loop goes: the same call again, errors in a row, rounds that bring nothing new."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, ToolMessage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_atlas.trajectory import Query


@dataclass(frozen=True)
class LoopRound:
    """One round of a tool loop: what a model called, and what came of it."""

    message: AIMessage
    """The model's message."""
    calls: frozenset[str]
    """Its calls, each by name and arguments."""
    results: tuple[str, ...]
    """The results, as texts."""
    failed: bool
    """Whether every result is an error."""


@dataclass(frozen=True)
class LoopSignals:
    """How the tool loop of a query goes; all zero before its first round.

    These are features of the query: a router reads them with ``LoopSignals.of(query)``.
    """

    rounds: int = 0
    """Number of rounds: a model's message with tool calls, and their results."""
    repeats: int = 0
    """How many earlier rounds made the calls of the last one, with the same arguments."""
    errors: int = 0
    """Number of the last rounds in a row in which every call failed."""
    stale: int = 0
    """Number of the last rounds in a row that brought nothing new: their results were seen before, or there are
    none."""

    @classmethod
    def of(cls, query: Query) -> LoopSignals:
        """Return the signals of the tool loop that a query is in."""
        return cls.of_rounds(rounds(query.since)) if query.since else _NONE

    @classmethod
    def of_rounds(cls, made: Sequence[LoopRound]) -> LoopSignals:
        """Return the signals of some rounds, oldest first."""
        if not made:
            return _NONE
        seen: set[str] = set()
        errors = stale = 0
        for one in made:
            errors = errors + 1 if one.failed else 0
            stale = stale + 1 if seen.issuperset(one.results) else 0
            seen.update(one.results)
        repeats = sum(one.calls == made[-1].calls for one in made[:-1])
        return cls(len(made), repeats, errors, stale)

    def features(self) -> dict[str, float]:
        """Return the signals as numbers by name, for routers that learn from them."""
        return {name: float(value) for name, value in asdict(self).items()}


_NONE = LoopSignals()


def rounds(messages: Sequence[Any]) -> list[LoopRound]:
    """Return the finished rounds among some messages, oldest first."""
    results = {message.tool_call_id: message for message in messages if isinstance(message, ToolMessage)}
    made = []
    for message in messages:
        if not isinstance(message, AIMessage) or not message.tool_calls:
            continue
        told = [results[call["id"]] for call in message.tool_calls if call["id"] in results]
        if told:
            calls = frozenset(_written(call) for call in message.tool_calls)
            texts = tuple(" ".join(result.text.split()) for result in told)
            made.append(LoopRound(message, calls, texts, all(map(_is_error, told))))
    return made


def _written(call: Any) -> str:
    return f"{call['name']} {json.dumps(call['args'], sort_keys=True, default=str)}"


def _is_error(result: ToolMessage) -> bool:
    return result.status == "error" or result.text.lstrip().lower().startswith("error")
