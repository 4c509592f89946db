"""The reward of a transcript: each rule of the format by itself, and each component."""

from __future__ import annotations

import pytest

from langchain_atlas.errors import SettingError
from langchain_atlas.learning.language_model.rewards import TranscriptRewards
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.prompted.format_rules import RULES, broken_rules, share_well_formed

PAIRS = (Pair("small"), Pair("small", "python"), Pair("big", "python:3"))
GOOD = (
    "<think>arithmetic</think>\n<search>small@@python: 6*7: what is it?</search>\n<information>42</information>\n"
    "<think>in doubt</think>\n<search>big@@python:3: 6*7</search>\n<information>42</information>\n"
    "<think>they agree</think>\n<answer>42</answer>"
)
BREAKS = {
    "every tag is opened and closed": GOOD.replace("in doubt</think>", "in doubt"),
    "every call reads 'model@@tool: input'": GOOD.replace("small@@python: 6*7: what is it?", "small, use python"),
    "every call names a pair of the pool": GOOD.replace("big@@python:3:", "big@@python:4:"),
    "there is a thought": GOOD.replace("<think>arithmetic</think>", "")
    .replace("<think>in doubt</think>", "")
    .replace("<think>they agree</think>", ""),
    "there is one answer": GOOD.replace("<think>they agree</think>", "<answer>41</answer>"),
    "the answer is at the end": f"{GOOD}\n<think>that was that</think>",
    "every call has its result": GOOD.replace("<information>42</information>", "", 1),
}
"""For each rule, a transcript that breaks it and no other."""


def test_a_well_formed_transcript_breaks_no_rule() -> None:
    assert broken_rules(GOOD, PAIRS) == ()


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_is_broken_by_itself(rule: str) -> None:
    assert broken_rules(BREAKS[rule], PAIRS) == (rule,)


@pytest.mark.parametrize(
    ("transcript", "rules"),
    [
        ("", {"there is a thought", "there is one answer"}),
        ("<answer>42", {"every tag is opened and closed", "there is a thought"}),
        ("</think><think>x</think><answer>42</answer>", {"every tag is opened and closed"}),
        (GOOD.replace("6*7: what is it?", ""), {"every call reads 'model@@tool: input'"}),
        (GOOD.replace("<answer>42</answer>", ""), {"there is one answer"}),
        (f"<search>small@@python: x</search>{GOOD}", {"every call has its result"}),
        ("<search>who@@what: x</search>", set(RULES) - {
            "every tag is opened and closed", "every call reads 'model@@tool: input'", "the answer is at the end",
        }),
    ],
)  # fmt: skip
def test_all_broken_rules_are_named(transcript: str, rules: set[str]) -> None:
    assert set(broken_rules(transcript, PAIRS)) == rules


def test_a_pair_outside_the_pool_is_only_well_formed_once_it_is_added() -> None:
    call = GOOD.replace("big@@python:3:", "new@@python:")
    assert broken_rules(call, PAIRS) == ("every call names a pair of the pool",)
    assert broken_rules(call, (*PAIRS, Pair("new", "python"))) == ()


def test_the_reward_is_the_sum_of_the_papers_components() -> None:
    rewards = TranscriptRewards()
    right = rewards.components(GOOD, PAIRS, score=1.0, optimal=True, cost=0.4)
    assert right == {"format": 0.0, "outcome": 1.0, "selection": 0.0, "cost": 0.0}
    wrong = rewards.components(BREAKS["there is a thought"], PAIRS, score=0.0, optimal=False, cost=0.4)
    assert wrong == {"format": -1.0, "outcome": 0.0, "selection": -0.15, "cost": 0.0}


def test_each_weight_turns_its_component_off_or_up() -> None:
    broken = BREAKS["there is one answer"]
    rewards = TranscriptRewards(format=0.0, outcome=2.0, selection=0.0, cost=0.5)
    parts = rewards.components(broken, PAIRS, score=0.5, optimal=False, cost=1.5)
    assert parts == {"format": 0.0, "outcome": 1.0, "selection": 0.0, "cost": -0.75}


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(SettingError, match=r"The weight of 'cost' is -1.0; it must be 0 or more"):
        TranscriptRewards(cost=-1.0)


def test_the_share_of_well_formed_transcripts() -> None:
    assert share_well_formed([(GOOD, PAIRS), ("", PAIRS)]) == 0.5
    assert share_well_formed([]) is None
