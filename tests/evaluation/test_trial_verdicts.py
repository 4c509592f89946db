"""Verdicts on a candidate, on BFCL's recorded outcomes; the table with more runs is in docs/shadow.md."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
TABLE = BENCHMARKS.parents[1] / "shared" / "data" / "bfcl_pairs.parquet"


@pytest.mark.skipif(not TABLE.is_file(), reason="needs the shared data folder beside the repository")
@pytest.mark.parametrize(("wanted", "right"), [(0.02, "switch"), (0.0, "don't"), (-0.02, "don't")])
def test_verdicts_on_recorded_outcomes_are_right(wanted: float, right: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import shadow  # type: ignore[import-not-found]

    from langchain_atlas.outcomes import OutcomeTable

    two = shadow.apart(OutcomeTable.load(TABLE), wanted)
    assert two.difference == pytest.approx(wanted, abs=0.001)
    ended = [shadow.watched(two, seed)[0] for seed in range(40)]
    assert ended.count(right) >= 36, "38 are expected at least; two standard errors are 3"
    sys.modules.pop("shadow")
