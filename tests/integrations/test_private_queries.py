"""A private query is shown only to those that may see it: pairs, the router's model, encoders, judges, the store."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from recorded import row, table_of

from langchain_atlas import (
    NO_TOOL,
    AtlasChain,
    ClusterRouter,
    Limits,
    LiveExecutor,
    Model,
    Pair,
    Pool,
    Query,
    Store,
    Tool,
    asolve,
    solve,
)
from langchain_atlas.encoders import EmbeddingsEncoder
from langchain_atlas.errors import LimitError
from langchain_atlas.execution.verifiers import JudgeVerifier
from langchain_atlas.routers.learned.knn import KNNRouter
from langchain_atlas.routers.prompted.router import PromptedRouter
from langchain_atlas.testing import ScriptedExecutor, ScriptedRouter
from langchain_atlas.trajectory import Decision, Observation

if TYPE_CHECKING:
    from pathlib import Path

    from fixture_types import Connect, Echo, Serve

SECRET = Query(text="a secret", private=True)
LIMITS = Limits(private_members=["small"], private=lambda query: "secret" in query.text)


class Listening(BaseChatModel):
    """Remembers what it was asked, and routes to the small model."""

    heard: list[str] = []  # noqa: RUF012  # pydantic copies it
    reply: str = "<think>.</think>\n<search>small@@none: {}"

    @property
    def _llm_type(self) -> str:
        return "listening"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        self.heard.append(str(messages[-1].content))
        return ChatResult(generations=[ChatGeneration(message=AIMessage(self.reply))])


class Remote(Embeddings):
    """A provider's embeddings, which remember the texts that they got."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.texts += texts
        return np.eye(2)[[len(text) % 2 for text in texts]].tolist()

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


def answering() -> ScriptedExecutor:
    return ScriptedExecutor(lambda pair, _: Observation(pair=pair, answer=f"by {pair}", cost_usd=0.0))


class TestModelOfARouter:
    @pytest.fixture
    def model(self) -> Listening:
        return Listening(heard=[])

    @pytest.fixture
    def router(self, model: Listening) -> PromptedRouter:
        return PromptedRouter(model, {Pair("small"): "quick", Pair("large"): "slow"})

    def test_is_not_asked_about_a_private_query(self, router: PromptedRouter, model: Listening) -> None:
        for query in (SECRET, Query(text="another secret")):
            with pytest.raises(LimitError, match=r"the router's model 'Listening' .*private_services=\['Listening'\]"):
                solve(query, router, answering(), limits=LIMITS)
        with pytest.raises(LimitError, match="private"):
            asyncio.run(asolve(SECRET, router, answering(), limits=LIMITS))
        with pytest.raises(LimitError, match="private"):
            router.decide(SECRET)
        assert not model.heard

    def test_is_asked_if_it_may_see_it(self, router: PromptedRouter, model: Listening) -> None:
        limits = Limits(private_members=["small"], private_services=["Listening"])
        assert solve(SECRET, router, answering(), limits=limits, max_turns=1).answer == "by small@@none"
        assert model.heard

    def test_is_asked_about_others(self, router: PromptedRouter, model: Listening) -> None:
        assert solve("hello", router, answering(), limits=LIMITS, max_turns=1).answer == "by small@@none"
        assert model.heard

    def test_in_this_process_may_see_any(self) -> None:
        embedded = PromptedRouter(Model(name="tiny", litellm="atlas-local/smollm2"), {Pair("small"): "quick"})
        embedded._check_sight(SECRET)
        elsewhere = PromptedRouter(Model(name="gpt-4o"), {Pair("small"): "quick"})
        with pytest.raises(LimitError, match="'gpt-4o' is not among those that may see it"):
            elsewhere.decide(SECRET)


class TestEncoderThatCallsOut:
    def routers(self, encoder: EmbeddingsEncoder) -> list[Any]:
        rows = [row(f"q{n}", f"{name}@@none", 1, 0.1) for n in range(20) for name in ("small", "large")]
        table = table_of(*rows)
        return [
            ClusterRouter.as_in_paper(encoder, n_clusters=1).fit(table),
            ClusterRouter(encoder, n_clusters=1, n_trees=0).fit(table),
            KNNRouter(encoder).fit(table),
        ]

    def test_encodes_no_private_query_unless_it_may_see_it(self) -> None:
        remote = Remote()
        for router in self.routers(EmbeddingsEncoder(remote, "text-embedding-3")):
            with pytest.raises(LimitError, match="the encoder 'text-embedding-3' is not among those"):
                solve(SECRET, router, answering(), limits=LIMITS)
            assert "a secret" not in remote.texts
        named = Limits(private_members=["small"], private_services=["text-embedding-3"])
        for router in self.routers(EmbeddingsEncoder(Remote(), "text-embedding-3")):
            assert solve(SECRET, router, answering(), limits=named).answer == "by small@@none"
        for router in self.routers(EmbeddingsEncoder(Remote(), "mine", calls_out=False)):
            assert solve(SECRET, router, answering(), limits=LIMITS).answer == "by small@@none"

    def test_refuses_it_alone_among_queries_that_are_decided_together(self) -> None:
        remote = Remote()
        router = self.routers(EmbeddingsEncoder(remote, "text-embedding-3"))[0]

        async def all_at_once() -> list[Any]:
            queries = [Query(text="hello"), SECRET, Query(text="bye")]
            runs = (asolve(query, router, answering(), limits=LIMITS) for query in queries)
            return await asyncio.gather(*runs, return_exceptions=True)

        first, refused, last = asyncio.run(all_at_once())
        assert isinstance(refused, LimitError)
        assert first.answer
        assert last.answer
        assert "a secret" not in remote.texts


