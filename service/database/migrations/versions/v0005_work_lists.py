"""Work lists: who is on them, how far each stay has been worked; and the inputs of each score."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.add_column("scores", sa.Column("row_sealed", sa.LargeBinary(), nullable=True))

    op.create_table(
        "work_list",
        sa.Column("patient_index", sa.String(length=64), nullable=False),
        sa.Column("patient_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("stay_index", sa.String(length=64), nullable=False),
        sa.Column("score_id", sa.String(length=32), nullable=True),
        sa.Column("unit", sa.Text(), nullable=True),
        sa.Column("probability", sa.Float(), nullable=True),
        sa.Column("band", sa.String(length=16), nullable=True),
        sa.Column("lace", sa.Integer(), nullable=True),
        sa.Column("hospital", sa.Integer(), nullable=True),
        sa.Column("discharged_at", sa.BigInteger(), nullable=True),
        sa.Column("remaining", sa.Float(), nullable=True),
        sa.Column("remaining_low", sa.Float(), nullable=True),
        sa.Column("remaining_high", sa.Float(), nullable=True),
        sa.Column("condition_group", sa.String(length=64), nullable=True),
        sa.Column("groups", sa.Text(), nullable=False),
        sa.Column("summary_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("left", sa.String(length=16), nullable=True),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("run", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("patient_index", name=op.f("pk_work_list")),
        sa.UniqueConstraint("stay_index", name=op.f("uq_work_list_stay_index")),
    )
    op.create_index("ix_work_list_discharged_at", "work_list", ["discharged_at"])
    op.create_index("ix_work_list_groups", "work_list", ["left", "unit", "groups", "remaining"])
    op.create_index("ix_work_list_remaining", "work_list", ["left", "remaining", "stay_index"])
    op.create_index("ix_work_list_unit", "work_list", ["unit", "remaining"])

    op.create_table(
        "scoring_runs",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("as_of", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("reached", sa.Integer(), nullable=False),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scoring_runs")),
    )
    op.create_index("ix_scoring_runs_ended_at", "scoring_runs", ["ended_at"])

    op.create_table(
        "follow_ups",
        sa.Column("stay_index", sa.String(length=64), nullable=False),
        sa.Column("patient_index", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("assigned_to", sa.Text(), nullable=True),
        sa.Column("due_on", sa.String(length=10), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("stay_index", name=op.f("pk_follow_ups")),
    )
    op.create_index("ix_follow_ups_assigned_to", "follow_ups", ["assigned_to", "status"])
    op.create_index("ix_follow_ups_changed_at", "follow_ups", ["changed_at"])
    op.create_index("ix_follow_ups_patient_index", "follow_ups", ["patient_index"])

    op.create_table(
        "follow_up_changes",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("stay_index", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=True),
        sa.Column("assigned_to", sa.Text(), nullable=True),
        sa.Column("due_on", sa.String(length=10), nullable=True),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("note_sealed", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_follow_up_changes")),
        sa.UniqueConstraint("stay_index", "version", name=op.f("uq_follow_up_changes_stay_index")),
    )
    op.create_index("ix_follow_up_changes_at", "follow_up_changes", ["at"])

    op.create_table(
        "saved_filters",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_filters")),
        sa.UniqueConstraint("owner", "name", name=op.f("uq_saved_filters_owner")),
    )
