"""What holds for all learned baselines: what they learn, what they make of gaps, saving, seeds and settings."""

import copy
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recorded import KINDS, kinds_of_query, row, table_of

from langchain_atlas.errors import ArtifactError, OutcomeError, SettingError
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.learned.base import EmbeddingRouter
from langchain_atlas.routers.learned.bert import BertRouter
from langchain_atlas.routers.learned.graph import GraphRouter
from langchain_atlas.routers.learned.knn import KNNRouter
from langchain_atlas.routers.learned.linear import LinearRouter
from langchain_atlas.routers.learned.matrix_factorization import MatrixFactorizationRouter
from langchain_atlas.routers.learned.mlp import MLPRouter
from langchain_atlas.routers.learned.routerdc import RouterDCRouter
from langchain_atlas.testing import FakeEncoder
from langchain_atlas.trajectory import Constraints, Query

Make = Callable[..., EmbeddingRouter]

QUICK = {"epochs": 40, "batch_size": 8, "learning_rate": 0.02}
"""Eighteen queries need more and larger steps than a thousand do."""
HERE = {Pair.parse(best): sentence.format("cousin") for best, _, sentence in KINDS.values()}
"""For each pair, a query that it answers and that nobody fitted on."""


MAKERS: dict[str, tuple[Make, dict[str, Any]]] = {
    "knn": (KNNRouter, {"n_neighbours": 6, "max_distance": 2}),
    "linear": (LinearRouter, {"penalty": 1}),
    "logistic": (LinearRouter, {"logistic": True, "penalty": 0.1}),
    "mlp": (MLPRouter, {"hidden": 16, **QUICK}),
    "mf": (MatrixFactorizationRouter, {"dimension": 16, "noise": 0.5, **QUICK}),
    "routerdc": (RouterDCRouter, {"positives": 1, "negatives": 2, "groups": 3, **QUICK}),
    "routerdc, fine-tuned": (RouterDCRouter, {"positives": 1, "negatives": 2, "groups": 3, **QUICK}),
    "graph": (GraphRouter, {"hidden": 16, **QUICK}),
    "bert": (BertRouter, {**QUICK, "learning_rate": 0.005}),
}


@pytest.fixture(params=list(MAKERS), scope="module")
def make(request: pytest.FixtureRequest, tiny_model: str) -> Make:
    """Return how to make an unfitted router, for each kind of router in turn; it takes settings."""
    kind, usual = MAKERS[request.param]
    if request.param == "bert":
        usual = {"model": tiny_model, **usual}
    elif request.param == "routerdc, fine-tuned":
        usual = {"fine_tune": tiny_model, **usual}
    return lambda **settings: kind(FakeEncoder(), **{**usual, **settings})


@pytest.fixture(scope="module")
def router(make: Make) -> EmbeddingRouter:
    """Return the router fitted on the kinds of query; tests must not fit it again."""
    return make().fit(kinds_of_query())


def briefly(make: Make) -> dict[str, Any]:
    """Return settings for a fit that is too short to learn much, for tests of something else than learning."""
    return {"epochs": 2} if hasattr(make(), "descent") else {}


def routes(router: Router) -> dict[Pair, Pair | None]:
    """Return which pair is asked for each query of `HERE`."""
    return {pair: router.decide(Query(text=text)).pair for pair, text in HERE.items()}


def rows_of(table: OutcomeTable) -> list[dict[str, Any]]:
    return [dict(entry) for entry in table.table.to_pylist()]


RIGHTLY = {pair: pair for pair in HERE}


