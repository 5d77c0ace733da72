"""Jobs and their molecules."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(43), primary_key=True),
        sa.Column("principal", sa.String(255), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("order", sa.JSON, nullable=False),
        sa.Column("model", sa.String(255), nullable=False),
        sa.Column("num_molecules", sa.Integer, nullable=False),
        sa.Column("num_conformers", sa.Integer, nullable=False),
        sa.Column("num_done", sa.Integer, nullable=False),
        sa.Column("num_returned", sa.Integer, nullable=False),
        sa.Column("num_conformers_done", sa.Integer, nullable=False),
        sa.Column("interactive", sa.Boolean, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("state_sequence", sa.Integer, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("started", sa.Float),
        sa.Column("ended", sa.Float),
        sa.Column("owner", sa.String(43)),
        sa.Column("lease_until", sa.Float),
        sa.Column("takeovers", sa.Integer, nullable=False),
        sa.Column("problem", sa.JSON),
        sa.Column("key", sa.String(255)),
        sa.Column("body_hash", sa.String(64)),
        sa.UniqueConstraint("principal", "key", name="uq_jobs_key"),
    )
    op.create_index("ix_jobs_state", "jobs", ["state", "created"])
    op.create_index("ix_jobs_principal", "jobs", ["principal", "created"])
    op.create_table(
        "job_molecules",
        sa.Column("job_id", sa.String(43), sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("place", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("sequence", sa.Integer),
        sa.Column("num_requested", sa.Integer, nullable=False),
        sa.Column("num_returned", sa.Integer, nullable=False),
        sa.Column("status", sa.String(16)),
        sa.Column("refusal", sa.JSON),
    )
    op.create_index("ix_job_molecules_sequence", "job_molecules", ["job_id", "sequence"])
