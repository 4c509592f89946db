"""Canary questions: a pair that answers otherwise under the same name."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

import pytest

from langchain_atlas import Observation, Query, Store
from langchain_atlas.answers.agreement import AnswerAgreement
from langchain_atlas.errors import SettingError
from langchain_atlas.evaluation.drift.answers import agreeing, chance
from langchain_atlas.evaluation.drift.canary_questions import CanaryQuestions
from langchain_atlas.evaluation.drift.report import drift_report
from langchain_atlas.testing import ScriptedExecutor

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_atlas.pool.pairs import Pair

QUESTIONS = [f"What is {number} times 7? Give the number alone." for number in range(20)]


class Provider:
    """Answers like a model that is sometimes wrong; `shift` is another model under the same name."""

    def __init__(self, noise: float = 0.0) -> None:
        self.shift, self.noise, self.down, self.draw = 0, noise, False, random.Random(0)  # noqa: S311

    def __call__(self, pair: Pair, query: Query) -> Observation:
        if self.down:
            return Observation(pair=pair, error="APIError: down")
        number = int(query.text.split()[2]) * 7
        noise = self.draw.choice([1, 2, 3]) if self.draw.random() < self.noise else 0
        return Observation(pair=pair, answer=str(number + self.shift + noise))


def canary(provider: Provider, store: Store, **settings: Any) -> CanaryQuestions:
    return CanaryQuestions(QUESTIONS, ScriptedExecutor(provider), store, **{"pairs": ["small@@none"], **settings})


def test_agreements_and_their_chance_are_those_worked_out_by_hand() -> None:
    assert agreeing(["7", "7.0", "8", "7"], Query(text="?"), AnswerAgreement()) == [2, 2, 0, 2]
    # one of four answers differs, and it is the newest: one case of four; for five questions, 4 ** -5
    assert chance([[2, 2, 2, 0]]) == pytest.approx(1 / 4)
    assert chance([[2, 2, 2, 0]] * 5) == pytest.approx(4.0**-5)
    assert chance([[3, 3, 3, 3]] * 5) == 1.0


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_another_model_under_the_same_name_is_found_in_its_first_round(
    noise: float, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    provider = Provider(noise)
    questions = canary(provider, store)
    assert [questions.ask() for _ in range(6)] == [[]] * 6
    provider.shift = 100
    (event,) = questions.ask()
    assert (event.kind, str(event.pair), event.now, event.count) == ("answers", "small@@none", 0.0, 20)
    assert event.before > 0.4
    assert "small@@none answers canary questions otherwise" in caplog.text
    assert questions.ask() == []  # the new answers are the baseline from now on
    report = drift_report(store)
    assert [each.kind for each in report.events] == ["answers"]
    assert (report.decisions, report.canary_answers) == (0, 160)


def test_an_outage_is_no_change(store: Store) -> None:
    provider = Provider()
    questions = canary(provider, store)
    for _ in range(4):
        questions.ask()
    provider.down = True
    assert questions.ask() == []
    provider.down = False
    assert questions.ask() == []


def test_a_model_that_never_says_the_same_twice_raises_no_alarm(store: Store) -> None:
    questions = canary(Provider(noise=1.0), store)
    assert [questions.ask() for _ in range(12)] == [[]] * 12


def rounds(store: Store, *settings: dict[str, Any]) -> int:
    """Return how many canary questions were asked by processes that all began at the same moment."""
    asking = [canary(Provider(), store, **each) for each in settings]
    for each in asking:
        each.start()
    expected = 20 * len({tuple(each.get("pairs", ())) for each in settings})
    deadline = time.monotonic() + 30
    while drift_report(store).canary_answers < expected and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.3)  # whoever asks too has begun by now
    for each in asking:
        each.close()
    return drift_report(store).canary_answers


def test_a_round_is_asked_once_by_all_processes_that_begin_at_the_same_moment(store: Store) -> None:
    assert rounds(store, *[{"every_hours": 24}] * 6) == 20


def test_a_round_of_other_pairs_is_another_round(store: Store) -> None:
    assert rounds(store, {"pairs": ["small@@none"]}, {"pairs": ["large@@none"]}, {"pairs": ["large@@none"]}) == 40


def test_a_round_that_was_claimed_by_a_process_that_died_is_asked_when_the_next_is_due(store: Store) -> None:
    questions = canary(Provider(), store, every_hours=4 / 3600)
    assert store.claim(questions._name, 4)
    with questions.start():
        time.sleep(0.2)
        assert drift_report(store).canary_answers == 0
        deadline = time.monotonic() + 20
        while drift_report(store).canary_answers < 20 and time.monotonic() < deadline:
            time.sleep(0.1)
    assert drift_report(store).canary_answers >= 20


def test_says_that_answers_were_not_kept(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/atlas.db", keep_texts=False)
    canary(Provider(), store).ask()
    assert any("not kept" in note for note in drift_report(store).notes)
    store.close()


def test_too_few_questions_are_refused(store: Store) -> None:
    with pytest.raises(SettingError, match="give 5 different ones"):
        CanaryQuestions(["a", "b", "b", "b", "b"], ScriptedExecutor(Provider()), store, pairs=["small@@none"])
    with pytest.raises(SettingError, match="name them"):
        CanaryQuestions(QUESTIONS, ScriptedExecutor(Provider()), store, pairs=[])
