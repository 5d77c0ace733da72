import threading
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from app.database.database import Database, DatabaseError, open_database
from app.settings import Settings, SettingsError


@pytest.fixture
def counter(database):
    """A table with one number in it."""
    with database.write() as session:
        session.execute(text("CREATE TABLE counter (id INTEGER PRIMARY KEY, value INTEGER)"))
        session.execute(text("INSERT INTO counter VALUES (1, 0)"))
    return database


def value(database):
    with database.read() as session:
        return session.scalar(text("SELECT value FROM counter"))


def add(session):
    session.execute(text("UPDATE counter SET value = value + 1"))


def test_write_keeps_all_or_nothing(counter):
    with counter.write() as session:
        add(session)
    with pytest.raises(ZeroDivisionError), counter.write() as session:
        add(session)
        1 / 0  # noqa: B018
    assert value(counter) == 1


def test_writers_at_once_lose_nothing(counter):
    def work():
        for _ in range(20):
            with counter.write() as session:
                before = session.scalar(text("SELECT value FROM counter WHERE id = 1" + lock))
                session.execute(text("UPDATE counter SET value = :value"), {"value": before + 1})

    lock = "" if counter.is_sqlite else " FOR UPDATE"
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert value(counter) == 80


def test_reader_sees_the_last_commit_while_another_writes(counter):
    with counter.write() as session:
        add(session)
        assert value(counter) == 0
    assert value(counter) == 1


def test_records_survive_the_process(counter, database_url):
    with counter.write() as session:
        add(session)
    counter.close()
    again = Database(database_url)
    assert value(again) == 1
    again.close()


def test_mistake_in_a_statement_is_not_called_an_outage(counter):
    with pytest.raises(IntegrityError), counter.write() as session:
        session.execute(text("INSERT INTO counter VALUES (1, 0)"))


def test_database_that_is_gone_is_a_503_that_says_so(tmp_path):
    for url in (f"sqlite:///{tmp_path}/nowhere/shapespace.db", f"postgresql://nobody:secret@/x?host={tmp_path}"):
        database = Database(url)
        with pytest.raises(DatabaseError) as caught, database.write() as session:
            session.execute(text("SELECT 1"))
        assert caught.value.status == 503
        assert caught.value.reason == "storage_unavailable"
        assert int(caught.value.headers["Retry-After"]) > 0
        assert "secret" not in caught.value.detail
        database.close()


def test_full_disk_changes_nothing(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/shapespace.db")
    with database.write() as session:
        session.execute(text("CREATE TABLE counter (value TEXT)"))
        session.execute(text("INSERT INTO counter VALUES ('before')"))
    with pytest.raises(DatabaseError, match="full"), database.write() as session:
        session.execute(text("PRAGMA max_page_count = 3"))
        session.execute(text("INSERT INTO counter VALUES (:text)"), {"text": "x" * 100_000})
    assert value(database) == "before"
    database.close()


@pytest.mark.parametrize("url", ["nonsense", "mysql://a:secret@b/c", "sqlite://", "sqlite:///:memory:"])
def test_address_that_makes_no_sense_is_refused(url):
    with pytest.raises(SettingsError, match="DATABASE_URL") as caught:
        Database(url)
    assert "secret" not in str(caught.value)
    assert "postgresql://" in str(caught.value)


def test_database_is_a_file_in_the_state_folder_by_default(tmp_path):
    folder = tmp_path / "a b%20" / "state"
    database = open_database(Settings(state_dir=folder))
    database.upgrade()
    database.close()
    assert (folder / "shapespace.db").is_file()


def test_database_of_the_settings_goes_first(tmp_path):
    folder = tmp_path / "state"
    database = open_database(Settings(state_dir=folder, database_url=f"sqlite:///{tmp_path}/other.db"))
    assert database.url.database == f"{tmp_path}/other.db"
    assert not folder.exists()


def test_state_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="STATE_DIR"):
        open_database(Settings(state_dir=Path(tmp_path / "file" / "state")))


def test_settings_do_not_show_the_password():
    assert "secret" not in repr(Settings(database_url="postgresql://user:secret@host/name"))
