"""What a store shows, week by week, and while it is in use."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from langchain_atlas.errors import SettingError
from langchain_atlas.evaluation.drift.report import drift_report
from langchain_atlas.evaluation.drift.watch import DriftWatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_atlas import Store


def calls(count: int, rights: float, model: str = "small", cluster: int | None = 0) -> list[dict[str, Any]]:
    """Return calls of which a share is right, evenly spread."""
    scores = [float(int((at + 1) * rights) - int(at * rights)) for at in range(count)]
    return [
        {"text": f"How much is {at}?", "model": model, "cluster": cluster, "score": each}
        for at, each in enumerate(scores)
    ]


def test_a_pair_that_becomes_worse_is_found_with_its_figures(store: Store, history: Callable[..., None]) -> None:
    history(calls(300, 0.9), days_ago=40)
    history(calls(200, 0.5), days_ago=10)
    (event,) = drift_report(store).events
    assert (event.kind, str(event.pair)) == ("success", "small@@none")
    assert event.now < 0.6
    assert event.before > 0.85
    assert event.to_json()["message"].startswith("The success of small@@none fell from 90%")


def test_a_store_without_drift_shows_its_weeks_alone(store: Store, history: Callable[..., None]) -> None:
    for week in range(4):
        both = zip(calls(50, 0.9), calls(50, 0.9), calls(50, 0.8, model="large"), strict=True)
        history([call for three in both for call in three], days_ago=7 * week + 1)
    report = drift_report(store)
    assert report.events == ()
    assert (report.decisions, report.scored, len(report.weeks)) == (600, 600, 4)
    week = report.weeks[-1]
    assert week.pair_share == {"small@@none": pytest.approx(2 / 3), "large@@none": pytest.approx(1 / 3)}
    assert week.pair_score == {"large@@none": pytest.approx(0.8), "small@@none": pytest.approx(0.9)}
    assert (week.cost_usd, week.unpriced, week.expected_score) == (pytest.approx(15.0), 0, pytest.approx(0.9))
    assert json.loads(json.dumps(report.to_json()))["weeks"][-1]["decisions"] == 150


def test_older_weeks_are_left_out(store: Store, history: Callable[..., None]) -> None:
    history(calls(10, 0.9), days_ago=60)
    history(calls(5, 0.9), days_ago=1)
    assert drift_report(store, weeks=2).decisions == 5
    assert drift_report(store, weeks=None).decisions == 15
    with pytest.raises(SettingError, match="weeks is 0"):
        drift_report(store, weeks=0)


def test_says_what_could_not_be_looked_at(store: Store, history: Callable[..., None]) -> None:
    history([{"text": "?", "model": "small"}])
    notes = " ".join(drift_report(store).notes)
    assert "No router was given" in notes
    assert "Nothing has a score" in notes
    assert "No canary questions" in notes


def test_a_watch_tells_each_change_once(
    store: Store, history: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    watch = DriftWatch(store, every_s=3600)
    history(calls(300, 0.9), days_ago=1)
    assert watch.look() == []
    history(calls(100, 0.3))
    assert [event.kind for event in watch.look()] == ["success"]
    assert watch.look() == []
    history(calls(30, 0.3))
    assert watch.look() == []
    assert caplog.text.count("The success of small@@none fell") == 1


def test_a_change_counts_in_opentelemetry(store: Store, history: Callable[..., None]) -> None:
    pytest.importorskip("opentelemetry.sdk")
    from opentelemetry import metrics
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    metrics.set_meter_provider(MeterProvider([reader]))
    history([*calls(300, 0.9), *calls(100, 0.3)])
    DriftWatch(store).look()
    data = reader.get_metrics_data()
    assert data is not None
    found = {
        metric.name: metric.data.data_points[0]
        for each in data.resource_metrics
        for metric in each.scope_metrics[0].metrics
    }
    assert found["atlas.drift.events"].value == 1  # type: ignore[union-attr]
    assert found["atlas.drift.now"].value < found["atlas.drift.before"].value  # type: ignore[union-attr]
    assert dict(found["atlas.drift.events"].attributes or {}) == {
        "atlas.drift.kind": "success",
        "atlas.pair": "small@@none",
    }
