"""Marks of recorded answers: by expected answers, feedback, agreement, people; each says where it comes from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from judging import ScriptedJudge, one_query

from langchain_atlas.errors import OutcomeError, SettingError
from langchain_atlas.evaluation.report.judged import judged, note
from langchain_atlas.evaluation.scoring.judging.judge import Judge
from langchain_atlas.evaluation.scoring.marking import score_table
from langchain_atlas.evaluation.scoring.opinions import opinions
from langchain_atlas.evaluation.scoring.people import read_human_marks
from langchain_atlas.evaluation.scoring.references import read_references, references_in
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.outcomes.importers.reading.score_rules import rule_for

if TYPE_CHECKING:
    from pathlib import Path


def values(table: OutcomeTable, column: str = "score") -> list[Any]:
    found: list[Any] = table.table[column].to_pylist()
    return found


def test_expected_answers_in_a_column_mark_what_has_no_score() -> None:
    table = one_query(["<think>5?</think>It is 4.", "5", "4"], answer="2 + 2 = 4\n#### 4")
    scored, report = score_table(table, ["math"], references=references_in(table))
    assert values(scored) == [1.0, 0.0, 1.0]
    assert values(scored, "score_source") == ["math"] * 3
    assert values(scored, "score_confidence") == [1.0] * 3
    assert report.by_source == {"math": 3}
    assert "answer" in scored.table.column_names, "other columns are kept"


def test_scores_that_are_there_stay_unless_told() -> None:
    table = one_query(["4", "5"], answer="4").table
    rows = table.to_pylist()
    rows[1]["score"] = 0.75
    recorded = OutcomeTable.from_rows(rows)
    scored, report = score_table(recorded, ["exact"], references=references_in(recorded))
    assert values(scored) == [1.0, 0.75]
    assert values(scored, "score_source") == ["exact", None]
    assert (report.marked_before, report.marked_now) == (1, 1)
    again, _ = score_table(recorded, ["exact"], references=references_in(recorded), again=True)
    assert values(again) == [1.0, 0.0]


def test_a_run_that_failed_scores_0_and_one_without_a_response_is_left() -> None:
    rows = one_query(["4", "", ""]).table.to_pylist()
    rows[1] |= {"response": None, "error": "timeout"}
    rows[2] |= {"response": None}
    scored, report = score_table(OutcomeTable.from_rows(rows), ["agreement"])
    assert values(scored) == [None, 0.0, None]
    assert values(scored, "score_source") == [None, "failed", None]
    assert report.unmarked_reasons == {
        "no two pairs agree on it, or too few answered": 1,
        "no response is recorded": 1,
    }


def test_answers_of_a_query_file_are_found_by_id_or_by_text(tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    lines = [
        {"id": "other", "query": "What is 2 + 2?", "answer": 4, "scorer": "numeric"},
        {"id": "q", "query": "Another question of that id", "answer": 9, "scorer": "numeric"},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    table = one_query(["it is 4", "9"])
    scored, _ = score_table(table, references=read_references(path, table))
    assert values(scored) == [1.0, 0.0]
    with pytest.raises(OutcomeError, match="has no 'answer' to any query"):
        read_references(path, OutcomeTable.from_rows([{**table.table.to_pylist()[0], "query": "x", "query_id": "y"}]))


def test_agreement_marks_what_most_models_say() -> None:
    table = one_query(["The answer is 4.", "4", "the answer is: 5", "4.0"])
    scored, _ = score_table(table, ["agreement"])
    assert values(scored) == [1.0, 1.0, 0.0, 1.0]
    assert values(scored, "score_confidence") == [0.75] * 4
    assert set(values(scored, "score_source")) == {"agreement"}


@pytest.mark.parametrize("texts", [["4"], ["4", "5"], ["4", "4", "5", "5"], ["", ""], ["4", "5", "6"]])
def test_agreement_leaves_out_what_it_can_not_tell(texts: list[str]) -> None:
    scored, report = score_table(one_query(texts), ["agreement"])
    assert values(scored) == [None] * len(texts)
    assert report.unmarked == len(texts)


def test_answers_of_one_model_have_one_vote() -> None:
    rows = one_query(["5", "5", "5", "4", "4"]).table.to_pylist()
    for number in range(3):
        rows[number] |= {"model": "one", "tool": f"tool-{number}"}
    scored, _ = score_table(OutcomeTable.from_rows(rows), ["agreement"])
    assert values(scored) == [0.0, 0.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("given", "scores", "rule"),
    [
        (["up", "down", "\U0001f44d\U0001f3fd", "Thumbs  Down", "", None], [1, 0, 1, 0, None, None], "words"),
        ([True, False, "yes", "Wrong"], [1, 0, 1, 0], "words"),
        ([1, 5, 3, None], [0, 1, 0.5, None], "stars"),
        ([-1, 1, 0], [0, 1, None], "thumbs"),
        (["0.25", 1.0, "1"], [0.25, 1, 1], "from 0 to 1"),
        ([None, float("nan")], [None, None], ""),
    ],
)
def test_opinions_become_scores_by_one_rule(given: list[Any], scores: list[Any], rule: str) -> None:
    read = opinions(given)
    assert read.scores == scores
    assert read.rule.startswith(rule)
    assert bool(read.rule) == bool(rule)
    if rule:
        assert read.rule == rule_for(given, "feedback").text, "imports read the same column alike"


def test_a_scale_can_be_given_and_numbers_off_every_scale_are_refused() -> None:
    assert opinions([1, 3], (1, 3)).scores == [0, 1]
    assert opinions([1, 9], (1, 3)).unread == {"9": 1}
    for off in ([1, 500], [-3, 2], [0, 5], [88, 100]):
        with pytest.raises(SettingError, match="on no scale that is known"):
            opinions(off)
    assert opinions([88, 100], (0, 100)).scores == [0.88, 1]
    assert opinions([1, 5, "good"], (1, 5)).scores == [0, 1, 1]


def test_feedback_marks_and_says_what_it_could_not_read() -> None:
    rows = one_query(["a", "b", "c", "d"]).table.to_pylist()
    for row, said in zip(rows, ["up", "down", "meh", None], strict=True):
        row["feedback"] = said
    scored, report = score_table(OutcomeTable.from_rows(rows), ["feedback"])
    assert values(scored) == [1.0, 0.0, None, None]
    assert report.notes[0].startswith("Feedback: words: such as up, good")
    assert report.notes[1:] == ("Feedback that says neither good nor bad, left unmarked: 'meh' (1).",)
    with pytest.raises(OutcomeError, match="no column 'feedback'"):
        score_table(one_query(["a"]), ["feedback"])


def many(count: int) -> OutcomeTable:
    return OutcomeTable.from_rows(
        [
            {"query_id": f"q{number}", "query": f"question {number}", "domain": "d", "model": "m", "tool": "none",
             "score": None, "response": f"{'right' if number % 2 else 'wrong'} {number}"}
            for number in range(count)
        ]
    )  # fmt: skip


def test_people_measure_the_judge_and_their_marks_stand(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    lines = [f"q{number},m@@none,{'right' if number % 2 else 'wrong'}" for number in range(20)]
    path.write_text("query_id,pair,score\n" + "\n".join([*lines, "q99,m@@none,right", "q30,m@@none,"]) + "\n")
    judge = Judge(ScriptedJudge(reply=lambda text: f'{{"A": {int("right " in text)}}}', prompts=[]), name="j")
    scored, report = score_table(many(40), judge=judge, human=read_human_marks(path))
    assert values(scored, "score_source")[:20] == ["human"] * 20
    assert values(scored, "score_source")[20:] == ["judge:j"] * 20
    assert values(scored, "score_confidence")[20:] == [pytest.approx(11 / 12)] * 20, "ten of ten, and one more of each"
    (known,) = report.calibrations
    assert (known.n, known.method) == (20, "rogan-gladen")
    assert report.notes == ("People's mark left out: line 22: no outcome of query 'q99' by 'm@@none'.",)


def test_people_can_measure_marks_that_are_recorded_already(tmp_path: Path) -> None:
    rows = many(40).table.to_pylist()
    for number, row in enumerate(rows):
        row |= {"score": float(number % 2), "score_source": "judge:earlier"}
    path = tmp_path / "people.jsonl"
    path.write_text(
        "".join(json.dumps({"query_id": f"q{n}", "model": "m", "score": bool(n % 2)}) + "\n" for n in range(20))
    )
    _, report = score_table(OutcomeTable.from_rows(rows), human=read_human_marks(path))
    assert [rate.pair for rate in report.rates] == ["all pairs", "m@@none"]
    assert report.rates[0].corrected == pytest.approx(0.5)


def test_a_table_keeps_the_corrected_rates_for_the_report(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    lines = [f"q{number},m@@none,{'right' if number % 2 else 'wrong'}" for number in range(20)]
    path.write_text("query_id,pair,score\n" + "\n".join(lines) + "\n")
    judge = Judge(ScriptedJudge(reply=lambda text: f'{{"A": {int("right " in text)}}}', prompts=[]), name="j")
    scored, report = score_table(many(40), judge=judge, human=read_human_marks(path))
    scored.save(tmp_path / "scored.parquet")
    part = OutcomeTable.load(tmp_path / "scored.parquet").marked().select(query_ids=[f"q{n}" for n in range(5, 40)])
    told = judged(part)
    assert told is not None
    assert told["rates"] == [rate.to_json() for rate in report.rates]
    assert "Corrected by people's marks (95% interval): all pairs: 50% by the judge, 50% (" in (note(told) or "")
    assert judged(OutcomeTable.from_rows(part.table.to_pylist()))["rates"] == []  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("query_id,pair,score\nq1,m@@none,perhaps\n", "line 2: the score is 'perhaps'"),
        ("query_id,score\nq1,1\n", "has no column 'pair'"),
        ("pair,score\nm,1\n", "has no column 'query_id'"),
        ("query_id,pair,score\n,m,1\n", "line 2: the query_id is empty"),
        ("query_id,pair,score\nq1,a@@b@@c,1\n", "line 2: "),
        ("", "has no marks"),
    ],
)
def test_people_s_marks_that_can_not_be_used_are_named_by_line(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "people.csv"
    path.write_text(text)
    with pytest.raises(OutcomeError, match=problem):
        read_human_marks(path)


def test_people_s_marks_of_another_table_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("query_id,pair,score\nx1,m@@none,1\n")
    with pytest.raises(OutcomeError, match="None of people's marks belongs"):
        score_table(many(4), human=read_human_marks(path))


def test_two_comparing_scorers_and_a_missing_reference_are_refused() -> None:
    table = one_query(["4"], answer="4")
    with pytest.raises(SettingError, match="Two scorers compare"):
        score_table(table, ["exact", "numeric"], references=references_in(table))
    with pytest.raises(OutcomeError, match="needs expected answers"):
        score_table(one_query(["4"]), ["exact"])
    with pytest.raises(OutcomeError, match="no column 'gold'"):
        references_in(table, "gold")
