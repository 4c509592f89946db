"""The tables of the store."""

from __future__ import annotations

from langchain_atlas.errors import MissingExtraError

try:
    from sqlalchemy import Boolean, Column, Double, Index, Integer, MetaData, String, Table, Text
except ImportError as error:
    raise MissingExtraError("A store", "store") from error

METADATA = MetaData()

DECISIONS = Table(
    "atlas_decisions",
    METADATA,
    Column("id", String(36), primary_key=True, doc="identifies the decision; in the answer's record too"),
    Column("first_id", String(36), nullable=False, doc="id of the first decision for the same query"),
    Column("turn", Integer, nullable=False, doc="number of steps before it"),
    Column("decided_at", Double, nullable=False, doc="seconds since 1970, UTC"),
    Column("query_hash", String(32), nullable=False, doc="BLAKE2b of text and context"),
    Column("query", Text, doc="the text; null if texts are not kept"),
    Column("context", Text, doc="the context; null if there is none, or texts are not kept"),
    Column("input", Text, doc="what was sent instead of the text; null if nothing else was"),
    Column("domain", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("tool", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("cluster", Integer),
    Column("propensity", Double, doc="probability of choosing this pair; null if unknown"),
    Column("expected_success", Double),
    Column("expected_cost_usd", Double),
    Column("written_at", Double, nullable=False, doc="the database's time"),
    Index("atlas_decisions_decided_at", "decided_at"),
)
"""What was decided: one row for each pair that was called, or would have been but for an interruption."""

OUTCOMES = Table(
    "atlas_outcomes",
    METADATA,
    Column("decision_id", String(36), primary_key=True),
    Column("recorded_at", Double, nullable=False, doc="seconds since 1970, UTC"),
    Column("response", Text, doc="the answer; null if it failed, or texts are not kept"),
    Column("error", Text, nullable=False, doc="empty if it did not fail"),
    Column("input_tokens", Integer),
    Column("output_tokens", Integer),
    Column("cost_usd", Double),
    Column("latency_s", Double),
    Column("model_calls", Integer, nullable=False),
    Column("written_at", Double, nullable=False, doc="the database's time"),
    Index("atlas_outcomes_recorded_at", "recorded_at"),
)
"""What came of a decision: one row for each call that ended."""

SCORES = Table(
    "atlas_scores",
    METADATA,
    Column("decision_id", String(36), primary_key=True),
    Column("source", String(200), primary_key=True, doc="where the score comes from"),
    Column("score", Double, nullable=False, doc="0 to 1"),
    Column("confidence", Double, doc="0 to 1; null if unknown"),
    Column("recorded_at", Double, nullable=False, doc="seconds since 1970, UTC"),
    Column("written_at", Double, nullable=False, doc="the database's time"),
    Index("atlas_scores_recorded_at", "recorded_at"),
    Index("atlas_scores_written_at", "written_at"),
)
"""How good an answer was: one row for each source of a score; a later score of a source replaces its earlier one."""

CHARGES = Table(
    "atlas_charges",
    METADATA,
    Column("id", String(36), primary_key=True, doc="id of the decision that is acted on"),
    Column("charged_at", Double, nullable=False, doc="the database's time"),
    Column("scopes", Text, nullable=False, doc="JSON list of the scopes that it is charged to"),
    Column("usd", Double, nullable=False, doc="expected dollars; once settled, the real ones"),
    Column("seconds", Double, nullable=False, doc="expected seconds; once settled, the real ones"),
    Column("is_settled", Boolean, nullable=False, doc="whether the call has ended"),
    Index("atlas_charges_charged_at", "charged_at"),
)
"""Calls that limits count: one row for each."""

TOTALS = Table(
    "atlas_totals",
    METADATA,
    Column("scope", String(300), primary_key=True, doc="day:DATE, user:DATE:ID, thread:ID or run:ID"),
    Column("usd", Double, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("calls", Integer, nullable=False),
    Column("changed_at", Double, nullable=False, doc="the database's time"),
)
"""What the calls of a scope took together: the sums of its charges."""

COOLDOWNS = Table(
    "atlas_cooldowns",
    METADATA,
    Column("model", String(300), primary_key=True),
    Column("failures", Integer, nullable=False, doc="failures in a row"),
    Column("failed_at", Double, nullable=False, doc="the database's time"),
    Column("until", Double, nullable=False, doc="the database's time until which the model is left out"),
)
"""Models whose last call failed."""

TABLES = {table.name: table for table in (DECISIONS, OUTCOMES, SCORES)}
"""The tables that the queue writes to, by name."""

TIMES = {
    "atlas_decisions": "decided_at",
    "atlas_outcomes": "recorded_at",
    "atlas_scores": "recorded_at",
    "atlas_charges": "charged_at",
    "atlas_totals": "changed_at",
    "atlas_cooldowns": "failed_at",
}
"""The column of each table by which old rows are deleted."""
