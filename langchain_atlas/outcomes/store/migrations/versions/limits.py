"""What limits count, and models that are left out."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "atlas_charges",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("charged_at", sa.Double, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("usd", sa.Double, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("is_settled", sa.Boolean, nullable=False),
    )
    op.create_table(
        "atlas_totals",
        sa.Column("scope", sa.String(300), primary_key=True),
        sa.Column("usd", sa.Double, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("calls", sa.Integer, nullable=False),
        sa.Column("changed_at", sa.Double, nullable=False),
    )
    op.create_table(
        "atlas_cooldowns",
        sa.Column("model", sa.String(300), primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("failed_at", sa.Double, nullable=False),
        sa.Column("until", sa.Double, nullable=False),
    )


def downgrade() -> None:
    """Drop the tables."""
    for name in ("atlas_cooldowns", "atlas_totals", "atlas_charges"):
        op.drop_table(name)
