"""The store: decisions, outcomes and scores in SQL, written beside the answers and read by what learns from them."""

from langchain_atlas.outcomes.store.store import Store
from langchain_atlas.outcomes.store_url import is_store_url

__all__ = ["Store", "is_store_url"]
