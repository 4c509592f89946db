"""What the tests of installs share: empty environments of any Python, pip for them, and commands that must succeed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
_NO_NETWORK = re.compile(r"Failed to establish a new connection|No matching distribution found for hatchling")


def run(
    *command: object, given: str | None = None, fails: bool = False, folder: Path | str = "/", **variables: str
) -> str:
    """Run a command in a folder, which must succeed, or which `fails`; return what it printed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ATLAS"))}
    ran = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
        cwd=folder,
        input=given,
        env={**kept, **variables},
    )
    if _NO_NETWORK.search(ran.stderr):
        pytest.skip("no package index can be reached")
    assert (ran.returncode != 0) == fails, ran.stderr[-3000:]
    return ran.stderr if fails else ran.stdout


def pip(environment: Path, *arguments: object) -> None:
    """Run pip for an environment, which has no pip of its own."""
    run(sys.executable, "-m", "pip", "--quiet", "--python", environment / "bin" / "python", *arguments)


def install(environment: Path, *arguments: object) -> None:
    """Install packages into an environment."""
    pip(environment, "install", "--no-compile", *arguments)


def made(folder: Path, name: str, python: str = sys.executable) -> Path:
    """Make an empty environment, without pip, of a Python."""
    run(python, "-m", "venv", "--without-pip", folder / name)
    return folder / name


def python(version: str) -> str:
    """Return the program of a Python such as ``3.12``, or skip where the machine has none."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"), reverse=True)
    for program in filter(None, [shutil.which(f"python{version}"), *kept]):
        code = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
        asked = subprocess.run([program, "-c", code], capture_output=True, text=True, check=False, timeout=60)
        if asked.stdout.strip() == version:  # a shim of pyenv is there for versions that are not chosen
            return str(program)
    pytest.skip(f"no Python {version} on this machine")


def wheel_in(folder: Path) -> Path:
    """Build the wheel as for a release, into a folder, and return its path."""
    run(sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


def pinned(name: str) -> str:
    """Return a requirement with the version that development uses."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return next(line for line in lines if line.startswith(f"{name}=="))
