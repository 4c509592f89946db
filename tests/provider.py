"""Fixtures around a local model provider, for the rooms that call models."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from langchain_atlas import Model
from langchain_atlas.testing import OpenAIServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from langchain_atlas.testing.server import Reply


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., OpenAIServer]]:
    """Start servers that end with the test; the key that models send is ``secret``."""
    monkeypatch.setenv("ATLAS_TEST_KEY", "secret")
    # LiteLLM keeps its aiohttp sessions open; with an event loop for every test each of them would complain at exit.
    monkeypatch.setenv("DISABLE_AIOHTTP_TRANSPORT", "True")
    with ExitStack() as servers:

        def start(reply: Callable[[dict[str, Any]], Reply] | Reply, delay_s: float = 0.0) -> OpenAIServer:
            say = reply if callable(reply) else lambda _: reply
            return servers.enter_context(OpenAIServer(say, delay_s=delay_s))

        yield start


@pytest.fixture
def reach() -> Callable[..., Model]:
    """Make a model that is reached at a server."""

    def model(server: OpenAIServer, name: str = "small", **fields: Any) -> Model:
        options = {"api_base": server.url, **fields.pop("options", {})}
        settings = {"litellm": f"openai/{name}", "api_key_env": "ATLAS_TEST_KEY", **fields}
        return Model(name=name, options=options, **settings)

    return model


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait hardly at all between retries."""
    monkeypatch.setattr("langchain_atlas.execution.models.litellm_chat._FIRST_PAUSE_S", 0.01)
