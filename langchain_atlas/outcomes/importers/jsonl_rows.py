"""Importer ``jsonl``: JSONL, JSON and parquet files with one answer an object; nested fields are mapped with dots."""

from __future__ import annotations

from langchain_atlas.outcomes.importers.reading.tabular import read_rows as read

__all__ = ["read"]
