"""Members come and go: what a new model inherits, when it is promoted, and what it costs that one leaves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from recorded import kinds_of_query, row, table_of

from langchain_atlas import ClusterRouter, Model, Pool
from langchain_atlas.errors import PoolError, SettingError
from langchain_atlas.evaluation.members.leaving import leaving
from langchain_atlas.evaluation.members.prices import repriced
from langchain_atlas.evaluation.members.promotion import promotion
from langchain_atlas.pool import prices
from langchain_atlas.pool.pairs import Pair
from langchain_atlas.pool.prices import refresh_prices
from langchain_atlas.pool.succession import inherits_from, predecessor_of
from langchain_atlas.routers.cluster.successors import with_successors
from langchain_atlas.testing import FakeEncoder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from langchain_atlas import OutcomeTable

OLD, NEW = Pair("small", "calculator"), Pair("small-2", "calculator")


@pytest.fixture
def router() -> ClusterRouter:
    return ClusterRouter(FakeEncoder(), n_clusters=3, cost_weight=0.0, guard=0.0).fit(kinds_of_query())


@pytest.mark.parametrize(
    ("model", "known", "expected"),
    [
        ("gpt-4o-2024-11-20", ["gpt-4o-mini-2024-07-18", "gpt-4o-2024-08-06", "gpt-4o"], "gpt-4o-2024-08-06"),
        ("claude-sonnet-4-5", ["claude-3-haiku", "claude-3-5-sonnet", "claude-3-opus"], "claude-3-5-sonnet"),
        ("mistral-large-2407", ["mistral-large-2402", "mistral-small-2402"], "mistral-large-2402"),
        ("openai/gpt-4-turbo", ["gpt-3.5-turbo"], "gpt-3.5-turbo"),
        ("llama-3.1-70b", ["llama-3-70b", "llama-3-8b"], "llama-3-70b"),
        ("gemini-2.0-flash-exp", ["gemini-1.5-flash", "gemini-1.5-pro"], "gemini-1.5-flash"),
        ("gpt-4o", ["gpt-4o-2024-08-06"], None),  # later, not earlier
        ("gpt-4o", ["gpt-4o"], None),
        ("claude-opus", ["gpt-4o"], None),
    ],
)
def test_predecessors_are_known_by_name(model: str, known: list[str], expected: str | None) -> None:
    assert predecessor_of(model, known) == expected


@pytest.mark.parametrize(
    ("model", "known", "expected"),
    [
        ("gpt5-low", ["gpt5", "gpt4"], "gpt5"),
        ("gpt-5-mini:high", ["gpt-5", "gpt-5-mini"], "gpt-5-mini"),
        ("claude-sonnet-4-5-thinking", ["claude-sonnet-4-5", "claude-sonnet-4"], "claude-sonnet-4-5"),
        ("o3_medium", ["o1"], None),
        ("gpt-4o-2024-11-20", ["gpt-4o-2024-08-06"], "gpt-4o-2024-08-06"),  # no variant: a later version
        ("high", ["low"], None),
    ],
)
def test_a_variant_inherits_from_its_base(model: str, known: list[str], expected: str | None) -> None:
    assert inherits_from(model, known) == expected


def test_a_new_model_begins_with_its_predecessors_record(router: ClusterRouter) -> None:
    joined = with_successors(router, [NEW], outcomes=3, cost_ratio=2.0)
    old, new = (joined.pairs.index(pair) for pair in (OLD, NEW))
    sums = joined.statistics_
    assert sums.outcomes[new] == pytest.approx(3.0)
    assert sums.outcomes[old] == pytest.approx(18.0)
    np.testing.assert_allclose(sums.success[:, new], sums.success[:, old] / 6)
    assert sums.cost[:, new].sum() / sums.cost_count[:, new].sum() == pytest.approx(0.002)
    assert router.pairs == joined.pairs[:-1]
    assert np.isnan(with_successors(router, [NEW]).statistics_.estimates(1.0).cost[:, new]).all()


def test_it_is_chosen_where_its_predecessor_was_good_once_probes_are_better(router: ClusterRouter) -> None:
    kinds = kinds_of_query()
    query = kinds.queries[0]
    joined = with_successors(router, [NEW])
    assert joined.decide(query).pair == OLD
    worse = table_of(*(row(f"probe {at}", str(OLD), 0.0, query=query.text) for at in range(40)))
    assert joined.add_pairs(worse).decide(query).pair == NEW


def test_a_predecessor_may_be_told(router: ClusterRouter) -> None:
    joined = with_successors(router, ["nova@@none"], predecessors={"nova": "large"}, outcomes=5)
    assert joined.statistics_.outcomes[joined.pairs.index(Pair("nova", "none"))] == pytest.approx(5)
    with pytest.raises(PoolError, match="'medium' is not a model"):
        with_successors(router, ["nova@@none"], predecessors={"nova": "medium"})
    with pytest.raises(PoolError, match=r"predecessors has 'nva', .* Did you mean 'nova'\?"):
        with_successors(router, ["nova@@none"], predecessors={"nva": "large"})
    with pytest.raises(PoolError, match="is known to this router"):
        with_successors(router, [OLD])
    with pytest.raises(SettingError, match="outcomes is 0"):
        with_successors(router, [NEW], outcomes=0)


def test_a_model_without_a_predecessor_begins_empty(router: ClusterRouter) -> None:
    joined = with_successors(router, ["nova@@none", "small-2@@none"])
    assert joined.statistics_.outcomes[-2:].tolist() == [0, 0]


def probes(new: list[float], old: list[float] | None = None) -> OutcomeTable:
    rows = [row(f"probe {at}", str(NEW), score) for at, score in enumerate(new)]
    rows += [row(f"probe {at}", str(OLD), score) for at, score in enumerate(old or [])]
    return table_of(*rows)


def test_a_good_model_is_promoted_and_a_bad_one_rolled_back(router: ClusterRouter) -> None:
    good = promotion(router, probes([1.0] * 90, [1.0] * 90), NEW, OLD)
    assert (good.verdict, good.difference, good.paired, good.more) == ("promote", 0.0, 90, 0)
    bad = promotion(router, probes([0.0] * 30, [1.0] * 30), NEW, OLD)
    assert (bad.verdict, bad.difference) == ("roll back", -1.0)
    low, high = bad.interval
    assert low <= -1 <= high < 0
    few = promotion(router, probes([1.0, 0.0, 1.0], [1.0, 0.0, 1.0]), NEW, OLD)
    assert few.verdict == "not yet"
    assert few.more > 0
    assert "more are needed" in str(few)
    assert json.loads(json.dumps(bad.to_json()))["pair"] == str(NEW)


def test_probes_of_the_new_model_alone_are_compared_with_the_record(router: ClusterRouter) -> None:
    found = promotion(router, probes([0.0] * 200), NEW, OLD)
    assert found.paired == 0
    assert found.difference is not None
    assert found.difference < 0
    with pytest.raises(PoolError, match="has no outcome"):
        promotion(router, probes([1.0]), "other@@none", OLD)
    with pytest.raises(PoolError, match="does not know"):
        promotion(router, probes([1.0]), NEW, "other@@none")
    with pytest.raises(SettingError, match="loss is 0"):
        promotion(router, probes([1.0]), NEW, OLD, loss=0)


def test_a_model_that_leaves_costs_points_and_dollars(router: ClusterRouter) -> None:
    table = kinds_of_query()
    found = leaving(router, table, "large")
    assert (found.queries, found.moved) == (18, 6)
    assert found.accuracy == (1.0, 0.0)
    assert found.accuracy_all == (1.0, pytest.approx(2 / 3))
    assert found.cost_usd_per_1k is not None
    assert found.cost_usd_per_1k[0] == pytest.approx(1000 * (0.001 + 0.002 + 0.004) / 3)
    assert sum(found.to.values()) == pytest.approx(1.0)
    assert "6 of 18 queries move" in str(found)
    assert "100.0% were right, and 0.0% would be (-33.3 points over all queries)" in str(found)


def test_an_unknown_cost_stays_unknown(router: ClusterRouter) -> None:
    rows = [{**each, "cost_usd": None} for each in kinds_of_query().table.to_pylist()]
    found = leaving(router, table_of(*rows), "large")
    assert (found.cost_usd_per_1k, found.unpriced) == (None, 18)
    assert "unknown" in str(found)


def test_only_a_model_among_others_can_leave(router: ClusterRouter) -> None:
    with pytest.raises(PoolError, match="'larg' is not in the router's pool"):
        leaving(router, kinds_of_query(), "larg")
    with pytest.raises(PoolError, match="only one"):
        leaving(router.restrict([Pair("large", "none")]), kinds_of_query(), "large")


@pytest.fixture
def refreshed() -> Iterator[None]:
    yield
    prices._TABLES.clear()
    prices._facts.cache_clear()


def test_prices_are_refreshed_from_a_newer_table(tmp_path: Path, refreshed: None) -> None:
    del refreshed
    before = Model(name="openai/gpt-4o-mini").input_cost_per_token
    assert before is not None
    entry = {"input_cost_per_token": before / 2, "output_cost_per_token": 1e-6, "litellm_provider": "openai"}
    newer = dict(prices._table()) | {"gpt-4o-mini": entry}
    (tmp_path / "prices.json").write_text(json.dumps(newer))
    assert refresh_prices(tmp_path / "prices.json") == 1
    model = Model(name="openai/gpt-4o-mini")
    assert model.input_cost_per_token == before / 2
    tokens = {"input_tokens": 1000, "output_tokens": 10}
    rows = [row("a", f"{model.name}@@none", 1.0, 9.0, **tokens), row("b", f"{model.name}@@none", 1.0, 9.0)]
    rows += [row("a", "other@@none", 1.0, 9.0, **tokens)]
    again, changed = repriced(table_of(*rows), Pool(models=(model,)))
    costs = [each["cost_usd"] for each in again.table.to_pylist()]
    assert costs == [pytest.approx(500 * before + 1e-5), 9.0, 9.0]
    assert changed == 1


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"gpt-4o": 3}'])
def test_what_is_no_table_of_prices_is_refused(tmp_path: Path, text: str, refreshed: None) -> None:
    del refreshed
    (tmp_path / "prices.json").write_text(text)
    with pytest.raises(PoolError, match="prices"):
        refresh_prices(tmp_path / "prices.json")


def test_without_a_file_litellm_is_asked_for_its_table(refreshed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    del refreshed
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    assert refresh_prices() >= 0
    assert Model(name="openai/gpt-4o-mini").input_cost_per_token is not None
