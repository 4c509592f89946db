"""Work that several processes find at the same moment is claimed by one of them."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from langchain_atlas.errors import OutcomeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_atlas import Store


def test_one_of_many_gets_it(url: str, open_store: Callable[..., Store]) -> None:
    stores = [open_store(url) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for number in range(5):
            told = list(pool.map(lambda store, name=f"round-{number}": store.claim(name, 60), stores))
            assert told.count(True) == 1


def test_it_can_be_claimed_again_when_its_seconds_are_over(url: str, open_store: Callable[..., Store]) -> None:
    first, second = open_store(url), open_store(url)
    assert first.claim("round", 60)
    assert not second.claim("round", 60)
    assert second.claim("another", 60), "other work is free"
    time.sleep(0.25)
    assert second.claim("round", 0.2)
    assert not first.claim("round", 60)


def test_nothing_is_claimed_in_a_store_that_is_away(open_store: Callable[..., Store]) -> None:
    with pytest.raises(OutcomeError, match="can't be used"):
        open_store("postgresql://atlas@127.0.0.1:1/atlas").claim("round", 60)
