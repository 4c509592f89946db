"""Outcomes from the logs of other systems: one module for each kind, named in `registry.KINDS`."""

from langchain_atlas.outcomes.importers.registry import KINDS, Imported, import_outcomes

__all__ = ["KINDS", "Imported", "import_outcomes"]
