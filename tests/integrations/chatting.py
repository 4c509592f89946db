"""Every way there is to ask a chat model or another runnable, and a tool to ask with."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from langchain_core.tools import tool

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.messages import AIMessageChunk


@tool
def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"sun in {city}"


def joined(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    joined = chunks[0]
    for chunk in chunks[1:]:
        joined += chunk
    assert [chunk.chunk_position for chunk in chunks if chunk.chunk_position] == ["last"]
    assert len({chunk.id for chunk in chunks}) == 1
    return joined


def ways(whole: Callable[[list[Any]], Any]) -> dict[str, Callable[..., Any]]:
    """Return the ways to ask a runnable; `whole` makes one answer of what is streamed."""

    async def astream(runnable: Any, asked: Any, settings: dict[str, Any]) -> Any:
        return whole([part async for part in runnable.astream(asked, **settings)])

    async def abatch(runnable: Any, asked: Any, settings: dict[str, Any]) -> Any:
        return (await runnable.abatch([asked], **settings))[0]

    return {
        "invoke": lambda runnable, asked, settings: runnable.invoke(asked, **settings),
        "ainvoke": lambda runnable, asked, settings: asyncio.run(runnable.ainvoke(asked, **settings)),
        "stream": lambda runnable, asked, settings: whole(list(runnable.stream(asked, **settings))),
        "astream": lambda runnable, asked, settings: asyncio.run(astream(runnable, asked, settings)),
        "batch": lambda runnable, asked, settings: runnable.batch([asked], **settings)[0],
        "abatch": lambda runnable, asked, settings: asyncio.run(abatch(runnable, asked, settings)),
    }


WAYS = ways(joined)
"""Those to ask a chat model."""
