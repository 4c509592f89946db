"""Limits at work: who they are for, what is unknown, what resumes, and what happens while the store is away."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command
from recorded import Compass, row, table_of
from test_shared_limits import SMALL, TODAY, Priced, config, costing, node_graph

from langchain_atlas import (
    AtlasChain,
    AtlasMiddleware,
    AtlasNode,
    ChatAtlas,
    ClusterRouter,
    Limits,
    LiveExecutor,
    Pair,
    Query,
    ShadowRouter,
    Store,
    asolve,
    create_atlas_graph,
    solve,
)
from langchain_atlas.amounts import Use
from langchain_atlas.errors import BrokenStreamError, ExecutionError, LimitError, SettingError
from langchain_atlas.testing import Broken, ScriptedExecutor, ScriptedRouter, call_tool
from langchain_atlas.trajectory import START as START_OF_A_QUERY
from langchain_atlas.trajectory import Constraints
from langchain_atlas.usage import Spending

if TYPE_CHECKING:
    from pathlib import Path

    from fixture_types import Connect, Echo, Serve

ASK = {"messages": [HumanMessage("hello", id="ask")]}
DAY = f"day:{TODAY}"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"day_usd": -1}, r"day_usd is -1; it must be a number from 0, or None"),
        ({"thread_calls": 1.5}, r"thread_calls is 1.5; it must be a whole number from 0, or None"),
        ({"run_s": "9"}, r"run_s is '9'"),
        ({"cooldown_after": 0}, r"cooldown_after is 0; it must be a whole number from 1\."),
        ({"cooldown_after": None}, r"cooldown_after is None"),
        ({"day_usd": True}, r"day_usd is True"),
        ({"day_usd": float("nan")}, r"day_usd is nan"),
        ({"members": "small"}, r"members is 'small'; it must be a list .* such as \['small'\]"),
        ({"user_members": {"ada": "small"}}, r"user_members\['ada'\] is 'small'"),
        ({"members": 5}, r"members is 5; it must be a list of names, such as \['small'\]"),
        ({"user_members": ["ada"]}, r"user_members is \['ada'\]; it must give members by user"),
        ({"private": True}, r"private is True; it must be a function of the query, or None"),
        ({"private_services": "gpt-4o"}, r"private_services is 'gpt-4o'; it must be a list of names"),
        ({"if_store_is_away": "alow"}, r"if_store_is_away is 'alow'. Did you mean 'allow'\?"),
    ],
)
def test_settings_that_are_no_limits_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        Limits(**given)


class TestWhoALimitIsFor:
    @pytest.mark.parametrize(("scope", "key"), [("user", "user_id"), ("thread", "thread_id"), ("run", "run_id")])
    def test_is_named_by_the_config_and_must_be(self, scope: str, key: str) -> None:
        chain = AtlasChain(Priced(small=0.1), costing(small=0.1), limits=Limits(**{f"{scope}_calls": 1}))
        assert chain.invoke("hello", config(**{key: "one"})).text == "by small"
        with pytest.raises(LimitError, match=f"{scope}_calls is 1, and 1 calls are used"):
            chain.invoke("hello", config(**{key: "one"}))
        assert chain.invoke("hello", config(**{key: "two"})).text == "by small"
        with pytest.raises(SettingError, match=rf"{scope}_calls can't be checked: this call names no {scope}.*'{key}'"):
            chain.invoke("hello")

    def test_subgraphs_and_agents_of_a_run_share_it(self, serve: Serve, connect: Connect, echo: Echo) -> None:
        executor, limits = connect(serve(echo)), Limits(run_calls=2)
        inner = node_graph(AtlasNode(Priced(small=1e-6), executor, limits=limits))
        middleware = AtlasMiddleware(Priced(small=1e-6), executor, limits=limits)
        builder = StateGraph(MessagesState)
        builder.add_node("first", inner)
        builder.add_node("second", create_agent(executor.chat_model("large"), middleware=[middleware]))
        builder.add_edge(START, "first")
        builder.add_edge("first", "second")
        builder.add_edge("second", END)
        graph = builder.compile()
        assert graph.invoke(ASK, config(run_id="r"))["messages"][-1].text
        assert limits.memory.used(["run:r"])["run:r"].calls == 2
        with pytest.raises(LimitError):
            graph.invoke(ASK, config(run_id="r"))

    def test_user_may_be_given_other_members(self) -> None:
        limits = Limits(members=["small", "large"], user_members={"guest": ["small@@none"]})
        executor = costing(small=0.1, large=0.2, huge=0.3)
        chain = AtlasChain(Priced(small=0.1, large=0.2, huge=0.3), executor, limits=limits)
        assert chain.invoke("hello", config(user_id="ada")).text == "by large"
        assert chain.invoke("hello", config(user_id="guest")).text == "by small"
        with pytest.raises(SettingError, match="user_members can't be checked"):
            chain.invoke("hello")

    def test_router_that_knows_nothing_of_limits_gets_no_other_member_called(self) -> None:
        executor = ScriptedExecutor({"small@@none": "a", "large@@none": "b"})
        with pytest.raises(LimitError, match="None of the pairs large@@none is among the members"):
            solve("hello", ScriptedRouter("large@@none"), executor, limits=Limits(members=["small"]))
        assert executor.calls == []


class TestWhatIsUnknown:
    def test_pair_of_unknown_cost_is_not_called_under_a_limit_on_dollars(self) -> None:
        executor = ScriptedExecutor({"small@@none": "a"})
        with pytest.raises(
            ExecutionError, match=r"day_usd is set, and nothing is known of what small@@none costs"
        ) as got:
            AtlasChain(ScriptedRouter(SMALL), executor, limits=Limits(day_usd=1)).invoke("hello")
        assert isinstance(got.value, LimitError)
        assert executor.calls == []

    def test_counts_as_one_says(self) -> None:
        executor, limits = ScriptedExecutor({"small@@none": "a"}), Limits(day_usd=0.5, unknown_usd=0.25)
        chain = AtlasChain(ScriptedRouter(SMALL), executor, limits=limits)
        for _ in range(2):
            assert chain.invoke("hello").text == "a"
        with pytest.raises(LimitError, match=r"day_usd is 0.5, and 0.5 dollars are used today"):
            chain.invoke("hello")

    def test_failed_call_of_unknown_cost_counts_as_expected(self) -> None:
        executor = ScriptedExecutor({"small@@none": ConnectionError("gone")})
        limits = Limits(day_usd=1)
        with pytest.raises(ExecutionError, match="gone"):
            AtlasChain(Priced(small=0.25), executor, limits=limits).invoke("hello")
        assert limits.memory.used([DAY])[DAY] == Use(0.25, pytest.approx(0.1), 1)

    def test_free_pair_answers_when_all_is_spent(self) -> None:
        limits = Limits(day_usd=1)
        limits.memory.charge("before", Use(5.0, 0, 1), {DAY: Limits().caps.get("day") or _any()})
        chain = AtlasChain(Priced(free=0.0, dear=0.5), costing(free=0.0, dear=0.5), limits=limits)
        assert chain.invoke("hello").text == "by free"


def _any() -> Any:
    from langchain_atlas.amounts import Caps

    return Caps()


class _Thinking(Priced):
    """Routes as its base does; each decision asks a model that costs money, also the one to answer."""

    def __init__(self, cost_usd: float | None, **usd: float | None) -> None:
        super().__init__(**usd)
        self.cost_usd = cost_usd

    def decide(self, query: Query, trajectory: Any = START_OF_A_QUERY) -> Any:
        return super().decide(query, trajectory).replace(spent=Spending(cost_usd=self.cost_usd))


class TestDollarsOfDeciding:
    def used(self, limits: Limits) -> Use:
        return limits.memory.used([DAY])[DAY]

    def test_are_counted_also_where_nothing_is_called(self) -> None:
        limits = Limits(day_usd=10)
        solve("hello", _Thinking(0.25, small=1.0), costing(small=1.0), limits=limits)
        assert self.used(limits) == Use(usd=1.5, seconds=0.25, calls=1), "two decisions and a call"

    def test_are_counted_of_a_choice_that_no_longer_fits_too(self) -> None:
        limits = Limits(day_usd=1.4)
        solve("hello", _Thinking(0.25, small=0.5, large=2.0), costing(small=0.5, large=2.0), limits=limits)
        assert self.used(limits).usd == pytest.approx(0.25 + 0.25 + 0.5 + 0.25)

    def test_of_unknown_cost_count_as_one_says_or_are_refused(self) -> None:
        limits = Limits(day_usd=10)
        with pytest.raises(LimitError, match=r"day_usd is set, and nothing is known of what the router's own model"):
            solve("hello", _Thinking(None, small=1.0), costing(small=1.0), limits=limits)
        limits = Limits(day_usd=10, unknown_usd=0.5)
        solve("hello", _Thinking(None, small=1.0), costing(small=1.0), limits=limits)
        assert self.used(limits).usd == pytest.approx(0.5 + 1.0 + 0.5)
        limits = Limits(day_calls=5)
        assert solve("hello", _Thinking(None, small=1.0), costing(small=1.0), limits=limits).answer == "by small"


class TestWithinACall:
    def test_tool_loop_ends_when_nothing_is_left(self, serve: Serve, connect: Connect) -> None:
        usage = {"prompt_tokens": 90, "completion_tokens": 10, "total_tokens": 100}
        calling = {"content": "", "tool_calls": [call_tool("double", {"number": 21})], "usage": usage}
        server = serve(lambda _: calling)
        limits = Limits(day_usd=2.5e-4)
        chain = AtlasChain(_Calculating(), connect(server), limits=limits)
        with pytest.raises(ExecutionError, match=r"dollars are used of the 0\.00025 that were left"):
            chain.invoke("21?")
        assert len(server.requests) == 3, "three of a ten-thousandth each"
        assert limits.memory.used([DAY])[DAY].usd == pytest.approx(3e-4)

    def test_query_keeps_the_narrower_limit(self) -> None:
        limits = Limits(day_usd=1)
        query = Query(text="?", constraints=Constraints(max_cost_usd=0.15))
        done = solve(query, Priced(small=0.1, large=0.2), costing(small=0.1, large=0.2), limits=limits)
        assert done.answer == "by small"


class _Calculating(Priced):
    """Priced, with the calculator."""

    def __init__(self) -> None:
        super().__init__(small=1e-4)

    @property
    def pairs(self) -> tuple[Any, ...]:
        from langchain_atlas import Pair

        return (Pair("small", "calculator"),)

    def decide(self, query: Query, trajectory: Any = None) -> Any:  # noqa: ARG002
        from langchain_atlas.trajectory import Candidate, Decision, last_answer

        if trajectory is not None and trajectory.observations:
            return last_answer(trajectory, rule="once", reason="")
        pair = self.pairs[0]
        chosen = Candidate(pair=pair, expected_success=0.5, expected_cost_usd=1e-4)
        return Decision(kind="route", pair=pair, chosen=chosen)


class TestResumedRun:
    @pytest.mark.parametrize("by", ["node", "graph"])
    def test_pays_once(self, by: str, tmp_path: Path) -> None:
        store = Store(f"sqlite:///{tmp_path}/atlas.db")
        limits, executor = Limits(day_calls=9, thread_calls=9), costing(small=0.1)
        given: dict[str, Any] = {"approve": lambda *_: True, "store": store, "limits": limits}
        if by == "node":
            graph = node_graph(AtlasNode(Priced(small=0.1), executor, **given), checkpointer=InMemorySaver())
        else:
            graph = create_atlas_graph(Priced(small=0.1), executor, **given).compile(checkpointer=InMemorySaver())
        graph.invoke(ASK, config(thread_id="t"))
        assert store.ledger.used([DAY])[DAY].calls == 0, "it waits for a person"
        done = graph.invoke(Command(resume=True), config(thread_id="t"))
        assert done["messages"][-1].text == "by small"
        assert store.ledger.used([DAY, "thread:t"])[DAY].calls == 1
        store.close()

    def test_pays_once_when_it_failed_after_the_call(self, tmp_path: Path) -> None:
        store, broken = Store(f"sqlite:///{tmp_path}/atlas.db"), [True]
        executor = costing(small=0.1)
        node = AtlasNode(Priced(small=0.1), executor, store=store, limits=Limits(day_calls=9), durable=True)

        def then_fails(update: Any) -> Any:
            if broken.pop() if broken else False:
                raise RuntimeError("after the call")
            return update

        builder = StateGraph(MessagesState)
        builder.add_node("ask", node | RunnableLambda(then_fails))
        builder.add_edge(START, "ask")
        graph = builder.compile(checkpointer=InMemorySaver())
        with pytest.raises(RuntimeError, match="after the call"):
            graph.invoke(ASK, config(thread_id="t"))
        assert graph.invoke(None, config(thread_id="t"))["messages"][-1].text == "by small"
        assert len(executor.calls) == 1
        assert store.ledger.used([DAY])[DAY] == Use(pytest.approx(0.1), 0.25, 1)
        store.close()


class TestWhileTheStoreIsAway:
    @pytest.fixture
    def away(self, tmp_path: Path) -> Store:
        (tmp_path / "atlas.db").mkdir()  # no database can be there
        return Store(f"sqlite:///{tmp_path}/atlas.db", spill_folder=tmp_path / "spill")

    def test_calls_are_refused_and_the_error_says_why(self, away: Store) -> None:
        executor = costing(small=0.1)
        chain = AtlasChain(Priced(small=0.1), executor, store=away, limits=Limits(day_usd=1))
        with pytest.raises(
            LimitError, match=r"(?s)can't be read or written, so no pair is called.*if_store_is_away='allow'"
        ):
            chain.invoke("hello")
        assert executor.calls == []
        away.close()

    def test_this_process_counts_alone_if_it_may(self, away: Store) -> None:
        limits = Limits(day_calls=2, if_store_is_away="allow", cooldown_s=60)
        chain = AtlasChain(Priced(small=0.1), costing(small=0.1), store=away, limits=limits)
        for _ in range(2):
            assert chain.invoke("hello").text == "by small"
        with pytest.raises(LimitError, match="day_calls is 2"):
            chain.invoke("hello")
        away.close()

    def test_answer_is_given_if_it_goes_away_during_the_call(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = tmp_path / "atlas.db"
        store = Store(f"sqlite:///{path}", spill_folder=tmp_path / "spill")

        def going(pair: Any, _: Query) -> Any:
            store.close()
            for file in [path, *tmp_path.glob("atlas.db-*")]:
                file.unlink(missing_ok=True)
            path.mkdir()
            return costing(small=0.1).run(pair, Query(text="?"))

        limits = Limits(day_usd=1)
        with caplog.at_level(logging.WARNING):
            assert solve("hello", Priced(small=0.1), ScriptedExecutor(going), store=store, limits=limits).answer
        assert "it counts as expected" in caplog.text
        store.close()


def test_nothing_is_left_out_if_nothing_else_is_left() -> None:
    limits = Limits(cooldown_s=60, cooldown_after=1)
    limits.memory.failed("small", 60, 1)
    chain = AtlasChain(Priced(small=0.1, large=0.2), costing(small=0.1, large=0.2), limits=limits)
    limits.memory.failed("large", 60, 1)
    assert chain.invoke("hello").text == "by large"
    assert set(limits.memory.failing()) == {"small"}, "it answered"


def test_mistakes_of_a_query_leave_no_model_out() -> None:
    limits = Limits(cooldown_s=60, cooldown_after=1)
    executor = ScriptedExecutor(lambda *_: ValueError("too long"))
    with pytest.raises(ExecutionError, match="too long"):
        AtlasChain(Priced(small=0.1), executor, limits=limits).invoke("hello")
    assert limits.memory.failing() == {}


def test_agents_own_model_is_not_called_past_a_limit(serve: Serve, connect: Connect, echo: Echo) -> None:
    server = serve(echo)
    executor: LiveExecutor = connect(server)
    middleware = AtlasMiddleware(Priced(small=1e-6), executor, limits=Limits(day_calls=0))
    agent = create_agent(executor.chat_model("large"), middleware=[middleware])
    with pytest.raises(LimitError):
        agent.invoke(ASK)
    assert server.requests == []


def test_cancelled_call_stays_charged_as_expected() -> None:
    begun = asyncio.Event()

    class Slow(ScriptedExecutor):
        async def arun(self, pair: Any, query: Query) -> Any:
            begun.set()
            await asyncio.sleep(60)
            return self.run(pair, query)

    limits = Limits(day_usd=1)

    async def cancel() -> None:
        task = asyncio.create_task(asolve("hello", Priced(small=0.25), Slow({"small@@none": "a"}), limits=limits))
        await asyncio.wait_for(begun.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert limits.memory.used([DAY])[DAY].usd == 0.25


class TestStreamedReply:
    def test_is_charged_and_refused_like_any_other(self, serve: Serve, connect: Connect, echo: Echo) -> None:
        server, limits = serve(echo), Limits(day_calls=1, day_usd=1)
        model = ChatAtlas(router=Priced(small=0.5), executor=connect(server), limits=limits)
        assert "".join(str(chunk.content) for chunk in model.stream("hello")) == "small heard hello"
        assert limits.memory.used([DAY])[DAY] == Use(pytest.approx(4e-6), pytest.approx(1, abs=5), 1)
        with pytest.raises(LimitError):
            list(model.stream("hello"))
        assert len(server.requests) == 1

    def test_that_breaks_off_stays_charged_as_expected(self, serve: Serve, connect: Connect) -> None:
        limits = Limits(day_usd=1)
        router = Priced(small=0.5)
        model = ChatAtlas(router=router, executor=connect(serve(Broken("one two three"))), limits=limits)
        with pytest.raises(BrokenStreamError):
            list(model.stream("hello"))
        assert limits.memory.used([DAY])[DAY].usd == 0.5


def test_pair_that_a_person_puts_in_its_place_must_be_a_member_too() -> None:
    executor = costing(small=0.1, large=0.2)
    node = AtlasNode(
        Priced(small=0.1), executor, approve=lambda *_: True, limits=Limits(members=["small"], unknown_usd=1)
    )
    graph = node_graph(node, checkpointer=InMemorySaver())
    graph.invoke(ASK, config(thread_id="t"))
    graph.invoke(Command(resume="large@@none"), config(thread_id="t"))
    assert executor.calls == []
    graph.invoke(Command(resume=True), config(thread_id="t"))
    assert [pair.model for pair, _ in executor.calls] == ["small"], "the router's next choice"


def test_cluster_router_takes_the_cheaper_pair_when_the_dear_one_no_longer_fits() -> None:
    right, wrong = Pair("right"), Pair("wrong")
    rows = [
        row(f"q{n}", str(pair), score, usd) for n in range(4) for pair, score, usd in ((right, 1, 0.4), (wrong, 0, 0.1))
    ]
    router = ClusterRouter.as_in_paper(Compass({"q0": 0.0}), n_clusters=1, cost_weight=0.0).fit(table_of(*rows))
    limits = Limits(day_usd=0.9)
    chain = AtlasChain(router, costing(right=0.4, wrong=0.1), limits=limits)
    assert [chain.invoke("q0").text for _ in range(3)] == ["by right", "by right", "by wrong"]
    with pytest.raises(LimitError, match=r"day_usd is 0.9, and 0.9 dollars are used today.*the least is 0.1"):
        chain.invoke("q0")


def test_cluster_router_passes_by_a_model_that_is_left_out() -> None:
    rows = [row(f"q{n}", f"{name}@@none", score, 0.1) for n in range(4) for name, score in (("right", 1), ("wrong", 0))]
    router = ClusterRouter.as_in_paper(Compass({"q0": 0.0}), n_clusters=1, cost_weight=0.0).fit(table_of(*rows))
    limits = Limits(cooldown_s=60, cooldown_after=1)
    limits.memory.failed("right", 60, 1)
    assert AtlasChain(router, costing(right=0.1, wrong=0.1), limits=limits).invoke("q0").text == "by wrong"


def test_threads_of_a_process_share_a_limit_exactly() -> None:
    limits, executor = Limits(day_calls=100), costing(small=0.1)
    chain = AtlasChain(Priced(small=0.1), executor, limits=limits)
    results = chain.batch(["hello"] * 150, {"max_concurrency": 16}, return_exceptions=True)
    assert sum(isinstance(result, LimitError) for result in results) == 50
    assert len(executor.calls) == 100


def test_candidate_of_a_shadow_router_never_sees_a_private_query() -> None:
    candidate = ScriptedRouter("small@@none")
    shadow = ShadowRouter(Priced(small=0.1), candidate)
    limits = Limits(private_members=["small"], private=lambda query: "secret" in query.text)
    chain = AtlasChain(shadow, costing(small=0.1), limits=limits)
    for question in ("hello", "a secret", "another secret", "bye"):
        assert chain.invoke(question).text == "by small"
    assert shadow.wait(10)
    assert [query.text for query in candidate.queries] == ["hello", "bye"]
