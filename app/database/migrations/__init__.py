"""Steps from one version of the tables to the next, done by Alembic when the service starts.

A step is a file in `versions/`, named `s<number>_<what>.py`, written by hand; its `down_revision` is the step before
it.  A test compares the tables after all steps with those that the code declares.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection


def configuration() -> Config:
    """Alembic's view of this package."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def upgrade(connection: Connection) -> None:
    """Do the steps that are missing, in the transaction of the connection."""
    from alembic import command

    config = configuration()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
