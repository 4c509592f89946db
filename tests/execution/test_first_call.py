"""The first call of a process: its latency is the provider's, and not that of imports."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import asyncio, json, sys
from langchain_atlas import NO_TOOL, ChatAtlas, LiveExecutor, Model, Pair, Pool, Query
from langchain_atlas.testing import OpenAIServer, ScriptedRouter

with OpenAIServer(lambda body: "ok") as server:
    model = Model(name="small", litellm="openai/small", options={"api_base": server.url})
    executor = LiveExecutor(Pool(models=[model], tools=[NO_TOOL]))
    if sys.argv[1] == "run":
        seen = [executor.run(Pair("small"), Query(text="hi")) for _ in range(3)]
    elif sys.argv[1] == "arun":
        async def thrice():
            return [await executor.arun(Pair("small"), Query(text="hi")) for _ in range(3)]
        seen = asyncio.run(thrice())
    else:
        chat = ChatAtlas(router=ScriptedRouter("small@@none"), executor=executor)
        records = [chat.invoke("hi").response_metadata["atlas"] for _ in range(3)]
        seen = None
    print(json.dumps([one.latency_s for one in seen] if seen else [one["latency_s"] for one in records]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["run", "arun", "chat"])
def test_a_first_latency_leaves_imports_out(tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, program, way], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 0, done.stderr
    first, *later = json.loads(done.stdout.splitlines()[-1])
    assert first < 0.7 + 5 * max(later)
