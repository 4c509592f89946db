"""Thoughts are no part of an answer, whoever reads it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_atlas import Observation, Pair, Query
from langchain_atlas.answers import AnswerAgreement, read_answer
from langchain_atlas.evaluation.scoring.scorers import score
from langchain_atlas.text.thoughts import part_thoughts, with_think_tags

MADRID = [
    "Is it Paris? No...</think>Madrid",
    "<think>Is it Paris?</think>\nMadrid",
    "<think>\n<think>Paris?</think>Madrid",
    "<think>a<think>b</think>c</think>Madrid",
    "<thinking>Is it Paris?</thinking>Madrid",
    "<Thought>Is it Paris?</Thought> Madrid",
    "< THINK >Is it Paris?< / think >Madrid",
    "[THINK]Is it Paris?[/THINK]Madrid",
    "<reasoning>\nIs it Paris?\n</reasoning>\nMadrid",
    "<seed:think>Is it Paris?</seed:think>Madrid",
    "◁think▷Is it Paris?◁/think▷Madrid",
    "<|START_THINKING|>Is it Paris?<|END_THINKING|>Madrid",
    "<|channel>thought\nIs it Paris?<channel|>Madrid",
    "<unused94>thought Is it Paris?<unused95>Madrid",
    "<|channel|>analysis<|message|>Is it Paris?<|end|><|start|>assistant<|channel|>final<|message|>Madrid<|return|>",
    "<|channel|>analysis<|message|>Paris?<|end|><|channel|>commentary<|message|>Hm.<|end|><|channel|>final<|message|>Madrid",
    "analysisIs it Paris?assistantfinalMadrid",
]
UNCLOSED = [
    "<think>Is it Madrid",
    "[THINK]Madrid",
    "<reasoning>Madrid",
    "<|channel|>analysis<|message|>Madrid",
    "<|channel|>analysis<|message|>Paris<|end|><|start|>assistant<|channel|>analysis",
]


@pytest.mark.parametrize("text", MADRID)
def test_an_answer_is_what_comes_after_the_thoughts(text: str) -> None:
    assert part_thoughts(text).answer == "Madrid"
    assert "Paris?" in text.replace("b", "Paris?")
    assert score("exact", text, "Madrid") == 1
    assert score("contains", text, "Paris") == 0
    query = Query(text="What is the capital of Spain?")
    assert AnswerAgreement().same(read_answer(text, query), read_answer("Madrid.", query), query)
    assert Observation(pair=Pair("small", "none"), answer=text).answer == "Madrid"


@pytest.mark.parametrize("text", UNCLOSED)
def test_a_thought_that_was_never_closed_leaves_no_answer(text: str) -> None:
    assert part_thoughts(text).answer == ""
    assert score("contains", text, "Madrid") == 0
    assert read_answer(text, Query(text="?")).kind == "nothing"


@pytest.mark.parametrize(
    "text",
    [
        "Madrid",
        "The tag `</think>` ends a thought.",
        'It writes "<think>" first.',
        "I think so; my reasoning: [1] and <b>2</b>.",
        "  spaces stay  ",
        "analysis of the final assistant",
    ],
)
def test_a_text_without_thoughts_is_the_answer(text: str) -> None:
    parted = part_thoughts(text)
    assert (parted.thought, parted.answer, parted.is_whole) == ("", text.strip(), True)
    assert Observation(pair=Pair("small", "none"), answer=text).answer == text


def test_what_was_thought_is_kept_apart() -> None:
    assert part_thoughts("<think>one</think>So <thinking>two</thinking>three").thought == "one\ntwo"
    assert part_thoughts("So <think>one</think>three").answer == "So three"


def test_numbers_in_thoughts_do_not_score() -> None:
    assert score("numeric", "<think>maybe 41</think>It is 42", "42") == 1
    assert score("numeric", "It is 42 <think>or 41", "42") == 1
    assert score("numeric", "<thinking>42</thinking>", "42") == 0


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("[THINK]a[/THINK]<answer>b</answer>", "<think>a</think><answer>b</answer>"),
        ("a</think><answer>b</answer>", "<think>a</think><answer>b</answer>"),
        ("<think>a</think><answer>b</answer>", "<think>a</think><answer>b</answer>"),
        ("<|channel|>analysis<|message|>a<|end|><|channel|>final<|message|><answer>b</answer>",
         "<think>a</think><answer>b</answer>"),
    ],
)  # fmt: skip
def test_thoughts_of_a_policy_are_brought_to_one_form(text: str, written: str) -> None:
    assert with_think_tags(text) == written


@given(st.lists(st.sampled_from(["<think>", "</think>", "[THINK]", "[/THINK]", "<|channel|>", "<|message|>", "final",
                                 "analysis", "<|end|>", "a", "`", "\n"])).map("".join))  # fmt: skip
def test_any_text_is_parted_and_an_answer_holds_no_thought(text: str) -> None:
    parted = part_thoughts(text)
    assert parted.answer == parted.answer.strip()
    assert len(parted.answer) <= len(text)
