"""An index by which old charges are found, to delete them."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index."""
    op.create_index("atlas_charges_charged_at", "atlas_charges", ["charged_at"])


def downgrade() -> None:
    """Drop the index."""
    op.drop_index("atlas_charges_charged_at", "atlas_charges")
