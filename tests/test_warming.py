"""LiteLLM is imported while the first decision is made, or before it by `Router.warm`; not where nothing calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

PREFACE = """
import json, sys, threading
from langchain_atlas import *
from langchain_atlas.testing import FakeEncoder, ScriptedRouter
from langchain_atlas.trajectory import START
from langchain_core.language_models import FakeListChatModel

def begun():
    return "litellm" in sys.modules or any(thread.name == "atlas-imports" for thread in threading.enumerate())

class Watching(ScriptedRouter):
    def decide(self, query, trajectory=START):
        seen.append(begun())
        return super().decide(query, trajectory)

    async def adecide(self, query, trajectory=START):
        return self.decide(query, trajectory)

seen = []
pool = Pool(models=[Model(name="small", litellm="openai/small")], tools=[NO_TOOL])
router = Watching("small@@none")
"""


def run(program: str) -> Any:
    ran = subprocess.run(
        [sys.executable, "-c", PREFACE + program], capture_output=True, text=True, check=False, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def test_it_begins_with_the_first_decision() -> None:
    seen = run("""
class Answering(LiveExecutor):
    def run(self, pair, query):
        return Observation(pair=pair, answer="four")
solve("What is 2 + 2?", router, Answering(pool))
print(json.dumps(seen[0]))
""")
    assert seen is True


def test_it_is_left_where_the_caller_brings_the_chat_models() -> None:
    seen = run("""
executor = LiveExecutor(pool, chat_models={"small": FakeListChatModel(responses=["four"])})
said = solve("What is 2 + 2?", router, executor).answer
print(json.dumps([said, seen[0], begun()]))
""")
    assert seen == ["four", False, False]


def test_deciding_alone_imports_nothing() -> None:
    assert run("router.decide(Query(text='What is 2 + 2?')); print(json.dumps([seen, begun()]))") == [[False], False]


@pytest.mark.parametrize("wrapped", ["{}", "LazyRouter(lambda: {})", "FallbackRouter({}, 'small@@none')"])
def test_warm_loads_the_encoder_and_litellm(wrapped: str) -> None:
    made = wrapped.format("fitted")
    seen = run(f"""
from langchain_atlas.outcomes import OutcomeTable
rows = [dict(query_id=str(n), query=f"query {{n}}", domain="d", model="small", tool="none", score=1.0, cost_usd=0.1)
        for n in range(20)]
encoder = FakeEncoder()
fitted = ClusterRouter(encoder, n_clusters=2, random_state=0).fit(OutcomeTable.from_rows(rows))
texts = []
encode = encoder.encode
encoder.encode = lambda given: (texts.extend(given), encode(given))[1]
{made}.warm()
print(json.dumps([len(texts) > 0, "litellm" in sys.modules, "langchain_litellm" in sys.modules]))
""")
    assert seen == [True, True, True]


@pytest.mark.parametrize("collects", [True, False])
def test_the_garbage_collector_is_left_as_it_was(collects: bool) -> None:
    left = run(f"""
import gc
from langchain_atlas.warming import begin_imports
gc.{"enable" if collects else "disable"}()
begin_imports().join()
print(json.dumps([gc.isenabled(), "langchain_litellm" in sys.modules]))
""")
    assert left == [collects, True]