class TestEveryKind:
    def test_routes_unseen_queries_to_the_pair_that_solves_their_kind(self, router: EmbeddingRouter) -> None:
        router = router.configure(cost_weight=0)
        assert routes(router) == RIGHTLY
        for pair, text in HERE.items():
            decision = router.decide(Query(text=text))
            assert decision.chosen is not None
            assert decision.runner_up is not None
            assert decision.chosen.expected_success > 0.5 > decision.runner_up.expected_success, pair

    def test_the_cheapest_pair_wins_when_cost_alone_counts(self, router: EmbeddingRouter) -> None:
        assert set(routes(router.configure(cost_weight=1)).values()) == {Pair("small", "calculator")}

    def test_learns_from_a_table_with_gaps(self, make: Make, outcomes: OutcomeTable) -> None:
        rows = rows_of(outcomes)
        draw = random.Random(1)  # noqa: S311
        for entry in rows:
            if draw.random() < 0.2:
                entry["score"] = None
        kept = [entry for entry in rows if draw.random() > 0.2]
        settings = {"cost_weight": 0} | ({"min_outcomes": 2} if isinstance(make(), KNNRouter) else {})
        assert routes(make(**settings).fit(OutcomeTable.from_rows(kept))) == RIGHTLY

    def test_a_pair_without_a_score_is_worth_the_pool_average(self, make: Make, outcomes: OutcomeTable) -> None:
        extra = [row(query.id or "", "new", None, 0.001, query=query.text, domain=domain)
                 for query, domain in zip(outcomes.queries, outcomes.domains, strict=True)]  # fmt: skip
        router = make(cost_weight=0).fit(OutcomeTable.from_rows(rows_of(outcomes) + extra))
        assert routes(router) == RIGHTLY
        text = Query(text="hello", constraints=Constraints(pairs=frozenset({Pair("new")})))
        chosen = router.decide(text).chosen
        assert chosen is not None
        assert chosen.expected_success == pytest.approx(1 / 3)  # every pair solves a third of the queries
        assert chosen.evidence == 0

    def test_the_order_of_the_rows_makes_no_difference(self, make: Make, outcomes: OutcomeTable) -> None:
        rows = rows_of(outcomes)
        random.Random(1).shuffle(rows)  # noqa: S311
        shuffled = OutcomeTable.from_rows(rows)
        assert shuffled.pairs != outcomes.pairs
        assert shuffled.query_ids != outcomes.query_ids
        one, other = (make(**briefly(make)).fit(table) for table in (outcomes, shuffled))
        assert other.decide_batch(outcomes.queries) == one.decide_batch(outcomes.queries)

    def test_the_same_seed_makes_the_same_router(self, make: Make, outcomes: OutcomeTable) -> None:
        one, again, other = (
            make(**briefly(make), random_state=seed).fit(outcomes).decide_batch(outcomes.queries) for seed in (7, 7, 8)
        )
        assert one == again
        if briefly(make):  # something random
            assert one != other

    def test_fitting_leaves_the_random_numbers_of_others_alone(self, make: Make, outcomes: OutcomeTable) -> None:
        torch.manual_seed(11)
        np.random.seed(11)  # noqa: NPY002  # the global generator is what must not be touched
        expected = (torch.rand(1).item(), np.random.rand())  # noqa: NPY002
        torch.manual_seed(11)
        np.random.seed(11)  # noqa: NPY002
        make(**briefly(make)).fit(outcomes)
        assert (torch.rand(1).item(), np.random.rand()) == expected  # noqa: NPY002

    def test_saved_and_loaded_it_decides_the_same(
        self, router: EmbeddingRouter, outcomes: OutcomeTable, tmp_path: Path
    ) -> None:
        router = router.configure(cost_weight=0.2, failovers=2)
        router.save(tmp_path / "router")
        loaded = Router.load(tmp_path / "router", FakeEncoder())
        assert type(loaded) is type(router)
        assert loaded.settings == router.settings
        assert loaded.decide_batch(outcomes.queries) == router.decide_batch(outcomes.queries)
        assert sorted(path.name for path in (tmp_path / "router").iterdir()) == ["arrays.safetensors", "config.json"]

    def test_a_restricted_router_is_saved_as_such(
        self, router: EmbeddingRouter, outcomes: OutcomeTable, tmp_path: Path
    ) -> None:
        kept = [Pair("large"), Pair("small", "search")]
        router = router.configure(cost_weight=0).restrict(kept)
        router.save(tmp_path / "router")
        loaded = Router.load(tmp_path / "router", FakeEncoder())
        assert set(loaded.pairs) == set(kept)
        assert loaded.decide_batch(outcomes.queries) == router.decide_batch(outcomes.queries)
        assert {query: pair for query, pair in routes(loaded).items() if query in kept} == {p: p for p in kept}

    def test_a_folder_whose_parts_do_not_fit_is_refused(self, router: EmbeddingRouter, tmp_path: Path) -> None:
        broken = copy.copy(router)
        broken.records_ = router.records_.with_pairs(router.pairs[:2])  # the learned arrays still have three
        broken.save(tmp_path / "router")
        with pytest.raises(ArtifactError, match=r"don't fit together|has the shape"):
            Router.load(tmp_path / "router", FakeEncoder())

    def test_tells_how_far_a_fit_is(self, make: Make, outcomes: OutcomeTable) -> None:
        told: list[tuple[int, int]] = []
        make(**briefly(make)).fit(outcomes, progress=lambda done, total: told.append((done, total)))
        assert told
        assert told[-1][0] == told[-1][1]
        assert told == sorted(told)

    def test_the_reason_says_what_it_rests_on(self, router: EmbeddingRouter) -> None:
        decision = router.decide(Query(text=HERE[Pair("large")]))
        assert " 18 queries" in decision.reason or "nearest logged queries" in decision.reason

    def test_a_table_without_scores_teaches_nothing(self, make: Make) -> None:
        with pytest.raises(OutcomeError, match="no score"):
            make().fit(table_of(row("a", "small", None), row("b", "small", None)))

    def test_one_pair_and_one_query_are_enough(self, make: Make) -> None:
        router = make().fit(table_of(row("a", "small", 1.0)))
        assert router.decide(Query(text="a")).pair == Pair("small")


