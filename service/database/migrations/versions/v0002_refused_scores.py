"""Whether a patient was not scored because they said no: what was kept before is not shown then."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.add_column("scores", sa.Column("refused", sa.Boolean(), nullable=True))
