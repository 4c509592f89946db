"""The pages of the documentation: the code that stands in them, and what it takes to be there."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from recorded import row, table_of

import langchain_atlas
from langchain_atlas import ClusterRouter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import ModuleType

    from fixture_types import Serve

    from langchain_atlas.testing import OpenAIServer

ROOT = Path(__file__).parents[1]


def page(name: str) -> str:
    """Return the text of a page, or of another file of the project, such as ``docs/tools.md``."""
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """Return the blocks of code in a page, or in a part of it."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def modules() -> Iterator[ModuleType]:
    """Import and yield every module of the package but those of extras that are not installed, and of migrations."""
    for module in pkgutil.walk_packages(langchain_atlas.__path__, "langchain_atlas."):
        if not re.search(r"migrations|__main__", module.name):
            try:
                yield importlib.import_module(module.name)
            except ImportError:
                continue


def save_router(folder: Path, scores: Mapping[str, float]) -> None:
    """Save a router as ``router`` in a folder, fitted on eight sums with one score for each pair."""
    rows = [row(f"what is {n} times 3?", pair, score, 0.001) for n in range(8) for pair, score in scores.items()]
    ClusterRouter(n_clusters=1).fit(table_of(*rows)).save(folder / "router")


@pytest.fixture
def stand_in(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Start a server where the models of OpenAI, or of the providers that are named, are reached."""

    def start(reply: Callable[[dict[str, Any]], Any], *providers: str) -> OpenAIServer:
        server = serve(reply)
        for provider in providers or ("OPENAI",):
            monkeypatch.setenv(f"{provider}_API_BASE", server.url)
            monkeypatch.setenv(f"{provider}_API_KEY", "not-a-secret")
        return server

    return start
