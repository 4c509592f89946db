"""Canary questions: does a pair still answer them as it did?

A few questions are asked again and again. Their first rounds are the baseline. If nothing has changed, the newest
answer to a question is one of several of the same kind, and which of them is the newest is chance: a permutation test.
Its statistic is how often the newest answers say the same as the others; its distribution under all assignments is
computed exactly. So it holds for models that never say the same twice, too.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.answers.agreement import AnswerAgreement
from langchain_atlas.pool.pairs import Pair
from langchain_atlas.routers.drift.events import DriftEvent
from langchain_atlas.trajectory import Query

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from langchain_atlas.answers.agreement import Agreement

RULE = "canary-question"
"""The rule of decisions that are canary questions."""
BASELINE = 3
"""Number of rounds that newer ones are compared with."""
ROUNDS_PER_FALSE_ALARM = 1000
"""Average number of a pair's rounds for each false alarm, at least."""
_FEWEST = 5
"""Number of questions from which a change can be told: 4 ** -5 is below 1 / 1000."""


def agreeing(answers: Sequence[str], query: Query, agreement: Agreement) -> list[int]:
    """Return for each answer with how many of the others it agrees, shape [n_answers]."""
    read = [agreement.read(answer, query) for answer in answers]
    return [
        sum(
            at != other and (answers[at] == answers[other] or agreement.same(first, second, query))
            for other, second in enumerate(read)
        )
        for at, first in enumerate(read)
    ]


def chance(agreements: Sequence[Sequence[int]]) -> float:
    """Return the probability that the newest answers agree with the others as little as they do, or less, by chance.

    Args:
        agreements: for each question, with how many of the others each answer agrees; the newest is last.
    """
    distribution = np.ones(1)
    for each in agreements:
        distribution = np.convolve(distribution, np.bincount(each, minlength=len(each)) / len(each))
    observed = sum(each[-1] for each in agreements)
    return float(min(1.0, distribution[: observed + 1].sum()))


def changed_answers(rows: Sequence[Any], agreement: Agreement | None = None) -> list[DriftEvent]:
    """Return the changes that the answers to canary questions show.

    Args:
        rows: rows of a store with the rule `RULE`, in the order of time; failed calls and answers whose text was not
            kept are left out.
        agreement: decides whether two answers say the same.
    """
    agreement = AnswerAgreement() if agreement is None else agreement
    asked: dict[Pair, list[Any]] = defaultdict(list)
    for row in rows:
        if row.response is not None and row.query is not None and not row.error:
            asked[Pair(row.model, row.tool)].append(row)
    events = [event for pair, own in asked.items() for event in _of_pair(pair, own, agreement)]
    return sorted(events, key=lambda event: event.found_at)


def _of_pair(pair: Pair, rows: Sequence[Any], agreement: Agreement) -> list[DriftEvent]:
    events: list[DriftEvent] = []
    history: dict[str, list[Any]] = defaultdict(list)
    rounds: list[dict[str, Any]] = []
    for row in rows:
        number = len(history[row.query_hash])
        history[row.query_hash].append(row)
        if number == len(rounds):
            rounds.append({})
        rounds[number][row.query_hash] = row
    start = 0
    for number, newest in enumerate(rounds):
        baseline = rounds[start : start + BASELINE]
        if number < start + BASELINE:
            continue
        compared = [name for name in newest if all(name in earlier for earlier in baseline)]
        if len(compared) < _FEWEST:
            continue
        agreements = []
        for name in compared:
            query = Query(text=newest[name].query, context=newest[name].context)
            answers = [each[name].response for each in (*baseline, newest)]
            agreements.append(agreeing(answers, query, agreement))
        if chance(agreements) > 1 / ROUNDS_PER_FALSE_ALARM:
            continue
        at = max(row.decided_at for row in newest.values())
        since = max(row.decided_at for row in rounds[number - 1].values())
        events.append(DriftEvent("answers", pair, None, *_levels(agreements), len(compared), since, at))
        start = number
    return events


def _levels(agreements: Sequence[Sequence[int]]) -> tuple[float, float]:
    """Return how often two answers of the baseline agree, and how often the newest agrees with one of them."""
    now = float(np.mean([each[-1] for each in agreements])) / BASELINE
    pairs = BASELINE * (BASELINE - 1)
    before = float(np.mean([(sum(each[:-1]) - each[-1]) / pairs for each in agreements]))
    return before, now