class TestToolThatMayShowItElsewhere:
    POOL = Pool(
        models=(Model(name="small", litellm="openai/small"),),
        tools=(
            NO_TOOL,
            Tool(name="calculator", use="calculator"),
            Tool(name="lookup", use="search", arguments={"folder": "documents"}),
            Tool(name="py", use="python"),
        ),
    )

    @pytest.mark.parametrize(("tool", "stays"), [("none", True), ("calculator", True), ("py", True), ("lookup", False)])
    def test_is_known_by_its_name(self, tool: str, *, stays: bool) -> None:
        assert self.POOL.tool(tool).stays_here is stays

    def test_must_be_named_with_its_model(self, serve: Serve, connect: Connect, echo: Echo, tmp_path: Path) -> None:
        (tmp_path / "one.txt").write_text("one")
        server = serve(echo)
        pool = connect(server).pool
        lookup = Tool(name="lookup", use="search", arguments={"folder": str(tmp_path)}, invocation="grounded")
        executor = LiveExecutor(pool.replace(tools=(NO_TOOL, lookup)), retries=0)
        with pytest.raises(LimitError, match=r"its tool may show the query elsewhere.*\['small@@lookup'\]"):
            solve(SECRET, ScriptedRouter("small@@lookup"), executor, limits=LIMITS)
        assert not server.requests
        assert solve(SECRET, ScriptedRouter("small@@none"), executor, limits=LIMITS).answer
        named = Limits(private_members=["small", "small@@lookup"])
        assert solve(SECRET, ScriptedRouter("small@@lookup"), executor, limits=named).answer


class TestAllThatIsMadeOfIt:
    def test_is_private_too(self) -> None:
        """A router may rewrite the query, so that the user's function no longer knows it."""
        executor = answering()
        step = Decision(kind="route", pair=Pair("small"), input="harmless words")
        solve("a secret", ScriptedRouter(step), executor, limits=LIMITS)
        ((_, seen),) = executor.calls
        assert (seen.text, seen.private) == ("harmless words", True)

    def test_is_shown_to_no_judge(self, serve: Serve, connect: Connect, echo: Echo) -> None:
        server = serve(echo)
        judge = Listening(heard=[], reply="VERDICT: passed")
        executor = LiveExecutor(connect(server).pool, verifier=JudgeVerifier(judge))
        seen = solve("a secret", ScriptedRouter("small@@none"), executor, limits=LIMITS).observations[0]
        assert seen.verdict is not None
        assert seen.verdict.status == "unknown"
        assert "the judge 'Listening' is not among those" in seen.verdict.reason
        assert not judge.heard
        named = Limits(private_members=["small"], private_services=["Listening"])
        seen = solve(SECRET, ScriptedRouter("small@@none"), executor, limits=named).observations[0]
        assert seen.verdict is not None
        assert seen.verdict.status == "passed"

    @pytest.mark.parametrize(
        ("model", "seen"),
        [
            (None, False),
            (Model(name="listening", litellm="openai/listening"), False),
            (Model(name="mine", litellm="atlas-local/smollm2-135m"), True),
        ],
        ids=["a chat model", "a provider's", "an embedded one"],
    )
    def test_is_shown_to_a_judge_that_runs_here(
        self, serve: Serve, connect: Connect, echo: Echo, model: Model | None, seen: bool
    ) -> None:
        judge = Listening(heard=[], reply="VERDICT: passed")
        executor = LiveExecutor(connect(serve(echo)).pool, verifier=JudgeVerifier(judge, model=model))
        solve("a secret", ScriptedRouter("small@@none"), executor, limits=LIMITS)
        assert bool(judge.heard) is seen

    def test_leaves_no_text_in_the_store(self, tmp_path: Path) -> None:
        store = Store(f"sqlite:///{tmp_path}/atlas.db")
        chain = AtlasChain(ScriptedRouter("small@@none"), answering(), store=store, limits=LIMITS)
        for text in ("a secret", "hello"):
            chain.invoke(text)
        store.flush()
        store.close()
        table = store.table()
        assert [query.text for query in table.queries] == ["hello"]
        kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
        assert b"hello" in kept
        assert b"a secret" not in kept
        assert sum(pair.decisions for pair in store.summary()) == 2, "it is counted all the same"
