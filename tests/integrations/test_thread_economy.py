"""What a thread costs with `StayingRouter`, against a provider that charges less for what it has cached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langgraph.checkpoint.memory import InMemorySaver
from node_graph import node_graph
from priced_threads import VALUE, Clock, Rated, asking, billed_thread, pool_at, replies

from langchain_atlas import AtlasNode, ChatAtlas, LiveExecutor, Pair, Query, StayingRouter
from langchain_atlas.errors import InvalidInputError, PoolError, SettingError
from langchain_atlas.integrations.agents.middleware import AtlasMiddleware
from langchain_atlas.messages.thread_calls import thread_calls, thread_tokens
from langchain_atlas.testing import ScriptedRouter

if TYPE_CHECKING:
    from fixture_types import Invoke, Serve

THREADS = {
    "easy questions": "E" * 20,
    "hard ones from the second on": "E" + "H" * 19,
    "easy and hard ones in turn": "EH" * 10,
}
MIXED = {"stretches of both": "HHHEEEEEHEEEEHHHEEEH", "easy ones between hard ones": "HHHEEEEEEEEEHEHHHHHH"}
NOW_AND_THEN = "EEEEEHEEEEEEHEEEEEHE"


class TestThread:
    """Dollars billed, and those that wrong answers are worth, over twenty turns with two pairs."""

    @pytest.mark.parametrize("kinds", THREADS.values(), ids=THREADS)
    def test_costs_no_more_than_the_better_of_staying_and_leaving(self, kinds: str) -> None:
        stay, best, ours = (billed_thread(kinds, way) for way in ("stay", "best", "staying"))
        assert ours.total <= min(stay.total, best.total) + 1e-9

    @pytest.mark.parametrize("kinds", MIXED.values(), ids=MIXED)
    def test_costs_less_than_both_where_questions_are_mixed(self, kinds: str) -> None:
        stay, best, ours = (billed_thread(kinds, way) for way in ("stay", "best", "staying"))
        assert ours.total < min(stay.total, best.total)

    def test_leaves_twice_at_most_for_hard_ones_that_turn_out_to_be_single(self) -> None:
        """The first may begin a stretch, in which staying would cost far more; that can't be known beforehand."""
        stay, best, ours = (billed_thread(NOW_AND_THEN, way) for way in ("stay", "best", "staying"))
        assert ours.total <= stay.total + 0.02 < best.total - 0.03

    def test_stays_for_a_hard_one_at_the_end(self) -> None:
        stay, ours = (billed_thread("EEEEEH", way, thread_turns=6) for way in ("stay", "staying"))
        assert ours.pairs == "s" * 6
        assert ours.total == stay.total

    def test_leaves_as_the_router_says_where_the_provider_caches_nothing(self) -> None:
        best, ours = (billed_thread(NOW_AND_THEN, way, caches=False) for way in ("best", "staying"))
        assert ours.pairs != best.pairs, (
            "a single hard question is still not worth reading all at the large one's price"
        )
        assert ours.total <= best.total

    def test_that_was_away_for_long_has_lost_the_cache(self) -> None:
        soon, late = (billed_thread("HHE", "staying", gap_s=gap) for gap in (1, 3600))
        assert (soon.pairs, late.pairs) == ("lls", "lls")
        assert late.usd > soon.usd


class TestDecision:
    def decided(self, kinds: str, **settings: Any) -> Any:
        return billed_thread(kinds, "staying", **settings).decisions

    def test_says_what_leaving_would_cost_and_bring(self) -> None:
        *_, last = self.decided("EEEEEH", thread_turns=7)
        assert (last["pair"], last["rule"]) == ("small@@none", "stays")
        assert last["reason"].startswith("large@@none would be chosen, but small@@none is worth $")
        assert "over the 2 turns that are expected" in last["reason"]
        assert last["runner_up"]["pair"] == "large@@none"

    def test_of_the_first_message_is_the_routers_own(self) -> None:
        (only,) = self.decided("H")
        assert (only["pair"], only["rule"]) == ("large@@none", "rated")
        assert only["decided_at"] > 0


@pytest.mark.parametrize("integration", ["node", "chat", "agent"])
def test_every_integration_stays_in_its_threads(serve: Serve, agent: Any, invoke: Invoke, integration: str) -> None:
    clock = Clock()
    server = serve(replies(clock))
    pool = pool_at(server)
    router = StayingRouter(Rated(), pool, thread_turns=6, clock=clock)
    executor = LiveExecutor(pool, retries=0)
    system = SystemMessage("word " * 3000)
    if integration == "node":
        graph = node_graph(AtlasNode(router, executor)).compile(checkpointer=InMemorySaver())
    elif integration == "agent":
        graph = agent(server, AtlasMiddleware(router, executor), checkpointer=InMemorySaver())
    messages: list[Any] = [system]
    called = []
    for number, kind in enumerate("EEEEEH"):
        clock.seconds += 60
        ask = HumanMessage(asking(kind, number))
        if integration == "chat":
            messages.append(ask)
            messages.append(ChatAtlas(router=router, executor=executor).invoke(messages))
            reply = messages[-1]
        else:
            given = [ask] if number else [system, ask]
            reply = invoke(graph, {"messages": given}, config={"configurable": {"thread_id": "1"}})["messages"][-1]
        called.append(reply.response_metadata["atlas"]["pair"])
    assert called == ["small@@none"] * 6, "the router alone would call the large one for the last"


def test_calls_are_read_from_any_messages() -> None:
    odd = [
        AIMessage("hi", response_metadata={"atlas": told})
        for told in (None, 3, "?", {}, {"steps": 5}, {"steps": [{}]}, {"steps": [{"decision": {}, "observation": {}}]})
    ]
    assert thread_calls([HumanMessage("a"), *odd]) == []
    assert thread_tokens([]) == 0
    assert thread_tokens([HumanMessage("word " * 100)]) > 100
    assert Rated().decide(Query(text="theorem", history=tuple(odd))).pair == Pair("large")


def test_bad_settings_are_refused(serve: Serve) -> None:
    pool = pool_at(serve("ok"))
    for bad in (
        {"value_usd": 0},
        {"value_usd": float("inf")},
        {"thread_turns": 0},
        {"cache_ttl_s": -1},
        {"cache_ttl_s": {"smal": 3}},
        {"cache_min_tokens": -1},
    ):
        with pytest.raises(SettingError):
            StayingRouter(Rated(), pool, **bad)
    with pytest.raises(SettingError, match=r"value_usd is None; it must be a number above 0\. It is what a right"):
        StayingRouter(ScriptedRouter("small@@none"), pool)
    with pytest.raises(PoolError, match="knows none of the pool's pairs"):
        StayingRouter(ScriptedRouter("other@@none"), pool, value_usd=1)
    with pytest.raises(InvalidInputError, match="can't decide"):
        StayingRouter("router", pool, value_usd=VALUE)  # type: ignore[arg-type]
