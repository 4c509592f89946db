"""The callback that records live traffic, in LiteLLM itself, with a provider on this machine."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import litellm
import pytest

from langchain_atlas.errors import OutcomeError, SettingError
from langchain_atlas.integrations.litellm_recorder import litellm_recorder
from langchain_atlas.outcomes import OutcomeTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from langchain_atlas.testing import OpenAIServer

QUESTION = [{"role": "user", "content": "Where is Oslo?"}]


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Any]:
    made = litellm_recorder(tmp_path / "t.parquet", domain="support", max_outcomes=3, max_chars=200)
    litellm.callbacks.append(made)
    yield made
    for kept in (litellm.callbacks, litellm.success_callback, litellm.failure_callback):
        kept[:] = [one for one in kept if one is not made]
    for kept in (litellm._async_success_callback, litellm._async_failure_callback):
        kept[:] = [one for one in kept if one is not made]
    made.close()


def ask(server: OpenAIServer, text: str = "Where is Oslo?", **more: Any) -> Any:
    messages = [{"role": "user", "content": text}]
    model = more.pop("model", "openai/gpt-4o-mini")
    return litellm.completion(
        model,
        messages,
        api_base=server.url,
        api_key="sk-abcdefgh12345678",
        num_retries=0,
        user="ann@example.org",
        **more,
    )


def settled(recorder: Any, wanted: int, path: Path) -> list[dict[str, Any]]:
    """Return the rows of the journal once there are as many as wanted; LiteLLM tells of calls from threads."""
    import json

    journal = path / "t.parquet.journal.jsonl"
    for _ in range(100):
        recorder.flush()
        rows = [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []
        if len(rows) >= wanted:
            return rows
        time.sleep(0.05)
    pytest.fail(f"{len(rows)} of {wanted} calls were recorded")


def test_calls_become_outcomes_without_a_score(
    recorder: Any, serve: Callable[..., OpenAIServer], tmp_path: Path
) -> None:
    server = serve("In Norway.")
    ask(server, metadata={"user_email": "ann@example.org"})
    settled(recorder, 1, tmp_path)

    async def later() -> None:
        await litellm.acompletion(
            "openai/gpt-4o", QUESTION, api_base=server.url, api_key="sk-abcdefgh12345678", num_retries=0
        )
        await asyncio.sleep(0.3)

    asyncio.run(later())
    settled(recorder, 2, tmp_path)
    recorder.close()
    table = OutcomeTable.load(tmp_path / "t.parquet")
    rows = table.table.to_pylist()
    assert [(row["query"], row["model"], row["domain"], row["response"], row["score"]) for row in rows] == [
        ("Where is Oslo?", "openai/gpt-4o-mini", "support", "In Norway.", None),
        ("Where is Oslo?", "openai/gpt-4o", "support", "In Norway.", None),
    ]
    assert len(table.query_ids) == 1
    assert all(row["latency_s"] > 0 for row in rows)
    assert "ann@" not in str(rows)
    assert "abcdefgh" not in str(rows)
    assert not (tmp_path / "t.parquet.journal.jsonl").exists()


def test_limits_are_kept_and_what_is_skipped_is_counted(
    recorder: Any, serve: Callable[..., OpenAIServer], tmp_path: Path
) -> None:
    server = serve(lambda request: request["messages"][0]["content"] * 3)
    for number in range(5):
        assert ask(server, f"Question {number}").choices[0].message.content.startswith("Question")
        settled(recorder, min(number + 1, 3), tmp_path)
    ask(server, "long " * 20)
    for _ in range(100):
        recorder.flush()
        if recorder.skipped == 3:
            break
        time.sleep(0.05)
    assert recorder.skipped == 3
    assert len(settled(recorder, 3, tmp_path)) == 3


def test_an_answer_never_fails_by_recording(
    recorder: Any, serve: Callable[..., OpenAIServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    from langchain_atlas.outcomes.journal import Journal

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(Journal, "append", full)
    assert ask(serve("In Norway.")).choices[0].message.content == "In Norway."
    for _ in range(100):
        recorder.flush()
        if recorder.skipped:
            break
        time.sleep(0.05)
    assert recorder.skipped == 1


def test_a_failed_call_is_recorded_as_wrong(recorder: Any, serve: Callable[..., OpenAIServer], tmp_path: Path) -> None:
    from langchain_atlas.testing.server import Failure

    server = serve(Failure(400, "bad request with sk-abcdefgh12345678"))
    with pytest.raises(litellm.BadRequestError):
        ask(server)
    [row] = settled(recorder, 1, tmp_path)
    assert row["score"] == 0.0
    assert "bad request" in row["error"]
    assert "abcdefgh" not in row["error"]


def test_mistakes_are_told_when_it_is_made(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="max_outcomes is 0"):
        litellm_recorder(tmp_path / "t.parquet", max_outcomes=0)
    with pytest.raises(OutcomeError, match="give a file that ends in"):
        litellm_recorder(tmp_path / "t.csv")
