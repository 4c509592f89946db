"""The `store` argument of the integrations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import SettingError

if TYPE_CHECKING:
    from langchain_atlas.outcomes.store import Store


def as_store(store: Any) -> Store | None:
    """Return the store that an integration was given; without one, nothing of it is imported.

    Args:
        store: a `Store`, or the address of one, which all integrations of this process share; None for none.

    Raises:
        SettingError: it is neither, or the address is not that of a store.
        MissingExtraError: the packages that a store needs are not installed.
    """
    if store is None:
        return None
    from langchain_atlas.outcomes.store import Store

    if isinstance(store, Store):
        return store
    if not isinstance(store, str):
        raise SettingError(f"store is {store!r}; give an address such as 'sqlite:///atlas.db', or a Store.")
    return Store.shared(store)
