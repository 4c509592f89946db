"""Logs that the tools themselves wrote, on made-up questions: lm-evaluation-harness 0.4.13, inspect 0.3.285, bfcl-eval.

The folder ``real`` holds them, with fewer samples.
"""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from importing import imported, lines, picked, reasons

from langchain_atlas.errors import OutcomeError
from langchain_atlas.outcomes.importers.reading.zipped import unzipped

REAL = Path(__file__).parent / "real"


class TestLmEval:
    def test_samples_of_a_chat_model_with_two_filters(self) -> None:
        rows, done = imported("lm-eval", REAL / "lm-eval")
        assert picked(rows, "query", "domain", "model", "score", "response", "answer") == [
            ("What is 3 plus 5?", "made_up_sums", "bad", 0.0, "Let me see. The answer is 8", "8"),
            ("What is 3 times 5?", "made_up_sums", "bad", 0.0, "Let me see. The answer is 16", "15"),
        ]
        notes = done.coverage.notes
        assert notes["several filters of the same answer: 'strict-match' counts, which comes first"] == 2
        assert [rows for rule, rows in notes.items() if "'flexible-extract' gives another score" in rule] == [1]

    def test_the_other_filter_is_taken_from_its_lines(self, tmp_path: Path) -> None:
        (path,) = (REAL / "lm-eval").glob("samples*.jsonl")
        shutil.copytree(REAL / "lm-eval", tmp_path, dirs_exist_ok=True)
        kept = [line for line in path.read_text().splitlines() if '"filter": "flexible-extract"' in line]
        lines(tmp_path / path.name, *kept)
        rows, _ = imported("lm-eval", tmp_path)
        assert picked(rows, "model", "score") == [("bad", 1.0), ("bad", 0.0)]

    def test_a_prompt_of_a_chat_model_is_its_conversation(self, tmp_path: Path) -> None:
        """Where the document has no question, the query is what was sent, not its JSON."""
        (path,) = (REAL / "lm-eval").glob("samples*.jsonl")
        lines(tmp_path / path.name, *[line.replace('"question":', '"text_of_task":') for line in path.open()][:1])
        rows, _ = imported("lm-eval", tmp_path)
        assert picked(rows, "query") == [("Question: What is 3 plus 5?\nAnswer:",)]

    def test_a_choice_names_the_answers_not_their_numbers(self) -> None:
        rows, _ = imported("lm-eval", REAL / "lm-eval-choice")
        assert picked(rows, "query", "model", "score", "response", "answer") == [
            ("Which is 0?", "dummy", 0.0, "no", "yes"),
            ("Which is 1?", "dummy", 0.0, "maybe", "yes"),
        ]


class TestInspect:
    LOG = REAL / "made_up_sums_with_tool.eval"

    def test_a_log_compressed_as_inspect_does_it_now(self) -> None:
        rows, done = imported("inspect", self.LOG)
        assert picked(rows, "query", "domain", "model", "score", "response", "answer", "input_tokens") == [
            ("What is 3 plus 5?", "made_up_sums_with_tool", "openai/bad", 1.0, "Let me see. The answer is 8", "8", 5),
            (
                "What is 3 times 5?",
                "made_up_sums_with_tool",
                "openai/bad",
                0.0,
                "I can't.",
                "15",
                17,
            ),
        ]
        assert done.coverage.notes["scores are the scorer 'includes', the first; others are 'match'"] == 2

    def test_the_pair_has_the_tool_that_was_offered_called_or_not(self) -> None:
        rows, _ = imported("inspect", self.LOG)
        assert picked(rows, "tool") == [("multiply",), ("multiply",)]

    @pytest.mark.parametrize("place", [40, 400, 2000, 6000])
    def test_a_damaged_log_is_told(self, tmp_path: Path, place: int) -> None:
        damaged = bytearray(self.LOG.read_bytes())
        damaged[place : place + 20] = b"\xff" * 20
        (tmp_path / "log.eval").write_bytes(bytes(damaged))
        rows, done = imported_or_none(tmp_path / "log.eval")
        assert rows is None or len(rows) + len(reasons(done)) == 2

    def test_a_member_that_claims_to_be_small_is_not_taken_at_its_word(self) -> None:
        with zipfile.ZipFile(self.LOG) as file:
            name = "samples/0_epoch_1.json"
            assert len(unzipped(file, name)) == file.getinfo(name).file_size
            file.getinfo(name).file_size = 10
            with pytest.raises(ValueError, match="is damaged: it holds 9489 bytes, and should 10"):
                unzipped(file, name)


def imported_or_none(path: Path) -> tuple[list[dict[str, Any]] | None, Any]:
    """Return the rows and the import, or nothing where the file was refused with a reason."""
    try:
        return imported("inspect", path)
    except OutcomeError:
        return None, None


class TestBFCL:
    MODEL = "openbmb_MiniCPM-SALA-FC"

    def run(self, folder: Path, scored: int) -> None:
        """Write what bfcl-eval 2026.3.23 writes of three results, of which some were scored."""
        results = [
            {"id": f"simple_python_{n}", "result": [{"add": '{"x": 1}'}], "input_token_count": 17, "latency": 0.02}
            for n in range(3)
        ]
        lines(folder / "result" / self.MODEL / "non_live/BFCL_v4_simple_python_result.json", *results)
        failed = {"id": "simple_python_1", "model_name": self.MODEL, "valid": False, "error_type": "type_error:simple"}
        summary = {"accuracy": 0.5, "correct_count": scored - 1, "total_count": scored}
        lines(folder / "score" / self.MODEL / "non_live/BFCL_v4_simple_python_score.json", summary, failed)
        (folder / "score/data_overall.csv").write_text("Rank,Overall Acc\n1,0.1\n")
        (folder / "score/data_format_sensitivity.csv").write_text("Rank\n1\n")
        lines(folder / "test_case_ids_to_generate.json", {"simple_python": ["simple_python_0"]})
        functions = [{"name": "add", "parameters": {"type": "dict", "properties": {}}}]
        lines(
            folder / "bfcl_eval/data/BFCL_v4_simple_python.json",
            *[
                {
                    "id": f"simple_python_{n}",
                    "question": [[{"role": "user", "content": f"Add {n}."}]],
                    "function": functions,
                }
                for n in range(3)
            ],
        )
        lines(folder / "bfcl_eval/data/multi_turn_func_doc/files.json", {"name": "cat", "description": "Shows a file."})
        lines(folder / "bfcl_eval/data/BFCL_v4_format_sensitivity.json", {"simple_python": ["simple_python_0"]})

    def test_a_run_and_the_folder_of_questions(self, tmp_path: Path) -> None:
        self.run(tmp_path, scored=3)
        rows, done = imported("bfcl", tmp_path)
        assert picked(rows, "query", "model", "tool", "score") == [
            ("Add 0.", "openbmb_MiniCPM-SALA", "fc", 1.0),
            ("Add 1.", "openbmb_MiniCPM-SALA", "fc", 0.0),
            ("Add 2.", "openbmb_MiniCPM-SALA", "fc", 1.0),
        ]
        assert not done.coverage.rejected

    def test_results_that_were_not_scored_are_not_taken_for_right(self, tmp_path: Path) -> None:
        self.run(tmp_path, scored=2)
        rows, done = imported("bfcl", tmp_path)
        assert picked(rows, "score") == [(None,), (0.0,), (None,)]
        assert any("is of 2 results, and there are 3" in rule for rule in done.coverage.notes)
