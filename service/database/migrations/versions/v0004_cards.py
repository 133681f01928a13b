"""Cards that were shown, and what became of them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "shown_cards",
        sa.Column("card", sa.String(length=36), nullable=False),
        sa.Column("score_id", sa.String(length=32), nullable=False),
        sa.Column("service", sa.String(length=64), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("user_index", sa.String(length=64), nullable=False),
        sa.Column("patient_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("stay_index", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=True),
        sa.Column("band", sa.String(length=16), nullable=False),
        sa.Column("shown_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("card", name=op.f("pk_shown_cards")),
        sa.UniqueConstraint("stay_index", "number", name=op.f("uq_shown_cards_stay_index")),
    )
    op.create_index("ix_shown_cards_shown_at", "shown_cards", ["shown_at"])

    op.create_table(
        "card_feedback",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("card", sa.String(length=36), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("accepted", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("comment_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_card_feedback")),
    )
    op.create_index("ix_card_feedback_card", "card_feedback", ["card"])
    op.create_index("ix_card_feedback_received_at", "card_feedback", ["received_at"])
