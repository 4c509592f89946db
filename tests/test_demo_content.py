"""The demo's documents and queries: complete, unambiguous, and true to what the tools give."""

import json
import re
from collections import Counter
from decimal import Decimal
from importlib.resources import files
from typing import Any

import bm25s
import pydantic_monty
import pytest
import sympy

from langchain_atlas.evaluation.scoring.scorers import score
from langchain_atlas.outcomes import OutcomeTable

DEMO = files("langchain_atlas").joinpath("demo")
DOMAINS = ["arithmetic", "program", "fact", "words"]
SCORERS = {"arithmetic": "numeric", "program": "exact", "fact": "contains", "words": "contains"}


def in_domain(domain: str) -> list[dict[str, Any]]:
    return [query for query in QUERIES if query["domain"] == domain]


def accepted(query: dict[str, Any]) -> list[str]:
    """The acceptable strings of a query that the contains-scorer judges."""
    answer = query["answer"]
    return [answer] if isinstance(answer, str) else answer


def stands_in(answer: str, text: str) -> bool:
    """Whether the answer occurs in the text on word boundaries, whatever its case."""
    return re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", text, re.IGNORECASE) is not None


def answered_by(query: dict[str, Any], paragraph: tuple[str, str]) -> bool:
    document, text = paragraph
    return document == query["source"] and any(stands_in(answer, text) for answer in accepted(query))


def read_paragraphs() -> list[tuple[str, str]]:
    """Every paragraph that is not a heading, as (document, text)."""
    return [
        (document.name, paragraph)
        for document in sorted(DEMO.joinpath("documents").iterdir(), key=lambda document: document.name)
        for paragraph in document.read_text(encoding="utf-8").strip().split("\n\n")
        if not paragraph.startswith("#")
    ]


QUERIES = [json.loads(line) for line in DEMO.joinpath("queries.jsonl").read_text(encoding="utf-8").splitlines()]
PARAGRAPHS = read_paragraphs()


def test_ids_are_unique_and_name_their_domain() -> None:
    ids = [query["id"] for query in QUERIES]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(rf"{query['domain']}-\d{{3}}", query["id"]) for query in QUERIES)


def test_no_two_queries_are_the_same_but_for_their_numbers() -> None:
    masked = Counter(re.sub(r"\d+(?:\.\d+)?", "#", query["query"].lower()) for query in QUERIES)
    assert [text for text, count in masked.items() if count > 1] == []


def test_domains_stand_in_order_with_at_least_eighty_queries_each() -> None:
    domains = [query["domain"] for query in QUERIES]
    assert list(dict.fromkeys(domains)) == DOMAINS
    assert domains == sorted(domains, key=DOMAINS.index)
    assert min(Counter(domains).values()) >= 80


def test_every_query_has_the_scorer_of_its_domain() -> None:
    assert all(query["scorer"]["kind"] == SCORERS[query["domain"]] for query in QUERIES)


def test_every_numeric_answer_is_a_finite_number_with_a_tolerance() -> None:
    for query in in_domain("arithmetic"):
        assert Decimal(query["answer"]).is_finite(), query["id"]
        assert 0 < query["scorer"]["tolerance"] < 1e-3, query["id"]


def test_questions_in_symbols_have_the_value_of_their_expression() -> None:
    checked = 0
    for query in in_domain("arithmetic"):
        found = re.fullmatch(r"[A-Za-z ]*?([\d(][\d.+\-*/() ]+[\d)])(?: = \?|\?)?", query["query"])
        if found:
            checked += 1
            value = sympy.sympify(found[1], rational=True)
            assert sympy.Rational(query["answer"]) == value, query["id"]
    assert checked >= 20


def test_every_program_prints_its_answer_in_the_sandbox() -> None:
    with pydantic_monty.Monty() as pool:
        for query in in_domain("program"):
            program = query["query"].split("\n\n", 1)[1]
            printed = pydantic_monty.CollectString()
            with pool.checkout(limits={"max_feed_duration_secs": 2}) as session:
                session.feed_run(program, print_callback=printed)
            assert printed.output == query["answer"] + "\n", query["id"]


def test_documents_are_two_dozen_of_short_paragraphs() -> None:
    assert len({document for document, _ in PARAGRAPHS}) == 24
    assert max(len(text.split()) for _, text in PARAGRAPHS) <= 60


def test_every_fact_stands_in_a_paragraph_of_its_document() -> None:
    lost = [q["id"] for q in in_domain("fact") if not any(answered_by(q, paragraph) for paragraph in PARAGRAPHS)]
    assert lost == []


def test_search_finds_nearly_every_fact_in_three_paragraphs() -> None:
    facts = in_domain("fact")
    index = bm25s.BM25()
    index.index(bm25s.tokenize([text for _, text in PARAGRAPHS], show_progress=False), show_progress=False)
    questions = bm25s.tokenize([query["query"] for query in facts], show_progress=False)
    found, _ = index.retrieve(questions, k=3, show_progress=False)
    hits = sum(
        any(answered_by(query, PARAGRAPHS[place]) for place in places)
        for query, places in zip(facts, found, strict=True)
    )
    assert hits >= 0.9 * len(facts)


@pytest.mark.parametrize("domain", ["fact", "words"])
def test_repeating_the_question_earns_nothing(domain: str) -> None:
    echoes = [q["id"] for q in in_domain(domain) if any(stands_in(a, q["query"]) for a in accepted(q))]
    assert echoes == []


def marks(query: dict[str, Any], answer: str) -> float:
    return score(query["scorer"], answer, query["answer"])


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("What do you wear on your feet?", "a hat, a scarf, a pair of socks, a pair of shoes."),
        ("What colour is fresh snow?", "red, green, blue, white, black"),
        ("Which planet is known as the Red Planet?", "Mercury, Venus, Earth, Mars, Jupiter and Saturn"),
        ("Are you a human being or a computer program?", "I'm a human being, and I'm a programming AI."),
    ],
)
def test_an_answer_in_words_that_lists_all_there_is_is_wrong(asked: str, answer: str) -> None:
    (query,) = [query for query in QUERIES if query["query"] == asked]
    assert marks(query, answer) == 0


def test_no_question_in_words_is_answered_by_saying_everything() -> None:
    words = [word for query in in_domain("words") for word in [*accepted(query), *query["scorer"]["unless"]]]
    everything = ", ".join(words)
    assert [query["id"] for query in in_domain("words") if marks(query, everything)] == []


def test_every_question_in_words_has_right_answers() -> None:
    assert all(marks(query, f"It is {answer}.") == 1 for query in in_domain("words") for answer in accepted(query))


def test_the_recorded_scores_are_those_of_the_recorded_answers() -> None:
    queries = {query["id"]: query for query in in_domain("words")}
    table = OutcomeTable.load(str(DEMO.joinpath("outcomes.parquet"))).select(domains=["words"])
    for row in table.table.to_pylist():
        assert row["score"] == marks(queries[row["query_id"]], row["response"] or ""), row
