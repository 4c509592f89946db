"""Logs in the public formats of other systems, small enough to be read, for the tests of the importers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from langchain_atlas.outcomes.importers import Imported, import_outcomes


def lines(path: Path, *values: Any) -> Path:
    """Write one JSON value a line; a text is written as it is, such as a broken line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((v if isinstance(v, str) else json.dumps(v)) + "\n" for v in values), encoding="utf-8")
    return path


def document(path: Path, value: Any) -> Path:
    """Write one JSON document."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def imported(kind: str, *sources: Path, **settings: Any) -> tuple[list[dict[str, Any]], Imported]:
    """Import, and return the rows with the result."""
    done = import_outcomes(kind, list(sources), **settings)
    return done.table.table.to_pylist(), done


def reasons(done: Imported) -> dict[str, str]:
    """Return the reasons of what was not imported, by place without the folder."""
    return {Path(problem.place).name: problem.reason for problem in done.coverage.rejected}


def picked(rows: Sequence[dict[str, Any]], *columns: str) -> list[tuple[Any, ...]]:
    """Return some columns of rows."""
    return [tuple(row[name] for name in columns) for row in rows]
