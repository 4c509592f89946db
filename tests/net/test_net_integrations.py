"""What every integration sends, streams, writes and traces against a provider on this machine stays what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from integration_runs import INTEGRATIONS, recorded
from scenes import SCENES
from snapshots import check_cases, compare

from langchain_atlas.integrations.graphs import durable

if TYPE_CHECKING:
    from fixture_types import Serve


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a thread as long as it takes: on a busy machine the order of what is streamed would be another."""
    monkeypatch.setattr(durable, "PATIENCE_S", 20.0)


CASES = [
    (integration, name)
    for integration in INTEGRATIONS
    for name, scene in SCENES.items()
    if (not scene.only or integration in scene.only) and not (integration == "pipe" and scene.options)
]


@pytest.mark.parametrize(("integration", "name"), CASES)
def test_stays(integration: str, name: str, serve: Serve) -> None:
    compare(integration, name, recorded(integration, SCENES[name], serve))


@pytest.mark.parametrize("integration", INTEGRATIONS)
def test_nothing_else_is_kept(integration: str) -> None:
    check_cases(integration, {name for kind, name in CASES if kind == integration})
