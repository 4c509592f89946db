"""What the monitor finds in decisions and scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from langchain_atlas.errors import SettingError
from langchain_atlas.pool.pairs import Pair
from langchain_atlas.routers.drift.monitor import DriftMonitor

if TYPE_CHECKING:
    from langchain_atlas.routers.drift.events import DriftEvent

FIRST, SECOND = Pair("first", "none"), Pair("second", "none")


def scored(monitor: DriftMonitor, pair: Pair, cluster: int | None, mean: float, count: int) -> list[DriftEvent]:
    draws = np.random.default_rng(3).random(count) < mean
    return [event for right in draws for event in monitor.scored(pair, cluster, float(right), at=1.0)]


def test_a_pair_that_becomes_worse_is_named_and_the_other_is_not() -> None:
    monitor = DriftMonitor()
    for cluster in (0, 1):
        assert scored(monitor, FIRST, cluster, 0.9, 250) == []
        assert scored(monitor, SECOND, cluster, 0.9, 250) == []
    assert scored(monitor, SECOND, 0, 0.9, 250) == []
    (event, *_) = scored(monitor, FIRST, 0, 0.4, 150)
    assert (event.kind, event.pair) == ("success", FIRST)
    assert event.now < 0.6 < event.before
    assert str(FIRST) in event.message


def test_a_pair_that_becomes_worse_in_one_cluster_of_many_is_found_there() -> None:
    monitor = DriftMonitor()
    for cluster in range(5):
        scored(monitor, FIRST, cluster, 0.95, 250)
    found: list[DriftEvent] = []
    draws = np.random.default_rng(5)
    for number in range(3000):
        cluster = number % 5
        right = draws.random() < (0.8 if cluster == 2 else 0.97)
        found += monitor.scored(FIRST, cluster, float(right), at=1.0)
    assert [(event.pair, event.cluster) for event in found][:1] == [(FIRST, 2)]


def test_a_pair_that_becomes_better_is_told_too() -> None:
    monitor = DriftMonitor()
    scored(monitor, FIRST, None, 0.5, 250)
    (event, *_) = scored(monitor, FIRST, None, 0.9, 200)
    assert event.now > event.before


def test_a_change_is_told_once() -> None:
    monitor = DriftMonitor()
    scored(monitor, FIRST, 0, 0.9, 250)
    assert len(scored(monitor, FIRST, 0, 0.5, 2000)) == 1


def far(monitor: DriftMonitor, share: float, count: int) -> list[DriftEvent]:
    draws = np.random.default_rng(4).random(count) < share
    return [event for is_far in draws for event in monitor.decided(FIRST, far=bool(is_far), at=1.0)]


def test_far_queries_are_found_from_the_first_day_on() -> None:
    assert far(DriftMonitor(), 0.3, 5000) == []
    (event, *_) = far(DriftMonitor(), 0.9, 200)
    assert (event.kind, event.pair) == ("distance", None)
    assert event.now > 0.8


def test_far_queries_that_come_later_are_found() -> None:
    monitor = DriftMonitor()
    assert far(monitor, 0.05, 1000) == []
    assert [event.kind for event in far(monitor, 0.5, 200)] == ["distance"]


def chosen(monitor: DriftMonitor, share: float, count: int) -> list[DriftEvent]:
    draws = np.random.default_rng(6).random(count) < share
    pairs = [FIRST if first else SECOND for first in draws]
    return [event for pair in pairs for event in monitor.decided(pair, at=1.0)]


def test_a_collapse_onto_one_pair_is_found() -> None:
    monitor = DriftMonitor()
    assert chosen(monitor, 0.55, 2000) == []
    (event, *_) = chosen(monitor, 1.0, 400)
    assert (event.kind, event.pair) == ("collapse", FIRST)


def test_a_router_that_always_kept_to_one_pair_has_not_collapsed() -> None:
    assert chosen(DriftMonitor(), 1.0, 5000) == []
    assert chosen(DriftMonitor(), 0.95, 5000) == []


@pytest.mark.parametrize("settings", [{"queries_per_false_alarm": 0}, {"tolerance": 1.0}, {"tolerance": -0.1}])
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(SettingError, match=next(iter(settings))):
        DriftMonitor(**settings)
