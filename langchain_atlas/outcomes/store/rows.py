"""From decisions, observations and scores to rows of the store's tables, in plain JSON."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_atlas.trajectory import Decision, Observation, Query, Trajectory

Row = tuple[str, dict[str, Any]]
"""The name of a table, and a row of it."""

MAX_CHARS = 100_000
"""Characters of a text that are kept."""


@dataclass(frozen=True)
class Decided:
    """A decision that is about to be acted on."""

    decision: Decision
    query: Query
    trajectory: Trajectory
    """The steps before it."""
    time: float
    """Seconds since 1970."""


@dataclass(frozen=True)
class Observed:
    """What came of a decision."""

    decision_id: str
    observation: Observation
    time: float
    is_private: bool = False
    """Whether the query is private."""


@dataclass(frozen=True)
class Scored:
    """How good an answer was."""

    decision_id: str
    source: str
    score: float
    confidence: float | None
    time: float


Item = Decided | Observed | Scored


@dataclass(frozen=True)
class Rows:
    """Makes rows; what is kept of texts is settled here."""

    keep_texts: bool = True
    """Whether the texts of queries and answers are kept; those of private queries never are."""
    domain: str = "live"
    """Domain of all rows."""

    def of(self, item: Item) -> Row:
        """Return the row of an item."""
        match item:
            case Decided():
                return "atlas_decisions", self._decided(item)
            case Observed():
                return "atlas_outcomes", self._observed(item)
            case Scored():
                row = {"decision_id": item.decision_id, "source": item.source, "score": item.score}
                return "atlas_scores", {**row, "confidence": item.confidence, "recorded_at": item.time}

    def _decided(self, item: Decided) -> dict[str, Any]:
        decision, query, chosen = item.decision, item.query, item.decision.chosen
        assert decision.pair is not None  # noqa: S101  # only such decisions are kept
        ids = [step.decision.id for step in item.trajectory.steps if step.decision.id is not None]
        return {
            "id": decision.id,
            "first_id": ids[0] if ids else decision.id,
            "turn": len(item.trajectory.steps),
            "decided_at": item.time,
            "query_hash": query_hash(query.text, query.context),
            "query": self._text(query.text, query.private),
            "context": self._text(query.context, query.private),
            "input": self._text(decision.input, query.private),
            "domain": self.domain,
            "model": decision.pair.model,
            "tool": decision.pair.tool,
            "rule": _clean(decision.rule),
            "cluster": decision.cluster,
            "propensity": decision.propensity,
            "expected_success": None if chosen is None else chosen.expected_success,
            "expected_cost_usd": None if chosen is None else chosen.expected_cost_usd,
        }

    def _observed(self, item: Observed) -> dict[str, Any]:
        seen = item.observation
        error = "" if seen.error is None else _clean(seen.error)
        return {
            "decision_id": item.decision_id,
            "recorded_at": item.time,
            "response": self._text(seen.answer, item.is_private),
            # A provider's error may repeat what was asked.
            "error": error if self.keep_texts and not item.is_private else error.partition(":")[0],
            "input_tokens": seen.usage.input_tokens,
            "output_tokens": seen.usage.output_tokens,
            "cost_usd": seen.cost_usd,
            "latency_s": seen.latency_s,
            "model_calls": seen.model_calls,
        }

    def _text(self, text: str | None, is_private: bool) -> str | None:  # of the query
        return None if text is None or is_private or not self.keep_texts else _clean(text)


def query_hash(text: str, context: str | None) -> str:
    """Return the hash by which equal queries are recognised; 32 hexadecimal digits."""
    whole = text if context is None else f"{text}\0{context}"
    return hashlib.blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _clean(text: str) -> str:
    """Return a text that any database takes: no NUL, no half characters, limited in length."""
    return text[:MAX_CHARS].replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
