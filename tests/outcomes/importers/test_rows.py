"""Imports of any CSV and JSONL: how columns are found, what is refused by line, and what is left behind."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from importing import document, imported, lines, picked, reasons

from langchain_atlas.errors import OutcomeError, SettingError
from langchain_atlas.outcomes.importers import KINDS, import_outcomes
from langchain_atlas.outcomes.importers.reading.score_rules import rule_for


def written(tmp_path: Path, text: str, name: str = "log.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


class TestColumns:
    def test_usual_names_are_found_and_others_left_behind(self, tmp_path: Path) -> None:
        path = written(
            tmp_path,
            "Question,Model Name,Answer,Thumbs,latency_ms,Cost,email,IP,api_key,session\n"
            "Why?,gpt-4o,Because.,up,1500,$0.002,ann@example.org,10.0.0.7,sk-abcdefghijklmnop12,s1\n",
        )
        rows, done = imported("csv", path)
        assert picked(rows, "query", "model", "response", "score", "latency_s", "cost_usd") == [
            ("Why?", "gpt-4o", "Because.", 1.0, 1.5, 0.002)
        ]
        assert done.coverage.left_behind == ("email", "IP", "api_key", "session")
        assert "ann@" not in str(rows)

    def test_columns_are_mapped_and_own_ones_kept(self, tmp_path: Path) -> None:
        path = written(tmp_path, "a,b,c,answer,d\nWhy?,gpt-4o,no,gold,7\n")
        mapping = {"query": "a", "model": "b", "score": "c", "expected": "answer", "difficulty": "d"}
        rows, done = imported("csv", path, mapping=mapping)
        assert picked(rows, "query", "model", "score", "answer", "difficulty", "response") == [
            ("Why?", "gpt-4o", 0.0, "gold", "7", None)
        ]
        assert done.coverage.left_behind == ()

    def test_nested_fields_and_conversations(self, tmp_path: Path) -> None:
        talk = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}]
        path = lines(tmp_path / "log.jsonl", {"call": {"turns": talk, "by": "gpt-4o"}, "review": {"ok": True}})
        mapping = {"query": "call.turns", "response": "call.turns.1.content", "model": "call.by", "score": "review.ok"}
        rows, _ = imported("jsonl", path, mapping=mapping)
        assert picked(rows, "query", "response", "model", "score") == [("Why?", "Because.", "gpt-4o", 1.0)]

    def test_constants_hold_for_all_rows(self, tmp_path: Path) -> None:
        path = written(tmp_path, "question,answer\nWhy?,Because.\n")
        rows, _ = imported("csv", path, constants={"model": "gpt-4o@@search", "domain": "support"})
        assert picked(rows, "model", "tool", "domain") == [("gpt-4o", "search", "support")]

    @pytest.mark.parametrize(
        ("mapping", "message"),
        [
            ({"query": "qestion"}, r"No row has a field 'qestion', .* Did you mean 'question'"),
            ({"answer": "answer"}, r"Write response=answer if it is what the model answered, or expected=answer"),
            ({"qeury": "question"}, r"has the column 'qeury'\. Did you mean 'query'"),
        ],
    )
    def test_misspelled_columns_and_fields_are_refused(
        self, tmp_path: Path, mapping: dict[str, str], message: str
    ) -> None:
        path = written(tmp_path, "question,answer,model\nWhy?,Because.,m\n")
        with pytest.raises(SettingError, match=message):
            imported("csv", path, mapping=mapping)

    @pytest.mark.parametrize("delimiter", [";", "\t", "|"])
    def test_the_delimiter_is_found(self, tmp_path: Path, delimiter: str) -> None:
        text = "question,model,answer\nWhy?,m,Because\n".replace(",", delimiter)
        rows, _ = imported("csv", written(tmp_path, text))
        assert picked(rows, "query", "response") == [("Why?", "Because")]

    def test_compressed_files_and_json_arrays(self, tmp_path: Path) -> None:
        with gzip.open(tmp_path / "log.jsonl.gz", "wt") as file:
            file.write('{"question": "Why?", "model": "m", "answer": "So."}\n')
        document(tmp_path / "log.json", {"data": [{"question": "How?", "model": "m", "answer": "So."}]})
        rows, _ = imported("jsonl", tmp_path)
        assert sorted(row["query"] for row in rows) == ["How?", "Why?"]


class TestProblems:
    def test_bad_rows_are_reported_by_line_and_the_rest_comes_in(self, tmp_path: Path) -> None:
        path = written(
            tmp_path,
            "question,model,answer,score,cost,input_tokens,propensity\n"
            "Good?,m,yes,1,0.1,5,0.9\n"
            "Short?,m,yes\n"
            ",m,yes,1,0.1,5,0.9\n"
            "No model?,,yes,1,0.1,5,0.9\n"
            "Cost?,m,yes,1,cheap,5,0.9\n"
            "Tokens?,m,yes,1,0.1,5.5,1.5\n"
            "Score?,m,yes,7,-1,5,0\n"
            "Nothing?,m,,,0.1,5,0.9\n"
            '"Two\nlines?",m,yes,0,0.1,5,0.9\n'
            "Bad name?,a@@b@@c,yes,1,0.1,5,0.9\n",
        )
        rows, done = imported("csv", path)
        assert [row["query"] for row in rows] == ["Good?", "Cost?", "Tokens?", "Score?", "Two\nlines?"]
        told = reasons(done)
        assert list(told) == [f"log.csv, line {number}" for number in (3, 4, 5, 9, 12)]
        assert "3 cells where the header has 7" in told["log.csv, line 3"]
        assert "has no query" in told["log.csv, line 4"]
        assert "names no model" in told["log.csv, line 5"]
        assert "neither a response nor a score" in told["log.csv, line 9"]
        lacking = [(Path(problem.place).name, problem.reason) for problem in done.coverage.incomplete]
        assert [(place, reason.partition(" is ")[0]) for place, reason in lacking] == [
            ("log.csv, line 6", "cost_usd"),
            ("log.csv, line 7", "input_tokens"),
            ("log.csv, line 7", "propensity"),
            ("log.csv, line 8", "cost_usd"),
            ("log.csv, line 8", "propensity"),
            ("log.csv, line 8", "score"),
        ]
        assert done.coverage.read == len(rows) + len(told) == 10

    def test_one_id_is_one_query(self, tmp_path: Path) -> None:
        path = written(tmp_path, "query_id,question,model,answer\n1,Why?,m,a\n1,How?,m,b\n1,Why?,n,c\n")
        rows, done = imported("csv", path)
        assert picked(rows, "query_id", "query", "model") == [("1", "Why?", "m"), ("1", "Why?", "n")]
        assert "belongs to another query" in reasons(done)["log.csv, line 3"]

    def test_the_same_text_is_the_same_query(self, tmp_path: Path) -> None:
        rows, done = imported("csv", written(tmp_path, "question,model,answer\nWhy?,m,a\nWhy?,n,b\n"))
        assert len({row["query_id"] for row in rows}) == 1
        assert done.coverage.one_pair_a_query == 0

    def test_keys_in_texts_are_masked(self, tmp_path: Path) -> None:
        path = written(tmp_path, "question,model,answer\nWhat is wrong with sk-proj-abcdefgh12345678?,m,a\n")
        rows, done = imported("csv", path)
        assert "abcdefgh" not in rows[0]["query"]
        assert any("looks like a key" in rule for rule in done.coverage.notes)

    def test_nothing_to_import_says_why(self, tmp_path: Path) -> None:
        with pytest.raises(OutcomeError, match=r"line 2 names no model.*Its columns are mood"):
            imported("csv", written(tmp_path, "question,answer,mood\nWhy?,Because.,good\n"))

    def test_an_empty_file(self, tmp_path: Path) -> None:
        with pytest.raises(OutcomeError, match="holds no outcome"):
            imported("csv", written(tmp_path, ""))

    def test_an_unknown_kind(self, tmp_path: Path) -> None:
        with pytest.raises(SettingError, match=r"Unknown kind of log 'langsmit'\. Did you mean 'langsmith'"):
            import_outcomes("langsmit", tmp_path)

    @pytest.mark.parametrize("kind", sorted(KINDS))
    @given(text=st.text(alphabet=st.sampled_from('{}[]":, \n\t\\ab1null.true'), max_size=60))
    def test_no_text_breaks_an_importer(self, tmp_path_factory: pytest.TempPathFactory, kind: str, text: str) -> None:
        for name in ("samples_a_2026-01-01.jsonl", "BFCL_v3_a_result.json", "a.csv"):
            path = written(tmp_path_factory.mktemp("any"), text, name)
            with pytest.raises(OutcomeError):
                import_outcomes(kind, path)


class TestScores:
    @pytest.mark.parametrize(
        ("column", "values", "name", "expected"),
        [
            ("score", [0, 0.25, 1], "0 to 1", [0, 0.25, 1]),
            ("thumbs", [1, -1, 0], "thumbs", [1, 0, None]),
            ("thumbs", ["👍", "👎🏽", ""], "words", [1, 0, None]),
            ("stars", [1, 3, 5], "stars", [0, 0.5, 1]),
            ("stars", ["★★★★★", "★☆☆☆☆", "3 stars"], "stars", [1, 0, 0.5]),
            ("rating", ["5/5", "2.5/5"], "stars", [1, 0.375]),
            ("correct", [True, False, None], "words", [1, 0, None]),
            ("correct", ["TRUE", "False"], "words", [1, 0]),
            ("feedback", ["Thumbs up", "thumbs-down", "neutral"], "words", [1, 0, None]),
            ("grade", ["C", "I", "P", "N"], "words", [1, 0, 0.5, 0]),
            ("score", ["95%", "5%"], "words", [0.95, 0.05]),
        ],
    )
    def test_rules(self, column: str, values: list[object], name: str, expected: list[float | None]) -> None:
        rule = rule_for(values, column)
        assert rule.name == name
        given = [None if value in ("", None) else rule.read(value) for value in values]
        assert given == pytest.approx(expected) if None not in expected else given == expected

    @pytest.mark.parametrize("values", [[10, 55, 97], ["meh", "so-so"], [3, 4, 9, 10]])
    def test_an_unknown_scale_is_asked_for(self, values: list[object]) -> None:
        with pytest.raises(SettingError, match="--scale 0:10"):
            rule_for(values, "score")

    def test_comments_are_no_scores_unless_they_are_named(self, tmp_path: Path) -> None:
        path = written(tmp_path, "question,model,answer,feedback\na,m,x,I liked it\nb,m,x,Too long\n")
        rows, done = imported("csv", path)
        assert [row["score"] for row in rows] == [None, None]
        assert any("no scores were taken: The scores in 'feedback'" in rule for rule in done.coverage.notes)
        with pytest.raises(SettingError, match="'feedback'"):
            imported("csv", path, mapping={"score": "feedback"})

    def test_an_archive_or_a_workbook_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "log.csv").write_bytes(b"PK\x03\x04....")
        with pytest.raises(OutcomeError, match="is an archive or a workbook"):
            imported("csv", tmp_path / "log.csv")

    def test_stars_and_thumbs_that_can_not_be_told_apart(self) -> None:
        with pytest.raises(SettingError, match="one star of five or a thumb up"):
            rule_for([1, 1, 1], "rating")

    def test_a_named_scale(self, tmp_path: Path) -> None:
        path = written(tmp_path, "question,model,score,answer\na,m,10,x\nb,m,0,x\nc,m,11,x\n")
        rows, done = imported("csv", path, scale="0:10")
        assert [row["score"] for row in rows] == [1.0, 0.0, None]
        assert "is not from 0 to 10" in done.coverage.incomplete[0].reason
        with pytest.raises(SettingError, match="The scale is '10:0'"):
            imported("csv", path, scale="10:0")

    def test_the_rule_is_stated(self, tmp_path: Path) -> None:
        _, done = imported("csv", written(tmp_path, "question,model,stars,answer\na,m,5,x\nb,m,1,x\n"))
        assert "scores: stars from 1 to 5: 1 star is 0, 3 are 0.5, 5 are 1" in done.coverage.notes


class TestAnswers:
    def test_an_answer_is_the_models_unless_there_is_a_response(self, tmp_path: Path) -> None:
        rows, _ = imported("csv", written(tmp_path, "question,model,answer\nWhy?,m,So.\n"))
        assert rows[0]["response"] == "So."
        rows, done = imported("csv", written(tmp_path, "question,model,answer,response\nWhy?,m,gold,So.\n"))
        assert picked(rows, "response", "answer") == [("So.", "gold")]
        assert any("expected from answer" in rule for rule in done.coverage.notes)
