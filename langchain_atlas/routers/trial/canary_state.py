"""What a canary has seen, and its report."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from langchain_atlas.errors import ArtifactError
from langchain_atlas.records import Record
from langchain_atlas.routers.trial.sequential import SequentialTest

if TYPE_CHECKING:
    from langchain_atlas.routers.trial.state_file import StateFile
    from langchain_atlas.trajectory import Decision

Status = Literal["running", "rolled back", "promoted"]
Arm = Literal["live", "candidate"]

COUNTS = ("live", "candidate", "recorded_live", "recorded_candidate", "late", "repeated", "stood_in")


class CanaryReport(Record):
    """What became of a canary; as text, it is a few sentences."""

    status: Status
    """``running``; ``rolled back``: the live router decides everything; ``promoted``: the candidate does."""
    may_be_promoted: bool
    """Whether the candidate was found to lose less than `loss`."""
    more: int
    """About how many more outcomes of the candidate it takes until something is found; 0 once it is."""
    live: int
    """Number of queries that the live router began."""
    candidate: int
    """Number of queries that the candidate began."""
    recorded_live: int
    """Number of outcomes of the live router's queries."""
    recorded_candidate: int
    """Number of outcomes of the candidate's queries."""
    live_score: float | None
    """Mean score of the live router's queries, 0 to 1; None before the first."""
    candidate_score: float | None
    """Mean score of the candidate's queries, 0 to 1; None before the first."""
    difference: float | None
    """Mean score of the candidate's outcomes minus that of the live router's of the same time; None before both have
    one."""
    interval: tuple[float, float]
    """Confidence interval of that; it holds at all times together, with probability ``1 - error``."""
    error: float
    """Probability of rolling back a candidate that is not worse, at most."""
    loss: float
    """Loss in score below which a candidate may be promoted."""
    late: int
    """Number of outcomes that came after the end; they are not counted."""
    repeated: int
    """Number of outcomes of queries that had one already; they are not counted."""
    stood_in: int
    """Number of decisions that the live router took because the candidate raised an error."""

    def __str__(self) -> str:
        lines = [f"{self.status}.", f"Queries: {self.live} live, {self.candidate} candidate."]
        if self.live_score is not None and self.candidate_score is not None:
            lines.append(
                f"Mean score: {self.live_score:.3f} live ({self.recorded_live} outcomes), {self.candidate_score:.3f} "
                f"candidate ({self.recorded_candidate})."
            )
        if self.difference is not None:
            low, high = self.interval
            lines.append(f"Difference: {100 * self.difference:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f}).")
        if self.status == "running":
            lines.append(
                f"It loses less than {100 * self.loss:g} points and may be promoted."
                if self.may_be_promoted
                else f"About {self.more} more outcomes of the candidate."
            )
        if self.stood_in:
            lines.append(f"The candidate raised an error {self.stood_in} times; the live router stood in.")
        return " ".join(lines)


@dataclass
class CanaryState:
    """What the copies of one canary share."""

    test: SequentialTest
    file: StateFile
    status: Status = "running"
    lock: threading.RLock = field(default_factory=threading.RLock)
    counts: Counter[str] = field(default_factory=Counter)
    sums: dict[Arm, float] = field(default_factory=lambda: {"live": 0.0, "candidate": 0.0})
    block: dict[Arm, list[float]] = field(default_factory=lambda: {"live": [0, 0.0], "candidate": [0, 0.0]})
    """Number and sum of the outcomes since the last difference was taken."""
    arms: OrderedDict[str, Arm] = field(default_factory=OrderedDict)
    decisions: OrderedDict[int, tuple[Decision, str | None]] = field(default_factory=OrderedDict)
    recorded: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def take(self, arm: Arm, score: float) -> None:
        """Take an outcome in.

        A difference is taken once both routers have an outcome: between the means of those since the last one. So both
        come from the same time, and a difference depends on nothing but the scores.
        """
        self.counts[f"recorded_{arm}"] += 1
        self.sums[arm] += score
        self.block[arm][0] += 1
        self.block[arm][1] += score
        if all(count for count, _ in self.block.values()):
            mean = {name: total / count for name, (count, total) in self.block.items()}
            self.test.add(mean["candidate"] - mean["live"])
            self.block = {"live": [0, 0.0], "candidate": [0, 0.0]}

    def to_json(self) -> dict[str, Any]:
        """Return what a restart needs, as plain JSON values."""
        with self.lock:
            counts = {name: self.counts[name] for name in COUNTS}
            held = {"sums": {**self.sums}, "block": {arm: [*block] for arm, block in self.block.items()}}
            return {"status": self.status, "test": self.test.to_json(), "counts": counts, **held}

    def resume(self, kept: dict[str, Any]) -> None:
        """Continue from what `to_json` returned.

        Raises:
            ArtifactError: something of it is missing.
        """
        try:
            self.status = kept["status"]
            self.test = SequentialTest.from_json(kept["test"])
            self.counts = Counter({name: int(kept["counts"][name]) for name in COUNTS})
            self.sums = {"live": float(kept["sums"]["live"]), "candidate": float(kept["sums"]["candidate"])}
            self.block = {"live": [*kept["block"]["live"]], "candidate": [*kept["block"]["candidate"]]}
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"{str(self.file.path)!r} is not a canary's state: {error!r} is missing.") from error
