"""Scores are found by their encounter: FHIR's search asks for it."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.create_index("ix_scores_encounter_index", "scores", ["encounter_index"])
