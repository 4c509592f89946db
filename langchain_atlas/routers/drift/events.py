"""What was found: events with figures, as log lines and as OpenTelemetry metrics."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_atlas.pool.pairs import Pair

_LOG = logging.getLogger(__name__)

Kind = Literal["success", "distance", "collapse", "answers"]


@dataclass(frozen=True)
class DriftEvent:
    """A change that a test has found."""

    kind: Kind
    """``success``: of a pair. ``distance``: share of queries far from the training data. ``collapse``: share of one
    pair. ``answers``: a pair answers canary questions otherwise."""
    pair: Pair | None
    """The pair; None for ``distance``."""
    cluster: int | None
    """The cluster, for ``success``; None for all of them together."""
    before: float
    """What the figure was, 0 to 1."""
    now: float
    """What it has been since, 0 to 1."""
    count: int
    """Number of queries since."""
    since: float
    """When the change most likely began, in seconds since 1970."""
    found_at: float
    """Time of the query that gave it away."""

    @property
    def message(self) -> str:
        """The event in one sentence."""
        day = datetime.fromtimestamp(self.since, UTC).date().isoformat()
        change = f"from {self.before:.0%} to {self.now:.0%} ({self.count} queries, since about {day})"
        where = "" if self.cluster is None else f" in cluster {self.cluster}"
        verb = "fell" if self.now < self.before else "rose"
        match self.kind:
            case "success":
                return f"The success of {self.pair}{where} {verb} {change}."
            case "distance":
                return f"The share of queries far from the training data {verb} {change}."
            case "collapse":
                return f"The share of queries that go to {self.pair} {verb} {change}."
            case "answers":
                return f"{self.pair} answers canary questions otherwise: agreement {verb} {change}."

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values, with its message."""
        pair = None if self.pair is None else str(self.pair)
        return {**asdict(self), "pair": pair, "message": self.message}


def publish(events: Iterable[DriftEvent]) -> None:
    """Write events to the log, and count them in OpenTelemetry's metrics where that is installed.

    The log lines are warnings of this module's logger. The metrics are the counter ``atlas.drift.events``, and the
    gauges ``atlas.drift.before`` and ``atlas.drift.now``, with the attributes ``atlas.drift.kind``, ``atlas.pair`` and
    ``atlas.cluster``.
    """
    for event in events:
        _LOG.warning("%s", event.message)
        _measure(event)


def _measure(event: DriftEvent) -> None:
    try:
        from opentelemetry import metrics
    except ImportError:
        return
    meter = metrics.get_meter("langchain_atlas")
    attributes: dict[str, str | int] = {"atlas.drift.kind": event.kind}
    if event.pair is not None:
        attributes["atlas.pair"] = str(event.pair)
    if event.cluster is not None:
        attributes["atlas.cluster"] = event.cluster
    meter.create_counter("atlas.drift.events", description="Changes found").add(1, attributes)
    for name, value in (("before", event.before), ("now", event.now)):
        meter.create_gauge(f"atlas.drift.{name}", description=f"The figure that changed, {name}").set(value, attributes)
