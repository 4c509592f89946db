"""A judge whose errors are known, and answers whose truth is known, for tests of scoring."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from langchain_atlas.evaluation.scoring.people import HumanMark
from langchain_atlas.outcomes import OutcomeTable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_core.messages import BaseMessage

RATES = {"amber": 0.9, "birch": 0.75, "cedar": 0.6, "dune": 0.5}
"""How often each model of the made-up answers is right."""


@dataclass(frozen=True)
class Known:
    """Answers that nobody marked, and which of them are right."""

    table: OutcomeTable
    rows: tuple[dict[str, Any], ...]
    right: Mapping[str, bool]
    """By the text of the answer."""

    def rate(self, pair: str) -> float:
        """Return how many of a pair's answers are right, or of ``all pairs``."""
        seen = [self.right[row["response"]] for row in self.rows if pair in ("all pairs", f"{row['model']}@@none")]
        return sum(seen) / len(seen)

    def marked_by_people(self, count: int, seed: int) -> list[HumanMark]:
        """Return true marks of some of the answers, drawn at random."""
        drawn = random.Random(seed).sample(self.rows, count)  # noqa: S311
        return [
            HumanMark(row["query_id"], f"{row['model']}@@none", float(self.right[row["response"]]), 1) for row in drawn
        ]


def known_answers(queries: int = 50, seed: int = 1) -> Known:
    """Make `queries` times four answers."""
    rng = random.Random(seed)  # noqa: S311
    rows: list[dict[str, Any]] = []
    right: dict[str, bool] = {}
    for number in range(queries):
        for model, rate in RATES.items():
            text = f"answer no {len(rows)}"
            right[text] = rng.random() < rate
            rows.append(
                {"query_id": f"q{number}", "query": f"question {number}", "domain": "made up", "model": model,
                 "tool": "none", "score": None, "response": text}
            )  # fmt: skip
    return Known(OutcomeTable.from_rows(rows), tuple(rows), right)


def erring(right: Mapping[str, bool], seed: int, *, misses: float = 0.1, lets: float = 0.2, lean: float = 0.3) -> Any:
    """Return a judge's reply function: from the text of a prompt to the text of a reply.

    Args:
        right: which answers are right.
        seed: seed of its errors.
        misses: share of right answers that it calls wrong.
        lets: share of wrong answers that it calls right.
        lean: share of prompts in which it calls the first answer right, whatever it says.
    """
    rng = random.Random(seed)  # noqa: S311

    def reply(prompt: str) -> str:
        marks = {}
        for label, text in zip("ABCDEFGH", re.findall(r"answer no \d+", prompt), strict=False):
            errs = rng.random() < (misses if right[text] else lets)
            marks[label] = int(right[text] != errs)
        if rng.random() < lean:
            marks["A"] = 1
        return json.dumps({**marks, "sure": 0.7})

    return reply


class ScriptedJudge(BaseChatModel):
    """A chat model that replies by a function of the last message's text."""

    reply: Any
    prompts: list[str]

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        self.prompts.append("\n".join(str(message.content) for message in messages))
        return ChatResult(generations=[ChatGeneration(message=AIMessage(self.reply(str(messages[-1].content))))])


def of_body(reply: Callable[[str], str]) -> Callable[[dict[str, Any]], str]:
    """Return the reply function of a server on this machine."""
    return lambda body: reply(body["messages"][-1]["content"])


def one_query(texts: Sequence[str], **columns: Any) -> OutcomeTable:
    """Return a table of one query that several models answered."""
    return OutcomeTable.from_rows(
        [
            {"query_id": "q", "query": "What is 2 + 2?", "domain": "sums", "model": f"secret-{number}", "tool": "none",
             "score": None, "response": text, **columns}
            for number, text in enumerate(texts)
        ]
    )  # fmt: skip
