"""Routers judged on queries that they were fitted on: it is counted, and said."""

import pytest
from recorded import kinds_of_query

from langchain_atlas.encoders import Encoder
from langchain_atlas.evaluation.replay.benchmark import evaluate
from langchain_atlas.evaluation.replay.overlap import learned_from, warnings
from langchain_atlas.evaluation.report.page import figures, report
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.routers.baselines import SinglePairRouter
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.lazy import LazyRouter


@pytest.fixture
def router(encoder: Encoder, outcomes: OutcomeTable) -> ClusterRouter:
    """Return a router that was fitted on 12 of the 18 queries."""
    return ClusterRouter(encoder, n_clusters=2).fit(outcomes.select(domains=["facts", "talk"]))


def renamed(table: OutcomeTable) -> OutcomeTable:
    """Give every query another id, and other blanks."""
    rows = [
        {**each, "query_id": f"other-{each['query_id']}", "query": f" {each['query']}\n"}
        for each in table.table.to_pylist()
    ]
    return OutcomeTable.from_rows(rows)


def test_common_queries_are_counted_whatever_their_ids(router: ClusterRouter, outcomes: OutcomeTable) -> None:
    assert learned_from({"mine": router}, outcomes) == {"mine": 12}
    assert learned_from({"mine": router}, renamed(outcomes)) == {"mine": 12}
    assert learned_from({"mine": router}, outcomes.select(domains=["arithmetic"])) == {"mine": 0}
    assert learned_from({"one": SinglePairRouter("large@@none")}, outcomes) == {"one": None}


def test_evaluate_says_so_first(router: ClusterRouter, outcomes: OutcomeTable) -> None:
    evaluation = evaluate({"mine": router, "one": SinglePairRouter("large@@none")}, outcomes)
    assert evaluation.notes[0].startswith("Router 'mine' was fitted on 12 of these 18 queries, so its figures")
    assert "'langchain-atlas profile'" in evaluation.notes[0]
    told = evaluation.to_json()
    assert told["notes"][0] == evaluation.notes[0]
    assert [told["routers"][name]["n_fitted_on"] for name in ("mine", "one")] == [12, None]
    assert told["baselines"]["oracle"]["n_fitted_on"] is None
    assert not any("'one' was fitted" in note for note in evaluation.notes)


def test_unseen_queries_need_no_word(router: ClusterRouter, outcomes: OutcomeTable) -> None:
    evaluation = evaluate({"mine": router}, outcomes.select(domains=["arithmetic"]))
    assert not any("was fitted on" in note for note in evaluation.notes)
    assert evaluation.routers["mine"].n_fitted_on == 0


def test_a_router_made_at_first_use_is_asked_once_it_is_made(router: ClusterRouter, outcomes: OutcomeTable) -> None:
    assert evaluate({"lazy": LazyRouter(lambda: router)}, outcomes).learned_from == {"lazy": 12}


def test_settings_of_one_router_are_said_once() -> None:
    said = warnings([("DIR", 5), ("DIR?alpha=0.2", 5), ("new", 0), ("old", None), ("other", 9)], 9)
    assert [sentence.split(", so")[0] for sentence in said] == [
        "Router 'DIR' was fitted on 5 of these 9 queries",
        "Router 'other' was fitted on all 9 of these queries",
    ]


def test_routers_that_learned_from_as_many_are_named_together() -> None:
    (two,) = warnings([("a", 5), ("b", 5)], 9)
    assert two.startswith("Routers 'a' and 'b' were fitted on 5 of these 9 queries, so their figures flatter them.")
    (many,) = warnings([(name, 5) for name in "abcdef"], 9)
    assert many.startswith("Routers 'a', 'b', 'c' and 3 others were fitted on 5")


def test_a_few_repeats_are_no_cause_for_alarm() -> None:
    (said,) = warnings([("a", 11)], 1162)
    assert said == "Router 'a' was fitted on 11 of these 1162 queries: too few to change the figures much."


def test_the_report_says_so_beside_the_router(router: ClusterRouter, outcomes: OutcomeTable) -> None:
    content = figures({"/home/me/mine?alpha=0.2": router, "one": SinglePairRouter("large@@none")}, outcomes)
    mine, one = content["routers"]
    assert mine["n_fitted_on"] == 12
    assert mine["warning"].startswith("Router 'mine' was fitted on 12 of these 18 queries")
    assert mine["warning"] in content["notes"]
    assert (one["n_fitted_on"], one["warning"]) == (None, None)
    assert not any("/home/me" in note for note in content["notes"])
    assert "was fitted on 12 of these 18 queries" in report({"mine": router}, outcomes)
    unseen = figures({"mine": router}, kinds_of_query().select(domains=["arithmetic"]))
    assert unseen["routers"][0]["warning"] is None


def test_a_single_query_is_one() -> None:
    (said,) = warnings([("a", 1)], 1)
    assert said.startswith("Router 'a' was fitted on this one query, so")
