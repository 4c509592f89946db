"""The parts of the recipe for verl that need no GPU."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from langchain_atlas.learning.language_model.tokens import ChatTokens
from langchain_atlas.testing.tiny_policy import save_tiny_model, toy_table

if TYPE_CHECKING:
    from types import ModuleType

RECIPE = Path(__file__).parent.parent / "examples" / "verl"


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(RECIPE)
    sys.modules.pop("replay_agent_loop", None)
    return importlib.import_module("replay_agent_loop")


async def test_an_episode_is_played_and_what_the_policy_was_told_is_masked(recipe: Any, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    toy_table(4).save(tmp_path / "toy.parquet")
    chat = ChatTokens(AutoTokenizer.from_pretrained(save_tiny_model(tmp_path / "model", ["the question", "result"])))
    steps = iter(
        ["<think>x</think><search>adder@@none: the question</search>", "<think>x</think><answer>result 1</answer>"]
    )

    async def write(_: list[int]) -> list[int]:
        return chat.step(next(steps))

    episodes = recipe.environment(str(tmp_path / "toy.parquet"))
    played = await recipe.play(episodes, chat, 1, write)
    assert played.reward == 1
    wrote = [one for one, mine in zip(played.tokens.completion, played.tokens.mask, strict=True) if mine]
    assert "<information>" not in chat.text(wrote)
    assert "<information>yes</information>" in chat.text(played.tokens.completion)


def test_the_prompts_hold_where_their_outcomes_are(recipe: Any, tmp_path: Path) -> None:
    toy_table(4).save(tmp_path / "toy.parquet")
    rows = importlib.import_module("make_prompts").rows(str(tmp_path / "toy.parquet"))
    assert [row["extra_info"]["row"] for row in rows] == [0, 1, 2, 3]
    assert [message["role"] for message in rows[0]["prompt"]] == ["system", "user"]
    assert json.dumps(rows)
    extra = rows[0]["extra_info"]
    good = "<think>x</think><search>bard@@none: x</search><information>y</information><answer>y</answer>"
    assert recipe.compute_score("", good, "", extra) == 0
    assert recipe.compute_score("", good.replace("bard", "nobody"), "", extra) == -1
