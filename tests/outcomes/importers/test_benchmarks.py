"""Importers of benchmarks: RouterBench, LLMRouterBench, the Arena, BFCL, lm-evaluation-harness and inspect."""

import json
import zipfile
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from importing import document, imported, lines, picked, reasons

from langchain_atlas.errors import OutcomeError


class TestRouterBench:
    ROW: ClassVar = {
        "sample_id": "mbpp.0",
        "prompt": "Write a function.",
        "eval_name": "mbpp",
        "gpt-4-1106-preview": 1.0,
        "gpt-4-1106-preview|model_response": "['def f(): pass']",
        "gpt-4-1106-preview|total_cost": 0.003,
        "meta/llama-2-70b-chat": None,
        "meta/llama-2-70b-chat|model_response": "x",
        "meta/llama-2-70b-chat|total_cost": 0.0001,
        "oracle_model_to_route_to": "gpt-4-1106-preview",
    }

    def test_parquet(self, tmp_path: Path) -> None:
        pq.write_table(pa.Table.from_pylist([self.ROW]), tmp_path / "rb.parquet")
        rows, done = imported("routerbench", tmp_path / "rb.parquet")
        assert picked(rows, "query_id", "domain", "model", "tool", "score", "cost_usd", "response") == [
            ("mbpp.0", "mbpp", "gpt-4-1106-preview", "none", 1.0, 0.003, "def f(): pass")
        ]
        assert reasons(done) == {"llama-2-70b-chat": "has no score"}
        assert done.coverage.rejected[0].place.endswith("row 1, meta/llama-2-70b-chat")

    @pytest.mark.parametrize("start", [b"\x80\x04\x95", b"\x80\x02c", b"(dp0\n", b"cpandas\nDataFrame\n"])
    def test_a_pickle_is_refused_whatever_it_is_called(self, tmp_path: Path, start: bytes) -> None:
        for name in ("routerbench_0shot.pkl", "routerbench.csv", "routerbench.jsonl"):
            (tmp_path / name).write_bytes(start + b"........")
            with pytest.raises(OutcomeError, match="is a pickle, which may run any program"):
                imported("routerbench", tmp_path / name)

    def test_a_pickle_in_a_folder_or_compressed_is_refused(self, tmp_path: Path) -> None:
        import gzip

        pq.write_table(pa.Table.from_pylist([self.ROW]), tmp_path / "rb.parquet")
        (tmp_path / "old.PKL").write_bytes(b"anything")
        with gzip.open(tmp_path / "rb.jsonl.gz", "wb") as file:
            file.write(b"\x80\x04\x95....")
        _, done = imported("routerbench", tmp_path)
        told = reasons(done)
        assert "is a pickle" in told["old.PKL"]
        assert "is a pickle" in told["rb.jsonl.gz"]


class TestLLMRouterBench:
    def test_a_folder_of_results(self, tmp_path: Path) -> None:
        def result(model: str, score: float, **more: Any) -> dict[str, Any]:
            record = {"index": 0, "origin_query": "1+1?", "prompt": "Solve: 1+1?", "score": score, "cost": 0.001}
            record |= {"prompt_tokens": 7, "completion_tokens": 3, "prediction": "2", "raw_output": "It is 2."}
            record |= {"ground_truth": "2"}
            return {"model_name": model, "dataset_name": "aime", "split": "test", "records": [record], **more}

        folder = tmp_path / "bench/aime/test"
        document(folder / "a/aime-test-a-20250101_000000.json", result("a", 0.0))
        document(folder / "a/aime-test-a-20250901_000000.json", result("a", 1.0))
        document(folder / "b/aime-test-b-20250101_000000.json", result("b", 0.0))
        document(folder / "c/aime-test-c-20250101_000000.json", result("c", 0.0, demo=True))
        rows, done = imported("llmrouterbench", tmp_path / "bench")
        assert picked(rows, "query", "model", "domain", "score", "response", "answer") == [
            ("1+1?", "a", "aime", 1.0, "It is 2.", "2"),
            ("1+1?", "b", "aime", 0.0, "It is 2.", "2"),
        ]
        assert "is older than" in reasons(done)["aime-test-a-20250101_000000.json"]
        assert "demo" in reasons(done)["aime-test-c-20250101_000000.json"]
        assert done.coverage.one_pair_a_query == 0


