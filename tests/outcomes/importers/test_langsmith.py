"""Importer of LangSmith's runs: exports of all kinds, and a project by LangSmith's own client."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from importing import document, imported, lines, picked, reasons

from langchain_atlas.errors import OutcomeError
from langchain_atlas.outcomes.importers import import_outcomes
from langchain_atlas.testing.trace_server import TraceServer


def uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def trace(number: int, *, model: str = "gpt-4o-mini", feedback: Any = None, **more: Any) -> list[dict[str, Any]]:
    """Return the root run of a trace, and the call of a model in it."""
    root = {
        "id": uuid(10 * number),
        "trace_id": uuid(10 * number),
        "session_id": uuid(1),
        "parent_run_id": None,
        "name": "app",
        "run_type": "chain",
        "inputs": {"question": f"Question {number}?"},
        "outputs": {"answer": f"Answer {number}."},
        "error": None,
        "start_time": "2026-05-01T12:00:00",
        "end_time": "2026-05-01T12:00:03",
        "total_cost": 0.004,
        "prompt_tokens": 50,
        "completion_tokens": 5,
        "extra": {"metadata": {"user_email": "ann@example.org"}},
        "feedback_stats": feedback,
        "tags": ["prod"],
        "dotted_order": f"20260501T120000000000Z{uuid(10 * number)}",
        **more,
    }
    call = {
        **root,
        "id": uuid(10 * number + 1),
        "parent_run_id": root["id"],
        "name": "ChatOpenAI",
        "run_type": "llm",
        "inputs": {
            "messages": [[{"lc": 1, "type": "constructor", "id": ["x", "HumanMessage"], "kwargs": {"content": "?"}}]]
        },
        "outputs": {"generations": [[{"text": "!"}]]},
        "extra": {"metadata": {"ls_model_name": model}},
        "feedback_stats": None,
        "dotted_order": f"{root['dotted_order']}.20260501T120001000000Z{uuid(10 * number + 1)}",
    }
    return [root, call]


THUMB = {"user_score": {"n": 1, "avg": 1.0}}
RUNS = [
    *trace(1, feedback=THUMB),
    *trace(2, model="gpt-4o", feedback={"user_score": {"n": 1, "avg": 0.0}, "tone": {"n": 1, "avg": 0.5}}),
    *trace(3, outputs=None, error="RateLimitError()"),
    *trace(4, outputs=None, end_time=None),
]
EXPECTED = [
    ("Question 1?", "gpt-4o-mini", "Answer 1.", 1.0, 3.0, 0.004, 50),
    ("Question 2?", "gpt-4o", "Answer 2.", 0.0, 3.0, 0.004, 50),
    ("Question 3?", "gpt-4o-mini", None, 0.0, 3.0, 0.004, 50),
]
COLUMNS = ("query", "model", "response", "score", "latency_s", "cost_usd", "input_tokens")


class TestExports:
    def test_jsonl(self, tmp_path: Path) -> None:
        rows, done = imported("langsmith", lines(tmp_path / "runs.jsonl", *RUNS, "broken", {"id": "x"}))
        assert picked(rows, *COLUMNS) == EXPECTED
        assert rows[2]["error"] == "RateLimitError()"
        told = reasons(done)
        assert "had not ended" in told["runs.jsonl, line 7"]
        assert "is not JSON" in told["runs.jsonl, line 9"]
        assert "must be a run" in told["runs.jsonl, line 10"]
        assert "tags" in done.coverage.left_behind
        assert "ann@" not in str(rows)
        [scores] = [rule for rule in done.coverage.notes if "feedback 'user_score'" in rule]
        assert "tone (1)" in scores

    def test_csv_with_json_in_its_cells(self, tmp_path: Path) -> None:
        with (tmp_path / "runs.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(RUNS[0]))
            writer.writeheader()
            for run in RUNS:
                writer.writerow({k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in run.items()})
        rows, _ = imported("langsmith", tmp_path / "runs.csv")
        assert picked(rows, *COLUMNS) == EXPECTED

    def test_parquet_of_a_bulk_export(self, tmp_path: Path) -> None:
        def flat(run: dict[str, Any]) -> dict[str, Any]:
            held = {k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in run.items()}
            parents = [] if run["parent_run_id"] is None else [run["parent_run_id"]]
            return {**held, "parent_run_ids": parents, "is_root": run["parent_run_id"] is None}

        pq.write_table(pa.Table.from_pylist([flat(run) for run in RUNS]), tmp_path / "runs.parquet")
        rows, _ = imported("langsmith", tmp_path / "runs.parquet")
        assert picked(rows, *COLUMNS) == EXPECTED

    def test_messages_of_langchain_are_read(self, tmp_path: Path) -> None:
        def message(kind: str, text: str) -> dict[str, Any]:
            return {"lc": 1, "type": "constructor", "id": ["langchain", kind], "kwargs": {"content": text, "type": "x"}}

        talk = [message("SystemMessage", "Be kind."), message("HumanMessage", "Hi?")]
        plain = [{"type": "human", "content": "Hi?"}, {"type": "ai", "content": "Hello."}]
        runs = [
            *trace(1, inputs={"messages": [talk]}, outputs={"messages": [*talk, message("AIMessage", "Hello.")]}),
            *trace(2, inputs={"input": "Hi?"}, outputs={"output": {"content": "Hello.", "type": "ai"}}),
            *trace(3, inputs={"messages": plain[:1]}, outputs={"messages": plain}),
        ]
        rows, _ = imported("langsmith", document(tmp_path / "runs.json", {"runs": runs}))
        assert picked(rows, "query", "response") == [("Hi?", "Hello.")] * 3

    def test_another_feedback_can_be_named(self, tmp_path: Path) -> None:
        rows, _ = imported(
            "langsmith", lines(tmp_path / "runs.jsonl", *RUNS), mapping={"score": "feedback_stats.tone.avg"}
        )
        assert [row["score"] for row in rows] == [None, 0.5, 0.0]  # the last call failed

    def test_a_trace_without_its_root_is_reported(self, tmp_path: Path) -> None:
        _, done = imported("langsmith", lines(tmp_path / "runs.jsonl", *trace(1), trace(2)[1]))
        assert "whose root run is not in the export" in reasons(done)["runs.jsonl, line 3"]


class TestProject:
    def test_runs_are_fetched_by_langsmiths_client(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with TraceServer() as server:
            server.serve(RUNS)
            monkeypatch.setenv("LANGSMITH_ENDPOINT", server.url)
            monkeypatch.setenv("LANGSMITH_API_KEY", "lsv2_pt_abcdef0123456789")
            done = import_outcomes("langsmith", "project:support-bot")
        assert picked(done.table.table.to_pylist(), *COLUMNS) == EXPECTED
        assert "lsv2" not in str(done.table.table.to_pylist())

    def test_a_project_that_can_not_be_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LANGSMITH_ENDPOINT", "http://127.0.0.1:9")
        monkeypatch.setenv("LANGSMITH_API_KEY", "lsv2_pt_abcdef0123456789")
        with pytest.raises(OutcomeError, match="Can't read the project 'nowhere' from LangSmith") as raised:
            import_outcomes("langsmith", "project:nowhere")
        assert "lsv2_pt" not in str(raised.value)
