"""An empty database, for the first table to follow."""

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Nothing is there yet."""