@pytest.mark.parametrize(
    ("make", "setting", "value"),
    [
        (KNNRouter, "n_neighbours", 0),
        (KNNRouter, "n_neighbours", 2.5),
        (KNNRouter, "max_distance", 2.1),
        (KNNRouter, "min_outcomes", 0),
        (KNNRouter, "strength", -1),
        (KNNRouter, "cost_weight", 1.1),
        (LinearRouter, "penalty", 0),
        (LinearRouter, "penalty", math.inf),
        (LinearRouter, "logistic", "yes"),
        (LinearRouter, "random_state", -1),
        (LinearRouter, "random_state", 2**32),
        (LinearRouter, "random_state", True),
        (MLPRouter, "hidden", 0),
        (MLPRouter, "epochs", 0),
        (MLPRouter, "batch_size", 1.5),
        (MLPRouter, "learning_rate", 0),
        (MLPRouter, "weight_decay", -0.1),
        (MLPRouter, "latency_share", -0.1),
        (MatrixFactorizationRouter, "dimension", 0),
        (MatrixFactorizationRouter, "noise", -1),
        (RouterDCRouter, "positives", 0),
        (RouterDCRouter, "negatives", 0),
        (RouterDCRouter, "groups", 0),
        (RouterDCRouter, "out_group", 0),
        (RouterDCRouter, "group_weight", math.nan),
        (RouterDCRouter, "temperature", 0),
        (RouterDCRouter, "fine_tune", ""),
        (RouterDCRouter, "failovers", 0.5),
        (BertRouter, "max_tokens", 2),
        (BertRouter, "learning_rate", "fast"),
        (BertRouter, "model", ""),
    ],
)
def test_a_setting_out_of_range_is_refused_at_once(make: Any, setting: str, value: object) -> None:
    with pytest.raises(SettingError, match=f"{setting} is {value!r}"):
        make(**{setting: value})
