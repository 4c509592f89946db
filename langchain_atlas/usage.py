"""What calls of models used: tokens and dollars, any of which may be unknown."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from langchain_atlas.amounts import add_known, known_dollars, known_tokens
from langchain_atlas.records import Record

Tokens = Annotated[int | None, BeforeValidator(known_tokens)]
"""A token count; an implausible value becomes None, which means unknown."""
Dollars = Annotated[float | None, BeforeValidator(known_dollars)]
"""An amount in dollars; an implausible value becomes None, which means unknown."""


class Usage(Record):
    """Tokens of one or more model calls."""

    input_tokens: Tokens = None
    """Input tokens; None when unknown."""
    output_tokens: Tokens = None
    """Output tokens; None when unknown."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=add_known(self.input_tokens, other.input_tokens),
            output_tokens=add_known(self.output_tokens, other.output_tokens),
        )


class Spending(Record):
    """What a tool spent on models of its own; such a tool returns it, or a subclass of it, as its artifact."""

    usage: Usage = Usage()
    """Tokens of its model calls."""
    cost_usd: Dollars = None
    """Cost of its model calls, in dollars; None when unknown."""

    def __add__(self, other: Spending) -> Spending:
        return Spending(usage=self.usage + other.usage, cost_usd=add_known(self.cost_usd, other.cost_usd))
