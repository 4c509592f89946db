"""What arrives at LangSmith when ATLAS runs in a graph, or alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import HumanMessage
from langchain_core.prompts import PromptTemplate
from node_graph import node_graph
from recorded import kinds_of_query
from traced import CALCULATOR, PRIVATE

from langchain_atlas import AtlasNode, ClusterRouter, Decision, Query, ReplayExecutor, asolve, create_atlas_graph, solve
from langchain_atlas.errors import ConstraintError
from langchain_atlas.evaluation.replay.runs import run_router
from langchain_atlas.testing import FakeEncoder, ScriptedExecutor, ScriptedRouter

if TYPE_CHECKING:
    from collections.abc import Callable

    from traced import Traces

    from langchain_atlas import LiveExecutor, Router
    from langchain_atlas.testing import TracedRun, TraceServer

ASK = {"messages": [HumanMessage("Double 21.", id="q1")]}


def tree(server: TraceServer, parent: TracedRun | None = None) -> list[Any]:
    """Return the names of the runs, each with those that are part of it."""
    return [(run.name, tree(server, run)) if server.children(run) else run.name for run in server.children(parent)]


def with_node(router: Router, executor: LiveExecutor) -> Any:
    return node_graph(AtlasNode(router, executor), "route").compile()


EXECUTE = ("atlas.execute", ["RetryingChatLiteLLM", "double", "RetryingChatLiteLLM"])


def test_the_loop_is_a_tree_of_runs(
    traces: Traces, router: Router, executor: LiveExecutor, invoke: Callable[..., Any]
) -> None:
    graph = create_atlas_graph(router, executor).compile()
    with traces.on() as server:
        invoke(graph, ASK)
    assert [run.name for run in server.children()] == ["LangGraph"]
    inner = [name for name in flat(tree(server)) if name.startswith("atlas.") or "LiteLLM" in name or name == "double"]
    assert inner == ["atlas.decide", *flat([EXECUTE]), "atlas.decide"]
    execute = server.named("atlas.execute")[0]
    assert [run.name for run in server.children(execute)] == EXECUTE[1]
    assert [run.run_type for run in server.children(execute)] == ["llm", "tool", "llm"]


def flat(names: list[Any]) -> list[str]:
    found: list[str] = []
    for item in names:
        found += [item] if isinstance(item, str) else [item[0], *flat(item[1])]
    return found


def test_a_node_of_somebody_elses_graph_holds_the_runs_of_its_loop(
    traces: Traces, router: Router, executor: LiveExecutor, invoke: Callable[..., Any]
) -> None:
    with traces.on() as server:
        invoke(with_node(router, executor), ASK)
    node = server.named("atlas")[0]
    assert tree(server, node) == ["atlas.decide", EXECUTE, "atlas.decide"]
    assert {run.trace_id for run in server.runs} == {server.named("LangGraph")[0].id}


def test_a_decisions_run_holds_its_reasons(traces: Traces, router: Router, executor: LiveExecutor) -> None:
    with traces.on() as server:
        record = create_atlas_graph(router, executor).compile().invoke(ASK)["atlas"]
    first, last = server.named("atlas.decide")
    assert first.run_type == "chain"
    assert first.inputs["query"] == "Double 21."
    assert first.inputs["turn"] == 0
    assert first.outputs == record["steps"][0]["decision"]
    assert Decision.from_json(first.outputs).pair == CALCULATOR
    assert set(first.tags) >= {"atlas", "kind:route", "rule:utility", "pair:small@@calculator", "cluster:3"}
    assert {name: value for name, value in first.metadata.items() if name.startswith("atlas_")} == {
        "atlas_kind": "route",
        "atlas_turn": 0,
        "atlas_rule": "utility",
        "atlas_pair": "small@@calculator",
        "atlas_model": "small",
        "atlas_tool": "calculator",
        "atlas_cluster": 3,
        "atlas_expected_success": 0.75,
        "atlas_evidence": 12,
        "atlas_expected_cost_usd": 0.001,
        "atlas_runner_up": "small@@none",
    }
    assert (last.metadata["atlas_kind"], last.metadata["atlas_turn"]) == ("answer", 1)
    assert last.outputs["answer"] == "The answer is 42."
    assert "atlas_pair" not in last.metadata


def test_the_run_of_a_pair_holds_what_it_used(traces: Traces, router: Router, executor: LiveExecutor) -> None:
    with traces.on() as server:
        record = with_node(router, executor).invoke(ASK)["atlas"]
    (run,) = server.named("atlas.execute")
    seen = record["steps"][0]["observation"]
    assert run.outputs == seen
    assert (run.inputs["pair"], run.inputs["query"]) == ("small@@calculator", "Double 21.")
    assert set(run.tags) >= {"atlas", "pair:small@@calculator"}
    assert run.metadata["atlas_cost_usd"] == pytest.approx(seen["cost_usd"])
    assert run.metadata["atlas_cost_usd"] > 0
    assert run.metadata["atlas_input_tokens"] == seen["usage"]["input_tokens"]
    assert (run.metadata["atlas_model_calls"], run.metadata["atlas_tool_calls"]) == (2, 1)
    assert run.metadata["atlas_failed"] is False


def test_tags_and_metadata_stay_on_their_own_run(traces: Traces, router: Router, executor: LiveExecutor) -> None:
    with traces.on() as server:
        create_atlas_graph(router, executor).compile().invoke(ASK, {"tags": ["mine"], "metadata": {"tenant": "t1"}})
    for run in server.runs:
        assert "mine" in run.tags
        assert run.metadata["tenant"] == "t1"
        marked = any(name.startswith("atlas_") for name in run.metadata) or "atlas" in run.tags
        assert marked == run.name.startswith("atlas."), run.name


def test_a_failed_call_is_marked(traces: Traces) -> None:
    executor = ScriptedExecutor({"small@@none": RuntimeError("gone")})
    with traces.on() as server:
        solve("Why?", ScriptedRouter("small@@none"), executor)
    (run,) = server.named("atlas.execute")
    assert "failed" in run.tags
    assert run.metadata["atlas_failed"] is True
    assert run.outputs["error"] == "RuntimeError: gone"
    assert "atlas_cost_usd" not in run.metadata  # unknown, which is not 0


def test_a_router_that_fails_is_seen_to(traces: Traces, router: Router, executor: LiveExecutor) -> None:
    graph = create_atlas_graph(router, executor).compile()
    with traces.on() as server, pytest.raises(ConstraintError):
        graph.invoke(ASK, {"configurable": {"pairs": ["other@@none"]}})
    (run,) = server.named("atlas.decide")
    assert run.error is not None
    assert run.error.startswith("ConstraintError(")
    assert run.outputs == {}


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_loop_outside_a_graph_is_one_trace(traces: Traces, how: str) -> None:
    router, executor = ScriptedRouter("small@@none"), ScriptedExecutor({"small@@none": "42"})
    query = Query(text="Six times seven?")
    with traces.on() as server:
        sync = how == "sync"
        trajectory = solve(query, router, executor) if sync else asyncio.run(asolve(query, router, executor))
    assert tree(server) == [("atlas.solve", ["atlas.decide", "atlas.execute", "atlas.decide"])]
    (root,) = server.children()
    assert root.outputs == {"answer": "42", **trajectory.to_json()}
    assert root.metadata["atlas_pair"] == "small@@none"
    assert root.metadata["atlas_calls"] == 1


def test_the_middleware_traces_its_decisions(traces: Traces, router: Router, executor: LiveExecutor) -> None:
    agents = pytest.importorskip("langchain.agents")
    from langchain_core.language_models.fake_chat_models import FakeListChatModel

    from langchain_atlas import AtlasMiddleware

    agent = agents.create_agent(FakeListChatModel(responses=["?"]), middleware=[AtlasMiddleware(router, executor)])
    with traces.on() as server:
        agent.invoke(ASK)
    assert [run.metadata["atlas_pair"] for run in server.named("atlas.decide")] == ["small@@calculator"]


def test_runs_of_concurrent_queries_do_not_mix(traces: Traces) -> None:
    executor = ScriptedExecutor(lambda _, query: f"the answer to {query.text}")
    graph = create_atlas_graph(ScriptedRouter("small@@none"), executor).compile()

    async def ask_all() -> None:
        await asyncio.gather(*(graph.ainvoke({"messages": [HumanMessage(f"query {n}")]}) for n in range(20)))

    with traces.on() as server:
        asyncio.run(ask_all())
    for root in server.children():
        text = root.inputs["messages"][0]["content"]
        mine = [run for run in server.runs if run.trace_id == root.id and run.name.startswith("atlas.")]
        assert [run.inputs["query"] for run in mine] == [text] * 3
    assert len(server.children()) == 20


def test_other_handlers_see_the_runs_too(router: Router, executor: LiveExecutor) -> None:
    names: dict[Any, str] = {}
    ended: dict[str, dict[str, Any]] = {}

    class Listener(BaseCallbackHandler):
        def on_chain_start(self, *_: Any, run_id: Any, name: str, **__: Any) -> None:
            names[run_id] = name

        def on_chain_end(self, outputs: Any, *, run_id: Any, **_: Any) -> None:
            ended[names[run_id]] = outputs

    with_node(router, executor).invoke(ASK, {"callbacks": [Listener()]})
    assert ended["atlas.execute"]["answer"] == "The answer is 42."
    assert ended["atlas.decide"]["kind"] == "answer"


def test_with_tracing_off_nothing_is_sent(
    traces: Traces,
    router: Router,
    executor: LiveExecutor,
    monkeypatch: pytest.MonkeyPatch,
    invoke: Callable[..., Any],
) -> None:
    monkeypatch.setenv("LANGSMITH_ENDPOINT", traces.server.url)
    monkeypatch.setenv("LANGSMITH_API_KEY", "any")
    monkeypatch.delenv("LANGSMITH_TRACING", raising=False)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("no run is to be made")

    monkeypatch.setattr("langchain_atlas.tracing.runs._traced", refuse)
    monkeypatch.setattr("langchain_atlas.tracing.runs._atraced", refuse)
    invoke(create_atlas_graph(router, executor).compile(), ASK)
    invoke(with_node(router, executor), ASK)
    solve(PRIVATE, ScriptedRouter("small@@none"), ScriptedExecutor({"small@@none": "42"}))
    assert traces.server.bodies == []


def test_runs_arrive_as_json_where_the_server_takes_no_multipart(traces: Traces) -> None:
    traces.server.multipart = False
    with traces.on() as server:
        solve("Six times seven?", ScriptedRouter("small@@none"), ScriptedExecutor({"small@@none": "42"}))
    assert tree(server) == [("atlas.solve", ["atlas.decide", "atlas.execute", "atlas.decide"])]
    assert server.named("atlas.decide")[0].metadata["atlas_pair"] == "small@@none"


def test_a_chain_of_router_and_executor_shows_the_same_runs(
    traces: Traces, router: Router, executor: LiveExecutor, invoke: Callable[..., Any]
) -> None:
    with traces.on() as server:
        invoke(router | executor, "Double 21.")
    assert [run.metadata["atlas_pair"] for run in server.named("atlas.decide")] == ["small@@calculator"]
    assert server.named("atlas.execute")[0].outputs["answer"] == "The answer is 42."
    assert len(server.children()) == 1


def test_a_replay_of_recorded_queries_sends_nothing(traces: Traces) -> None:
    table = kinds_of_query()
    with traces.on() as server:
        run_router(ClusterRouter(FakeEncoder(), n_clusters=2).fit(table), ReplayExecutor(table))
    assert server.runs == []


def test_a_prompt_may_stand_before_a_router(router: Router, executor: LiveExecutor) -> None:
    chain = PromptTemplate.from_template("Double {number}.") | router | executor
    assert chain.invoke({"number": 21}).answer == "The answer is 42."
