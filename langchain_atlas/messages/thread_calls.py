"""The calls of a thread, as its messages tell them: each reply holds the record of the decision that led to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.messages.utils import count_tokens_approximately

from langchain_atlas.amounts import known_number, known_tokens
from langchain_atlas.errors import AtlasError
from langchain_atlas.pool.pairs import Pair

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RECORD_KEY = "atlas"
"""Key of the record of a run, in the state and in the answer's ``response_metadata``."""

_LATEST = 1e11
"""Seconds since 1970 that no clock tells yet."""


@dataclass(frozen=True)
class Expected:
    """What a router expected of a pair on one turn."""

    success: float
    """Expected score, 0 to 1."""
    cost_usd: float
    """Expected cost of a call without a history, in dollars."""


@dataclass(frozen=True)
class ThreadCall:
    """One reply of a pair in a thread."""

    pair: Pair
    """The pair that replied."""
    turn: int
    """Number of human messages before the one that it replied to."""
    rule: str = ""
    """The rule of the decision that led to it."""
    prompt_tokens: int | None = None
    """Input tokens of its last model call; None when unknown."""
    reply_tokens: int | None = None
    """Output tokens of that call; None when unknown."""
    cached_tokens: int | None = None
    """How many of the input tokens the provider had cached; None when unknown."""
    decided_at: float | None = None
    """When it was decided, in seconds since 1970; None when unknown."""
    expected: Mapping[Pair, Expected] = field(default_factory=dict)
    """What the router expected of the pairs that it compared."""


def thread_calls(messages: Sequence[Any]) -> list[ThreadCall]:
    """Return the calls of a thread, oldest first; messages without a readable record are passed over."""
    calls, turn = [], -1
    for message in messages:
        if isinstance(message, HumanMessage):
            turn += 1
        elif isinstance(message, AIMessage) and (call := call_of(message, turn)) is not None:
            calls.append(call)
    return calls


def call_of(message: AIMessage, turn: int = 0) -> ThreadCall | None:
    """Return the call that a reply tells of; None if it tells of none."""
    record = message.response_metadata.get(RECORD_KEY)
    try:
        steps = [
            step
            for step in (record or {}).get("steps", ())
            if (step.get("observation") or {"error": 1})["error"] is None
        ]
        decision, seen = steps[-1]["decision"], steps[-1]["observation"]
        pair = _parsed(seen["pair"])
        expected = dict(filter(None, (_expected(decision.get(name)) for name in ("chosen", "runner_up"))))
        told = seen.get("usage") or {}
        calls = max(1, int(seen.get("model_calls") or 1))
    except (AtlasError, AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None
    prompt, reply = known_tokens(told.get("input_tokens")), known_tokens(told.get("output_tokens"))
    return ThreadCall(
        pair=pair,
        turn=turn,
        rule=str(decision.get("rule", "")),
        prompt_tokens=None if not prompt else prompt // calls,
        reply_tokens=None if reply is None else reply // calls,
        cached_tokens=_cached(message) if calls == 1 else None,
        decided_at=known_number(decision.get("decided_at"), _LATEST),
        expected=expected,
    )


def thread_tokens(messages: Sequence[Any]) -> int:
    """Return about how many tokens a thread has: as its last reply was billed, and estimated for what came after."""
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        call = call_of(message) if isinstance(message, AIMessage) else None
        if call is not None and call.prompt_tokens is not None:
            return call.prompt_tokens + (call.reply_tokens or 0) + _estimated(messages[index + 1 :])
    return _estimated(messages)


def _estimated(messages: Sequence[Any]) -> int:
    return count_tokens_approximately(list(messages)) if messages else 0


def _cached(message: AIMessage) -> int | None:
    counts: dict[str, Any] = dict(message.usage_metadata or {})
    cached = (counts.get("input_token_details") or {}).get("cache_read")
    return None if cached is None else known_tokens(cached)


def _expected(candidate: Mapping[str, Any] | None) -> tuple[Pair, Expected] | None:
    if candidate is None or candidate.get("expected_cost_usd") is None:
        return None
    success, cost = float(candidate["expected_success"]), float(candidate["expected_cost_usd"])
    return _parsed(candidate["pair"]), Expected(success, cost)


@lru_cache(maxsize=1024)  # a thread names the same few pairs on every turn
def _parsed(name: str) -> Pair:
    return Pair.parse(name)
