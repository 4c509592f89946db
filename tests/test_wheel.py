"""The package as a stranger gets it: what is in the wheel and the sdist, and what PyPI shows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def tool(name: str) -> str:
    """Return a program of `make wheel`, or skip."""
    for folder in (ROOT / ".venv-docs/bin", Path(os.environ.get("ATLAS_DOCS_VENV", "/")) / "bin"):
        if (folder / name).is_file():
            return str(folder / name)
    if (path := shutil.which(name)) is None:
        pytest.skip(f"needs {name}: make wheel")
    return path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with wheel and sdist, made from the files that git knows, so that nothing that lies about comes in."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, source / name)
    for folder in (out / "one", out / "two"):
        _build(source, folder)
    return out


def _build(source: Path, out: Path) -> None:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    done = subprocess.run(
        [tool("pyproject-build"), "--outdir", str(out)],
        cwd=source, env=environment, capture_output=True, text=True, check=False, timeout=250,
    )  # fmt: skip
    if "No matching distribution" in done.stdout + done.stderr or "Failed to establish" in done.stdout + done.stderr:
        pytest.skip("the build back end can't be had here")
    assert done.returncode == 0, done.stdout + done.stderr


def wheel(built: Path) -> zipfile.ZipFile:
    (path,) = (built / "one").glob("*.whl")
    return zipfile.ZipFile(path)


pytestmark = pytest.mark.slow


def test_the_wheel_has_the_package_with_its_types_and_data_and_nothing_else(built: Path) -> None:
    names = wheel(built).namelist()
    assert {name.partition("/")[0] for name in names} == {"langchain_atlas", "langchain_atlas-0.1.0.dist-info"}
    ours = {str(path.relative_to(ROOT)) for path in (ROOT / "langchain_atlas").rglob("*") if path.is_file()}
    expected = {name for name in ours if "__pycache__" not in name}
    assert {name for name in names if name.startswith("langchain_atlas/")} == expected
    assert {
        "langchain_atlas/py.typed",
        "langchain_atlas/demo/outcomes.parquet",
        "langchain_atlas/demo/logs/helpdesk.csv",
    } <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_what_pypi_shows(built: Path) -> None:
    archive = wheel(built)
    (name,) = (one for one in archive.namelist() if one.endswith("METADATA"))
    shown = HeaderParser().parsestr(archive.read(name).decode())
    assert shown["Name"] == "langchain-atlas"
    assert shown["License-Expression"] == "MIT"
    assert shown["Requires-Python"] == ">=3.11"
    for minor in (11, 12, 13):
        assert f"Programming Language :: Python :: 3.{minor}" in shown.get_all("Classifier", [])
    assert shown["Description-Content-Type"] == "text/markdown"
    checked = subprocess.run(
        [tool("twine"), "check", "--strict", *map(str, (built / "one").iterdir())],
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_sdist_has_what_its_tests_and_docs_need(built: Path) -> None:
    (path,) = (built / "one").glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md", "pyproject.toml", "mkdocs.yml", "Makefile"} <= names
    assert {"docs/index.md", "tests/test_wheel.py", "examples/tutorials/router_from_logs.py"} <= names
    assert [name for name in names if re.search(r"__pycache__|\.venv|\.pyc$|^site/|^\.ci/|\.db$", name)] == []


def test_two_builds_give_the_same_bytes(built: Path) -> None:
    for path in (built / "one").iterdir():
        assert path.read_bytes() == (built / "two" / path.name).read_bytes(), path.name
