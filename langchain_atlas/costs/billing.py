"""What a model's reply costs: the one place where usage and prices become tokens and dollars.

The party that bills knows best, so sources are tried in this order: the cost that the provider reports, the prices in
the pool, the cost that LiteLLM computes (cached tokens, tiers, service levels), and LiteLLM's price table. If the token
counts are unknown, only the cost that the provider reports counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_atlas.amounts import known_dollars, known_tokens
from langchain_atlas.usage import Usage

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

    from langchain_atlas.pool.pool import Model

REPORTED = "provider_cost"
"""Key in a reply's ``response_metadata`` for the dollars that its provider charges for it."""
COMPUTED = "response_cost"
"""Key for the dollars that LiteLLM computes from its tokens."""
FROM_CACHE = "total_cost"
"""Key in LangChain's ``usage_metadata`` that holds zero for a reply from a cache, which is not paid for again."""


class Bill(NamedTuple):
    """Tokens and cost of a reply."""

    usage: Usage
    """Its tokens; each count is None when unknown."""
    cost_usd: float | None
    """Cost in dollars; None when unknown, 0 if it came from a cache."""
    saved_usd: float | None = 0.0
    """Dollars that a cache saved, which is what the reply would have cost; None when unknown."""


def billed(reply: AIMessage, model: Model | None = None) -> Bill:
    """Return the tokens and the cost of a model's reply.

    Args:
        reply: the reply.
        model: the pool's model, for its prices; None for a model outside the pool.
    """
    usage, cached, apart = _counts(reply)
    cost = _cost(reply, model, usage, cached=cached, apart=apart)
    if is_cached(reply):
        return Bill(usage, 0.0, cost)
    return Bill(usage, cost)


def is_cached(reply: AIMessage) -> bool:
    """Return whether a reply came from a cache."""
    counts: dict[str, Any] = dict(reply.usage_metadata or {})
    return counts.get(FROM_CACHE) == 0


def plausible(reply: AIMessage) -> bool:
    """Return whether a reply's token counts, if it has any, are plausible."""
    usage, _, _ = _counts(reply)
    return usage.input_tokens is not None and usage.output_tokens is not None


def _counts(reply: AIMessage) -> tuple[Usage, int, bool]:
    """Return the tokens; how many input tokens were cached; whether reasoning was counted apart from the output.

    Every request has tokens: LiteLLM writes 0 where a provider says nothing.
    """
    counts: dict[str, Any] = dict(reply.usage_metadata or {})
    read, written = known_tokens(counts.get("input_tokens")), known_tokens(counts.get("output_tokens"))
    cached = known_tokens((counts.get("input_token_details") or {}).get("cache_read") or 0)
    thought = known_tokens((counts.get("output_token_details") or {}).get("reasoning") or 0)
    if not read or cached is None or cached > read:
        read = None
    total = known_tokens(counts.get("total_tokens"))
    if thought is None or (not written and total is not None and total > (read or 0)):
        written = None  # 0 means that the provider did not report it
    apart = bool(written is not None and thought and thought > written)
    if apart and written is not None and thought:
        written += thought
    if read is None and not written:
        written = None
    return Usage(input_tokens=read, output_tokens=written), cached or 0, apart


def _cost(reply: AIMessage, model: Model | None, usage: Usage, *, cached: int, apart: bool) -> float | None:
    asked = known_dollars(reply.response_metadata.get(REPORTED))
    if asked:
        return asked
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    price = None if model is None else model.price(usage.input_tokens, usage.output_tokens, cached)
    if price is not None and model is not None and (model.has_own_prices or apart):
        return price
    computed = known_dollars(reply.response_metadata.get(COMPUTED))
    if computed == 0 and model is not None and price is None:
        computed = None  # LiteLLM computes 0 for a model that it lists without a price
    if computed is not None:
        return computed
    return asked if price is None else price
