"""What a pair is worth for the rest of a thread, by numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_atlas.messages.thread_calls import ThreadCall
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.thread.economy import ThreadState, TokenPrices, worths
from langchain_atlas.routers.thread.staying import _Thread

CHEAP, DEAR = TokenPrices(full=1.0, cached=0.1), TokenPrices(full=10.0, cached=1.0)


def state(**changes: Any) -> ThreadState:
    """Return a thread of ten tokens, which the cheap pair's provider has cached; turns add nothing."""
    usual: dict[str, Any] = {
        "prices": [CHEAP, DEAR],
        "tokens": 10,
        "cached": [10, 0],
        "idle_s": [60, 0],
        "turns": [[0, 50]],
        "growth": 0,
        "gap_s": 60,
        "ttl_s": [300, 300],
        "fewest": 1,
        "calls": 1,
    }
    return ThreadState(**{**usual, **changes})


def worth(thread: ThreadState, pair: int, turns_left: int) -> float:
    return worths(thread, turns_left)[pair]


def test_the_last_turn_is_worth_its_merit_less_the_reading() -> None:
    assert worth(state(), 0, 1) == pytest.approx(0 - 10 * 0.1)
    assert worth(state(), 1, 1) == pytest.approx(50 - 10 * 10)


def test_leaving_pays_once_enough_turns_are_left() -> None:
    """Each turn with the dear pair brings 50 and reads for 10; the first reads for 100."""
    assert worth(state(), 1, 3) == pytest.approx(-50 + 40 + 40)
    assert worth(state(), 0, 4) == pytest.approx(-1 - 50 + 40 + 40), "the best that may follow is going a turn later"
    assert worth(state(), 0, 3) == pytest.approx(-1 - 1 - 1), "or, with fewer turns left, staying"
    assert worth(state(), 1, 2) == pytest.approx(-50 + 40)


def test_a_cache_that_lapses_between_turns_is_paid_again() -> None:
    assert worth(state(gap_s=301), 1, 3) == pytest.approx(-50 - 10 - 10), "the cheap pair takes over"


def test_a_prompt_too_short_to_be_cached_costs_the_full_price() -> None:
    assert worth(state(fewest=11, cached=[0, 0]), 0, 1) == pytest.approx(-10)
    assert worth(state(fewest=11, cached=[0, 0], turns=[[0, -500]]), 0, 2) == pytest.approx(-20)


def test_more_calls_of_a_turn_read_the_cache() -> None:
    assert worth(state(calls=4), 1, 1) == pytest.approx(50 - 100 - 3 * 10)


def test_equal_threads_are_decided_equally() -> None:
    mixed = state(turns=[[0, 0], [0, 50], [0, 0]])
    assert worths(mixed, 9) == worths(mixed, 9)


def test_a_kind_of_turn_that_lasted_so_far_is_expected_to_last() -> None:
    """Whether it pays to leave for a hard turn depends on how many follow: as after the last one, most likely."""
    easy, hard = [0, 0], [0, 40]
    seldom = state(turns=[hard, *[easy] * 8, hard])
    long = state(turns=[*[hard] * 8, easy, hard])
    assert worth(seldom, 1, 5) < worth(seldom, 0, 5)
    assert worth(long, 1, 5) > worth(long, 0, 5)


def test_turns_of_two_kinds_by_turns_come_by_turns() -> None:
    """Ten changes leave little doubt: after a turn that wants the dear pair comes one that does not."""
    by_turns = state(turns=[[0, 0], [0, 50]] * 20)
    assert worth(by_turns, 1, 3) == pytest.approx(-50 - 1 + 40, abs=6)


def call(pair: str, seconds: float, prompt: int, cached: int | None) -> ThreadCall:
    return ThreadCall(Pair(pair), 0, prompt_tokens=prompt, cached_tokens=cached, decided_at=seconds)


def test_a_provider_that_caches_less_than_it_should_is_believed_less() -> None:
    calls = [call("a", 0, 1000, 0), call("a", 60, 2000, 500), call("b", 70, 2000, 0), call("a", 99, 2100, 1000)]
    thread = _Thread(calls, 2100, ())
    assert thread.hits(Pair("a"), 1, 300) == pytest.approx((500 + 1000) / (1000 + 2000))
    assert thread.hits(Pair("b"), 1, 300) == 1.0, "nothing is known yet"
    assert thread.hits(Pair("a"), 1500, 300) == pytest.approx(1000 / 2000), "short prompts are not cached"
    assert thread.hits(Pair("a"), 1, 50) == pytest.approx(1000 / 2000), "what lapsed can't be read"
    assert thread.growth == pytest.approx(1100), "one turn so far"
    assert thread.gap_s(120) == pytest.approx(120)
