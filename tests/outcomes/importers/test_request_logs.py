"""Importers of requests: OpenAI, Anthropic, LiteLLM's spend log, and OpenTelemetry's spans."""

from pathlib import Path
from typing import Any

import pytest
from importing import document, imported, lines, picked, reasons

from langchain_atlas.errors import OutcomeError


def completion(text: str | None, *, model: str = "gpt-4o-mini-2024-07-18", **message: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": model,
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
    }


def request(text: str, **more: Any) -> dict[str, Any]:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]
    return {"model": "gpt-4o-mini", "messages": messages, **more}


TOOL = {"type": "function", "function": {"name": "search", "parameters": {}}}


class TestOpenAI:
    def test_batch_output_is_joined_with_the_batch_input(self, tmp_path: Path) -> None:
        asked = [
            {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": request(f"What is {name}?")}
            for name in ("a", "b", "c")
        ]
        lines(tmp_path / "in.jsonl", *asked)
        lines(
            tmp_path / "out.jsonl",
            {"id": "1", "custom_id": "a", "response": {"status_code": 200, "body": completion("A")}, "error": None},
            {"id": "2", "custom_id": "b", "response": None, "error": {"code": "x", "message": "expired"}},
            {"id": "3", "custom_id": "z", "response": {"status_code": 200, "body": completion("Z")}, "error": None},
            '{"id": broken',
        )
        rows, done = imported("openai", tmp_path / "in.jsonl", tmp_path / "out.jsonl")
        assert picked(rows, "query", "model", "response", "error", "score") == [
            ("What is a?", "gpt-4o-mini", "A", "", None),
            ("What is b?", "gpt-4o-mini", None, "expired", 0.0),
        ]
        assert rows[0]["cost_usd"] == pytest.approx(1000 * 0.15e-6 + 100 * 0.6e-6)
        assert rows[0]["input_tokens"] == 1000
        assert rows[0]["recorded_at"] == "2025-10-09T08:53:20+00:00"
        told = reasons(done)
        assert "without its request" in told["out.jsonl, line 3"]
        assert "is not JSON" in told["out.jsonl, line 4"]
        assert "no result of 'c'" in told["in.jsonl, line 3"]
        assert done.coverage.read == 5

    def test_an_application_logs_request_and_response(self, tmp_path: Path) -> None:
        path = lines(
            tmp_path / "log.jsonl",
            {
                "timestamp": "2026-05-01T12:00:00Z",
                "latency_ms": 1500,
                "user": "ann@example.org",
                "api_key": "sk-abcdefghijklmnop12345",
                "feedback": "down",
                "request": request("Hello?"),
                "response": completion("Hi"),
            },
        )
        rows, _ = imported("openai", path)
        assert picked(rows, "latency_s", "score", "score_source", "recorded_at") == [
            (1.5, 0.0, "feedback", "2026-05-01T12:00:00+00:00")
        ]
        assert "ann@" not in str(rows)
        assert "sk-" not in str(rows)

    def test_calls_after_a_tools_result_belong_to_the_same_outcome(self, tmp_path: Path) -> None:
        first = request("What is the capital of Peru?", tools=[TOOL])
        call = {"id": "c1", "type": "function", "function": {"name": "search", "arguments": '{"q": "Peru"}'}}
        called = {"role": "assistant", "content": None, "tool_calls": [call]}
        result = {"role": "tool", "tool_call_id": "c1", "content": "Lima"}
        second = {**first, "messages": [*first["messages"], called, result]}
        path = lines(
            tmp_path / "log.jsonl",
            {"request": first, "response": completion(None, tool_calls=[call])},
            {"request": second, "response": completion("Lima.")},
        )
        rows, done = imported("openai", path)
        assert picked(rows, "query", "tool", "response", "input_tokens") == [
            ("What is the capital of Peru?", "search", "Lima.", 2000)
        ]
        assert any("after a tool's result" in rule for rule in done.coverage.notes)

    def test_the_responses_interface(self, tmp_path: Path) -> None:
        body = {
            "object": "response",
            "model": "gpt-4o-mini",
            "output": [
                {"type": "reasoning", "summary": []},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Four."}]},
            ],
            "usage": {"input_tokens": 9, "output_tokens": 2},
        }
        asked = {"model": "gpt-4o-mini", "input": "What is 2+2?"}
        rows, _ = imported("openai", lines(tmp_path / "r.jsonl", {"request": asked, "response": body}))
        assert picked(rows, "query", "response", "input_tokens") == [("What is 2+2?", "Four.", 9)]

    def test_earlier_turns_are_context_and_images_are_refused(self, tmp_path: Path) -> None:
        talk = [
            {"role": "user", "content": "Name a planet."},
            {"role": "assistant", "content": "Mars."},
            {"role": "user", "content": "Another."},
        ]
        picture = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": "x"}}]
        path = lines(
            tmp_path / "r.jsonl",
            {"request": {"model": "m", "messages": talk}, "response": "Venus."},
            {"request": {"model": "m", "messages": [{"role": "user", "content": picture}]}, "response": "A cat."},
        )
        rows, done = imported("openai", path)
        assert picked(rows, "query", "context") == [("Another.", "user: Name a planet.\nassistant: Mars.")]
        assert "image" in reasons(done)["r.jsonl, line 2"]


class TestAnthropic:
    def test_batch_results_are_joined_with_the_requests(self, tmp_path: Path) -> None:
        params = {"model": "claude-3-5-haiku-20241022", "system": "Be brief.", "max_tokens": 9}
        asked = [
            {"custom_id": name, "params": {**params, "messages": [{"role": "user", "content": f"{name}?"}]}}
            for name in "abc"
        ]
        message = {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "A!"}],
            "usage": {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 5},
        }
        results = [
            {"custom_id": "a", "result": {"type": "succeeded", "message": message}},
            {"custom_id": "b", "result": {"type": "errored", "error": {"error": {"message": "overloaded"}}}},
            {"custom_id": "c", "result": {"type": "expired"}},
        ]
        rows, done = imported("anthropic", lines(tmp_path / "q.jsonl", *asked), lines(tmp_path / "r.jsonl", *results))
        assert picked(rows, "query", "response", "error", "input_tokens") == [
            ("a?", "A!", "", 100),
            ("b?", None, "overloaded", None),
        ]
        assert reasons(done) == {"r.jsonl, line 3": "was expired before it ran"}


