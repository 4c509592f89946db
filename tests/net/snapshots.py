"""Values that are kept in JSON files beside the tests, and compared with what comes out today.

``make net`` (``ATLAS_RECORD_NET=1 pytest tests/net``) writes them anew. A commit that means to change one says so.
"""

from __future__ import annotations

import json
import math
import os
import re
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "kept"
RECORDING = bool(os.environ.get("ATLAS_RECORD_NET"))

_TOLERANCE = 1e-3
"""By how much numbers may differ: other machines round otherwise."""
_LINE = 118
"""Most characters of a line that holds more than one value."""
_ID = re.compile(
    r"(?:lc_run--)?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?:-\d+)?|chatcmpl-[\w-]+|\b[0-9a-f]{32}\b"
)
_PLACE = re.compile(r"127\.0\.0\.1:\d+")


def kept(name: str) -> dict[str, Any]:
    """Return all kept cases of a file."""
    path = FOLDER / f"{name}.json"
    cases: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return cases


def compare(name: str, case: str, value: Any) -> None:
    """Compare a value with the one that is kept for a case, or keep it where the net is recorded anew.

    Args:
        name: the file.
        case: the case in it.
        value: plain JSON.
    """
    value = json.loads(json.dumps(value))
    cases = kept(name)
    if RECORDING:
        cases[case] = value
        _keep(name, cases)
        return
    assert case in cases, f"nothing is kept for {case!r} in {name}.json; record it with `make net`"
    assert _aligned(value, cases[case]) == cases[case]


def check_cases(name: str, cases: set[str]) -> None:
    """Make sure that a file keeps these cases and no others."""
    if RECORDING:
        _keep(name, {case: value for case, value in kept(name).items() if case in cases})
    assert set(kept(name)) == cases


def _keep(name: str, cases: dict[str, Any]) -> None:
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text(_written(cases) + "\n", encoding="utf-8")


def _written(value: Any, indent: str = "") -> str:
    """Write JSON with one line for whatever fits on one, so that a change shows as few lines."""
    line = json.dumps(value, ensure_ascii=False, sort_keys=True)
    if len(indent) + len(line) <= _LINE or not isinstance(value, dict | list):
        return line
    inner = indent + " "
    if isinstance(value, dict):
        parts = [f"{json.dumps(name, ensure_ascii=False)}: {_written(value[name], inner)}" for name in sorted(value)]
    else:
        parts = [_written(part, inner) for part in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n" + ",\n".join(inner + part for part in parts) + f"\n{indent}{closing}"


def _aligned(value: Any, expected: Any) -> Any:
    """Return a value with the kept numbers in place of its own where they are near enough."""
    if isinstance(value, dict) and isinstance(expected, dict):
        return {name: _aligned(part, expected.get(name)) for name, part in value.items()}
    if isinstance(value, list) and isinstance(expected, list) and len(value) == len(expected):
        return [_aligned(part, other) for part, other in zip(value, expected, strict=True)]
    numbers = isinstance(value, float) and isinstance(expected, int | float)
    return expected if numbers and math.isclose(value, expected, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE) else value


class Plain:
    """Makes plain JSON of what comes out of a run: ids by order of appearance, without durations, ports and gaps."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    def __call__(self, value: Any, name: str = "") -> Any:
        """Return a value without what differs from run to run; `name` is the field that holds it."""
        if isinstance(value, dict):
            return {key: self(part, key) for key, part in value.items() if part not in (None, [], {}, "")}
        if isinstance(value, list | tuple):
            return [self(part) for part in value]
        if name.endswith("latency_s") and value is not None:
            return "seconds"
        if isinstance(value, str):
            return _PLACE.sub("server", _ID.sub(lambda found: self._id(found.group()), value))
        if value is None or isinstance(value, bool | int | float):
            return value
        return f"<{type(value).__name__}>"

    def _id(self, text: str) -> str:
        return self._ids.setdefault(text, f"id-{len(self._ids) + 1}")
