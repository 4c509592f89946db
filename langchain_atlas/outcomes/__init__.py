"""Recorded outcomes of pairs on queries."""

from langchain_atlas.outcomes.matrix import OutcomeMatrix
from langchain_atlas.outcomes.table import COLUMNS, OPTIONAL_COLUMNS, OutcomeTable

__all__ = ["COLUMNS", "OPTIONAL_COLUMNS", "OutcomeMatrix", "OutcomeTable"]
