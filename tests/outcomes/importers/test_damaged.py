"""Damaged logs: whatever stands in a field, an importer reports it and goes on."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from importing import lines
from test_benchmarks import TestInspect, TestRouterBench
from test_langsmith import RUNS
from test_request_logs import completion, otlp, request, span, spend

from langchain_atlas.errors import AtlasError
from langchain_atlas.outcomes.importers import KINDS, import_outcomes

TALK = [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Hello."}]
RECORD = {"origin_query": "1+1?", "prompt": "1+1?", "score": 1.0, "cost": 0.1, "prompt_tokens": 3, "prediction": "2"}
SAMPLE = {
    "doc_id": 0,
    "doc": {"question": "1+1?"},
    "target": "2",
    "arguments": {"gen_args_0": {"arg_0": "1+1?"}},
    "resps": [["2"]],
    "filtered_resps": ["2"],
    "metrics": ["acc"],
    "acc": 1.0,
}
EVENT = {"name": "gen_ai.choice", "attributes": [{"key": "message", "value": {"stringValue": "Hello."}}]}
ANTHROPIC = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "A"}], "usage": {}}

LOGS: dict[str, tuple[str, list[Any]]] = {
    "csv": ("a.jsonl", [{"question": TALK, "answer": "x", "model": "m", "score": 1, "cost": 0.1, "time": 1.7e9}]),
    "jsonl": ("a.jsonl", [{"query": "q", "output": {"text": "x"}, "model": "m", "latency_ms": 5, "tokens_in": 3}]),
    "langsmith": ("a.jsonl", RUNS),
    "litellm": ("a.jsonl", [spend(1), spend(2, messages=TALK[:1], response={"choices": [{"message": TALK[1]}]})]),
    "openai": (
        "a.jsonl",
        [{"request": request("q", tools=[{"function": {"name": "f"}}]), "response": completion("A")}],
    ),
    "anthropic": ("a.jsonl", [{"request": {"model": "c", "messages": TALK[:1]}, "response": ANTHROPIC}]),
    "otel": (
        "a.jsonl",
        [otlp(span({"gen_ai.request.model": "m", "gen_ai.input.messages": json.dumps(TALK[:1])}, events=[EVENT]))],
    ),
    "routerbench": ("a.jsonl", [TestRouterBench.ROW]),
    "llmrouterbench": ("a.json", [{"model_name": "m", "dataset_name": "d", "split": "test", "records": [RECORD]}]),
    "arena": (
        "a.jsonl",
        [{"model_a": "a", "model_b": "b", "winner": "tie", "conversation_a": TALK, "conversation_b": TALK}],
    ),
    "bfcl": (
        "result/m/BFCL_v3_simple_result.json",
        [
            {"id": "s0", "question": [[TALK[0]]], "function": []},
            {"id": "s0", "result": [["f()"]], "latency": [[0.5]], "input_token_count": [[3]]},
        ],
    ),
    "lm-eval": ("m/samples_t_2026-05-01T10-00-00.jsonl", [SAMPLE]),
    "inspect": ("a.json", [{**TestInspect.HEADER, "samples": [TestInspect.sample(1, "C")]}]),
}
ODD: list[Any] = [
    None,
    True,
    -1,
    1e308,
    float("nan"),
    "",
    "x",
    "{",
    [],
    {},
    [[]],
    [1, "a"],
    {"a": 1},
    "5" * 400,
    10**30,
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield from places(inner, (*path, name))


def changed(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    if not path:
        return odd
    inner = changed(value[path[0]], path[1:], odd)
    if isinstance(value, dict):
        return {**value, path[0]: inner}
    return [*value[: path[0]], inner, *value[path[0] + 1 :]]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_any_value_in_any_place_is_imported_or_reported(tmp_path: Path, kind: str) -> None:
    name, entries = LOGS[kind]
    assert len(import_outcomes(kind, lines(tmp_path / "whole" / name, *entries)).table) > 0
    chosen = random.Random(kind)  # noqa: S311
    damages = [(number, path) for number, entry in enumerate(entries) for path in places(entry)]
    for count in range(150):
        number, path = chosen.choice(damages)
        damaged = changed(entries[number], path, chosen.choice(ODD))
        log = lines(tmp_path / str(count) / name, *entries[:number], json.dumps(damaged), *entries[number + 1 :])
        try:
            done = import_outcomes(kind, log)
        except AtlasError as error:
            assert "holds no outcome" in str(error) or "--scale" in str(error), (path, damaged)  # noqa: PT017
        else:
            assert done.coverage.imported == len(done.table)


@pytest.mark.parametrize("kind", ["openai", "langsmith", "jsonl", "litellm"])
def test_deeply_nested_messages_do_not_end_the_import(tmp_path: Path, kind: str) -> None:
    deep: Any = "x"
    for _ in range(400):
        deep = [deep]
    entry = {"request": {"model": "m", "messages": deep}, "response": {"choices": deep}, "model": "m", "query": deep}
    entry |= {"inputs": {"messages": deep}, "outputs": deep, "run_type": "chain", "id": "1", "messages": deep}
    good = {"custom": 1, "query": "q", "response": "r", "model": "m"}
    log = lines(tmp_path / "a.jsonl", entry, good)
    try:
        import_outcomes(kind, log)
    except AtlasError as error:
        assert "holds no outcome" in str(error)  # noqa: PT017