def spend(number: int, **more: Any) -> dict[str, Any]:
    return {
        "request_id": f"r{number}",
        "call_type": "acompletion",
        "api_key": "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b",
        "spend": 0.002,
        "prompt_tokens": 100,
        "completion_tokens": 10,
        "startTime": "2026-05-01 12:00:00.000+00",
        "endTime": "2026-05-01 12:00:02.500+00",
        "model": "gpt-4o-mini",
        "custom_llm_provider": "openai",
        "user": "ann@example.org",
        "end_user": "bob",
        "requester_ip_address": "10.0.0.7",
        "metadata": '{"user_api_key_alias": "team-a"}',
        "cache_hit": "False",
        "messages": f'[{{"role": "user", "content": "Question {number}?"}}]',
        "response": '{"choices": [{"message": {"role": "assistant", "content": "Answer."}}]}',
        "status": "success",
        **more,
    }


class TestLiteLLM:
    def test_a_spend_log(self, tmp_path: Path) -> None:
        path = document(
            tmp_path / "spend.json",
            [
                spend(1),
                spend(2, messages="{}"),
                spend(3, model="my-own", custom_llm_provider="", spend=0.0),
                spend(4, spend=0.0, cache_hit="True"),
                spend(5, call_type="aembedding"),
                spend(6, status="failure", response="{}", spend=0),
            ],
        )
        rows, done = imported("litellm", path)
        assert picked(rows, "query", "model", "latency_s", "response", "error", "score") == [
            ("Question 1?", "openai/gpt-4o-mini", 2.5, "Answer.", "", None),
            ("Question 3?", "my-own", 2.5, "Answer.", "", None),
            ("Question 4?", "openai/gpt-4o-mini", None, "Answer.", "", None),
            ("Question 6?", "openai/gpt-4o-mini", 2.5, None, "the call failed", 0.0),
        ]
        price = 100 * 0.15e-6 + 10 * 0.6e-6
        assert [row["cost_usd"] for row in rows] == [0.002, None, pytest.approx(price), pytest.approx(price)]
        assert "store_prompts_in_spend_logs" in reasons(done)["spend.json, item 2"]
        assert "aembedding" in reasons(done)["spend.json, item 5"]
        assert {"api_key", "user", "end_user", "requester_ip_address", "metadata"} <= set(done.coverage.left_behind)
        for personal in ("ann@", "bob", "10.0.0.7", "88dc28d0", "team-a"):
            assert personal not in str(rows)

    def test_a_spend_log_exported_as_csv(self, tmp_path: Path) -> None:
        import csv

        with (tmp_path / "s.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(spend(1)))
            writer.writeheader()
            writer.writerow(spend(1))
        rows, _ = imported("litellm", tmp_path / "s.csv")
        assert picked(rows, "query", "response", "cost_usd", "input_tokens") == [("Question 1?", "Answer.", 0.002, 100)]

    def test_a_named_field_is_kept(self, tmp_path: Path) -> None:
        path = document(tmp_path / "s.json", [spend(1)])
        rows, _done = imported("litellm", path, mapping={"team": "metadata.user_api_key_alias", "domain": "end_user"})
        assert picked(rows, "team", "domain") == [("team-a", "bob")]


def otlp(*spans: dict[str, Any]) -> dict[str, Any]:
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {}, "spans": list(spans)}]}]}


