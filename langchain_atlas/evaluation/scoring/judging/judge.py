"""A judge: any chat model that marks recorded answers without knowing whose they are."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from langchain_atlas.errors import SettingError
from langchain_atlas.evaluation.scoring.judging.calls import Call, JudgeCalls
from langchain_atlas.evaluation.scoring.judging.prompts import (
    LABELS,
    JudgedAnswer,
    compare_prompt,
    mark_prompt,
    read_comparison,
    read_marks,
)
from langchain_atlas.evaluation.scoring.judging.rubrics import Rubrics
from langchain_atlas.evaluation.scoring.marks import EMPTY, JUDGE, Mark, by_query
from langchain_atlas.pool.pool import Model
from langchain_atlas.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from langchain_core.language_models import BaseChatModel

    from langchain_atlas.evaluation.scoring.judging.calls import JudgePlan, OnPlan
    from langchain_atlas.evaluation.scoring.judging.prompts import Reading
    from langchain_atlas.evaluation.scoring.marks import RecordedAnswer
    from langchain_atlas.progress import Progress

Mode = Literal["mark", "compare"]
_CHARACTERS = 100_000


class JudgeReport(Record):
    """What a judge did."""

    judge: str
    """Its name."""
    mode: Mode
    """Whether it marked answers or compared them."""
    calls: int
    """Number of calls that were made now."""
    cached: int
    """Number of replies that were known before, and cost nothing."""
    planned: int
    """Number of calls that were planned."""
    cost_usd: float | None
    """Dollars of the calls; None when the cost of one is unknown."""
    known_cost_usd: float
    """Dollars of the calls with a known cost."""
    unpriced: int
    """Number of calls with an unknown cost."""
    broken: int
    """Number of replies that could not be read, whole or in part; what they should have marked is not marked."""
    failed: int
    """Number of calls that failed."""
    error: str = ""
    """The error of the last call that failed."""
    stopped: str = ""
    """Why it stopped early; empty if it did not."""
    favours_first: float | None = None
    """Comparisons: share of its choices that fell on the answer shown first; 0.5 is even. Marks: mean mark of the
    answers shown first minus that of the others, -1 to 1. None where no call showed two answers."""


@dataclass(frozen=True)
class _Question:
    """One call's worth of judging: answers to one query in the order shown."""

    asked: JudgedAnswer
    answers: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]


