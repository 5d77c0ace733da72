"""The kind of a job, since jobs make backbones too."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add it; the jobs that are there make conformers, and so do those of servers that do not know of kinds."""
    op.add_column("jobs", sa.Column("kind", sa.String(16), nullable=False, server_default="conformers"))
