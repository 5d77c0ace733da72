"""The file of each molecule of a job, so that only what its owner recorded counts."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add it; the files that are there are named by their place."""
    op.add_column("job_molecules", sa.Column("file", sa.String(40)))
    name = "printf('%05d', place)" if op.get_bind().dialect.name == "sqlite" else "lpad(place::text, 5, '0')"
    op.execute(f"UPDATE job_molecules SET file = {name} WHERE sequence IS NOT NULL AND refusal IS NULL")
