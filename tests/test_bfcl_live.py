"""What a perfect model calls arrives at the tools whole: BFCL's own questions, judged by BFCL's own checker."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".venv-bfcl/bin/python").exists(), reason="needs what 'make bench-bfcl-live' installs")
def test_the_executor_loses_nothing_of_a_call(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = [
        sys.executable,
        str(ROOT / "benchmarks/bfcl_live.py"),
        "--perfect",
        "4",
        "--most",
        "0",
        "--out",
        str(out),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=250)
    found = json.loads(out.read_text())["figures"]["perfect"]
    assert {pair.removeprefix("perfect ") for pair in found} == {
        "direct", "native", "json", "hermes", "llama", "mistral", "python", "react",
    }  # fmt: skip
    for pair, entry in found.items():
        assert (entry["n"], entry["right"]) == (44, 44), f"{pair}: {entry['errors']}"
