"""Run the tutorials of examples/tutorials, and write each as a page with what it printed.

A tutorial is a script. Cells begin with ``# %%``: ``# %% [markdown]`` is prose, ``# %% hidden`` is run and not shown.

Run with: python docsite/tutorials.py (`make docs-pages`). A test runs them and compares the pages with what this gives.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import warnings
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "examples/tutorials"
PAGES = ROOT / "docs/tutorials"
_CELL = re.compile(r"^# %%(.*)\n", flags=re.MULTILINE)
_COMMAND = re.compile(r"""^run\((?:"(.*)"|'(.*)')\)$""")


def page(script: Path) -> str:
    """Run a tutorial, and return its page."""
    names: dict[str, Any] = {"__name__": "__main__", "__file__": str(script)}
    _, *cells = _CELL.split(script.read_text(encoding="utf-8"))
    parts, here = [], Path.cwd()
    try:
        for kind, text in zip(cells[::2], cells[1::2], strict=True):
            if kind.strip() == "[markdown]":
                parts.append(re.sub(r"^# ?", "", text.strip(), flags=re.MULTILINE))
            elif kind.strip() == "hidden":
                _printed(text, names, script)
            else:
                parts.append(_shown(text.strip(), names, script))
    finally:
        os.chdir(here)
    note = f"*The page is made by running [{script.name}](../../examples/tutorials/{script.name}).*"
    return "\n\n".join([*parts, note]) + "\n"


def _shown(code: str, names: dict[str, Any], script: Path) -> str:
    commands = [_COMMAND.match(line) for line in code.splitlines()]
    if all(commands):
        blocks = []
        for line, found in zip(code.splitlines(), commands, strict=True):
            printed = _printed(line, names, script)
            blocks.append(f"```console\n$ {found and (found[1] or found[2])}\n{printed}```")
        return "\n\n".join(blocks)
    printed = _printed(code, names, script)
    return f"```python\n{code}\n```" + (f"\n\n```text\n{printed}```" if printed else "")


def _printed(code: str, names: dict[str, Any], script: Path) -> str:
    """Run a cell, and return what it printed, without blanks at the ends of lines."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), warnings.catch_warnings(action="ignore"):
        exec(compile(code, str(script), "exec"), names)  # noqa: S102  # our own text
    return re.sub(r" +$", "", out.getvalue(), flags=re.MULTILINE)


def main() -> None:
    """Write the pages."""
    for script in sorted(SCRIPTS.glob("*.py")):
        (PAGES / f"{script.stem}.md").write_text(page(script), encoding="utf-8")


if __name__ == "__main__":
    main()
