"""The workflow files parse, and what they run is there: targets, extras, markers, Pythons, jobs, the tag check."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def workflow(path: Path) -> dict[str, Any]:
    """Return a workflow; YAML 1.1 reads its ``on`` as true."""
    read = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {("on" if key is True else key): value for key, value in read.items()}


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in workflow(path)["jobs"].values() for step in job["steps"]]


def commands(path: Path) -> str:
    return "\n".join(step["run"] for step in steps(path) if "run" in step)


pytestmark = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def test_it_has_what_a_workflow_needs(path: Path) -> None:
    read = workflow(path)
    assert {"name", "on", "jobs"} <= set(read)
    for job in read["jobs"].values():
        assert job["runs-on"]
        needed = job.get("needs", [])
        assert set([needed] if isinstance(needed, str) else needed) <= set(read["jobs"])
        assert all(("run" in step) != ("uses" in step) for step in job["steps"])


def test_no_job_may_write_more_than_it_needs(path: Path) -> None:
    read = workflow(path)
    for job in read["jobs"].values():
        allowed = job.get("permissions", read.get("permissions"))
        assert allowed in ({"contents": "read"}, {"id-token": "write"})


def test_the_actions_are_of_named_versions(path: Path) -> None:
    for step in steps(path):
        if "uses" in step:
            assert re.fullmatch(r"[\w.-]+/[\w.-]+@(v\d+|release/v\d+)", step["uses"]), step["uses"]


def test_the_make_targets_are_there(path: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    for line in re.findall(r"^make (.+)$", commands(path), flags=re.MULTILINE):
        assert set(line.split()) <= targets


def test_the_extras_and_the_markers_are_there(path: Path) -> None:
    said = commands(path)
    for extras in re.findall(r"\.\[([\w,-]+)\]", said):
        assert set(extras.split(",")) <= set(PYPROJECT["project"]["optional-dependencies"])
    known = {marker.partition(":")[0] for marker in PYPROJECT["tool"]["pytest"]["ini_options"]["markers"]}
    for marker in re.findall(r"pytest -m '(?:not )?(\w+)'", said):
        assert marker in known


def test_what_a_job_names_of_its_matrix_is_in_it(path: Path) -> None:
    for job in workflow(path)["jobs"].values():
        matrix = job.get("strategy", {}).get("matrix", {})
        rows = [{key: None for key in matrix if key != "include"}, *matrix.get("include", [])]
        for step in job["steps"]:
            for name in re.findall(r"\$\{\{ matrix\.(\w+) \}\}", str(step)):
                assert all(name in row for row in rows), name


def test_the_pythons_are_those_that_are_promised(path: Path) -> None:
    promised = {
        name.rpartition(" ")[2] for name in PYPROJECT["project"]["classifiers"] if re.search(r"Python :: 3\.\d+$", name)
    }
    for job in workflow(path)["jobs"].values():
        matrix = job.get("strategy", {}).get("matrix", {})
        if matrix:
            assert set(matrix["python"]) == promised
            assert {row["python"] for row in matrix["include"]} <= promised
        for step in job["steps"]:
            assert step.get("with", {}).get("python-version", "3.11") in promised


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_a_tag_that_is_not_the_version_is_not_published(path: Path) -> None:
    checks = [step["run"] for step in steps(path) if "GITHUB_REF_NAME" in str(step.get("run"))]
    assert len(checks) == (path.stem == "publish")
    version = PYPROJECT["project"]["version"]
    for check in checks:
        for tag, passes in ((f"v{version}", True), (version, False), ("v99.0", False)):
            done = subprocess.run(
                ["bash", "-c", check], cwd=ROOT, env={"PATH": path_of_python(), "GITHUB_REF_NAME": tag}, check=False
            )
            assert (done.returncode == 0) == passes, tag


def path_of_python() -> str:
    """Return a search path where ``python`` is the one that runs the tests."""
    import os
    import sys

    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
