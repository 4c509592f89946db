"""Reading a store as an outcome table, as the commands do for ``--data sqlite:///atlas.db``."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_atlas.errors import OutcomeError
from langchain_atlas.outcomes.store.database import checked_url
from langchain_atlas.outcomes.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_atlas.outcomes.table import OutcomeTable


@contextmanager
def opened(url: str) -> Iterator[Store]:
    """Open a store that is there already, to read it.

    Args:
        url: address of the store.

    Raises:
        OutcomeError: there is no such store.
        SettingError: the address is not that of a store.
    """
    parsed = checked_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(str(parsed.database)).is_file():
        raise OutcomeError(
            f"There is no store {url!r}; an integration that is given store={url!r} makes it. For a file at the root, "
            "write four slashes: 'sqlite:////var/atlas.db'."
        )
    store = Store(url)
    try:
        yield store
    finally:
        store.close()


def load_outcomes(url: str) -> OutcomeTable:
    """Return the outcomes of a store; see `Store.table`.

    Args:
        url: address of the store.

    Raises:
        OutcomeError: there is no such store, it can't be read, or nothing with a text is recorded.
        SettingError: the address is not that of a store.
    """
    with opened(url) as store:
        return store.table()
