"""The pictures of the documentation: each has a light and a dark form, is shown, and is described."""

from __future__ import annotations

import importlib
import re
import struct
import sys
from typing import TYPE_CHECKING, Any

import pytest
from pages import ROOT, page

if TYPE_CHECKING:
    from pathlib import Path

IMAGES = sorted((ROOT / "docs/images").iterdir())
LIGHT = [path for path in IMAGES if not path.stem.endswith("-dark")]
SHOWN = re.compile(r"!\[([^\]]*)\]\(\S*?images/([\w-]+\.\w+)\)")
PAGES = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import a module of docsite/pictures."""
    monkeypatch.syspath_prepend(str(ROOT / "docsite/pictures"))
    yield importlib.import_module
    for name in ("svg", "drawn"):
        sys.modules.pop(name, None)


def test_there_are_pictures() -> None:
    names = {path.stem for path in LIGHT}
    assert {"frontier", "trajectory", "trace", "report", "graph"} <= names
    assert {"loop", "clusters", "asking-again", "guard"} <= names


@pytest.mark.parametrize("path", LIGHT, ids=lambda path: path.stem)
def test_a_picture_has_a_dark_form_of_the_same_size(path: Path, script: Any) -> None:
    other = path.with_stem(f"{path.stem}-dark")
    assert other.is_file(), "run: make pictures"
    if path.suffix == ".png":
        sizes = [struct.unpack(">II", one.read_bytes()[16:24]) for one in (path, other)]
        assert sizes[0] == sizes[1]
        assert path.read_bytes() != other.read_bytes()
    elif path.stem != "trace":  # that is written by rich in two themes
        assert script("svg").dark(path.read_text(encoding="utf-8")) == other.read_text(encoding="utf-8")


def test_no_dark_form_is_without_its_light_one() -> None:
    forms = {path.stem.removesuffix("-dark") for path in IMAGES if path.stem.endswith("-dark")}
    assert forms == {path.stem for path in LIGHT}


def test_every_picture_is_shown_and_described() -> None:
    shown = {}
    for path in PAGES:
        for said, name in SHOWN.findall(path.read_text(encoding="utf-8")):
            assert (ROOT / "docs/images" / name).is_file(), f"{path.name} shows {name}"
            assert len(said.split()) >= 5, f"{path.name}: what does {name} show?"
            shown[name] = said
    assert sorted(shown) == sorted(path.name for path in LIGHT)


def test_the_readme_shows_the_form_that_fits_the_reader() -> None:
    text = page("README.md")
    assert "![" not in re.sub(r"!\[[^\]]*\]\(https", "", text)
    for found in re.findall(r"<picture>(.*?)</picture>", text, flags=re.DOTALL):
        dark, light = (
            re.search(r'dark\)" srcset="([^"]+)"', found),
            re.search(r'<img alt="[^"]{20,}" src="([^"]+)"', found),
        )
        assert dark is not None
        assert light is not None
        assert dark[1].replace("-dark", "") == light[1]
        assert (ROOT / dark[1]).is_file()


def test_what_is_drawn_of_the_code_is_as_it_is_drawn(script: Any) -> None:
    drawn = script("drawn")
    for name in ("graph", "loop"):
        assert getattr(drawn, name)() == page(f"docs/images/{name}.svg"), "run: make pictures"


def test_a_colour_without_a_counterpart_is_told(script: Any) -> None:
    with pytest.raises(ValueError, match=r"#123456 has no counterpart in a dark picture; add it to DARK"):
        script("svg").dark('<text fill="#123456">x</text>')


@pytest.mark.parametrize("path", [path for path in IMAGES if path.suffix == ".svg"], ids=lambda path: path.stem)
def test_a_picture_loads_nothing(path: Path) -> None:
    text = re.sub(r'xmlns(:\w+)?="[^"]+"', "", path.read_text(encoding="utf-8"))
    assert not re.search(r"(href|src|url\()[=(\"']*https?:|<script", text)
    assert path.stat().st_size < 100_000
