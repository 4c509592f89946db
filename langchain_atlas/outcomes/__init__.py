"""Recorded outcomes of pairs on queries. Tables, and pyarrow with them, are imported at first use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from langchain_atlas.outcomes.matrix import OutcomeMatrix

if TYPE_CHECKING:
    from langchain_atlas.outcomes.table import COLUMNS, OPTIONAL_COLUMNS, OutcomeTable

__all__ = ["COLUMNS", "OPTIONAL_COLUMNS", "OutcomeMatrix", "OutcomeTable"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'langchain_atlas.outcomes' has no attribute {name!r}")
    return getattr(import_module("langchain_atlas.outcomes.table"), name)
