"""Where keys are kept: a table of the service's database."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import DateTime, String, select
from sqlalchemy.orm import Mapped, mapped_column

from app.access.keys import Key
from app.database.database import Base, Database


class KeyRow(Base):
    """One key; see `Key` for what the columns mean."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(12), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    scopes: Mapped[str] = mapped_column(String(100))
    digest: Mapped[str] = mapped_column(String(200))
    created: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    expires: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    revoked: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    requests_per_minute: Mapped[int | None]
    conformers_per_hour: Mapped[int | None]


class KeyStore:
    """Keys in a database.

    Args:
        database: With its tables made.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, key: Key) -> None:
        """Keep a new key.

        Raises:
            DatabaseError: The database cannot be used; so for the others.
        """
        with self._database.write() as session:
            session.add(KeyRow(**{**vars(key), "scopes": " ".join(sorted(key.scopes))}))

    def find(self, name: str) -> Key | None:
        """The key with this id."""
        with self._database.read() as session:
            row = session.get(KeyRow, name)
            return None if row is None else _key(row)

    def all(self) -> list[Key]:
        """All keys, oldest first."""
        with self._database.read() as session:
            return [_key(row) for row in session.scalars(select(KeyRow).order_by(KeyRow.created, KeyRow.id))]

    def revoke(self, name: str) -> Key | None:
        """Take a key back for good; it stays in the list.  None if there is no such key."""
        with self._database.write() as session:
            row = session.get(KeyRow, name)
            if row is None:
                return None
            row.revoked = row.revoked or datetime.now(UTC)
            return _key(row)


def _key(row: KeyRow) -> Key:
    return Key(
        row.id,
        row.name,
        frozenset(row.scopes.split()),
        row.digest,
        _utc(row.created),
        row.expires and _utc(row.expires),
        row.revoked and _utc(row.revoked),
        row.requests_per_minute,
        row.conformers_per_hour,
    )


def _utc(moment: datetime) -> datetime:
    """SQLite forgets the zone, PostgreSQL may answer in another."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
