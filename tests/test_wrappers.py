"""Wrappers delegate every member of what they wrap; a member that is added later can't be forgotten."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from langchain_core.messages import HumanMessage
from node_graph import node_graph
from provider import reach, serve

from langchain_atlas import (
    AtlasNode,
    Canary,
    EscalatingRouter,
    Executor,
    ExecutorWrapper,
    LiveExecutor,
    Pair,
    Pool,
    Query,
    Router,
    RouterWrapper,
    ShadowRouter,
    solve,
)
from langchain_atlas.evaluation.replay.together import Prepared
from langchain_atlas.integrations.graphs.durable import DurableExecutor, NodeRouter
from langchain_atlas.routers.fallback import FallbackRouter
from langchain_atlas.routers.lazy import LazyRouter
from langchain_atlas.testing import RouterConformance, ScriptedRouter
from langchain_atlas.trajectory import START, Decision, Observation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from langchain_atlas import Model
    from langchain_atlas.testing import OpenAIServer
    from langchain_atlas.trajectory import Trajectory

__all__ = ["reach", "serve"]

A, B = Pair("a"), Pair("b", "search")
QUERY = Query(text="Why?")
CURVE = "what was measured"
DECISION = Decision(kind="route", pair=A, rule="spy")
SEEN = Observation(pair=A, answer="because")


class SpyRouter(Router):
    """Notes which of its members are used."""

    kind = "spy"

    def __init__(self, noted: list[Any]) -> None:
        self.noted = noted

    @property
    def held_out(self) -> Any:  # type: ignore[override]
        self.noted.append("held_out")
        return "held out"

    @property
    def fitted_on(self) -> Any:  # type: ignore[override]
        self.noted.append("fitted_on")
        return np.array([7], dtype=np.uint64)

    @property
    def curve(self) -> Any:
        self.noted.append("curve")
        return CURVE

    @property
    def is_deterministic(self) -> bool:  # type: ignore[override]
        self.noted.append("is_deterministic")
        return True

    @property
    def pairs(self) -> tuple[Pair, ...]:
        self.noted.append("pairs")
        return (A, B)

    @property
    def takes_first_answer(self) -> bool:
        self.noted.append("takes_first_answer")
        return True

    @property
    def failures_are_turns(self) -> bool:
        self.noted.append("failures_are_turns")
        return True

    @property
    def settings(self) -> Any:
        self.noted.append("settings")
        return {"alpha": 0.5}

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        self.noted.append(("decide", query, trajectory))
        return DECISION

    async def adecide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        self.noted.append(("adecide", query, trajectory))
        return DECISION

    def decide_batch(self, queries: Any) -> list[Decision]:
        self.noted.append(("decide_batch", list(queries)))
        return [DECISION] * len(queries)

    def configure(self, **settings: Any) -> Any:
        self.noted.append(("configure", settings))
        return SpyRouter(self.noted)

    def restrict(self, pairs: Any) -> Any:
        self.noted.append(("restrict", list(pairs)))
        return SpyRouter(self.noted)

    def warm(self) -> None:
        self.noted.append(("warm",))

    def save(self, folder: str | Path) -> None:
        self.noted.append(("save", folder))


class SpyExecutor(Executor):
    """Notes which of its members are used."""

    def __init__(self, noted: list[Any]) -> None:
        self.noted = noted

    @property
    def pairs(self) -> tuple[Pair, ...]:
        self.noted.append("pairs")
        return (A, B)

    def suited(self, query: Query) -> frozenset[Pair] | None:
        self.noted.append(("suited", query))
        return frozenset({A})

    def unable(self, query: Query, **more: Any) -> dict[Pair, str]:
        self.noted.append(("unable", query, more))
        return {B: "too long"}

    def provider(self, pair: Pair) -> str | None:
        self.noted.append(("provider", pair))
        return "here"

    def trajectory(self, key: str | None = None, *, last: bool = True) -> Any:
        self.noted.append(("trajectory", key, last))
        return nullcontext()

    def verify(self, query: Query, observation: Observation) -> Observation:
        self.noted.append(("verify", query, observation))
        return observation

    async def averify(self, query: Query, observation: Observation) -> Observation:
        self.noted.append(("averify", query, observation))
        return observation

    def prepare(self) -> None:
        self.noted.append(("prepare",))

    def stays_here(self, pair: Pair) -> bool:
        self.noted.append(("stays_here", pair))
        return True

    def run(self, pair: Pair, query: Query) -> Observation:
        self.noted.append(("run", pair, query))
        return SEEN

    async def arun(self, pair: Pair, query: Query) -> Observation:
        self.noted.append(("arun", pair, query))
        return SEEN


ROUTER_USES: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "curve": (lambda router: router.curve, CURVE),
    "is_deterministic": (lambda router: router.is_deterministic, True),
    "fitted_on": (lambda router: router.fitted_on.tolist(), [7]),
    "held_out": (lambda router: router.held_out, "held out"),
    "pairs": (lambda router: router.pairs, (A, B)),
    "takes_first_answer": (lambda router: router.takes_first_answer, True),
    "failures_are_turns": (lambda router: router.failures_are_turns, True),
    "settings": (lambda router: router.settings, {"alpha": 0.5}),
    "decide": (lambda router: router.decide(QUERY), DECISION),
    "adecide": (lambda router: asyncio.run(router.adecide(QUERY)), DECISION),
    "decide_batch": (lambda router: router.decide_batch([QUERY]), [DECISION]),
    "configure": (lambda router: type(router.configure(alpha=1.0).router), SpyRouter),
    "restrict": (lambda router: type(router.restrict([A]).router), SpyRouter),
    "save": (lambda router: router.save("folder"), None),
    "warm": (lambda router: router.warm(), None),
}
"""Each member of `Router` that is delegated: a use of it, and what comes of that."""
EXECUTOR_USES: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "pairs": (lambda executor: executor.pairs, (A, B)),
    "suited": (lambda executor: executor.suited(QUERY), frozenset({A})),
    "unable": (lambda executor: executor.unable(QUERY, beside="tools"), {B: "too long"}),
    "provider": (lambda executor: executor.provider(A), "here"),
    "stays_here": (lambda executor: executor.stays_here(A), True),
    "trajectory": (lambda executor: type(executor.trajectory("key", last=False)), nullcontext),
    "verify": (lambda executor: executor.verify(QUERY, SEEN), SEEN),
    "averify": (lambda executor: asyncio.run(executor.averify(QUERY, SEEN)), SEEN),
    "prepare": (lambda executor: executor.prepare(), None),
    "run": (lambda executor: executor.run(A, QUERY), SEEN),
    "arun": (lambda executor: asyncio.run(executor.arun(A, QUERY)), SEEN),
}
OWN = {"InputType", "OutputType", "invoke", "ainvoke", "kind", "load"}
"""Members that a wrapper has for itself: as a step of a chain it decides, or runs, as the wrapper does; it has no kind
that could be saved; and `load` belongs to no instance."""


def members(contract: type) -> set[str]:
    return {name for name in vars(contract) if not name.startswith("_")} - OWN


def noted(spied: list[Any], name: str) -> bool:
    return any(note == name or (isinstance(note, tuple) and note[0] == name) for note in spied)


def test_every_member_is_tried_here() -> None:
    assert set(ROUTER_USES) == members(Router)
    assert set(EXECUTOR_USES) == members(Executor)
    assert members(Router) <= set(vars(RouterWrapper)), "a wrapper must say what it does with each member"
    assert members(Executor) <= set(vars(ExecutorWrapper))


def made_lazy(router: Router) -> LazyRouter:
    lazy = LazyRouter(lambda: router)
    assert lazy.router is router
    return lazy


WRAPPERS: dict[str, Callable[[Router], RouterWrapper]] = {
    "wrapper": RouterWrapper,
    "fallback": lambda router: FallbackRouter(router, B),
    "lazy": made_lazy,
    "node": lambda router: NodeRouter(router, 4, None, durable=False),
    "prepared": Prepared,
    "shadow": lambda router: ShadowRouter(router, ScriptedRouter(A)),
    "canary": lambda router: Canary(router, ScriptedRouter(A), share=1e-9),
    "escalating": EscalatingRouter,
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("name", ROUTER_USES)
def test_a_router_is_delegated_to(wrapper: str, name: str) -> None:
    spied: list[Any] = []
    use, expected = ROUTER_USES[name]
    assert use(WRAPPERS[wrapper](SpyRouter(spied))) == expected
    if wrapper in ("wrapper", "lazy") or name not in ("decide_batch", "adecide"):  # the others decide one by one
        assert noted(spied, name)


@pytest.mark.parametrize("wrapper", [ExecutorWrapper, DurableExecutor])
@pytest.mark.parametrize("name", EXECUTOR_USES)
def test_an_executor_is_delegated_to(wrapper: type[ExecutorWrapper], name: str) -> None:
    spied: list[Any] = []
    use, expected = EXECUTOR_USES[name]
    assert use(wrapper(SpyExecutor(spied))) == expected
    assert noted(spied, name)


def test_a_wrapper_that_forgets_a_way_to_decide_is_refused() -> None:
    with pytest.raises(TypeError, match="Half overrides 'decide' and not 'adecide'"):

        class Half(RouterWrapper):
            def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
                return super().decide(query, trajectory)

    with pytest.raises(TypeError, match="HalfRunning overrides 'run' alone"):

        class HalfRunning(ExecutorWrapper):
            def run(self, pair: Pair, query: Query) -> Observation:
                return super().run(pair, query)


class TestWrapped(RouterConformance):
    """Whatever it wraps, a wrapper is a router."""

    def make_router(self) -> Router:
        return RouterWrapper(ScriptedRouter(A))


def test_a_batch_that_fails_is_decided_one_by_one() -> None:
    class Stumbling(ScriptedRouter):
        def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
            if query.text == "bad":
                raise OSError("no such file")
            return super().decide(query, trajectory)

    router = FallbackRouter(Stumbling(A), B)
    decisions = router.decide_batch([QUERY, Query(text="bad")])
    assert [(decision.pair, decision.rule) for decision in decisions] == [(A, "script"), (B, "router-failed")]


@pytest.mark.parametrize("durable", [False, True])
def test_an_image_for_a_router_of_a_text_model(
    serve: Callable[..., OpenAIServer], reach: Callable[..., Model], durable: bool
) -> None:
    """Where none of the router's pairs is said to see, its pair is asked all the same, in a node as in `solve`."""
    server = serve("a cat")
    models = (reach(server, "blind"), reach(server, "seeing", modalities={"text", "image"}))
    executor = LiveExecutor(Pool(models=models), retries=0)
    query = Query(text="What is it?", images=("data:image/png;base64,iVBORw0KGgo=",))
    assert solve(query, ScriptedRouter("blind@@none"), executor).answer == "a cat"
    image = {"type": "image_url", "image_url": {"url": query.images[0]}}
    message = HumanMessage([{"type": "text", "text": query.text}, image])
    graph = node_graph(AtlasNode(ScriptedRouter("blind@@none"), executor, durable=durable)).compile()
    assert graph.invoke({"messages": [message]})["messages"][-1].text == "a cat"
    assert [body["model"] for body in server.bodies] == ["blind", "blind"]
