"""What is imported is what the log says: no answer, cost, score or question is made up, lost or taken for another."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from langchain_atlas.evaluation.scoring.references import references_in
from langchain_atlas.outcomes.importers import import_outcomes

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_atlas.outcomes.importers.coverage import ImportCoverage


def read(
    kind: str, folder: Path, *entries: Any, name: str = "log.jsonl"
) -> tuple[list[dict[str, Any]], ImportCoverage]:
    """Import entries, or the text of a file, and return the rows and what the import says."""
    path = folder / name
    text = entries[0] if isinstance(entries[0], str) else "".join(f"{json.dumps(entry)}\n" for entry in entries)
    path.write_text(text, encoding="utf-8")
    done = import_outcomes(kind, path)
    return done.table.table.to_pylist(), done.coverage


@pytest.mark.parametrize("error", [False, 0, "False", "-", None, "", "none", "nil", "Success", 200, "False."])
def test_no_error_is_no_failed_call(error: Any, tmp_path: Path) -> None:
    rows, _ = read("jsonl", tmp_path, {"query": "q", "model": "m", "response": "fine", "error": error})
    assert (rows[0]["error"], rows[0]["score"]) == ("", None)


def test_a_list_of_expected_answers_is_one_of_several(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    asked = [
        {"query": "who?", "model": "m", "response": "Kim Ode", "answer": ["Kim Ode", "Ode"]},
        {"query": "which?", "model": "m", "response": "[1, 2]", "answer": "[1, 2]"},
    ]
    path.write_text("".join(f"{json.dumps(entry)}\n" for entry in asked))
    table = import_outcomes("jsonl", path).table
    answers = [reference.answer for reference in references_in(table).by_query.values()]
    assert answers == [["Kim Ode", "Ode"], "[1, 2]"]


def test_an_expected_answer_is_never_the_answer_of_a_row_that_lacks_one(tmp_path: Path) -> None:
    given = [
        {"query": "6*8?", "model": "m", "answer": "48"},
        {"query": "6*7?", "model": "m", "response": "41", "answer": "42"},
    ]
    rows, report = read("jsonl", tmp_path, *given)
    assert [(row["query"], row["response"], row["answer"]) for row in rows] == [("6*7?", "41", "42")]
    assert "neither a response nor a score" in str(report)
    rows, _ = read("jsonl", tmp_path, {"query": "6*8?", "model": "m", "answer": "48"})
    assert rows[0]["response"] == "48", "where no row has another answer, it is the model's"


@pytest.mark.parametrize("kind", ["jsonl", "openai"])
def test_no_tokens_at_all_are_an_unknown_cost(kind: str, tmp_path: Path) -> None:
    usage = {"prompt_tokens": 0, "completion_tokens": 0}
    entry = {"query": "q", "model": "openai/gpt-4o", "response": "x", **usage}
    if kind == "openai":
        reply = {"choices": [{"message": {"role": "assistant", "content": "x"}}], "usage": usage}
        entry = {"request": {"model": "gpt-4o", "messages": [{"role": "user", "content": "q"}]}, "response": reply}
    rows, _ = read(kind, tmp_path, entry)
    assert rows[0]["cost_usd"] is None


def test_a_cost_that_the_log_has_is_kept(tmp_path: Path) -> None:
    reply = {
        "choices": [{"message": {"role": "assistant", "content": "x"}}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 100},
    }
    request = {"model": "gpt-4o", "messages": [{"role": "user", "content": "q"}]}
    rows, _ = read("openai", tmp_path, {"cost_usd": 0.5, "request": request, "response": reply})
    assert (rows[0]["cost_usd"], rows[0]["input_tokens"]) == (0.5, 100)


def test_a_decimal_comma_is_none_of_thousands(tmp_path: Path) -> None:
    text = "question;model;answer;cost;latency_s;score\nWhat?;m;3,14;0,002;1,234;1\nWhy?;m;x;0,0021;1,5;0,5\n"
    rows, report = read("csv", tmp_path, text, name="log.csv")
    assert [(row["cost_usd"], row["latency_s"], row["score"]) for row in rows] == [
        (0.002, 1.234, 1),
        (0.0021, 1.5, 0.5),
    ]
    assert rows[0]["response"] == "3,14", "texts stay as they are"
    assert "decimal" in str(report)
    rows, report = read("csv", tmp_path, 'question,model,answer,cost\nWhat?,m,x,"0,002"\n', name="other.csv")
    assert rows[0]["cost_usd"] is None
    assert "not a number" in str(report)


def test_a_quote_that_is_not_closed_takes_no_other_row(tmp_path: Path) -> None:
    text = 'query,model,response\nq1,m,a1\nq2,m,"a2\nq3,m,a3 "and" so\nq4,m,a4\nq5,m,"a\nb"\n'
    rows, report = read("csv", tmp_path, text, name="log.csv")
    assert [row["query"] for row in rows] == ["q1", "q4", "q5"]
    assert rows[-1]["response"] == "a\nb", "a cell of two lines"
    assert "a quote may not be closed, and lines 3 to 4 are not read" in str(report)


def test_one_custom_id_of_two_batches_is_refused(tmp_path: Path) -> None:
    def line(number: int, country: str) -> dict[str, Any]:
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": f"Capital of {country}?"}]}
        return {"custom_id": f"request-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}

    def result(number: int, city: str) -> dict[str, Any]:
        body = {"model": "gpt-4o", "choices": [{"message": {"role": "assistant", "content": city}}]}
        return {"custom_id": f"request-{number}", "response": {"status_code": 200, "body": body}, "error": None}

    lines = [line(1, "France"), line(2, "Spain"), result(1, "Paris"), result(2, "Madrid")]
    rows, report = read("openai", tmp_path, *lines, line(1, "Italy"), result(1, "Rome"))
    assert [(row["query"], row["response"]) for row in rows] == [("Capital of Spain?", "Madrid")]
    assert str(report).count("names two different requests") >= 1
    assert len(report.rejected) == 4


@pytest.mark.parametrize("text", ['["Paris", "Rome"]', '{"city": "Paris"}'])
@pytest.mark.parametrize("kind", ["openai", "langsmith", "jsonl"])
def test_an_answer_that_is_json_stays_as_it_is(kind: str, text: str, tmp_path: Path) -> None:
    request = {"model": "gpt-4o", "messages": [{"role": "user", "content": "q"}]}
    run = {"id": "1", "run_type": "chain", "start_time": "2026-01-01T00:00:00", "end_time": "2026-01-01T00:00:01"}
    entry: dict[str, Any] = {
        "openai": {"request": request, "response": text},
        "langsmith": {
            **run,
            "inputs": {"input": "q"},
            "outputs": {"output": text},
            "extra": {"metadata": {"ls_model_name": "gpt-4o"}},
        },
        "jsonl": {"query": "q", "model": "m", "response": text},
    }[kind]
    rows, _ = read(kind, tmp_path, entry)
    assert rows[0]["response"] == text


def test_labels_are_no_answers(tmp_path: Path) -> None:
    request = {"model": "claude", "messages": [{"role": "user", "content": "q"}]}
    good = {"request": request, "response": {"content": [{"type": "text", "text": "yes"}], "role": "assistant"}}
    rows, report = read("anthropic", tmp_path, {"request": request, "response": [{"type": "message_stop"}]}, good)
    assert [row["response"] for row in rows] == ["yes"]
    assert len(report.rejected) == 1


def test_the_history_beside_an_input_is_its_context(tmp_path: Path) -> None:
    def run(number: int, about: str) -> dict[str, Any]:
        history = [{"type": "human", "content": f"{about}?"}, {"type": "ai", "content": "sure?"}]
        return {
            "id": str(number),
            "run_type": "chain",
            "start_time": "2026-01-01T00:00:00",
            "end_time": "2026-01-01T00:00:01",
            "inputs": {"input": "yes please", "chat_history": history},
            "outputs": {"output": f"{about} done"},
            "extra": {"metadata": {"ls_model_name": "gpt-4o"}},
        }

    rows, _ = read("langsmith", tmp_path, run(1, "cancel"), run(2, "refund"))
    assert [row["query"] for row in rows] == ["yes please"] * 2
    assert [row["context"] for row in rows] == ["user: cancel?\nassistant: sure?", "user: refund?\nassistant: sure?"]
    assert rows[0]["query_id"] != rows[1]["query_id"]