def span(attributes: dict[str, Any], **more: Any) -> dict[str, Any]:
    def typed(value: Any) -> dict[str, Any]:
        return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}

    return {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": "eee19b7ec3c1b174",
        "name": "chat gpt-4o-mini",
        "startTimeUnixNano": "1760000000000000000",
        "endTimeUnixNano": "1760000001500000000",
        "attributes": [{"key": key, "value": typed(value)} for key, value in attributes.items()],
        **more,
    }


class TestOpenTelemetry:
    def test_the_conventions_and_their_forerunners(self, tmp_path: Path) -> None:
        asked = '[{"role": "user", "parts": [{"type": "text", "content": "Where is Oslo?"}]}]'
        said = '[{"role": "assistant", "parts": [{"type": "text", "content": "Norway"}], "finish_reason": "stop"}]'
        common = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini"}
        evaluation = {
            "name": "gen_ai.evaluation.result",
            "attributes": [
                {"key": "gen_ai.evaluation.name", "value": {"stringValue": "relevance"}},
                {"key": "gen_ai.evaluation.score.value", "value": {"doubleValue": 0.75}},
            ],
        }
        new = span(
            {**common, "gen_ai.input.messages": asked, "gen_ai.output.messages": said, "gen_ai.usage.input_tokens": 12},
            events=[evaluation],
        )
        llmetry = span(
            {
                "gen_ai.request.model": "gpt-4o",
                "gen_ai.prompt.0.role": "user",
                "gen_ai.prompt.0.content": "Where is Rome?",
                "gen_ai.completion.0.content": "Italy",
            }
        )
        inference = span(
            {
                "openinference.span.kind": "LLM",
                "llm.model_name": "gpt-4o",
                "llm.input_messages.0.message.role": "user",
                "llm.input_messages.0.message.content": "Where is Bern?",
                "llm.output_messages.0.message.content": "Switzerland",
            }
        )
        silent = span(common)
        tool = span({"gen_ai.operation.name": "execute_tool"})
        path = lines(tmp_path / "spans.jsonl", otlp(new, llmetry, inference), otlp(silent, tool))
        rows, done = imported("otel", path)
        assert picked(rows, "query", "model", "response", "score") == [
            ("Where is Oslo?", "gpt-4o-mini", "Norway", 0.75),
            ("Where is Rome?", "gpt-4o", "Italy", None),
            ("Where is Bern?", "gpt-4o", "Switzerland", None),
        ]
        assert rows[0]["latency_s"] == 1.5
        assert rows[0]["input_tokens"] == 12
        assert "without its messages" in reasons(done)["spans.jsonl, line 2, span 1"]
        assert done.coverage.notes["spans that call no model that writes text are no outcomes"] == 1

    def test_a_file_without_calls_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(OutcomeError, match="holds no outcome that can be imported as 'otel'"):
            imported("otel", lines(tmp_path / "s.jsonl", otlp(span({"http.route": "/"}))))
