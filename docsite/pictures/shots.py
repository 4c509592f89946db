"""Pictures taken with Chromium: the report of the demo's outcomes."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from svg import IMAGES

from langchain_atlas.demo import OUTCOMES

ROOT = Path(__file__).parents[2]
WIDTH, HEIGHT = 1000, 760


def report() -> None:
    """Fit a router on the demo's outcomes, write its report, and take its upper part, light and dark.

    Raises:
        FileNotFoundError: Chromium is not there.
    """
    sys.path.insert(0, str(ROOT / "tests"))  # where the browser is driven from
    from browser import CHROMIUM, browsing

    if CHROMIUM is None:
        raise FileNotFoundError("Chromium is not there")
    from langchain_atlas.cli.app import app

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        out = str(folder / "report.html")
        app(["fit", "--data", str(OUTCOMES), "--out", str(folder / "router")], standalone_mode=False)
        given = ["--data", str(OUTCOMES), "--router", str(folder / "router"), "--out", out, "--volume", "100000/month"]
        app(["report", *given], standalone_mode=False)
        with browsing(folder) as page:
            for scheme, file in (("light", "report.png"), ("dark", "report-dark.png")):
                page.scheme(scheme)
                page.open(f"file://{out}")
                page.resize(WIDTH, HEIGHT)
                page.picture(IMAGES / file, HEIGHT)
