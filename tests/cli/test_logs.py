"""The commands on a log of one pair a query, as a person runs them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from one_pair_logs import two_poets

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Command


@pytest.mark.usefixtures("fake_encoder")
class TestLogs:
    @pytest.fixture
    def log(self, tmp_path: Path) -> str:
        two_poets(0, count=240).save(tmp_path / "log.parquet")
        return str(tmp_path / "log.parquet")

    def test_fit_and_evaluate_say_that_they_estimate(self, log: str, tmp_path: Path, command: Command) -> None:
        fitted = command(
            "fit", "--data", log, "--router", "knn", "--out", tmp_path / "router", "--json", tmp_path / "f"
        )
        assert fitted.status == 0
        assert "240 of 240 queries are recorded for one pair only" in " ".join(fitted.out.split())
        held = json.loads((tmp_path / "f").read_text())["held_out"]
        assert (held["estimated"], held["verdict"]) == (True, "worth it")
        two_poets(1, count=240).save(tmp_path / "newer.parquet")
        judged = command(
            *(
                "evaluate",
                "--data",
                tmp_path / "newer.parquet",
                "--router",
                tmp_path / "router",
                "--json",
                tmp_path / "e",
            )
        )
        assert judged.status == 0
        assert "Estimating from 240 outcomes" in judged.out
        figures = json.loads((tmp_path / "e").read_text())
        assert (figures["estimated"], figures["method"]) == (True, "doubly robust")
        assert figures["routers"][str(tmp_path / "router")]["accuracy"] == pytest.approx(0.95, abs=0.07)

    def test_a_pair_never_logged_on_a_domain_is_refused(self, log: str, tmp_path: Path, command: Command) -> None:
        command("fit", "--data", log, "--router", "knn", "--out", tmp_path / "router", "--hold-out", "0")
        two_poets(1, count=240, never=("byron", "poems")).save(tmp_path / "other.parquet")
        refused = command("evaluate", "--data", tmp_path / "other.parquet", "--router", tmp_path / "router")
        assert refused.status == 2
        assert "byron@@none on 'poems'" in " ".join(refused.error.split())
