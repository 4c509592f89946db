"""Recorded outcomes of pairs on queries."""

from langchain_atlas.outcomes.matrix import OutcomeMatrix
from langchain_atlas.outcomes.table import COLUMNS, OutcomeTable

__all__ = ["COLUMNS", "OutcomeMatrix", "OutcomeTable"]
