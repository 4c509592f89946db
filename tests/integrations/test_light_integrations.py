"""Node, graph, chat model and middleware answer in a fresh process: without heavy libraries, and never blocking."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from recorded import kinds_of_query

from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.testing import FakeEncoder, OpenAIServer

if TYPE_CHECKING:
    from pathlib import Path

FOR_LEARNING = ("torch", "sentence_transformers", "transformers", "sklearn", "scipy", "sympy")

PROGRAM = """
import asyncio, json, sys
integration, folder, url, guarded, heavy = json.loads(sys.argv[1])

from langchain_atlas import *
from langchain_atlas.testing import FakeEncoder

model = Model(name="small", litellm="openai/small", api_key_env="ATLAS_TEST_KEY", options={"api_base": url})
pool = Pool(models=[model, model.replace(name="large")], tools=[NO_TOOL])
router = LazyRouter(lambda: Router.load(folder, FakeEncoder()).restrict(pool.pairs))
executor = LiveExecutor(pool)

async def answer():
    asked = {"messages": [("user", "What is 2 + 2?")]}
    if integration == "node":
        from langgraph.graph import START, MessagesState, StateGraph
        graph = StateGraph(MessagesState).add_node("atlas", AtlasNode(router, executor)).add_edge(START, "atlas")
        said = await graph.compile().ainvoke(asked)
    elif integration == "graph":
        said = await create_atlas_graph(router, executor).compile().ainvoke(asked)
    elif integration == "chat":
        return (await ChatAtlas(router=router, executor=executor).ainvoke("What is 2 + 2?")).content
    else:
        from langchain.agents import create_agent
        middleware = [AtlasMiddleware(router, executor)]
        agent = create_agent(ChatAtlas(router=router, executor=executor), middleware=middleware)
        said = await agent.ainvoke(asked)
    return said["messages"][-1].content

async def main():
    if not guarded:
        return await answer()
    from blockbuster import blockbuster_ctx
    with blockbuster_ctx() as guard:
        for allowed in ("os.stat", "os.listdir", "threading.Lock.acquire"):  # as `langgraph dev` does, and no more
            guard.functions[allowed].deactivate()
        return await answer()

said = asyncio.run(main())
print(json.dumps({"said": said, "loaded": [name for name in heavy if name in sys.modules]}))
"""

INTEGRATIONS = ("node", "graph", "chat", "middleware")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("light") / "router"
    ClusterRouter(FakeEncoder(), n_clusters=3).fit(kinds_of_query()).save(made)
    return made


def answer(integration: str, folder: Path, url: str, *, guarded: bool) -> dict[str, Any]:
    """Answer one question in a fresh process, on an event loop where blocking calls raise if `guarded`."""
    given = json.dumps([integration, str(folder), url, guarded, FOR_LEARNING])
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, given],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        env={**os.environ, "ATLAS_TEST_KEY": "not-a-secret", "DISABLE_AIOHTTP_TRANSPORT": "True"},
    )
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("integration", INTEGRATIONS)
def test_the_first_answer_needs_no_heavy_library_and_blocks_no_loop(integration: str, folder: Path) -> None:
    """The router is loaded, LiteLLM imported and the model called, all while other tasks of the loop go on."""
    pytest.importorskip("blockbuster")
    with OpenAIServer(lambda _: "four") as server:
        found = answer(integration, folder, server.url, guarded=True)
    assert found == {"said": "four", "loaded": []}
