"""Whatever a provider does, requests end: in time, within their limits, with an answer or an error that says why."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "chaos.py"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_whatever_a_provider_does_requests_end_in_time_and_within_limits(tmp_path: Path) -> None:
    out = tmp_path / "chaos.json"
    options = ["--requests", "64", "--at-a-time", "8", "--slack", "6", "--out", str(out)]
    subprocess.run([sys.executable, str(BENCHMARK), *options], check=True, capture_output=True, timeout=580)
    found = json.loads(out.read_text())
    asked = {row["number"]: row for row in found["requests"]}
    for what, numbers in found["short"].items():
        assert not numbers, f"{what}: {[asked[number] for number in numbers[:5]]}"
    assert [check for check in found["checks"] if not check["passed"]] == []
    assert len({row["failure"] for row in found["requests"]}) > 50
    assert {row["kind"] for row in found["requests"]} <= {"answered", "said", "error"}
