import threading

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

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


def test_jobs_of_servers_that_know_no_kinds_make_conformers(database_url):
    """Also those that such a server adds beside a newer one."""
    database, config = Database(database_url), configuration()
    job = {
        "id": "old", "principal": "me", "state": "queued", "order": "{}", "model": "m", "num_molecules": 1,
        "num_conformers": 2, "num_done": 0, "num_returned": 0, "num_conformers_done": 0, "interactive": False,
        "sequence": 1, "state_sequence": 1, "created": 0.0, "takeovers": 0,
    }  # fmt: skip
    columns, values = ", ".join(f'"{name}"' for name in job), ", ".join(f":{name}" for name in job)
    insert = text(f"INSERT INTO jobs ({columns}) VALUES ({values})")
    with database._engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        connection.execute(insert, job)
    database.upgrade()
    with database._engine.begin() as connection:
        connection.execute(insert, job | {"id": "later"})
        assert connection.execute(text("SELECT kind FROM jobs")).scalars().all() == ["conformers"] * 2
    database.close()


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
