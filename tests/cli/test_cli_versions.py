"""``--version``, and completion in the shell."""

import os
import subprocess
import sys
from importlib.metadata import version

import pytest
from typer.testing import CliRunner

from langchain_atlas.cli import versions
from langchain_atlas.cli.app import app


def test_the_version_names_what_a_bug_report_needs() -> None:
    first, python, system, *packages = CliRunner().invoke(app, ["--version"]).output.splitlines()
    assert first == f"langchain-atlas {version('langchain-atlas')}"
    assert python.startswith(f"Python {sys.version_info.major}.{sys.version_info.minor}.")
    assert os.uname().machine in system
    assert f"litellm {version('litellm')}" in packages
    assert f"langgraph {version('langgraph')}" in packages


def test_a_package_that_is_missing_is_named_only_where_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "NEEDED", ("no-such-package",))
    monkeypatch.setattr(versions, "OPTIONAL", ("no-such-extra",))
    assert versions.report().splitlines()[3:] == ["no-such-package not installed"]


def test_the_shell_completes_commands_and_options() -> None:
    run = [sys.executable, "-c", "from langchain_atlas.cli.app import app; app(prog_name='langchain-atlas')"]
    for typed, expected in (("langchain-atlas fi", "fit"), ("langchain-atlas fit --hol", "--hold-out")):
        given = {"_LANGCHAIN_ATLAS_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
        done = subprocess.run(run, env={**os.environ, **given}, capture_output=True, text=True, check=False, timeout=60)
        assert expected in done.stdout.split(), done.stderr
