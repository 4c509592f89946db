"""Importer ``csv``: CSV and TSV files with one answer a row; the delimiter is found from the header."""

from __future__ import annotations

from langchain_atlas.outcomes.importers.reading.tabular import read_rows as read

__all__ = ["read"]