class TestArena:
    def test_votes(self, tmp_path: Path) -> None:
        def talk(answer: str) -> list[dict[str, str]]:
            return [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": answer}]

        def vote(winner: str, **more: Any) -> dict[str, Any]:
            both = {"conversation_a": talk("A"), "conversation_b": talk("B"), "judge": "arena_user_7"}
            return {"model_a": "vicuna-13b", "model_b": "koala-13b", "winner": winner, **both, **more}

        path = lines(tmp_path / "a.jsonl", vote("model_b"), vote("tie"), vote("tie (bothbad)"), vote("nobody"))
        rows, done = imported("arena", path)
        assert picked(rows, "query", "model", "score", "response", "score_source") == [
            ("Hi", "vicuna-13b", 0.0, "A", "human"),
            ("Hi", "koala-13b", 1.0, "B", "human"),
            ("Hi", "vicuna-13b", 0.5, "A", "human"),
            ("Hi", "koala-13b", 0.5, "B", "human"),
            ("Hi", "vicuna-13b", 0.0, "A", "human"),
            ("Hi", "koala-13b", 0.0, "B", "human"),
        ]
        assert "winner 'nobody'" in reasons(done)["a.jsonl, line 4"]

    def test_the_form_with_three_flags(self, tmp_path: Path) -> None:
        path = tmp_path / "train.csv"
        path.write_text(
            "id,model_a,model_b,prompt,response_a,response_b,winner_model_a,winner_model_b,winner_tie\n"
            '1,gpt-4,koala,"[""First"",""Then""]","[""x"",""A""]","[""y"",""B""]",1,0,0\n'
        )
        rows, _ = imported("arena", path)
        assert picked(rows, "query", "model", "score", "response") == [
            ("First\n\nThen", "gpt-4", 1.0, "A"),
            ("First\n\nThen", "koala", 0.0, "B"),
        ]


class TestBFCL:
    def test_results_scores_and_questions(self, tmp_path: Path) -> None:
        def question(name: str) -> dict[str, Any]:
            asked = [[{"role": "user", "content": f"Question {name}"}]]
            return {"id": name, "question": asked, "function": [{"name": "f", "parameters": {}}]}

        def result(name: str) -> dict[str, Any]:
            return {"id": name, "result": "[f(x=1)]", "input_token_count": 9, "output_token_count": 3, "latency": 0.5}

        lines(tmp_path / "data/BFCL_v3_simple.json", question("simple_0"), question("simple_1"))
        wrong = {"id": "simple_1", "valid": False, "error": ["Wrong value"], "error_type": "value_error:string"}
        wrong |= {"prompt": question("simple_1"), "model_result_raw": "[f(x=1)]"}
        for model in ("gpt-4o-2024-08-06-FC", "gpt-4o-2024-08-06"):
            lines(
                tmp_path / "result" / model / "BFCL_v3_simple_result.json",
                result("simple_0"),
                result("simple_1"),
                result("simple_9"),
            )
        summary = {"accuracy": 0.67, "correct_count": 2, "total_count": 3}
        lines(tmp_path / "score/gpt-4o-2024-08-06-FC/BFCL_v3_simple_score.json", summary, wrong)
        rows, done = imported("bfcl", tmp_path)
        assert picked(rows, "query_id", "query", "domain", "model", "tool", "score") == [
            ("simple_0", "Question simple_0", "simple", "gpt-4o-2024-08-06", "prompt", None),
            ("simple_1", "Question simple_1", "simple", "gpt-4o-2024-08-06", "prompt", None),
            ("simple_0", "Question simple_0", "simple", "gpt-4o-2024-08-06", "fc", 1.0),
            ("simple_1", "Question simple_1", "simple", "gpt-4o-2024-08-06", "fc", 0.0),
        ]
        assert json.loads(rows[0]["context"])[0]["name"] == "f"
        assert rows[0]["latency_s"] == 0.5
        assert "whose question is in no source" in reasons(done)["BFCL_v3_simple_result.json, line 3"]
        assert any("no score file for gpt-4o-2024-08-06, simple" in rule for rule in done.coverage.notes)


class TestLmEval:
    def test_samples(self, tmp_path: Path) -> None:
        def sample(number: int, right: float, kind: str = "strict-match") -> dict[str, Any]:
            return {
                "doc_id": number,
                "doc": {"question": f"Question {number}", "answer": "#### 4"},
                "target": "4",
                "arguments": {"gen_args_0": {"arg_0": f"Q: Question {number}\nA:", "arg_1": {"until": ["Q:"]}}},
                "resps": [[f"It is {number}."]],
                "filtered_resps": [str(number)],
                "filter": kind,
                "metrics": ["exact_match"],
                "exact_match": right,
            }

        folder = tmp_path / "meta-llama__Llama-3-8B"
        lines(
            folder / "samples_gsm8k_2026-05-01T10-00-00.123456.jsonl",
            sample(3, 0.0),
            sample(4, 1.0),
            sample(3, 1.0, "flexible-extract"),
            {"no": "doc"},
        )
        choice = {
            "doc_id": 0,
            "doc": {"query": "Sky?"},
            "target": 1,
            "arguments": {
                "gen_args_0": {"arg_0": "Sky?", "arg_1": " red"},
                "gen_args_1": {"arg_0": "Sky?", "arg_1": " blue"},
            },
            "resps": [[["-9.1", "False"]], [["-1.2", "True"]]],
            "filtered_resps": [["-9.1", "False"], ["-1.2", "True"]],
            "acc": 1.0,
            "acc_norm": 0.0,
        }
        lines(folder / "samples_sky_2026-05-01T10-00-00.123456.jsonl", choice)
        document(folder / "results_2026-05-01T10-00-00.123456.json", {"model_name": "meta-llama/Llama-3-8B"})
        rows, done = imported("lm-eval", tmp_path)
        assert picked(rows, "query", "domain", "model", "score", "response", "answer", "score_source") == [
            ("Question 3", "gsm8k", "meta-llama/Llama-3-8B", 0.0, "It is 3.", "4", "lm-eval:exact_match"),
            ("Question 4", "gsm8k", "meta-llama/Llama-3-8B", 1.0, "It is 4.", "4", "lm-eval:exact_match"),
            ("Sky?", "sky", "meta-llama/Llama-3-8B", 1.0, "blue", "blue", "lm-eval:acc"),
        ]
        assert done.coverage.notes["several filters of the same answer: 'strict-match' counts, which comes first"] == 1
        (differ,) = (rule for rule in done.coverage.notes if "gives another score" in rule)
        assert differ.startswith("the filter 'flexible-extract' gives another score than 'strict-match'")
        assert "must be a sample" in next(iter(reasons(done).values()))


class TestInspect:
    HEADER: ClassVar = {
        "version": 2,
        "eval": {"task": "arithmetic", "model": "openai/gpt-4o-mini", "created": "2026-05-01T10:00:00Z"},
    }

    @staticmethod
    def sample(number: int, value: Any, **more: Any) -> dict[str, Any]:
        message = {"role": "assistant", "content": f"It is {number}."}
        return {
            "id": number,
            "epoch": 1,
            "input": f"What is {number}?",
            "target": str(number),
            "messages": [{"role": "user", "content": f"What is {number}?"}, message],
            "output": {"model": "gpt-4o-mini", "choices": [{"message": message}]},
            "scores": {"match": {"value": value, "answer": str(number)}},
            "model_usage": {"openai/gpt-4o-mini": {"input_tokens": 10, "output_tokens": 4, "total_tokens": 14}},
            "total_time": 1.25,
            **more,
        }

    EXPECTED: ClassVar = [
        ("What is 1?", "arithmetic", "openai/gpt-4o-mini", 1.0, "It is 1.", "1", 10, 1.25, "inspect:match"),
        ("What is 2?", "arithmetic", "openai/gpt-4o-mini", 0.0, "It is 2.", "2", 10, 1.25, "inspect:match"),
        ("What is 3?", "arithmetic", "openai/gpt-4o-mini", 0.5, "It is 3.", "3", 10, 1.25, "inspect:match"),
    ]
    COLUMNS = (
        "query", "domain", "model", "score", "response", "answer", "input_tokens", "latency_s", "score_source"
    )  # fmt: skip

    def test_a_json_log(self, tmp_path: Path) -> None:
        samples = [self.sample(1, "C"), self.sample(2, "I"), self.sample(3, "P"), "broken"]
        rows, done = imported("inspect", document(tmp_path / "log.json", {**self.HEADER, "samples": samples}))
        assert picked(rows, *self.COLUMNS) == self.EXPECTED
        assert "must be a sample" in reasons(done)["log.json, sample 4"]

    def test_an_eval_log(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "log.eval", "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("header.json", json.dumps(self.HEADER))
            for number, value in ((1, "C"), (2, "I"), (3, "P")):
                file.writestr(f"samples/{number}_epoch_1.json", json.dumps(self.sample(number, value)))
            file.writestr("samples/4_epoch_1.json", "{broken")
        rows, done = imported("inspect", tmp_path / "log.eval")
        assert picked(rows, *self.COLUMNS) == self.EXPECTED
        assert "can't be read" in reasons(done)["4_epoch_1.json"]
