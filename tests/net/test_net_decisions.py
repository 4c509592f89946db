"""What every kind of router decides on small made-up tables stays what it is, from release to release."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from asking import letters_or_numbers, sums
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from recorded import KINDS, kinds_of_query
from snapshots import Plain, check_cases, compare

from langchain_atlas import ClusterRouter, DualRouter, FallbackRouter, LazyRouter, Model, Pair, Pool, PromptedRouter
from langchain_atlas.errors import ConstraintError
from langchain_atlas.learning.ppo import PPOConfig
from langchain_atlas.learning.pretraining import PretrainingConfig
from langchain_atlas.learning.training import TrainingConfig, train
from langchain_atlas.routers.baselines import RandomRouter, SinglePairRouter
from langchain_atlas.routers.dual import Calibration
from langchain_atlas.routers.learned.bert import BertRouter
from langchain_atlas.routers.learned.knn import KNNRouter
from langchain_atlas.routers.learned.linear import LinearRouter
from langchain_atlas.routers.learned.matrix_factorization import MatrixFactorizationRouter
from langchain_atlas.routers.learned.mlp import MLPRouter
from langchain_atlas.routers.learned.routerdc import RouterDCRouter
from langchain_atlas.testing import FakeEncoder
from langchain_atlas.trajectory import START, Constraints, Decision, Observation, Query, Trajectory

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_atlas.routers.base import Router
    from langchain_atlas.routers.policy.router import RLRouter

QUICK = {"epochs": 40, "batch_size": 8, "learning_rate": 0.02}
SMALL, SEARCH, LARGE = Pair("small", "calculator"), Pair("small", "search"), Pair("large")
TRIO = (SMALL, SEARCH, LARGE)


class Chooser(BaseChatModel):
    """Asks the last pair on offer, and then gives what it said."""

    @property
    def _llm_type(self) -> str:
        return "chooser"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        told, steps = str(messages[0].content), str(messages[-1].content)
        offered = [line[2:].partition(":")[0] for line in told.splitlines() if line.startswith("- ")]
        said = steps.rpartition("<information>")[2].partition("</")[0]
        reply = f"<search>{offered[-1]}: that</search>"
        if "<information>" in steps:
            reply = f"<answer>{said}</answer>"
        return ChatResult(generations=[ChatGeneration(message=AIMessage(f"<think>so</think>{reply}"))])


def cluster(**settings: Any) -> ClusterRouter:
    return ClusterRouter(
        FakeEncoder(), **{"n_clusters": 3, "cost_weight": 0.3, "guard": 0.0, "random_state": 0, **settings}
    )


@cache
def policy(*, cautious: bool) -> RLRouter:
    lesson = PretrainingConfig(belief_steps=30, gain_steps=30, batch=64)
    config = TrainingConfig(pretraining=lesson, ppo=PPOConfig(steps=3, batch=64), cautious=cautious)
    return train(sums(), FakeEncoder(), config=config, seed=0).configure(cost_weight=0.05, max_turns=4)


def dual() -> Router:
    first = ClusterRouter(FakeEncoder(), n_clusters=2, cost_weight=0.3, guard=0.0, random_state=0).fit(sums())
    return DualRouter(first, policy(cautious=False), calibration=Calibration(distance=1.0, queries=10))


def prompted() -> Router:
    names = dict.fromkeys(pair.model for pair in TRIO)
    return PromptedRouter(Chooser(), Pool(models=tuple(Model(name=name) for name in names)))


KIND_ROUTERS: dict[str, Callable[[], Router]] = {
    "cluster": lambda: cluster().fit(kinds_of_query()),
    "cluster, no trees": lambda: cluster(n_trees=0, latency_share=0.5).fit(kinds_of_query()),
    "fallback": lambda: FallbackRouter(cluster().fit(kinds_of_query()), LARGE),
    "lazy": lambda: LazyRouter(lambda: cluster().fit(kinds_of_query())),
    "knn": lambda: KNNRouter(FakeEncoder(), cost_weight=0.3, n_neighbours=6, max_distance=2).fit(kinds_of_query()),
    "linear": lambda: LinearRouter(FakeEncoder(), cost_weight=0.3, penalty=1).fit(kinds_of_query()),
    "logistic": lambda: LinearRouter(FakeEncoder(), cost_weight=0.3, logistic=True, penalty=0.1).fit(kinds_of_query()),
    "mlp": lambda: MLPRouter(FakeEncoder(), cost_weight=0.3, hidden=16, **QUICK).fit(kinds_of_query()),
    "mf": lambda: MatrixFactorizationRouter(FakeEncoder(), cost_weight=0.3, dimension=16, noise=0.5, **QUICK).fit(
        kinds_of_query()
    ),
    "routerdc": lambda: RouterDCRouter(FakeEncoder(), cost_weight=0.3, positives=1, negatives=2, groups=3, **QUICK).fit(
        kinds_of_query()
    ),
    "random": lambda: RandomRouter(TRIO, seed=3),
    "single": lambda: SinglePairRouter(SEARCH),
    "prompted": prompted,
}
"""Routers of the kinds of query."""
POLICIES: dict[str, Callable[[], Router]] = {
    "rl": lambda: policy(cautious=False),
    "rl, cautious": lambda: policy(cautious=True),
    "dual": dual,
}
"""Routers of the sums."""


def told(decision: Decision) -> dict[str, Any]:
    """Return what of a decision is kept: not its reason, which is prose."""
    chosen, second = decision.chosen, decision.runner_up
    return {
        "kind": decision.kind,
        "pair": str(decision.pair),
        "rule": decision.rule,
        "input": decision.input,
        "answer": decision.answer,
        "source": decision.source,
        "cluster": decision.cluster,
        "expected_success": None if chosen is None else chosen.expected_success,
        "usd_per_1000": None if chosen is None or chosen.expected_cost_usd is None else 1000 * chosen.expected_cost_usd,
        "runner_up": None if second is None else str(second.pair),
    }


def decided(router: Router, query: Query, trajectory: Trajectory = START) -> Any:
    try:
        return told(router.decide(query, trajectory))
    except ConstraintError as error:
        return type(error).__name__


def course(router: Router, query: Query, fails: int = 0) -> list[Any]:
    """Return the decisions on the way to an answer; the first calls fail, each costs a thousandth of a dollar."""
    trajectory, decisions = START, []
    while not trajectory.done and len(decisions) < 6:
        decision = router.decide(query, trajectory)
        decisions.append(told(decision))
        seen = None
        if decision.pair is not None:
            failed = trajectory.calls < fails
            seen = Observation(
                pair=decision.pair,
                answer=None if failed else f"{decision.pair} says 42",
                error="RuntimeError: told to fail" if failed else None,
                cost_usd=0.001,
                latency_s=0.5,
            )
        trajectory = trajectory.then(decision, seen)
    return decisions


def asked(router: Router, queries: list[Query]) -> dict[str, Any]:
    """Return what a router decides on queries: as they are, within limits, with failures, all at once."""
    return dict(Plain()(_asked(router, queries)))


def _asked(router: Router, queries: list[Query]) -> dict[str, Any]:
    first, pairs = queries[0], router.pairs
    within = {
        "one pair": Constraints(pairs=frozenset(pairs[-1:])),
        "no pair of its own": Constraints(pairs=frozenset({Pair("stranger")})),
        "two tenths of a cent": Constraints(max_cost_usd=0.002),
        "no money": Constraints(max_cost_usd=0.0),
        "a second and a half": Constraints(max_latency_s=1.5),
        "a nanosecond": Constraints(max_latency_s=1e-9),
    }
    return {
        "each": [decided(router, query) for query in queries],
        "batch": [str(decision.pair) for decision in router.decide_batch(queries)],
        "cost alone": decided(router, first.replace(cost_weight=1.0)),
        "accuracy alone": decided(router, first.replace(cost_weight=0.0)),
        "answered": course(router, first),
        "failed once": course(router, first, fails=1),
        "failed always": course(router, first, fails=9),
        "within": {name: decided(router, first.replace(constraints=limits)) for name, limits in within.items()},
        "restricted": decided(router.restrict(pairs[:1]), first) if pairs else None,
    }


@pytest.mark.parametrize("name", KIND_ROUTERS)
def test_on_kinds_of_query(name: str) -> None:
    texts = [sentence.format(word) for _, words, sentence in KINDS.values() for word in [words[0], "cousin"]]
    compare("decisions", name, asked(KIND_ROUTERS[name](), [Query(text=text) for text in texts]))


def test_on_kinds_of_query_with_a_fine_tuned_model(tiny_model: str) -> None:
    router = BertRouter(FakeEncoder(), model=tiny_model, cost_weight=0.3, **{**QUICK, "learning_rate": 0.005})
    texts = [sentence.format("cousin") for _, _, sentence in KINDS.values()]
    compare("decisions", "bert", asked(router.fit(kinds_of_query()), [Query(text=text) for text in texts]))


@pytest.mark.parametrize("name", POLICIES)
def test_on_sums(name: str) -> None:
    texts = ["What is 4 plus 15?", "What is 39 plus 85?", "Who wrote Hamlet?"]
    compare("decisions", name, asked(POLICIES[name](), [Query(text=text) for text in texts]))


def test_where_a_text_alone_tells_the_pairs_apart() -> None:
    router = ClusterRouter(FakeEncoder(), n_clusters=2, cost_weight=0.0, guard=0.0, random_state=0).fit(
        letters_or_numbers()
    )
    texts = ["3 4 5 6", "spell word xxx", "hello"]
    compare("decisions", "cluster, letters or numbers", asked(router, [Query(text=text) for text in texts]))


def test_nothing_else_is_kept() -> None:
    check_cases("decisions", {*KIND_ROUTERS, *POLICIES, "bert", "cluster, letters or numbers"})
