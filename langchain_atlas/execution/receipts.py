"""What LiteLLM's responses tell of their cost, put where `langchain_atlas.billing` looks for it.

`ChatLiteLLM` hands on LiteLLM's counts: zeros where the provider sent none, a guess of its own for a stream without
any, and LiteLLM's sum where the provider itself says what a reply costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage

from langchain_atlas.amounts import known_dollars
from langchain_atlas.billing import COMPUTED, FROM_CACHE, REPORTED, plausible

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage


@dataclass
class Receipt:
    """What one response tells."""

    asked_usd: float | None = None
    """Dollars that the provider asks for it; None where it does not say."""
    computed_usd: float | None = None
    """Dollars that LiteLLM makes of its tokens; None where it can't."""
    cached: bool = False
    """Whether it comes from LiteLLM's cache."""

    def read(self, response: Any) -> None:
        """Read a whole response."""
        hidden = getattr(response, "_hidden_params", None) or {}
        self.asked_usd = asked(getattr(response, "usage", None))
        self.computed_usd = known_dollars(hidden.get("response_cost"))
        self.cached = bool(hidden.get("cache_hit"))

    def read_chunk(self, chunk: Any, stream: Any) -> None:
        """Read a streamed chunk; counts of LiteLLM's own, where the provider sent none, are taken off it.

        Args:
            chunk: the chunk.
            stream: LiteLLM's stream, which knows the chunks as they came.
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
        self.asked_usd = asked(sent[-1])
        self.computed_usd = known_dollars(getattr(usage, "cost", None)) if self.asked_usd is None else None

    def settle(self, message: BaseMessage) -> None:
        """Write on a message, or on the chunk with the counts, what is known, and take off what can't be."""
        if not isinstance(message, AIMessage) or message.usage_metadata is None:
            return
        metadata = message.response_metadata
        known = {REPORTED: self.asked_usd, COMPUTED: self.asked_usd or self.computed_usd}
        if not plausible(message):
            message.usage_metadata, known[COMPUTED] = None, self.asked_usd
        elif self.cached:
            message.usage_metadata = {**message.usage_metadata, FROM_CACHE: 0}  # type: ignore[assignment]
        for name, dollars in known.items():
            if dollars is None:
                metadata.pop(name, None)
            else:
                metadata[name] = dollars


def asked(usage: Any) -> float | None:
    """Return the dollars that a provider says a response costs; None where it does not, or says what can't be."""
    cost = usage.get("cost") if isinstance(usage, dict) else getattr(usage, "cost", None)
    return known_dollars(cost.get("total_cost") if isinstance(cost, dict) else cost)