class Judge:
    """Marks recorded answers with a chat model.

    It is blind: a prompt holds the question, the answers and a rubric, and no name of a model, a tool or a pair. Equal
    answers to a query are shown once. With several answers in one prompt their order is drawn anew for each query; a
    comparison is made in both orders, and counts only if both replies can be read.

    Args:
        model: LiteLLM's id such as ``openai/gpt-4o-mini``, a `Model` (with prices, options, the key's variable), or a
            LangChain chat model.
        name: its name in ``score_source``; by default the model's.
        rubrics: by what it marks, for each domain.
        mode: ``mark`` for a mark of each answer; ``compare`` for the share of comparisons with other answers to the
            query that it wins, which says which is better but not how many are right.
        together: how many answers to a query are shown in one call, at most; 1 leaves no position to favour.
        opponents: how many other answers each is compared with, at most.
        seed: seed of the order.
        cache: file of replies; None keeps none.
        repeat_failed: ask again where the kept reply could not be read.
        max_cost_usd: no call is started that may exceed these dollars.
        concurrency: maximum number of calls at once.
        timeout_s: seconds that one call may take.
        retries: how often a call that failed for a transient reason is repeated.

    Raises:
        SettingError: a setting is out of range, or `max_cost_usd` is given and the model's price is unknown.
        PoolError: the model's key variable is not set.
    """

    def __init__(
        self,
        model: str | Model | BaseChatModel,
        *,
        name: str | None = None,
        rubrics: Rubrics | None = None,
        mode: Mode = "mark",
        together: int = 1,
        opponents: int = 2,
        seed: int = 0,
        cache: str | Path | None = None,
        repeat_failed: bool = False,
        max_cost_usd: float | None = None,
        concurrency: int = 4,
        timeout_s: float = 60.0,
        retries: int = 2,
    ) -> None:
        if mode not in get_args(Mode):
            raise SettingError(f"mode is {mode!r}; a judge can 'mark' or 'compare'.")
        if not 1 <= together <= len(LABELS):
            raise SettingError(f"together is {together!r}; from 1 to {len(LABELS)} answers can be shown in one call.")
        if opponents < 1:
            raise SettingError(f"opponents is {opponents!r}; an answer needs at least 1 to be compared with.")
        self._calls = JudgeCalls(
            Model(name=model) if isinstance(model, str) else model,
            name=name,
            cache=cache,
            max_cost_usd=max_cost_usd,
            concurrency=concurrency,
            timeout_s=timeout_s,
            retries=retries,
            repeat_failed=repeat_failed,
        )
        self.name = self._calls.name
        self.mode: Mode = mode
        self._rubrics = rubrics or Rubrics()
        self._together = together
        self._opponents = opponents
        self._seed = seed
        self.report: JudgeReport | None = None

    @property
    def source(self) -> str:
        """What its marks have as their source."""
        return f"{JUDGE}{self.name}"

    def plan(self, answers: Sequence[RecordedAnswer], references: Mapping[str, str] | None = None) -> JudgePlan:
        """Return how many calls marking these answers takes, and about what they cost; calls nothing."""
        questions = list(self._questions(answers, references or {}))
        return self._calls.plan([self._call(question) for question in questions])

    def marks(
        self,
        answers: Sequence[RecordedAnswer],
        references: Mapping[str, str] | None = None,
        *,
        progress: Progress | None = None,
        on_plan: OnPlan | None = None,
    ) -> dict[int, Mark]:
        """Mark answers; `report` says afterwards what was done.

        Args:
            answers: rows of a table with a text.
            references: the expected answer of a query, by its id, where it is known.
            progress: called with the number of replies and the total.
            on_plan: called with the plan before the first call; returning False stops there.

        Returns:
            Marks by the number of the row. A row is missing if the call failed, the reply could not be read, or the
            judge was stopped.
        """
        empty = {answer.row: Mark(0.0, EMPTY, 1.0) for answer in answers if answer.text == ""}
        questions = list(self._questions(answers, references or {}))
        calls = [self._call(question) for question in questions]
        with self._calls as judge:
            replies = judge.replies(calls, progress=progress, on_plan=on_plan)
        readings = [
            None if reply is None else self._read(one, reply) for one, reply in zip(questions, replies, strict=True)
        ]
        broken = sum(one is not None and None in one.scores for one in readings)
        self.report = JudgeReport(
            judge=self.name, mode=self.mode, broken=broken, favours_first=self._lean(readings), **judge.done()
        )
        found = self._compared(questions, readings) if self.mode == "compare" else self._marked(questions, readings)
        return {**empty, **found}

    def _questions(self, answers: Sequence[RecordedAnswer], references: Mapping[str, str]) -> Iterator[_Question]:
        for query_id, group in by_query(answers).items():
            first = group[0]
            asked = JudgedAnswer(first.query, first.context, references.get(query_id), self._rubrics.of(first.domain))
            rows: dict[str, list[int]] = defaultdict(list)
            for answer in group:
                if answer.text:
                    rows[answer.text].append(answer.row)
            texts = sorted(rows)  # so that the order does not depend on the pairs' order in the table
            random.Random(f"{self._seed} {query_id}").shuffle(texts)  # noqa: S311  # a draw, not a secret
            if self.mode == "compare":
                for one, other in _opponents(texts, self._opponents):
                    for shown in ((one, other), (other, one)):
                        yield _Question(asked, shown, tuple(tuple(rows[text]) for text in shown))
                continue
            for start in range(0, len(texts), self._together):
                part = tuple(texts[start : start + self._together])
                yield _Question(asked, part, tuple(tuple(rows[text]) for text in part))

    def _call(self, question: _Question) -> Call:
        compare = self.mode == "compare"
        messages = (compare_prompt if compare else mark_prompt)(question.asked, question.answers)

        def usable(reply: str) -> bool:
            return None not in self._read(question, reply).scores

        return Call(messages, usable)

    def _read(self, question: _Question, reply: str) -> Reading:
        if self.mode == "compare":
            return read_comparison(reply[:_CHARACTERS])
        return read_marks(reply[:_CHARACTERS], len(question.answers), question.asked.rubric.scale)

    def _marked(self, questions: Sequence[_Question], readings: Sequence[Reading | None]) -> dict[int, Mark]:
        return {
            row: Mark(score, self.source, reading.sure)
            for question, reading in zip(questions, readings, strict=True)
            if reading is not None
            for rows, score in zip(question.rows, reading.scores, strict=True)
            if score is not None
            for row in rows
        }

    def _compared(self, questions: Sequence[_Question], readings: Sequence[Reading | None]) -> dict[int, Mark]:
        """Average what each answer won; both orders of a comparison, which follow one another, must be readable."""
        won: dict[int, list[float]] = defaultdict(list)
        same: dict[int, list[float]] = defaultdict(list)
        for question, reading, other in zip(questions[::2], readings[::2], readings[1::2], strict=True):
            if reading is None or other is None:
                continue
            first, second = zip(reading.scores, reversed(other.scores), strict=True)
            if None in first or None in second:
                continue
            for rows, points in zip(question.rows, (first, second), strict=True):
                for row in rows:
                    won[row].append(sum(points) / 2)  # type: ignore[arg-type]  # neither is None, see above
                    same[row].append(float(first[0] == first[1]))
        return {
            row: Mark(sum(points) / len(points), self.source, sum(same[row]) / len(same[row]))
            for row, points in won.items()
        }

    def _lean(self, readings: Sequence[Reading | None]) -> float | None:
        several = [one.scores for one in readings if one is not None and len(one.scores) > 1 and None not in one.scores]
        if self.mode == "compare":
            decided = [scores[0] for scores in several if scores[0] != scores[1]]
            return sum(decided) / len(decided) if decided else None  # type: ignore[arg-type]  # None is left out above
        if not several:
            return None
        others = [score for scores in several for score in scores[1:]]
        first = sum(scores[0] for scores in several) / len(several)  # type: ignore[misc]
        return first - sum(others) / len(others)  # type: ignore[arg-type]


def _opponents(texts: Sequence[str], most: int) -> Iterator[tuple[str, str]]:
    """Yield each comparison once: in a ring, every text meets its next neighbours, at most `most` in all."""
    count = len(texts)
    seen: set[frozenset[str]] = set()
    for step in range(1, min((most + 1) // 2, count - 1) + 1):
        for place, one in enumerate(texts):
            other = texts[(place + step) % count]
            if one != other and frozenset((one, other)) not in seen:
                seen.add(frozenset((one, other)))
                yield one, other
