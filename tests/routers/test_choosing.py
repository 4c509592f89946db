"""The routers in which one call of a language model picks the pair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from langchain_atlas import Pair, Query, solve
from langchain_atlas.errors import SettingError
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.routers.prompted.choosing import FewShotRouter, ZeroShotRouter
from langchain_atlas.routers.prompted.describing import describe_pairs
from langchain_atlas.testing import FakeEncoder, RouterConformance, ScriptedExecutor
from langchain_atlas.text.written_names import first_named
from tests.provider import reach, serve
from tests.routers.test_prompted_router import Speaker

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_core.messages import BaseMessage

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.routers.base import Router

__all__ = ["reach", "serve"]

SOLVER, TALKER = Pair("small", "python"), Pair("big")


def table() -> OutcomeTable:
    """Sums, which the cheap pair solves, and poems, which it does not."""
    rows = [
        {
            "query_id": f"{kind} {number}",
            "query": f"a {kind} number {number}",
            "domain": kind,
            "model": pair.model,
            "tool": pair.tool,
            "score": float(pair == TALKER or kind == "sum"),
            "cost_usd": 0.001 if pair == SOLVER else 0.02,
        }
        for kind in ("sum", "poem")
        for number in range(6)
        for pair in (SOLVER, TALKER)
    ]
    return OutcomeTable.from_rows(rows)


def first_offered(messages: list[BaseMessage]) -> str:
    return str(messages[0].content).partition("\n- ")[2].partition(":")[0]


class TestZeroShot(RouterConformance):
    def make_router(self) -> Router:
        return ZeroShotRouter.of(Speaker(say=first_offered), table())

    def load(self, folder: Path) -> Router:
        loaded = super().load(folder)
        assert isinstance(loaded, ZeroShotRouter)
        return loaded.with_chat_model(Speaker(say=first_offered))


class TestFewShot(RouterConformance):
    def make_router(self) -> Router:
        return FewShotRouter.of(Speaker(say=first_offered), table(), FakeEncoder())

    def encoder(self) -> Encoder:
        return FakeEncoder()

    def load(self, folder: Path) -> Router:
        loaded = super().load(folder)
        assert isinstance(loaded, FewShotRouter)
        return loaded.with_chat_model(Speaker(say=first_offered))


def test_members_are_described_by_their_outcomes() -> None:
    assert describe_pairs(table()) == {
        SOLVER: "right on 50%: 100% of sum, 0% of poem; $1 per 1000",
        TALKER: "right on 100%: 100% of poem, 100% of sum; $20 per 1000",
    }


def test_the_model_reads_the_descriptions_and_names_a_pair(serve: Any, reach: Any) -> None:
    server = serve("I choose BIG@@none.")
    router = ZeroShotRouter.of(reach(server, "chooser"), table())
    trajectory = solve(Query(text="a poem"), router, ScriptedExecutor({"big@@none": "Roses"}))
    assert (trajectory.answer, trajectory.calls, len(server.bodies)) == ("Roses", 1, 1)
    assert "- small@@python: right on 50%: 100% of sum" in server.bodies[0]["messages"][0]["content"]


def test_near_queries_are_the_examples(serve: Any, reach: Any) -> None:
    server = serve("big@@none")
    router = FewShotRouter.of(reach(server, "chooser"), table(), FakeEncoder(), n_examples=2)
    router.decide(Query(text="a sum number 3"))
    told = server.bodies[0]["messages"][1]["content"]
    assert told.count("Question: ") == 2
    assert told.endswith("Question: a sum number 3\nRight: small@@python"), "the nearest last, with the cheapest right"


def test_a_schema_leaves_no_other_reply(serve: Any, reach: Any) -> None:
    server = serve('{"name": "big@@none"}')
    router = ZeroShotRouter.of(reach(server, "chooser"), table()).configure(constrained=1)
    assert router.decide(Query(text="a poem")).pair == TALKER
    schema = server.bodies[0]["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["name"]["enum"] == ["small@@python", "big@@none"]


def test_a_reply_without_a_name_is_asked_for_again_and_then_the_first_is_called(serve: Any, reach: Any) -> None:
    server = serve("whoever is free")
    decision = ZeroShotRouter.of(reach(server, "chooser"), table()).decide(Query(text="a poem"))
    assert (decision.pair, decision.rule, len(server.bodies)) == (SOLVER, "malformed-step", 2)
    assert "small@@python, big@@none" in server.bodies[1]["messages"][-1]["content"]


def test_a_long_question_loses_its_middle(serve: Any, reach: Any) -> None:
    server = serve("big@@none")
    router = ZeroShotRouter.of(reach(server, "chooser"), table(), question_chars=20)
    router.decide(Query(text="begin " + "x" * 99 + " end"))
    assert server.bodies[0]["messages"][-1]["content"] == "Question: begin xxxx\n[...]\nxxxxxx end"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("big@@none", "big@@none"),
        ("**big@@none**, then small@@python", "big@@none"),
        ("big@@none.", "big@@none"),
        ("big@@none-2", None),
        ("big@@none.2", None),
        ("too-big@@none", None),
        ("SMALL@@PYTHON", "small@@python"),
        ("small@@python:3", "small@@python:3"),
        ("", None),
    ],
)
def test_a_name_in_a_text(text: str, name: str | None) -> None:
    assert first_named(text, ["big@@none", "small@@python", "small@@python:3"]) == name


def test_nonsense_is_refused() -> None:
    with pytest.raises(SettingError, match="'described' is empty"):
        ZeroShotRouter(None, {})
    with pytest.raises(SettingError, match="n_examples is 0"):
        FewShotRouter.of(Speaker(say=first_offered), table(), FakeEncoder(), n_examples=0)
    with pytest.raises(SettingError, match=r"FewShotRouter\.of"):
        FewShotRouter(None, {TALKER: ""})
