"""What the report says is so: whom the router asks, on which queries its figures rest, and what it costs."""

import pytest
from recorded import Compass, kinds_of_query, row, table_of
from replaying import ChainRouter

from langchain_atlas.errors import SettingError
from langchain_atlas.evaluation.replay.benchmark import evaluate
from langchain_atlas.evaluation.report.flow import OTHERS, flow
from langchain_atlas.evaluation.report.page import figures
from langchain_atlas.evaluation.report.rates import wilson
from langchain_atlas.evaluation.report.volume import read_volume
from langchain_atlas.evaluation.settings import sweeps
from langchain_atlas.evaluation.settings.sweeps import sweep
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.baselines import SinglePairRouter
from langchain_atlas.routers.cluster.router import ClusterRouter

WORDS = ["apple", "bridge", "candle", "dragon", "engine", "forest", "garden", "hammer", "island", "jacket"]


@pytest.fixture(autouse=True)
def few_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replay at three settings; that there are more of them changes nothing here."""
    monkeypatch.setattr(sweeps, "N_STEPS", 3)


def many(first: int = 0, n: int = 160) -> OutcomeTable:
    """Make outcomes of two pairs on queries whose words alone tell which of the two is right; one cluster holds all."""
    rows = []
    for number in range(first, first + n):
        odd = number % 2
        text = f"{WORDS[number % 10]} {'count the numbers' if odd else 'write some verses'} {number}"
        for pair, right in (("sum@@none", odd), ("poet@@none", 1 - odd)):
            score = float(right) if number % 10 else 1.0
            rows.append(row(f"q{number}", pair, score, 0.001 if pair == "sum@@none" else 0.004, query=text))
    return table_of(*rows)


def one_cluster(table: OutcomeTable, **settings: float) -> ClusterRouter:
    """Fit a router whose trees part what its clusters do not: every text is encoded alike but for a little."""
    encoder = Compass({query.text: number % 7 for number, query in enumerate(table.queries)})
    return ClusterRouter(encoder, n_clusters=1, n_refinements=0, n_trees=8, cost_weight=0.0, **settings).fit(table)


class TestWhomTheRouterAsks:
    def test_counts_are_those_of_its_decisions(self) -> None:
        table = many()
        router = one_cluster(table, guard=0.0)
        content = figures({"mine": router}, table)
        entry = content["routers"][0]
        counted = entry["clusters"]["asked"][entry["start"]]
        said = [str(decision.pair) for decision in router.decide_batch(table.queries)]
        assert {content["pairs"][pair]["name"]: n for pair, n, _ in counted[0]} == {
            name: said.count(name) for name in set(said)
        }
        assert len(counted[0]) == 2, "its trees part the cluster, so that it asks both"

    def test_the_evidence_is_what_the_router_has_there(self) -> None:
        table = many()
        entry = figures({"mine": one_cluster(table)}, table)["routers"][0]
        for _, _, evidence in entry["clusters"]["asked"][0][0]:
            assert evidence == 160

    def test_a_router_without_clusters_is_counted_by_domain(self) -> None:
        table = kinds_of_query()
        content = figures({"single": SinglePairRouter("large@@none")}, table)
        asked = content["routers"][0]["steps"][0]["asked"]
        assert [[content["pairs"][pair]["name"], n] for group in asked for pair, n, _ in group] == [
            ["large@@none", 6]
        ] * 3

    def test_every_rate_has_its_interval_and_its_number(self) -> None:
        content = figures({"mine": one_cluster(many())}, many())
        step = content["routers"][0]["steps"][0]
        rates = [
            *step["domains"],
            *content["routers"][0]["clusters"]["right"][0],
            *content["baselines"]["best_single"]["domains"],
        ]
        for each in rates:
            assert each["interval"][0] <= each["value"] <= each["interval"][1]
            assert each["count"] == 160
        assert all(pair["count"] == 160 and pair["accuracy_ci95"] for pair in content["pairs"])


class TestWhatTheFiguresRestOn:
    def test_a_router_is_replayed_by_others_like_it_where_it_knows_the_queries(self) -> None:
        table = many()
        entry = figures({"mine": one_cluster(table)}, table)["routers"][0]
        assert (entry["basis"], entry["fair"], entry["warning"]) == ("crossfit", True, None)
        assert "none of which the replayed router had seen" in entry["basis_sentence"]

    def test_luck_is_not_credited(self) -> None:
        """Outcomes at random: fitted figures are far above what any router can do, cross-fitted ones are not."""
        import numpy as np

        rng = np.random.default_rng(0)
        rows = [
            row(f"q{n}", pair, float(rng.random() < 0.5), 0.001, query=f"{WORDS[n % 10]} {n} {WORDS[n // 10 % 10]}")
            for n in range(200)
            for pair in ("a@@none", "b@@none", "c@@none")
        ]
        table = table_of(*rows)
        router = one_cluster(table, guard=0.0)
        fitted = evaluate({"mine": router}, table).routers["mine"].accuracy
        entry = figures({"mine": router}, table)["routers"][0]
        shown = entry["steps"][entry["start"]]["accuracy"]
        assert fitted > 0.6
        assert shown < 0.58
        assert fitted - shown > 0.05

    def test_queries_that_it_was_fitted_on_are_left_out_where_enough_others_are_there(self) -> None:
        router = one_cluster(many(0, 120))
        content = figures({"mine": router}, many(0, 240))
        assert (content["n_queries"], content["left_out"]) == (120, 120)
        assert content["routers"][0]["basis"] == "unseen"
        assert "120 others, which a router was fitted on, are left out" in content["routers"][0]["basis_sentence"]

    def test_too_few_to_fit_again_are_called_flattering(self) -> None:
        table = many(0, 60)
        entry = figures({"mine": one_cluster(table)}, table)["routers"][0]
        assert (entry["basis"], entry["fair"]) == ("fitted", False)
        assert "flatters it" in entry["steps"][0]["sentence"]
        assert entry["warning"]

    def test_the_sentence_is_held_by_truth(self) -> None:
        """On 400 other queries the router does what the sentence says of those that it was fitted on."""
        table = many()
        router = one_cluster(table)
        entry = figures({"mine": router}, table)["routers"][0]
        now = entry["steps"][entry["start"]]
        truth = evaluate({"mine": router}, many(160, 400)).routers["mine"].accuracy
        assert now["interval"][0] - 0.03 <= truth <= now["interval"][1] + 0.03

    def test_one_pair_a_query_can_judge_no_router(self) -> None:
        rows = [
            row(f"q{n}", "ab"[n % 2] + "@@none", float(n % 3 > 0), 0.001, query=f"{WORDS[n % 10]} {n}")
            for n in range(18)  # too few to estimate from
        ]
        content = figures({"single": SinglePairRouter("a@@none")}, table_of(*rows))
        assert content["forced"] == 1.0
        assert "can't judge a router" in content["routers"][0]["steps"][0]["sentence"]


class TestDollarsAtAVolume:
    @pytest.mark.parametrize(
        ("text", "queries", "period"),
        [
            ("100000/month", 100_000, "month"),
            ("1,000,000/year", 1_000_000, "year"),
            ("2.5k/day", 2500, "day"),
            ("3M/week", 3_000_000, "week"),
            ("500 per day", 500, "day"),
            (" 7 / DAY ", 7, "day"),
        ],
    )
    def test_is_read(self, text: str, queries: int, period: str) -> None:
        assert (read_volume(text).queries, read_volume(text).period) == (queries, period)

    @pytest.mark.parametrize(
        "text",
        ["", "100000", "/month", "100000/moon", "0/day", "-5/day", "nan/day", "1e9/day", "9" * 20 + "/day", "1,00/day"],
    )
    def test_anything_else_is_refused_with_what_is_valid(self, text: str) -> None:
        with pytest.raises(SettingError, match=r"volume is .*; it must be a number of queries.*100000/month"):
            read_volume(text)

    def test_the_sentence_speaks_of_it(self) -> None:
        table = many()
        content = figures({"mine": one_cluster(table, guard=0.0)}, table, volume=read_volume("100000/month"))
        now = content["routers"][0]["steps"][0]
        bar = content["baselines"][content["bar"]]
        assert f"${now['cost'] * 100:,.0f} instead of ${bar['cost'] * 100:,.0f} a month" in now["sentence"]

    def test_what_is_saved_is_the_difference_of_the_costs(self) -> None:
        table = many()
        content = figures({"mine": one_cluster(table)}, table)
        now, bar = content["routers"][0]["steps"][0], content["baselines"][content["bar"]]
        assert now["saved"] == pytest.approx(bar["cost"] - now["cost"])
        assert now["saved_interval"][0] <= now["saved"] <= now["saved_interval"][1]


class TestFlow:
    def test_calls_and_stops_are_counted(self) -> None:
        table = kinds_of_query()
        chain = ChainRouter(Pair.parse("small@@search"), Pair.parse("large@@none"))
        drawn = flow(sweep(chain, table).runs[0])
        assert drawn is not None
        search, large = (table.pair_number(Pair.parse(name)) for name in ("small@@search", "large@@none"))
        assert drawn["stages"] == [[[search, 18]], [[large, 18]]]
        assert drawn["count"] == 18
        assert [link[3] for link in drawn["links"]] == [18, 18]
        assert sum(count for _, count in drawn["stops"]) == 18

    def test_a_router_that_calls_once_has_none(self) -> None:
        assert flow(sweep(SinglePairRouter("large@@none"), kinds_of_query()).runs[0]) is None

    def test_many_pairs_are_joined_and_none_is_lost(self) -> None:
        runs = sweep(SinglePairRouter("large@@none"), kinds_of_query()).runs[0]
        paths = tuple((first, 1) for first in range(12) for _ in range(first + 1))
        import dataclasses

        drawn = flow(dataclasses.replace(runs, paths=paths, stops=("rl-path, agreed",) * len(paths)))
        assert drawn is not None
        assert [pair for pair, _ in drawn["stages"][0]] == [11, 10, 9, 8, 7, OTHERS]
        assert sum(count for _, count in drawn["stages"][0]) == len(paths) == drawn["count"]
        assert drawn["stops"] == [["two answers agree", len(paths)]]


class TestJudged:
    def test_the_share_of_judged_scores_is_told(self) -> None:
        rows = [
            {**each, "score_source": "judge:gpt-4o" if number % 4 == 0 else "exact", "score_confidence": 0.8}
            for number, each in enumerate(kinds_of_query().table.to_pylist())
        ]
        content = figures({"single": SinglePairRouter("large@@none")}, OutcomeTable.from_rows(rows))
        assert content["scores"]["share"] == pytest.approx(14 / 54, abs=1e-4)
        assert content["scores"]["sources"][0][0] == "exact"
        assert any(
            "26% of the scores were given by a judge (gpt-4o), 80% sure on average" in note for note in content["notes"]
        )

    def test_a_table_that_does_not_say_is_left_alone(self) -> None:
        assert figures({"single": SinglePairRouter("large@@none")}, kinds_of_query())["scores"] is None


def test_wilson_by_hand() -> None:
    """8 of 10: Wilson (1927), as in Newcombe 1998, gives 0.4902 to 0.9433."""
    assert wilson(0.8, 10) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert wilson(1.0, 4)[0] == pytest.approx(0.5101, abs=1e-4)
