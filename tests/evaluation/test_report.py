"""The report: its numbers, what must not be in it, and the page in a real browser."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from recorded import kinds_of_query, row, table_of
from replaying import ChainRouter

from langchain_atlas.encoders import Encoder
from langchain_atlas.errors import InvalidInputError, MissingExtraError
from langchain_atlas.evaluation.replay.benchmark import evaluate
from langchain_atlas.evaluation.report import page as module
from langchain_atlas.evaluation.report.clusters import projected
from langchain_atlas.evaluation.report.page import embedded, figures, page, report
from langchain_atlas.evaluation.settings import sweeps
from langchain_atlas.evaluation.settings.sweeps import N_STEPS, settings_of, sweep
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.baselines import SinglePairRouter
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.learned.knn import KNNRouter
from langchain_atlas.routers.operating import OperatingCurve, OperatingPoint

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HOSTILE = '</script><img src=x onerror="boom()"> <b>bold</b> {{STYLE}} \u2028 & so on'


@pytest.fixture
def router(encoder: Encoder, outcomes: OutcomeTable) -> ClusterRouter:
    return ClusterRouter(encoder, n_clusters=3, cost_weight=0.3, strength=1.0).fit(outcomes)


def content_of(html: str) -> Any:
    found = re.search(r'<script id="content" type="application/json">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


class TestNumbers:
    def test_every_step_is_what_evaluate_says(self, router: ClusterRouter, outcomes: OutcomeTable) -> None:
        drawn = figures({"mine": router}, outcomes)["routers"][0]
        assert [step["value"] for step in drawn["steps"]] == pytest.approx([number / 20 for number in range(N_STEPS)])
        assert drawn["steps"][drawn["start"]]["value"] == 0.3
        for number in (0, 6, 20):
            step = drawn["steps"][number]
            expected = evaluate({"x": router.configure(cost_weight=step["value"])}, outcomes).routers["x"]
            assert step["accuracy"] == expected.accuracy
            assert step["cost"] == pytest.approx(expected.cost_usd_per_1k)
            assert [rate["value"] for rate in step["domains"]] == list(expected.per_domain.values())
            assert sum(share for _, share in step["shares"]) == pytest.approx(1, abs=1e-3)
            assert expected.versus_best_single is not None
            assert step["gain"] == pytest.approx(expected.versus_best_single.difference)

    def test_the_knob_moves_whom_the_clusters_ask(self, router: ClusterRouter, outcomes: OutcomeTable) -> None:
        content = figures({"mine": router}, outcomes)
        asked = content["routers"][0]["clusters"]["asked"]
        names = [
            {content["pairs"][pair]["name"] for cluster in step for pair, _, _ in cluster}
            for step in (asked[0], asked[-1])
        ]
        assert names == [{"small@@calculator", "small@@search", "large@@none"}, {"small@@calculator"}]

    def test_heat_counts_every_outcome_once(self, router: ClusterRouter, outcomes: OutcomeTable) -> None:
        heat = figures({"mine": router}, outcomes)["routers"][0]["clusters"]["heat"]
        assert sum(map(sum, heat["count"])) == len(outcomes)
        assert sorted(cell for cluster in heat["success"] for cell in cluster) == [0.0] * 6 + [1.0] * 3

    def test_batches_change_nothing(
        self, router: ClusterRouter, outcomes: OutcomeTable, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = sweep(router, outcomes)
        monkeypatch.setattr(sweeps, "_BATCH", 5)
        for one, other in zip(whole.runs, sweep(router, outcomes).runs, strict=True):
            assert one.score.tolist() == other.score.tolist()
            assert one.answered.tolist() == other.answered.tolist()
            assert one.call_share == pytest.approx(other.call_share)

    def test_a_setting_off_the_grid_is_added(self, router: ClusterRouter) -> None:
        knob, settings, start = settings_of(router.configure(cost_weight=0.33))
        assert (knob, len(settings), settings[start].value) == ("cost_weight", N_STEPS + 1, 0.33)

    def test_a_measured_router_is_drawn_in_dollars_at_the_setting_that_was_chosen(
        self, router: ClusterRouter, outcomes: OutcomeTable
    ) -> None:
        routed = measured(router)
        drawn = figures({"mine": routed}, outcomes)
        entry = drawn["routers"][0]
        assert entry["knob"] == "value"
        assert [step["value"] for step in entry["steps"]] == [0.1, 0.01, 0.001, None]
        assert entry["steps"][entry["start"]]["label"] == "a right answer at $0.01"
        assert entry["setting"].startswith("mine: a right answer at $0.01; held-out queries gave 80.0% right")
        assert drawn["notes"][0] == entry["setting"]
        single = settings_of(routed.configure(always="large@@none", value_usd=None))
        assert single[1][single[2]].label == "large@@none always"
        assert settings_of(routed.configure(cost_weight=0.2))[0] == "cost_weight"

    def test_where_the_figures_flatter_what_held_out_queries_gave_leads(
        self, router: ClusterRouter, outcomes: OutcomeTable
    ) -> None:
        entry = figures({"mine": measured(router)}, outcomes)["routers"][0]
        now = entry["steps"][entry["start"]]
        assert (entry["basis"], now["lead"]["accuracy"], now["lead"]["bar"]["accuracy"]) == ("fitted", 0.8, 0.6)
        assert now["sentence"] == (
            "Router mine was right on 80.0% (70.0% to 90.0%) of 100 queries that were held out when it was fitted, "
            "large@@none alone on 60.0%, and costs $2.00 instead of $4.00 per 1000 queries."
        )

    def test_what_is_spent_is_a_lower_bound_where_costs_are_unknown(
        self, router: ClusterRouter, outcomes: OutcomeTable
    ) -> None:
        rows = [
            {**each, "cost_usd": None if each["model"] == "small" else each["cost_usd"]}
            for each in outcomes.table.to_pylist()
        ]
        step = figures({"mine": router}, OutcomeTable.from_rows(rows))["routers"][0]["steps"][0]
        assert 0 < step["cost_known"] < 1

    def test_a_router_without_a_knob_or_clusters(self, outcomes: OutcomeTable) -> None:
        drawn = figures({"single": SinglePairRouter("large@@none")}, outcomes)["routers"][0]
        assert (drawn["knob"], len(drawn["steps"]), drawn["clusters"]) == (None, 1, None)
        assert drawn["steps"][0]["accuracy"] == pytest.approx(1 / 3)

    def test_calls_of_a_router_that_asks_twice(self, outcomes: OutcomeTable) -> None:
        chain = ChainRouter(Pair.parse("small@@search"), Pair.parse("large@@none"))
        step = figures({"chain": chain}, outcomes)["routers"][0]["steps"][0]
        assert (step["calls"], step["calls_share"]) == (2.0, [0.0, 0.0, 1.0])

    def test_progress_ends_at_the_whole(self, router: ClusterRouter, outcomes: OutcomeTable) -> None:
        seen: list[tuple[int, int]] = []
        figures({"mine": router}, outcomes, progress=lambda done, total: seen.append((done, total)))
        assert seen[-1] == (18 * N_STEPS, 18 * N_STEPS)
        assert [total for _, total in seen] == [18 * N_STEPS] * len(seen)

    def test_a_map_of_few_points(self, encoder: Encoder, outcomes: OutcomeTable) -> None:
        vectors = encoder.encode([query.text for query in outcomes.queries])
        place = outcomes.matrix().argmax(axis=1)
        assert projected(vectors, place).shape == (18, 2)
        assert projected(vectors[:1], place[:1]).shape == (1, 2)

    def test_no_router(self, outcomes: OutcomeTable) -> None:
        with pytest.raises(InvalidInputError, match="needs a router"):
            figures({}, outcomes)


class TestPage:
    def test_is_one_file_that_asks_nobody(self, router: ClusterRouter, outcomes: OutcomeTable) -> None:
        html = report({"mine": router}, outcomes)
        assert "default-src 'none'" in html
        assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=", html.partition("<script id=")[0])
        assert "{{" not in html.partition("<script id=")[0]

    def test_texts_are_left_out_unless_asked_for(self, router: ClusterRouter, outcomes: OutcomeTable) -> None:
        texts = [query.text for query in outcomes.queries]
        assert not any(text in report({"mine": router}, outcomes) for text in texts)
        assert any(text in report({"mine": router}, outcomes, show_queries=True) for text in texts)

    def test_where_the_router_lies_is_left_out_of_what_is_shown(
        self, router: ClusterRouter, outcomes: OutcomeTable
    ) -> None:
        drawn = figures({"/home/me/routers/one?alpha=0.2": router}, outcomes)["routers"][0]
        assert drawn["label"] == "one?alpha=0.2"

    def test_hostile_texts_stay_texts(self, encoder: Encoder) -> None:
        table = hostile()
        html = report({HOSTILE: fitted(encoder, table)}, table, show_queries=True)
        plain = report({"mine": fitted(encoder, kinds_of_query())}, kinds_of_query())
        assert html.count("</script>") == plain.count("</script>")
        assert " ".join(HOSTILE.split()) in content_of(html)["routers"][0]["clusters"]["clusters"][0]["samples"][0]

    def test_embedded_json_reads_back(self) -> None:
        assert "<" not in embedded({"a": HOSTILE})
        assert json.loads(embedded({"a": HOSTILE})) == {"a": HOSTILE}

    def test_missing_plotly(
        self, router: ClusterRouter, outcomes: OutcomeTable, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module.importlib.util, "find_spec", lambda _: None)
        with pytest.raises(MissingExtraError, match=r"langchain-atlas\[report\]"):
            report({"mine": router}, outcomes)


def measured(router: ClusterRouter) -> ClusterRouter:
    """Give a router a curve of three values and one pair always, and set it to the second."""

    def point(value: float | None, accuracy: float, cost: float) -> OperatingPoint:
        return OperatingPoint(
            value_usd=value,
            always=None if value else "large@@none",
            accuracy=accuracy,
            accuracy_ci95=(accuracy - 0.1, accuracy + 0.1),
            versus_single=accuracy - 0.6,
            cost_usd_per_1k=cost,
            cost_known=1.0,
            latency_s_mean=None,
            calls_per_query=1.0,
        )

    points = (point(0.1, 0.8, 3.0), point(0.01, 0.8, 2.0), point(0.001, 0.7, 1.0), point(None, 0.6, 4.0))
    routed = router.configure(cost_weight=0.0)
    routed.curve = OperatingCurve(points=points, chosen=1, best=0, n_queries=100, reason="It is the cheapest.")
    return routed.configure(**points[1].settings)


def hostile() -> OutcomeTable:
    """Make outcomes whose texts, domains, models and tools try to break the page, some costs unknown."""
    return table_of(
        *(
            row(
                f"q{number}{HOSTILE}",
                f"<i>{model}</i>@@<u>tool</u>",
                float((number % 2 == 0) == (model == "a")),
                None if number == 0 else 0.001,
                query=HOSTILE,
                domain=f"<s>{number % 2}</s>{HOSTILE}",
            )
            for number in range(12)
            for model in "ab"
        )
    )


def fitted(encoder: Encoder, table: OutcomeTable) -> ClusterRouter:
    return ClusterRouter(encoder, n_clusters=3).fit(table)


def opened(path: Path, fragment: str = "") -> str:
    """Open a page in a real browser, and return the document after its scripts have run."""
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={path.parent / 'profile'}",
            "--virtual-time-budget=10000",
            "--dump-dom",
            f"{path.as_uri()}{fragment}",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout


def root_of(document: str) -> dict[str, str]:
    """Return what the page says of itself on its first element."""
    head = re.search(r"<html[^>]*>", document)
    assert head is not None
    return dict(re.findall(r'data-(\w+)="([^"]*)"', head[0]))


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, which is not installed")
class TestBrowser:
    def draw(self, path: Path, routers: dict[str, Router], table: OutcomeTable) -> Path:
        path.write_text(page(figures(routers, table, show_queries=True)), encoding="utf-8")
        return path

    def test_draws_without_a_script_error(
        self, router: ClusterRouter, encoder: Encoder, outcomes: OutcomeTable, tmp_path: Path
    ) -> None:
        routers = {"mine": router, "knn": KNNRouter(encoder).fit(outcomes)}
        document = opened(self.draw(tmp_path / "report.html", routers, outcomes))
        root = root_of(document)
        assert (root["errors"], root["ready"], root["at"]) == ("", "true", "0.3")
        for chart in ("frontier", "map", "heat", "shares", "domains"):
            drawn = document.partition(f'<div id="{chart}"')[2]
            assert "<svg" in drawn.partition("</section>")[0], chart
        assert document.count('<tr><td class="name"><span class="swatch"') == 3
        shown = re.search(r'<p id="warning"[^>]*>([^<]*)</p>', document)
        assert shown is not None
        assert "hidden" not in shown[0].partition(">")[0]
        assert shown[1].startswith("Router 'mine' was fitted on all 18 of these queries")

    def test_the_slider_moves_pairs_and_point(
        self, router: ClusterRouter, outcomes: OutcomeTable, tmp_path: Path
    ) -> None:
        path = self.draw(tmp_path / "report.html", {"mine": router}, outcomes)
        left, right = (root_of(opened(path, f"#alpha={value}")) for value in (0, 1))
        assert (left["at"], left["errors"]) == ("0", "")
        assert (right["at"], right["errors"]) == ("1", "")
        assert left["accuracy"] != right["accuracy"]
        assert left["pairs"] != right["pairs"]

    def test_hostile_texts_are_shown_and_not_run(self, encoder: Encoder, tmp_path: Path) -> None:
        table = hostile()
        document = opened(self.draw(tmp_path / "report.html", {HOSTILE: fitted(encoder, table)}, table))
        root = root_of(document)
        assert (root["errors"], root["ready"]) == ("", "true")
        assert "<img" not in document.partition('<script id="content"')[0]
        assert "&lt;img src=x onerror=" in document

    def test_the_slider_in_dollars(self, router: ClusterRouter, outcomes: OutcomeTable, tmp_path: Path) -> None:
        path = self.draw(tmp_path / "report.html", {"mine": measured(router)}, outcomes)
        start, dear, single = (root_of(opened(path, fragment)) for fragment in ("", "#value=0.2", "#value=0.0008"))
        assert [root["errors"] for root in (start, dear, single)] == ["", "", ""]
        assert [root["at"] for root in (start, dear, single)] == ["0.01", "0.1", "0.001"]

    @pytest.mark.parametrize("kind", ["one step", "many calls", "no costs", "free"])
    def test_other_kinds_of_router_and_data(self, kind: str, outcomes: OutcomeTable, tmp_path: Path) -> None:
        router: Router = SinglePairRouter("large@@none")
        if kind == "many calls":
            router = ChainRouter(Pair.parse("small@@search"), Pair.parse("large@@none"))
        if kind in ("no costs", "free"):
            rows = [{**each, "cost_usd": None if kind == "no costs" else 0.0} for each in outcomes.table.to_pylist()]
            outcomes = OutcomeTable.from_rows(rows)
        document = opened(self.draw(tmp_path / "report.html", {"mine": router}, outcomes))
        assert root_of(document)["errors"] == ""
        assert root_of(document)["ready"] == "true"
        assert ('<section id="calls-section" hidden' not in document) == (kind == "many calls")
        assert ('<section id="frontier-section" hidden' in document) == (kind in ("no costs", "free"))
