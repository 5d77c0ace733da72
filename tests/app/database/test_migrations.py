import threading

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import app.main  # noqa: F401 - declares every table
from app.database.database import Base, Database
from app.database.migrations import configuration


def test_steps_are_one_chain():
    script = ScriptDirectory.from_config(configuration())
    assert len(script.get_heads()) == len(script.get_bases()) == 1
    for step in script.walk_revisions():
        assert step.doc
        assert f"s{step.revision}_" in step.path


def test_tables_after_all_steps_are_those_that_the_code_declares(database):
    with database._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_upgrade_twice_changes_nothing(database):
    database.upgrade()
    with database._engine.connect() as connection:
        assert MigrationContext.configure(connection).get_current_revision() is not None


def test_services_that_start_at_once_take_turns(database_url):
    failed = []

    def start():
        database = Database(database_url)
        try:
            database.upgrade()
        except Exception as error:
            failed.append(error)
        database.close()

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
