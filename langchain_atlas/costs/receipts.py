"""Costs reported in LiteLLM's responses, put where `langchain_atlas.costs.billing` looks for them.

`ChatLiteLLM` passes on LiteLLM's counts: zeros if the provider sent none, its own estimate for a stream without counts,
and LiteLLM's computed cost even if the provider reports the cost of a reply.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage

from langchain_atlas.amounts import known_dollars
from langchain_atlas.costs.billing import COMPUTED, FROM_CACHE, REPORTED, plausible

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage


@dataclass
class Receipt:
    """Cost information from one response."""

    asked_usd: float | None = None
    """Dollars that the provider charges; None if it does not report this."""
    computed_usd: float | None = None
    """Dollars that LiteLLM computes from the tokens; None if it can't."""
    cached: bool = False
    """Whether it comes from LiteLLM's cache."""

    def read(self, response: Any) -> None:
        """Read a complete response."""
        hidden = getattr(response, "_hidden_params", None) or {}
        self.asked_usd = asked_dollars(getattr(response, "usage", None))
        self.computed_usd = known_dollars(hidden.get("response_cost"))
        self.cached = bool(hidden.get("cache_hit"))

    def read_chunk(self, chunk: Any, stream: Any) -> None:
        """Read a streamed chunk; LiteLLM's estimated counts are removed from it if the provider sent none.

        Args:
            chunk: the chunk.
            stream: LiteLLM's stream, which holds the original chunks.
        """
        usage = getattr(chunk, "usage", None)
        if usage is None:
            return
        hidden = getattr(stream, "_hidden_params", None) or {}
        self.cached = self.cached or bool(hidden.get("cache_hit"))
        known = getattr(stream, "chunks", None)
        if known is None:
            return
        sent = [one.usage for one in known if getattr(one, "usage", None) is not None]
        if not sent:
            chunk.usage = None
            return
        self.asked_usd = asked_dollars(sent[-1])
        self.computed_usd = known_dollars(getattr(usage, "cost", None)) if self.asked_usd is None else None

    def settle(self, message: BaseMessage) -> None:
        """Add what is known to a message, or to the chunk with the counts, and remove implausible counts."""
        if not isinstance(message, AIMessage) or message.usage_metadata is None:
            return
        metadata = message.response_metadata
        known = {REPORTED: self.asked_usd, COMPUTED: self.asked_usd or self.computed_usd}
        if not plausible(message):
            message.usage_metadata, known[COMPUTED] = None, self.asked_usd
        elif self.cached:
            counts: Any = {**message.usage_metadata, FROM_CACHE: 0}
            message.usage_metadata = counts
        for name, dollars in known.items():
            if dollars is None:
                metadata.pop(name, None)
            else:
                metadata[name] = dollars


def asked_dollars(usage: Any) -> float | None:
    """Return the cost in dollars that a provider reports for a response; None if missing or implausible."""
    cost = usage.get("cost") if isinstance(usage, dict) else getattr(usage, "cost", None)
    return known_dollars(cost.get("total_cost") if isinstance(cost, dict) else cost)
