"""Whether routing pays: the verdict on real outcomes where they are there, and the rules on tables made by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recorded import kinds_of_query, row, table_of

from langchain_atlas.encoders import Encoder
from langchain_atlas.errors import OutcomeError, SettingError
from langchain_atlas.evaluation.doctor.diagnosis import Diagnosis, diagnose
from langchain_atlas.evaluation.doctor.findings import Finding
from langchain_atlas.evaluation.doctor.trials import ratio_of
from langchain_atlas.evaluation.doctor.verdicts import FEWEST_QUERIES, Headroom, needed
from langchain_atlas.evaluation.settings.crossfit import N_FOLDS, grouped, near_duplicates, parts, single_orders
from langchain_atlas.outcomes import OutcomeMatrix, OutcomeTable
from langchain_atlas.pool.pool import Pair
from langchain_atlas.testing import FakeEncoder

BEST = "gpt-4o-mini-2024-07-18@@prompt"
BEATEN = (
    "command-r-plus@@fc",
    "gpt-3.5-turbo-0125@@prompt",
    "mistral-large-2407@@prompt",
    "claude-3-sonnet-20240229@@fc",
)
SPLIT = ("gpt-3.5-turbo-0301@@chain-of-thought", "text-davinci-002@@least-to-most")

PRICES = (("a", 0.1), ("b", None))


def drawn(table: OutcomeTable, number: int) -> OutcomeTable:
    """Return the rows of some of the queries, drawn at random."""
    ids = np.random.default_rng(0).permutation(np.array(table.query_ids))[:number]
    return table.select(query_ids=ids.tolist())


def shuffled(n_queries: int = 120, **changes: Any) -> list[dict[str, Any]]:
    """Make rows of two pairs on queries of two kinds; each is always right on one kind, at the same cost."""
    words = np.random.default_rng(0).permutation(10 * n_queries).reshape(n_queries, 10)
    return [
        row(
            f"q{number}",
            pair,
            float((pair == "a@@none") == (number % 2 == 0)),
            0.001,
            query=f"{('sum add number ' if number % 2 == 0 else 'museum street town ') * 5}{words[number]}",
            domain=("sums", "places")[number % 2],
            **changes,
        )
        for number in range(n_queries)
        for pair in ("a@@none", "b@@none")
    ]


class TestRealOutcomes:
    @pytest.fixture
    def bfcl(self, shared_data: Path) -> OutcomeTable:
        return OutcomeTable.load(shared_data / "bfcl_pairs.parquet")

    def test_one_pair_best_and_cheapest_everywhere(self, bfcl: OutcomeTable) -> None:
        table = bfcl.select(pairs=[Pair.parse(name) for name in (BEST, *BEATEN)])
        found = diagnose(drawn(table, 400), encoder=FakeEncoder())
        assert found.headroom is not None
        assert found.headroom.cheapest_and_best
        assert (found.verdict, found.use.pair, found.use.router) == ("do not route", BEST, None)
        assert "cheapest in every domain" in found.reason

    def test_one_pair_right_wherever_any_is(self, bfcl: OutcomeTable) -> None:
        chosen = bfcl.select(pairs=[Pair.parse(name) for name in (BEST, *BEATEN[:2])])
        score = chosen.matrix("score")[:, chosen.pair_number(Pair.parse(BEST))]
        right = [name for name, value in zip(chosen.query_ids, score, strict=True) if value == 1]
        found = diagnose(drawn(chosen.select(query_ids=right), 300), encoder=FakeEncoder())
        assert (found.verdict, found.use.pair) == ("do not route", BEST)
        assert found.headroom is not None
        assert found.headroom.gain == 0
        assert "oracle" in found.reason

    def test_routing_pays_where_two_pairs_split_the_domains(self, shared_data: Path) -> None:
        table = OutcomeTable.load(shared_data / "reasoning_pairs.parquet")
        chosen = table.select(pairs=[Pair.parse(name) for name in SPLIT], domains=("GSM8K", "CLUTRR"))
        found = diagnose(drawn(chosen, 300), encoder=FakeEncoder())
        assert found.verdict == "route"
        assert found.use.router in ("cluster", "knn")
        assert found.gain is not None
        assert found.gain_ci95 is not None
        assert found.gain_ci95[0] > 0.05
        assert found.cost_ratio is not None

    def test_incomplete_records_are_said(self, shared_data: Path) -> None:
        table = OutcomeTable.load(shared_data / "reasoning_pairs.parquet")
        pairs = [Pair.parse(f"gpt-4-0314@@{tool}") for tool in ("solver", "solver+rationale")]
        found = diagnose(drawn(table.select(pairs=pairs, domains=("StrategyQA", "sports")), 200), encoder=FakeEncoder())
        holes = named(found, "never-logged")
        assert holes.where == ("gpt-4-0314@@solver+rationale on StrategyQA",)
        assert found.estimated


class TestVerdict:
    def test_routes_and_says_how(self) -> None:
        found = diagnose(table_of(*shuffled()), encoder=FakeEncoder())
        assert found.verdict == "route"
        assert found.gain == pytest.approx(0.5, abs=0.1)
        assert found.cost_ratio == pytest.approx(1.0)
        assert "95% interval" in found.reason

    def test_as_accurate_for_less(self) -> None:
        rows = [
            {
                **each,
                "score": 1.0 if each["model"] == "b" else each["score"],
                "cost_usd": 0.01 if each["model"] == "b" else 0.001,
            }
            for each in shuffled()
        ]
        found = diagnose(table_of(*rows), encoder=FakeEncoder())  # b is always right, a half the time at a tenth
        assert found.verdict == "route"
        assert found.gain == pytest.approx(0.0, abs=0.01)
        assert found.cost_ratio == pytest.approx(0.55, abs=0.05)

    def test_a_cheaper_pair_that_is_as_accurate_is_advised_instead(self) -> None:
        rows = [
            {
                **each,
                "score": float(int(each["query_id"][1:]) % 10 > 0),
                "cost_usd": 0.01 if each["model"] == "b" else 0.001,
            }
            for each in shuffled()
        ]
        found = diagnose(table_of(*rows), encoder=FakeEncoder())
        assert (found.verdict, found.use.pair) == ("do not route", "a@@none")

    def test_chance_is_never_worth_routing(self) -> None:
        found = []
        for seed in range(4):
            coin = np.random.default_rng(seed)
            rows = [{**each, "score": float(coin.integers(2))} for each in shuffled(80)]
            found.append(diagnose(table_of(*rows), encoder=FakeEncoder()))
        assert "route" not in {one.verdict for one in found}
        unsure = [one for one in found if one.verdict == "too little data"]
        assert unsure
        for one in unsure:
            assert one.need is not None
            assert sum(one.need.where.values()) == pytest.approx(one.need.more_queries, abs=2)
            assert one.need.more_queries > 500
            assert one.use.router is None

    def test_too_few_queries(self) -> None:
        found = diagnose(kinds_of_query(), encoder=FakeEncoder())
        assert found.verdict == "too little data"
        assert found.need is not None
        assert found.need.more_queries == FEWEST_QUERIES - 18
        assert (found.gain, found.gain_ci95) == (None, None)

    def test_copies_of_a_few_queries_are_few_queries(self) -> None:
        rows = [row(f"q{number}", pair, 1.0, query=f"only {number % 3}") for number in range(80) for pair in ("a", "b")]
        found = diagnose(table_of(*rows), encoder=FakeEncoder())
        assert found.verdict == "too little data"
        assert named(found, "duplicated-queries").count == 77

    def test_one_pair(self) -> None:
        found = diagnose(table_of(row("q", "a", 1.0)), encoder=FakeEncoder())
        assert (found.verdict, found.use.pair) == ("do not route", "a@@none")

    def test_nothing_scored(self) -> None:
        found = diagnose(table_of(row("q", "a", None), row("q", "b", None)), encoder=FakeEncoder())
        assert (found.verdict, found.n_queries) == ("too little data", 0)
        assert named(found, "missing-scores").count == 2

    def test_unknown_costs_leave_the_accuracy_to_judge(self) -> None:
        found = diagnose(table_of(*({**each, "cost_usd": None} for each in shuffled())), encoder=FakeEncoder())
        assert (found.verdict, found.cost_ratio) == ("route", None)
        assert "unknown" in found.reason

    def test_margin_out_of_range(self, encoder: Encoder) -> None:
        with pytest.raises(SettingError, match=r"margin is 1\.5"):
            diagnose(kinds_of_query(), encoder=encoder, margin=1.5)

    def test_reads_back_from_json(self) -> None:
        found = diagnose(kinds_of_query(), encoder=FakeEncoder())
        assert Diagnosis.from_json(found.to_json()) == found


class TestByHand:
    def test_needed_queries(self) -> None:
        # differences of +1 and -1 in turn: sd 1, so (2.8 / 0.02) ** 2 = 19600 in all, 19500 on top of 100
        apart = np.array([1.0, -1.0] * 50)
        need = needed(apart, ["x"] * 50 + ["y"] * 50)
        assert need is not None
        assert need.more_queries == pytest.approx(19500, abs=1)
        assert need.where == pytest.approx({"x": 9750, "y": 9750}, abs=1)

    def test_no_more_where_nothing_varies(self) -> None:
        assert needed(np.zeros(100), ["x"] * 100) is None

    def test_where_nothing_varies_gets_no_share(self) -> None:
        need = needed(np.array([1.0, -1.0, 0.0, 0.0]), ["x", "x", "y", "y"])
        assert need is not None
        assert list(need.where) == ["x"]

    def test_ratio_of_known_costs(self) -> None:
        assert ratio_of(np.array([1.0, np.nan, 5.0]), np.array([2.0, 7.0, np.nan])) == 0.5
        assert ratio_of(np.array([1.0]), np.array([np.nan])) is None
        assert ratio_of(np.array([1.0]), np.array([0.0])) is None

    def test_headroom(self) -> None:
        # each pair is right on a third; the oracle always, at 1, 2 and 4
        recorded = OutcomeMatrix.of(kinds_of_query()).scored()
        headroom = Headroom.of(recorded, 0.01)
        assert headroom.accuracy == pytest.approx(1 / 3)
        assert headroom.gain == pytest.approx(2 / 3)
        assert headroom.pair == "small@@calculator"  # the cheapest of three equals
        assert headroom.cost_ratio == pytest.approx(7 / 3)
        assert not headroom.cheapest_and_best

    def test_a_pair_is_not_the_cheapest_where_the_others_costs_are_unknown(self) -> None:
        rows = [row(f"q{number}", pair, float(pair == "a"), cost) for number in range(4) for pair, cost in PRICES]
        recorded = OutcomeMatrix.of(table_of(*rows)).scored()
        assert not Headroom.of(recorded, 0.01).cheapest_and_best
        priced = OutcomeMatrix.of(table_of(*({**each, "cost_usd": each["cost_usd"] or 0.2} for each in rows))).scored()
        assert Headroom.of(priced, 0.01).cheapest_and_best

    def test_the_thrifty_pair_is_the_cheapest_within_the_margin(self) -> None:
        rows = [row(f"q{n}", "dear", float(n > 0), 1.0) for n in range(100)]
        rows += [row(f"q{n}", "mid", float(n > 1), 0.5) for n in range(100)]
        rows += [row(f"q{n}", "cheap", float(n > 9), 0.1) for n in range(100)]
        recorded = OutcomeMatrix.of(table_of(*rows)).scored()
        assert single_orders(recorded, 0.015) == ([0, 1, 2], 1)
        assert single_orders(recorded, 0.0) == ([0, 1, 2], 0)
        assert single_orders(recorded, 0.5) == ([0, 1, 2], 2)

    def test_parts_are_alike_in_size_and_keep_groups_together(self) -> None:
        groups = np.repeat(np.arange(60), 3)
        part = parts(groups)
        assert np.bincount(part, minlength=N_FOLDS).tolist() == [36] * 5
        assert all(len(set(part[groups == group])) == 1 for group in range(60))

    def test_near_duplicates_and_their_groups(self) -> None:
        vectors = np.array([[1, 0], [0, 1], [1, 0], [0.6, 0.8]], dtype=np.float32)
        assert near_duplicates(vectors).tolist() == [[0, 2]]
        assert len(np.unique(grouped(40, np.array([[0, 2], [2, 5]]), [str(n) for n in range(40)]))) == 38

    def test_a_chain_through_half_of_the_queries_is_not_one_group(self) -> None:
        chain = np.array([[n, n + 1] for n in range(19)])
        assert len(np.unique(grouped(40, chain, [str(n) for n in range(40)]))) == 40


def named(found: Diagnosis, kind: str) -> Finding:
    return next(finding for finding in found.findings if finding.kind == kind)


class TestFindings:
    def found(self, rows: list[dict[str, Any]], **options: Any) -> Diagnosis:
        return diagnose(table_of(*rows), encoder=FakeEncoder(), **options)

    def test_a_clean_table_has_none(self) -> None:
        rows = [{**each, "latency_s": 1.0, "input_tokens": 1, "output_tokens": 1} for each in shuffled(60)]
        assert [finding.kind for finding in self.found(rows).findings] == []

    def test_copies_with_contradicting_scores(self) -> None:
        rows = [row("q1", "a", 1.0, query="the same"), row("q2", "a", 0.0, query="the  same"), row("q3", "a", 1.0)]
        found = self.found(rows)
        assert named(found, "duplicated-queries").where == ("q2",)
        assert named(found, "contradicting-duplicates").where == ("q1",)

    def test_the_same_text_with_another_context_is_no_copy(self) -> None:
        rows = [row("q1", "a", 1.0, query="same", context="x"), row("q2", "a", 0.0, query="same", context="y")]
        kinds = [finding.kind for finding in self.found(rows).findings]
        assert "duplicated-queries" not in kinds
        assert "near-duplicates" in kinds

    def test_leakage_between_the_splits_of_the_table(self) -> None:
        rows = [
            row("q1", "a", 1.0, query="where is the harbour", split="train"),
            row("q2", "a", 1.0, query="where is the harbour ?", split="test"),
            row("q3", "a", 1.0, query="something else", split="test"),
            row("q3", "b", 1.0, query="something else", split="train"),
        ]
        found = self.found(rows)
        assert named(found, "split-leakage").where == ("q1 ~ q2",)
        assert named(found, "query-in-two-splits").where == ("q3",)

    def test_one_id_in_two_domains(self) -> None:
        found = self.found([row("q1", "a", 1.0, domain="x"), row("q1", "b", 1.0, domain="y")])
        assert named(found, "query-in-two-domains").where == ("q1",)

    def test_what_was_not_measured(self) -> None:
        found = self.found([row("q1", "a", 1.0, 0.1, latency_s=1.0), row("q1", "b", 1.0, latency_s=1.0)])
        assert named(found, "missing-costs").where == ("b@@none",)
        assert named(found, "missing-tokens").count == 2
        assert "missing-latencies" not in [finding.kind for finding in found.findings]

    def test_few_outcomes_and_constant_scores(self) -> None:
        rows = [{**each, "score": 1.0 if each["model"] == "a" else each["score"]} for each in shuffled(60)]
        found = self.found([*rows, row("q0", "c", 1.0, query=rows[0]["query"], domain="sums")])
        assert named(found, "few-outcomes").where == ("c@@none",)
        assert named(found, "constant-scores").where == ("a@@none",)

    def test_pairs_that_could_be_dropped(self) -> None:
        rows = shuffled(60)
        rows += [{**each, "model": "worse", "score": 0.0, "cost_usd": 1.0} for each in rows if each["model"] == "a"]
        assert named(self.found(rows), "unneeded-pairs").where == ("worse@@none",)

    def test_a_pair_of_unknown_cost_or_score_is_not_said_to_be_unneeded(self) -> None:
        rows = shuffled(60)
        rows += [{**each, "model": "unpriced", "score": 0.0, "cost_usd": None} for each in rows if each["model"] == "a"]
        rows += [{**each, "model": "unscored", "score": None} for each in rows if each["model"] == "a"]
        assert "unneeded-pairs" not in [finding.kind for finding in self.found(rows).findings]

    def test_pool_and_table_apart(self) -> None:
        found = self.found(shuffled(60), pool=[Pair("a"), Pair("c")])
        assert named(found, "pairs-without-outcomes").where == ("c@@none",)
        assert named(found, "outcomes-outside-the-pool").where == ("b@@none",)
        assert (found.verdict, found.use.pair, found.n_pairs) == ("do not route", "a@@none", 1)

    def test_nothing_in_common_with_the_pool(self) -> None:
        with pytest.raises(OutcomeError, match="no outcome of any pair of the pool"):
            self.found(shuffled(60), pool=[Pair("c")])
