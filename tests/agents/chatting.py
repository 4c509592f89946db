"""Every way there is to ask a chat model, and a tool to ask it with."""

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


async def _astream(model: Any, asked: Any, settings: dict[str, Any]) -> Any:
    return joined([chunk async for chunk in model.astream(asked, **settings)])


async def _abatch(model: Any, asked: Any, settings: dict[str, Any]) -> Any:
    return (await model.abatch([asked], **settings))[0]


def joined(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    joined = chunks[0]
    for chunk in chunks[1:]:
        joined += chunk
    assert [chunk.chunk_position for chunk in chunks if chunk.chunk_position] == ["last"]
    assert len({chunk.id for chunk in chunks}) == 1
    return joined


WAYS: dict[str, Callable[..., Any]] = {
    "invoke": lambda model, asked, settings: model.invoke(asked, **settings),
    "ainvoke": lambda model, asked, settings: asyncio.run(model.ainvoke(asked, **settings)),
    "stream": lambda model, asked, settings: joined(list(model.stream(asked, **settings))),
    "astream": lambda model, asked, settings: asyncio.run(_astream(model, asked, settings)),
    "batch": lambda model, asked, settings: model.batch([asked], **settings)[0],
    "abatch": lambda model, asked, settings: asyncio.run(_abatch(model, asked, settings)),
}
