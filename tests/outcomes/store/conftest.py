"""Stores on SQLite and on PostgreSQL."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from postgres import Postgres

from langchain_atlas import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/atlas.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.url(f"atlas{next(_NUMBERS)}")


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Callable[..., Store]]:
    """Open stores that are closed with the test, with their spill files in the test's folder."""
    opened: list[Store] = []

    def make(url: str, **settings: Any) -> Store:
        opened.append(Store(url, **{"spill_folder": tmp_path / "spill", **settings}))
        return opened[-1]

    yield make
    for store in opened:
        store.close()
