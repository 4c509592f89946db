"""Decisions, outcomes and scores."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "atlas_decisions",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("first_id", sa.String(36), nullable=False),
        sa.Column("turn", sa.Integer, nullable=False),
        sa.Column("decided_at", sa.Double, nullable=False),
        sa.Column("query_hash", sa.String(32), nullable=False),
        sa.Column("query", sa.Text),
        sa.Column("context", sa.Text),
        sa.Column("input", sa.Text),
        sa.Column("domain", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("tool", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("cluster", sa.Integer),
        sa.Column("propensity", sa.Double),
        sa.Column("expected_success", sa.Double),
        sa.Column("expected_cost_usd", sa.Double),
        sa.Column("written_at", sa.Double, nullable=False),
    )
    op.create_index("atlas_decisions_decided_at", "atlas_decisions", ["decided_at"])
    op.create_table(
        "atlas_outcomes",
        sa.Column("decision_id", sa.String(36), primary_key=True),
        sa.Column("recorded_at", sa.Double, nullable=False),
        sa.Column("response", sa.Text),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("input_tokens", sa.Integer),
        sa.Column("output_tokens", sa.Integer),
        sa.Column("cost_usd", sa.Double),
        sa.Column("latency_s", sa.Double),
        sa.Column("model_calls", sa.Integer, nullable=False),
        sa.Column("written_at", sa.Double, nullable=False),
    )
    op.create_index("atlas_outcomes_recorded_at", "atlas_outcomes", ["recorded_at"])
    op.create_table(
        "atlas_scores",
        sa.Column("decision_id", sa.String(36), primary_key=True),
        sa.Column("source", sa.String(200), primary_key=True),
        sa.Column("score", sa.Double, nullable=False),
        sa.Column("confidence", sa.Double),
        sa.Column("recorded_at", sa.Double, nullable=False),
        sa.Column("written_at", sa.Double, nullable=False),
    )
    op.create_index("atlas_scores_recorded_at", "atlas_scores", ["recorded_at"])
    op.create_index("atlas_scores_written_at", "atlas_scores", ["written_at"])


def downgrade() -> None:
    """Drop the tables."""
    for name in ("atlas_scores", "atlas_outcomes", "atlas_decisions"):
        op.drop_table(name)
