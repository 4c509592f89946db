"""Tools for a model to call, and a provider that says what it is told to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.tools import tool

from langchain_atlas import Query

if TYPE_CHECKING:
    from collections.abc import Callable

QUESTION = Query(text="What is 6 times 7?")


@tool
def multiply(first: int, second: int) -> int:
    """Multiply two numbers."""
    return first * second


@tool
def look_up(topic: str) -> str:
    """Look a topic up."""
    if topic == "nothing":
        raise LookupError("no such topic")
    return f"All about {topic}"


@tool
def flip() -> str:
    """Flip a coin."""
    return "heads"


def in_turn(*replies: Any) -> Callable[[Any], Any]:
    """Give one reply after the other, whatever is asked."""
    left = iter(replies)
    return lambda _: next(left)
