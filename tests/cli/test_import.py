"""``import``, and that the other commands leave unmarked outcomes out and say how many."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from importing import lines
from recorded import kinds_of_query

from langchain_atlas.outcomes import OutcomeTable

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Command


class TestImport:
    def test_the_report_names_lines_and_the_table_is_written(self, command: Command, tmp_path: Path) -> None:
        path = tmp_path / "log.csv"
        path.write_text(
            "question,thumb,llm,answer,email\nWhy?,up,gpt-4o,So.,a@b.c\nHow?,down,gpt-4o,Thus.,a@b.c\nWhat?,up,,x,a@b.c\n"
            "When?,,gpt-4o-mini,Now.,a@b.c\n"
        )
        out = tmp_path / "t.parquet"
        done = command(
            "import", "csv", path, "--out", out, "--map", "query=question,score=thumb", "--json", tmp_path / "j"
        )
        assert done.status == 0, done.error
        assert "3 outcomes of 3 queries and 2 pairs, from 4 entries" in done.out
        assert "log.csv, line 4: names no model" in done.out
        assert "Left behind: email" in done.out
        assert "1 of 3 outcomes have no score; mark them with: langchain-atlas score" in done.out
        assert "100% of the queries were answered by one pair alone" in done.out
        assert len(OutcomeTable.load(out)) == 3
        figures = json.loads((tmp_path / "j").read_text())
        assert figures["pairs"] == {"gpt-4o@@none": {"logs": 2}, "gpt-4o-mini@@none": {"logs": 1}}
        assert figures["rejected"][0]["place"].endswith("line 4")
        assert figures["missing"]["score"] == 1

    def test_several_sources_and_constants(self, command: Command, tmp_path: Path) -> None:
        one = lines(tmp_path / "a.jsonl", {"question": "Why?", "answer": "So."})
        two = lines(tmp_path / "b.jsonl", {"question": "How?", "answer": "So."})
        out = tmp_path / "t.jsonl"
        done = command("import", "jsonl", one, two, "--out", out, "--set", "model=m,domain=faq")
        assert done.status == 0, done.error
        assert OutcomeTable.load(out).domains == ("faq", "faq")
        assert "langchain-atlas score" in done.out

    def test_logs_are_added_and_no_outcome_twice(self, command: Command, tmp_path: Path) -> None:
        one = lines(tmp_path / "a.jsonl", {"question": "Why?", "answer": "So.", "model": "m"})
        two = lines(tmp_path / "b.jsonl", {"question": "How?", "answer": "So.", "model": "m", "thumbs": "up"})
        out = tmp_path / "t.parquet"
        command("import", "jsonl", one, "--out", out)
        assert (
            "Added 1 outcomes to the 1 that were there"
            in command("import", "jsonl", one, two, "--out", out, "--add").out
        )
        assert OutcomeTable.load(out).table["score"].to_pylist() == [None, 1.0]
        assert "Added 0 outcomes to the 2" in command("import", "jsonl", two, "--out", out, "--add").out
        assert "Replaced the 2 that were there" in command("import", "jsonl", one, "--out", out).out
        assert len(OutcomeTable.load(out)) == 1

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["csv", "nowhere.csv", "--out", "t.parquet"], "There is no file or folder 'nowhere.csv'"),
            (["cvs", "x", "--out", "t.parquet"], "Did you mean 'csv'"),
            (["csv", "x", "--out", "t.csv"], "must end in '.parquet' or '.jsonl'"),
            (["csv", "x", "--out", "t.parquet", "--map", "query"], "write column=field"),
            (["routerbench", "x.pkl", "--out", "t.parquet"], "is a pickle"),
        ],
    )
    def test_mistakes_end_with_status_two(
        self,
        command: Command,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        arguments: list[str],
        message: str,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "x").write_text("question,answer,model\n")
        (tmp_path / "x.pkl").write_bytes(b"\x80\x04.")
        done = command("import", *arguments)
        assert done.status == 2
        assert message in done.error
        assert not (tmp_path / "t.parquet").exists()

    def test_a_comma_inside_of_a_field_is_not_an_end(self, command: Command, tmp_path: Path) -> None:
        path = tmp_path / "log.csv"
        path.write_text('question,model,"Good, or bad?",answer\nWhy?,m,yes,So.\n')
        out = tmp_path / "t.parquet"
        done = command("import", "csv", path, "--out", out, "--map", "score=Good, or bad?,query=question")
        assert done.status == 0, done.error
        assert OutcomeTable.load(out).matrix("score").tolist() == [[1.0]]


@pytest.mark.usefixtures("fake_encoder")
class TestUnmarked:
    @pytest.fixture
    def half(self, tmp_path: Path) -> Path:
        """Return a table some of whose outcomes have no score."""
        rows = kinds_of_query().table.to_pylist()
        changed = [{**row, "score": None} if number % 5 == 0 else row for number, row in enumerate(rows)]
        OutcomeTable.from_rows(changed).save(tmp_path / "half.parquet")
        return tmp_path / "half.parquet"

    def test_commands_say_how_many_are_left_out(self, command: Command, half: Path, tmp_path: Path) -> None:
        table = OutcomeTable.load(half)
        told = f"{table.unmarked} of {len(table)} outcomes have no score"
        router = tmp_path / "router"
        done = command("fit", "--data", half, "--out", router, "--value", "0.1")
        assert told in done.out, done.error
        assert f"Fitting on {len(table) - table.unmarked} outcomes" in done.out
        assert told in command("evaluate", "--data", half, "--router", router).out
        assert told in command("doctor", "--data", half).out

    def test_a_table_without_scores_names_the_command_that_marks(self, command: Command, tmp_path: Path) -> None:
        rows = [{**row, "score": None} for row in kinds_of_query().table.to_pylist()]
        OutcomeTable.from_rows(rows).save(tmp_path / "none.parquet")
        done = command("fit", "--data", tmp_path / "none.parquet", "--out", tmp_path / "router")
        assert done.status == 2
        assert "langchain-atlas score" in done.error
