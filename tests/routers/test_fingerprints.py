"""What a router keeps of the queries it learned from: enough to know them again, and no text."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from asking import sums
from recorded import kinds_of_query, row
from safetensors.numpy import load_file

from langchain_atlas.learning.ppo import PPOConfig
from langchain_atlas.learning.pretraining import PretrainingConfig
from langchain_atlas.learning.training import TrainingConfig, train
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.baselines import SinglePairRouter
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.dual import DualRouter
from langchain_atlas.routers.fallback import FallbackRouter
from langchain_atlas.routers.lazy import LazyRouter
from langchain_atlas.routers.learned.knn import KNNRouter
from langchain_atlas.routers.learned.linear import LinearRouter
from langchain_atlas.routers.policy.router import RLRouter
from langchain_atlas.routers.saved.artifact import ARRAYS, CONFIG, Artifact, read_artifact, write_artifact
from langchain_atlas.routers.saved.fingerprints import fingerprints, united
from langchain_atlas.testing import FakeEncoder
from langchain_atlas.trajectory import Query

QUICK = TrainingConfig(pretraining=PretrainingConfig(belief_steps=1, gain_steps=1, batch=16), ppo=PPOConfig(steps=0))


def cluster(table: OutcomeTable) -> ClusterRouter:
    return ClusterRouter(FakeEncoder(), n_clusters=2).fit(table)


def trained(table: OutcomeTable) -> RLRouter:
    return train(table, FakeEncoder(), config=QUICK)


MAKERS: dict[str, Callable[[OutcomeTable], Router]] = {
    "cluster": cluster,
    "knn": lambda table: KNNRouter(FakeEncoder()).fit(table),
    "linear": lambda table: LinearRouter(FakeEncoder()).fit(table),
    "rl": trained,
    "dual": lambda table: DualRouter(cluster(table), trained(table)),
}


def marks(table: OutcomeTable) -> list[int]:
    return sorted(set(fingerprints(table.queries).tolist()))


def known_to(router: Router) -> list[int]:
    assert router.fitted_on is not None
    return [int(mark) for mark in router.fitted_on]


class TestFingerprints:
    def test_are_of_text_and_context_whatever_the_id_and_the_blanks(self) -> None:
        same = [Query(id="a", text="What is\n 2 + 2?"), Query(id="b", text=" What is 2 + 2? ", context="")]
        other = [Query(text="What is 2 + 3?"), Query(text="What is 2 + 2?", context="[add]")]
        first, second, *rest = fingerprints([*same, *other]).tolist()
        assert first == second
        assert len({first, *rest}) == 3

    def test_are_the_same_everywhere(self) -> None:
        """Worked out with ``printf '["What is 2 + 2?", ""]' | b2sum -l 64``, lowest byte first."""
        assert fingerprints([Query(text="What is 2 + 2?")]).tolist() == [
            int.from_bytes(bytes.fromhex("c0c844e99147de67"), "little")
        ]

    def test_text_that_can_not_be_written_has_one_too(self) -> None:
        assert len(fingerprints([Query(text="half \ud800 a character")])) == 1

    def test_of_nothing_are_none(self) -> None:
        assert fingerprints([]).tolist() == []

    def test_what_is_unknown_stays_unknown(self) -> None:
        one, two = np.array([3, 1], dtype=np.uint64), np.array([3, 2], dtype=np.uint64)
        both = united(one, two)
        assert both is not None
        assert both.tolist() == [1, 2, 3]
        assert united(one, None) is None
        assert united() is None


@pytest.mark.parametrize("kind", MAKERS)
class TestEveryKind:
    def test_remembers_through_saving_what_it_was_fitted_on(self, kind: str, tmp_path: Path) -> None:
        table = sums(40)
        router = MAKERS[kind](table)
        assert router.kind == kind
        assert known_to(router) == marks(table)
        router.save(tmp_path / "first")
        loaded = Router.load(tmp_path / "first", FakeEncoder())
        assert known_to(loaded) == marks(table)
        loaded.restrict(table.pairs[:2]).configure().save(tmp_path / "second")
        assert known_to(Router.load(tmp_path / "second", FakeEncoder())) == marks(table)

    def test_keeps_eight_bytes_a_query_and_no_text(self, kind: str, tmp_path: Path) -> None:
        table = sums(40)
        MAKERS[kind](table).save(tmp_path / "router")
        assert load_file(tmp_path / "router" / ARRAYS)["fitted_on"].nbytes == 8 * len(set(marks(table)))
        written = (tmp_path / "router" / ARRAYS).read_bytes() + (tmp_path / "router" / CONFIG).read_bytes()
        assert not any(query.text.encode() in written for query in table.queries)

    def test_loads_from_a_folder_that_does_not_say(self, kind: str, tmp_path: Path) -> None:
        MAKERS[kind](sums(40)).save(tmp_path / "router")
        told = read_artifact(tmp_path / "router")
        write_artifact(
            tmp_path / "old", Artifact(told.kind, told.pairs, told.encoder, told.settings, told.facts, told.arrays)
        )
        old = Router.load(tmp_path / "old", FakeEncoder())
        assert old.fitted_on is None
        assert old.decide(Query(text="What is 2 + 2?")).pair in old.pairs


class TestLearningMore:
    def test_adds_the_new_queries(self) -> None:
        table = kinds_of_query()
        first, later = table.select(domains=["facts", "talk"]), table.select(domains=["arithmetic", "talk"])
        router = cluster(first).partial_fit(later)
        assert known_to(router) == marks(table)

    def test_of_pairs_that_join_the_policy_too(self) -> None:
        policy, probes = trained(sums(40)), kinds_of_query()
        assert known_to(policy.add_pairs(probes)) == sorted({*marks(sums(40)), *marks(probes)})
        assert known_to(policy) == marks(sums(40))

    def test_leaves_unknown_what_was_unknown(self) -> None:
        router = cluster(kinds_of_query())
        router.fitted_on = None
        assert router.add_pairs(kinds_of_query()).fitted_on is None


def test_routers_that_wrap_another_say_what_it_says() -> None:
    table = kinds_of_query()
    assert known_to(FallbackRouter(cluster(table), Pair("large"))) == marks(table)
    lazy = LazyRouter(lambda: cluster(table))
    assert lazy.fitted_on is None  # it was not made yet
    lazy.decide(Query(text="Why?"))
    assert known_to(lazy) == marks(table)
    assert known_to(lazy.restrict(table.pairs[:1])) == marks(table)


def test_a_router_that_learned_from_nothing_says_nothing(tmp_path: Path) -> None:
    SinglePairRouter("large@@none").save(tmp_path / "single")
    assert Router.load(tmp_path / "single").fitted_on is None
    assert "fitted_on" not in load_file(tmp_path / "single" / ARRAYS)


def test_a_query_asked_twice_counts_once() -> None:
    table = OutcomeTable.from_rows([row(name, "a@@none", 1.0, query="Why?") for name in "pq"])
    assert len(known_to(KNNRouter(FakeEncoder()).fit(table))) == 1
